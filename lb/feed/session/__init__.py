"""Connections to the feed: name, TCP, TLS, upgrade. Law: in lb, only this package imports ssl and ktls."""

from ktls import set_dumpable
from lb.feed.session.attempt import Attempt, Opener
from lb.feed.session.secure import Security
from lb.feed.session.session import Session

__all__ = ["Attempt", "Opener", "Security", "Session", "set_dumpable"]
