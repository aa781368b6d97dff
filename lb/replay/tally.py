"""What a server has sent, counted over all its connections."""

import threading
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Totals:
    """A snapshot. "Sent" means handed to the kernel; records and messages count where they are whole."""

    records_total: int = 0
    messages_total: int = 0
    sent_bytes: int = 0
    """Bytes of websocket frames with data, before TLS."""
    connections_total: int = 0
    """Connections that completed the upgrade."""
    drops_total: int = 0
    """Forced disconnects."""
    faults_total: int = 0
    """Faults that were asked for and have happened."""
    evictions_total: int = 0
    slow_consumers_total: int = 0
    """Clients that were cut off because they read too slowly."""
    pings_total: int = 0
    """Pings sent at intervals; those between fragments are not counted."""
    pongs_total: int = 0
    """Pongs received, to whichever ping."""
    requests_total: int = 0
    """By REST, answered or refused."""

    def as_dict(self) -> dict[str, int]:
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"sent {self.records_total} records in {self.messages_total} messages, {self.sent_bytes} bytes; "
            f"connections: {self.connections_total}" + (f"; faults: {self.faults_total}" if self.faults_total else "")
        )


class Tally:
    """The running totals; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = Totals().as_dict()

    def add(self, **counts: int) -> None:
        """Adds to the named totals (the fields of Totals)."""
        with self._lock:
            for name, count in counts.items():
                self._counts[name] += count

    def totals(self) -> Totals:
        with self._lock:
            return Totals(**self._counts)
