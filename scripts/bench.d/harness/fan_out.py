"""CPU time for each summary that a gRPC server delivers to many clients of one symbol: lb-books', and the usual way
(grpc/fan_out.py).

Law: both are sent the same summaries at the same rate; one that has not reached a client does not count.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Literal

from harness.errors import TrialError
from harness.programs import BENCH

PROGRAM = BENCH / "grpc" / "fan_out.py"
_END_S = 120.0

Kind = Literal["ours", "naive"]


@dataclass(frozen=True)
class FanOut:
    """One run."""

    delivered: int
    cpu_s: float
    """Of the server."""

    @property
    def cpu_us_each(self) -> float:
        return self.cpu_s / self.delivered * 1e6


def fan_out(kind: Kind, *, clients: int, rate_hz: float, seconds: float) -> FanOut:
    """
    Raises:
        TrialError: a program failed, or next to nothing was delivered.
    """
    count = max(1, round(rate_hz * seconds))
    serve = [sys.executable, str(PROGRAM), "serve", kind, str(clients), str(count), str(rate_hz)]
    environment = {**os.environ, "GRPC_VERBOSITY": "NONE"}
    # At its stop grpc.aio prints a traceback for each stream of the naive one.
    with subprocess.Popen(
        serve, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    ) as server:
        try:
            assert server.stdout
            read = [sys.executable, str(PROGRAM), "read", server.stdout.readline().strip(), str(clients)]
            reader = subprocess.run(read, capture_output=True, text=True, env=environment, timeout=_END_S, check=False)
            said, _ = server.communicate(timeout=_END_S)
        except subprocess.TimeoutExpired:
            raise TrialError(f"{kind}: not done within {_END_S:g} s") from None
        finally:
            server.kill()
    if server.returncode or reader.returncode:
        raise TrialError(f"{kind}: the server ended with {server.returncode}, its clients with {reader.stderr!r}")
    delivered = json.loads(reader.stdout)["received"]
    if delivered < clients:
        raise TrialError(f"{kind}: {delivered} summaries were delivered to {clients} clients")
    return FanOut(delivered, json.loads(said)["cpu_s"])


def ratios(*, rounds: int, clients: int = 1000, rate_hz: float = 20.0, seconds: float = 5.0) -> list[float]:
    """Ours / naive, CPU time for each delivered summary, round by round."""
    return [
        fan_out("ours", clients=clients, rate_hz=rate_hz, seconds=seconds).cpu_us_each
        / fan_out("naive", clients=clients, rate_hz=rate_hz, seconds=seconds).cpu_us_each
        for _ in range(rounds)
    ]
