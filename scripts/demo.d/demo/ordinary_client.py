"""An ordinary client of the feed, as one writes it at first: websockets, json, some work for each record.

    ordinary_client.py URL KEY

Counts the trades of each symbol. Tells twice a second, and at its end, how far it is: a line of JSON.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


class Client:
    def __init__(self) -> None:
        self.trades: Counter[str] = Counter()
        self.last_word = ""

    async def read(self, url: str, key: str) -> None:
        next_line_s = 0.0
        async with connect(url, max_size=None) as feed:
            await feed.send(json.dumps({"action": "auth", "params": key}))
            await feed.send(json.dumps({"action": "subscribe", "params": "T.*"}))
            async for message in feed:
                for record in json.loads(message):
                    self.take(record)
                if time.monotonic() >= next_line_s:
                    self.tell()
                    next_line_s = time.monotonic() + 0.5

    def take(self, record: dict[str, str]) -> None:
        if record["ev"] == "T":
            self.trades[record["sym"]] += 1
        elif record["ev"] == "status":
            self.last_word = record["status"]

    def tell(self) -> None:
        line = {"time_s": time.monotonic(), "records": self.trades.total(), "last_word": self.last_word}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    client = Client()
    with contextlib.suppress(ConnectionClosed, KeyboardInterrupt):
        asyncio.run(client.read(*sys.argv[1:]))
    client.tell()
