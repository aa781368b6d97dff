"""The venues, one file each. Law: no I/O; nothing outside of a venue's file, and its row in the pump, spells it."""

from lb.feed.venue import Venue
from lb.feed.venues import binance, bitstamp, polygon

VENUES = {venue.name: venue for venue in (polygon.VENUE, binance.VENUE, bitstamp.VENUE)}
DEFAULT = polygon.VENUE


def named(name: str | None) -> Venue:
    """None: the default's."""
    return DEFAULT if name is None else VENUES[name]


__all__ = ["DEFAULT", "VENUES", "named"]
