"""The child that goes on with the pump while another program starts in this process: so records flow meanwhile.

Law: whoever forked it is whoever stops it, or the program that has the process then; a pump is one's at a time.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from lb.pump import Pump


class StandIn:
    """Begins at once. `stop()`, once, before the pump is touched again."""

    def __init__(self, pump: Pump) -> None:
        """Raises OSError."""
        stop_end, self.stop_fd = os.pipe2(os.O_CLOEXEC)
        try:
            self._pid = pump.stand_in(stop_end)
        except OSError:
            os.close(self.stop_fd)
            raise
        finally:
            os.close(stop_end)

    def hand_over(self) -> dict[str, int]:
        return {"pid": self._pid, "stop_fd": self.stop_fd}

    def stop(self) -> None:
        stop(self.hand_over())


def stop(handed_over: Mapping[str, Any] | None) -> None:
    """One that another program has begun, by what hand_over() said there."""
    if handed_over is None:
        return
    pid, stop_fd = handed_over["pid"], handed_over["stop_fd"]
    os.write(stop_fd, b"\0")
    os.waitpid(pid, 0)
    os.close(stop_fd)
