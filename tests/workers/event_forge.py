"""Records of every event that has a table, and some of none."""

from __future__ import annotations

import json
import random

from trade_balancer.columnar.events import EVENTS, Kind

T_MS = 1_781_622_376_036  # 2026-06-16, 15:06 UTC
OTHERS = [b'{"ev":"lagg","sym":"A"}', b'{"ev":"T","sym":["misfit"]}', b"nonsense", b"[1]", b'{"a":1}']
"""Records that are in no table; two of them are unusable."""


def value(rng: random.Random, name: str, kind: Kind) -> str:
    """A JSON text of the kind."""
    match kind:
        case Kind.SYMBOL:
            return json.dumps(rng.choice(["AAPL", "BRK.B", "X:BTC-USD", "", "Ä\n"]))
        case Kind.TEXT:
            return rng.choice(['"00MGON"', '"52983527388738"', "8310", '"\\u00e9"'])
        case Kind.INTS:
            return json.dumps([rng.randrange(60) for _ in range(rng.randrange(4))])
        case Kind.TIME_MS:
            return str(T_MS + rng.randrange(1000))
        case Kind.TIME_NS:
            return str(T_MS * 1_000_000 + rng.randrange(10**9))
        case Kind.DECIMAL:
            texts = ["297.845", "0.00004522", "4.522e-05", "123456789.123456789", "12.0", "-0.5", "7"]
            return rng.choice([*texts, '"40.5"'] if name in ("ds", "dv", "dav") else texts)
        case Kind.BOOL:
            return rng.choice(["true", "false"])
    return str(rng.randrange(1 << 31))


def records_of_all_events(count: int) -> list[bytes]:
    """Members at random, some missing."""
    rng = random.Random(7)
    records = []
    for _ in range(count):
        event = rng.choice(list(EVENTS))
        members = {column.name: value(rng, column.name, column.kind) for column in EVENTS[event] if rng.random() < 0.9}
        text = ",".join(f'"{name}":{text}' for name, text in members.items())
        records.append(f'{{"ev":"{event}"{"," if text else ""}{text}}}'.encode())
    return records
