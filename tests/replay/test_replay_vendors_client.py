"""The vendor's own Python client (PyPI: massive) takes lb-replay for the vendor, also when it changes its topics."""

from __future__ import annotations

import subprocess
import sys

from harness.lb_process import KEY
from harness.replay import replay

CLIENT = """
import asyncio, collections, os, sys
from massive import WebSocketClient

url, key = sys.argv[1:]
client = WebSocketClient(key, url, subscriptions=["T.AAPL"], secure=False, max_reconnects=0)
got = collections.Counter()

async def take(messages):
    got.update(message.symbol for message in messages)
    if not got["MSFT"]:
        client.subscribe("T.MSFT")
        client.unsubscribe("T.AAPL")
    elif {message.symbol for message in messages} == {"MSFT"}:
        print(*sorted(got), flush=True)
        os._exit(0)  # its own close() waits for a second while records still come

asyncio.run(client.connect(take))
"""


def ask(url: str, key: str) -> subprocess.CompletedProcess[str]:
    host = url.removeprefix("ws://").removesuffix("/stocks")
    return subprocess.run(
        [sys.executable, "-c", CLIENT, host, key], capture_output=True, text=True, check=False, timeout=60
    )


def test_it_authenticates_subscribes_and_unsubscribes() -> None:
    with replay("--synthetic", "--rate", "20000") as source:
        assert ask(source.url, KEY).stdout == "AAPL MSFT\n"
        assert "AuthError: authentication failed" in ask(source.url, "another").stderr
