"""A made-up market -> lb -> 4 pipes with a worker each; the page of it all is served meanwhile."""

from __future__ import annotations

import tempfile
import time
import urllib.request
from pathlib import Path

from rich.console import Console

from demo.programs import Program, balancer, feed

RATE = 20_000


def show(duration_s: int) -> int:
    console = Console(highlight=False)
    with (
        tempfile.TemporaryDirectory(prefix="lb-demo-") as name,
        feed("--rate", str(RATE), "--stamp", "--self-signed") as source,
    ):
        control = f"{name}/lb.sock"
        options = ("--metrics", "127.0.0.1:0", "--spawn", "per-pipe", "--control", control)
        with balancer(source, Path(name), "lb-count", "--output", "counts.jsonl", options=options) as lb:
            console.print(f"for {duration_s} s, a made-up market of {RATE:,} trades/s is to be seen at", soft_wrap=True)
            console.print(f"\n    {address(lb)}\n", soft_wrap=True)
            console.print(f"kill an lb-count, or: .venv/bin/lbctl {control} pause 2", soft_wrap=True)
            until_s = time.monotonic() + duration_s
            while lb.runs and time.monotonic() < until_s:
                time.sleep(0.1)
            lb.end()
    balance = lb.last("balance")
    is_complete = balance["exact"] and balance["received"] > 0
    console.print(f"{balance['received']:,} records" + (", every one accounted for" if is_complete else ": NOT EXACT"))
    return 0 if is_complete else 1


def address(lb: Program) -> str:
    """Of the page, once it is there."""
    while lb.runs and not lb.has("metrics and page are served"):
        time.sleep(0.05)
    url = str(lb.last("metrics and page are served")["url"])
    with urllib.request.urlopen(url):
        return url
