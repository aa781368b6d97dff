"""Times that venues write as text. Law: pure."""

from __future__ import annotations

import re
from datetime import datetime

_TIMESTAMP = re.compile(rb'"timestamp"\s*:\s*"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?Z"')
_NS_DIGITS, _NS_OF_S = 9, 1_000_000_000


def timestamp_ns(record: bytes) -> int | None:
    """The first member "timestamp" that is one in UTC (RFC 3339), in ns since 1970."""
    found = _TIMESTAMP.search(record)
    if found is None:
        return None
    try:
        whole_s = int(datetime.fromisoformat(found[1].decode() + "+00:00").timestamp())
    except ValueError:  # the 31st of February
        return None
    return whole_s * _NS_OF_S + int((found[2] or b"").ljust(_NS_DIGITS, b"0"))
