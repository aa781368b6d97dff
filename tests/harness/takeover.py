"""Sessions taken over under traffic: a venue whose ids have no hole, and what `lb` has delivered of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from harness.lb_process import SOON, Lb
from lb.replay.venue_faults import VenueFault
from lb.replay.venue_server import VenueServer

VENUE = "lb.feed.venues.binance.VENUE"
NEVER_DUE: Mapping[str, object] = {
    **SOON,
    f"{VENUE}.renew_after_s": 0.1,
    f"{VENUE}.send_gap_s": 0.01,
    "lb.feed.successor.OVERLAP_S": 1e6,
    "lb.feed.successor.PATIENCE_S": 1e6,
    "lb.feed.successor.SKEW_S": 0.0,
    "lb.feed.renewal.LEAST_GAP_S": 0.05,
}
"""Sessions are old soon, but none is closed before the records tell that it has come to where the second begins."""

SYMBOLS = ("BTC-USDT", "ETH-USDT", "SOL-USDT")
TIMES = 2


def assert_taken_over_without_a_hole(tls: str) -> None:
    """`tls`: the word behind --tls, or "none"."""
    topics = ",".join(f"{symbol.replace('-', '').lower()}@depth@100ms" for symbol in SYMBOLS)
    faults = [VenueFault.parse("0:life=60")]
    certificate = None if tls == "none" else "self-signed"
    with VenueServer("binance", symbols=SYMBOLS, rate=300, faults=faults, tls=certificate) as server:  # type: ignore[arg-type]
        trust = () if server.ca_file is None else ("--tls", tls, "--ca-file", str(server.ca_file))
        options = ("--feed", "binance", "--subscribe", topics, *trust)
        with Lb(server.url, 1, *options, key="none", constants=NEVER_DUE) as lb:
            for _ in range(TIMES):
                assert lb.await_line("session taken over")["tls"].startswith(tls)
            lb.await_records(lb.recording.total + 200)
            end = lb.stop()
    assert end.statistics["takeovers"] >= TIMES
    assert [end.statistics[name] for name in ("reconnects", "gaps_total")] == [0, 0]
    assert end.balance["exact"]
    assert_no_hole(lb.recording.pipes[0])


def assert_no_hole(records: Sequence[bytes]) -> None:
    """Ids may go back, and on again; none is left out."""
    last: dict[str, int] = {}
    for record in records:
        data = orjson.loads(record)["data"]
        assert data["U"] <= last.get(data["s"], data["U"]) + 1, "a hole"
        last[data["s"]] = max(data["u"], last.get(data["s"], 0))
    assert len(last) == len(SYMBOLS)
