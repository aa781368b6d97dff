"""The venues whose books are known, one file each. Law: no I/O; nothing outside of a venue's file spells it."""

from trade_balancer.books.venue import BookVenue
from trade_balancer.books.venues import binance, bitstamp, coinbase, kraken, polygon

VENUES: dict[str, BookVenue] = {
    venue.name: venue for venue in (binance.VENUE, bitstamp.VENUE, coinbase.VENUE, kraken.VENUE, polygon.VENUE)
}

__all__ = ["VENUES"]
