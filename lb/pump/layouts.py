"""The list of layouts: what a venue's messages look like. A row of each is in csrc/, in the venue's own file."""

from __future__ import annotations

from enum import IntEnum

from lb.pump._pump import lib


class Layout(IntEnum):
    POLYGON = lib.PUMP_LAYOUT_POLYGON
    """Arrays of events, and of the venue's status records."""
    BINANCE = lib.PUMP_LAYOUT_BINANCE
    """Combined streams: an object per message, with the stream's name and the event. All else is the venue's word."""
    BITSTAMP = lib.PUMP_LAYOUT_BITSTAMP
    """An object per message, with its data, channel and event."""
    COINBASE = lib.PUMP_LAYOUT_COINBASE
    """An object per message, with its channel and events. Answers to requests are records, and told besides."""
    KRAKEN = lib.PUMP_LAYOUT_KRAKEN
    """An object per message, with its channel and data."""
