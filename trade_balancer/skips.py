"""The records that a worker passes over: those that can't be decoded, and those that its handler failed on.

Law: each is counted. They are shown, with the record, as long as a person can read them: a flood of them costs neither
the log nor the worker's time.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable
from typing import Literal

from trade_balancer.errors import RecordError, tell

OnError = Literal["raise", "skip"]
"""What an exception does to the worker: ends it, or is passed over with the record."""

SHOWN_BYTES = 240  # the longest trade that the feed sends has 213
_SHOWN_AT_ONCE = 10
_SHOWN_AGAIN_S = 60.0


class Skips:
    """What one process has passed over so far.

    Args:
        on_error: one answer to both kinds of fault; None for the two that `run` explains.
        clock: monotonic, in seconds.

    `undecodable_total` and `failed_total` count records, shown or not.
    """

    def __init__(self, on_error: OnError | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.undecodable_total = 0
        self.failed_total = 0
        self._ends_at_undecodable = on_error == "raise"
        self._ends_at_failure = on_error != "skip"
        self._fault: RecordError | None = None
        self._clock = clock
        self._may_show = _SHOWN_AT_ONCE
        self._shown_at_s = 0.0
        self._hidden = 0

    def undecodable(self, record: bytes, fd: int, why: str) -> None:
        """Takes a record that can't be decoded; `raise_fault()` raises it, if anything does."""
        self.undecodable_total += 1
        fault = RecordError(f"fd {fd}: record of {len(record)} bytes is {why}: {shown(record)}")
        if self._ends_at_undecodable:
            self._fault = self._fault or fault
        else:
            self._show(f"{fault}; skipped")

    def raise_fault(self) -> None:
        """Raises RecordError for the first undecodable record, if such a one shall end the worker.

        Called behind each read, so that every other record of the read is handled.
        """
        if self._fault is not None:
            raise self._fault

    def failure(self, error: Exception, fd: int, records: int, first: bytes | str, unhandled: int) -> bool:
        """Takes what the handler has raised for `records` records, of which `first` is the first, or a text for all.

        Returns whether to go on. If not, the error carries a note with the record and with how many of the same read
        come to nothing (`unhandled`): whoever shows the error shows that.
        """
        self.failed_total += records
        what = f"a record of {len(first)} bytes" if records == 1 else f"{records} records, the first"
        told = f"fd {fd}: the handler failed on {first if isinstance(first, str) else f'{what}: {shown(first)}'}"
        if self._ends_at_failure:
            error.add_note(f"{told}; {unhandled} more records of this read are not handled")
            return False
        self._show(f"{told}; skipped\n{''.join(traceback.format_exception(error)).rstrip()}")
        return True

    def _show(self, text: str) -> None:
        now_s = self._clock()
        if now_s - self._shown_at_s >= _SHOWN_AGAIN_S:
            self._may_show = max(self._may_show, 1)
        if not self._may_show:
            self._hidden += 1
            return
        self._may_show -= 1
        self._shown_at_s = now_s
        tell(text + (f" ({self._hidden} others not shown)" if self._hidden else ""))
        self._hidden = 0


def shown(record: bytes) -> str:
    """The record in printable characters, cut to SHOWN_BYTES bytes."""
    text = record[:SHOWN_BYTES].decode("ascii", "backslashreplace")
    return repr(text) + ("..." if len(record) > SHOWN_BYTES else "")
