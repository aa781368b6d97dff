"""Connections to the feed. Law: of lb's own process, only this package imports ssl, websocket and ktls."""

from lb.session.attempt import Attempt
from lb.session.connect import Session, check, close_reason

__all__ = ["Attempt", "Session", "check", "close_reason"]
