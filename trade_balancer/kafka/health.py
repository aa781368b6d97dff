"""What is told of a delivery while it goes on: brokers that are away and are back, records that are refused.

Law: a line for each change, whatever the number of records; the account itself goes to lb (STATUS), for lb-top.
"""

from __future__ import annotations

import time

from trade_balancer.channel import say
from trade_balancer.errors import tell
from trade_balancer.kafka.outbox import AnyOutbox


class Health:
    """Of one outbox; `look` is to be called about once a second."""

    def __init__(self, outbox: AnyOutbox) -> None:
        self._outbox = outbox
        self._before = outbox.account()
        self._away_since_s: float | None = None

    def look(self) -> None:
        before, account = self._before, self._outbox.account()
        if account.failed > before.failed:
            tell(f"{account.failed - before.failed} records were refused for good: {self._outbox.failure}")
        if account.acknowledged > before.acknowledged or not account.waiting:
            self._note_back(account.waiting)
        elif account.errors > before.errors and self._away_since_s is None:
            self._away_since_s = time.monotonic()
            tell(f"the brokers take nothing: {self._outbox.error}; trying again, {account.waiting} records wait")
        if account != before:
            say(b"STATUS %s" % str(account).encode(), waits=False)
        self._before = account

    def _note_back(self, waiting: int) -> None:
        if self._away_since_s is not None:
            away_s = time.monotonic() - self._away_since_s
            self._away_since_s = None
            tell(f"the brokers take records again, after {away_s:.1f} s; {waiting} records wait")
