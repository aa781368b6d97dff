"""Connections to the feed. Law: of lb's own process, only this package imports ssl, websocket and ktls."""

from ktls import set_dumpable
from lb.feed.session.attempt import Attempt
from lb.feed.session.connect import Session, close_reason
from lb.feed.session.secure import choose

__all__ = ["Attempt", "Session", "choose", "close_reason", "set_dumpable"]
