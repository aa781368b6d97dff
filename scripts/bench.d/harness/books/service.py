"""Many gRPC clients of one symbol: the server's CPU time for each summary that it delivers (harness/fan_out.py)."""

from harness import fan_out
from harness.books import row
from harness.rows import Terms

FAN_OUT = "1,000 gRPC clients at 20 updates/s, CPU per delivered summary, to a naive grpc.aio server's"


@row(FAN_OUT)
def many_clients(terms: Terms) -> list[float]:
    if terms.quick:
        return fan_out.ratios(rounds=terms.rounds, clients=20, seconds=0.5)
    return fan_out.ratios(rounds=terms.rounds)
