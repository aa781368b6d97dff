"""The head of an HTTP/1.1 answer: status line and headers, cut out of whatever pieces it comes in (RFC 9112).

Law: no I/O. What stands behind the head is handed back untouched: it is another protocol's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz

from lb.errors import ConnectFailed
from lb.feed.session import limits

MAX_HEAD_BYTES = 16 << 10
SHOWN_BYTES = 60

_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: ([\x20-\x7e\x80-\xff\t]*))?")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*(.*?)[ \t]*")


@dataclass(frozen=True, slots=True)
class Answer:
    """`headers`: names in lower case; of a name given twice, both values with a comma. `rest`: what came behind."""

    status: int
    reason: str
    headers: dict[str, str]
    rest: bytes

    def refusal(self, who: str, now_s: float) -> ConnectFailed:
        """The error of an answer that was not hoped for: what `who` has done, and when it is worth another try."""
        said = f"HTTP status {self.status} {self.reason}".strip()
        if 300 <= self.status < 400:
            where = self.headers.get("location", "")[:SHOWN_BYTES]
            said = f"a redirection to {where!r}, {said}; it is not followed"
        is_hopeless = 300 <= self.status < 500 and self.status not in (408, 425, 429)
        least_delay_s = limits.HOPELESS_LEAST_DELAY_S if is_hopeless else 0.0
        if (asked_s := _retry_after_s(self.headers.get("retry-after", ""), now_s)) is not None:
            said += f", Retry-After {asked_s:.0f} s"
            least_delay_s = max(least_delay_s, min(asked_s, limits.MOST_RETRY_AFTER_S))
        return ConnectFailed(f"{who} with {said}", least_delay_s)


class AnswerReader:
    """Takes one answer. `what` names the exchange in errors."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._head = b""

    def receive(self, data: bytes) -> Answer | None:
        """Take what has come; b"" is the stream's end. None: the head is not whole yet. Raises ConnectFailed."""
        self._head += data
        end = self._head.find(b"\r\n\r\n")
        if end < 0 and data and len(self._head) <= MAX_HEAD_BYTES:
            return None
        if end < 0 or end > MAX_HEAD_BYTES:
            why = "the connection was closed" if not data else f"over {MAX_HEAD_BYTES} bytes came"
            raise self.failure(f"{why} before the end of an HTTP answer{self._shown()}")
        first, *rest = self._head[:end].split(b"\r\n")
        status = _STATUS_LINE.fullmatch(first)
        if status is None:
            raise self.failure(f"the answer is not HTTP{self._shown()}")
        reason = (status[2] or b"").decode("latin-1").strip()
        return Answer(int(status[1]), reason, self._headers(rest), self._head[end + 4 :])

    def failure(self, why: str) -> ConnectFailed:
        return ConnectFailed(f"{self._what} failed: {why}")

    def _headers(self, lines: list[bytes]) -> dict[str, str]:
        headers: dict[str, str] = {}
        for line in lines:
            header = _HEADER.fullmatch(line)
            if header is None:
                raise self.failure(f"the answer has a malformed header: {line[:SHOWN_BYTES]!r}")
            name, value = header[1].decode("ascii").lower(), header[2].decode("latin-1")
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        return headers

    def _shown(self) -> str:
        return f": {self._head[:SHOWN_BYTES]!r}" if self._head else ""


def _retry_after_s(value: str, now_s: float) -> float | None:
    """RFC 9110 section 10.2.3: a number of seconds, or a date."""
    if value.isascii() and value.isdigit():
        return float(value[:9])
    date = parsedate_tz(value)
    return None if date is None else max(mktime_tz(date) - now_s, 0.0)
