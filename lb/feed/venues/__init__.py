"""The venues, one file each. Law: no I/O; nothing outside of a venue's file, and its row in the pump, spells it."""

from lb.feed.venue import Venue
from lb.feed.venues import binance, bitstamp, coinbase, kraken, polygon

VENUES = {venue.VENUE.name: venue.VENUE for venue in (polygon, binance, bitstamp, coinbase, kraken)}
DEFAULT = polygon.VENUE


def named(name: str | None) -> Venue:
    """None: the default's."""
    return DEFAULT if name is None else VENUES[name]


__all__ = ["DEFAULT", "VENUES", "named"]
