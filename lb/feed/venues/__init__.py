"""The venues, one file each. Law: no I/O; nothing outside of a venue's file, and its row in the pump, spells it."""

from lb.feed.venues import polygon

VENUES = {venue.name: venue for venue in (polygon.VENUE,)}
DEFAULT = polygon.VENUE

__all__ = ["DEFAULT", "VENUES"]
