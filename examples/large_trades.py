#!/usr/bin/env python3
"""Prints every trade of more than 100,000 dollars: symbol, price, size."""

from trade_balancer import Record, run


def on_record(record: Record, fd: int) -> None:
    if record["ev"] == "T" and record["p"] * record["s"] > 100_000:
        print(record["sym"], record["p"], record["s"], flush=True)


run(on_record)
