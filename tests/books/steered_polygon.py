"""Polygon's crypto feed and its REST, steered by a test."""

from __future__ import annotations

import json

from steered import Venue
from websockets.asyncio.server import ServerConnection

KEY = "a-key-that-nobody-may-see"


def ticker(base: str, quote: str) -> dict[str, object]:
    return {
        "ticker": f"X:{base}{quote}", "market": "crypto", "active": True, "base_currency_symbol": base,
        "currency_symbol": quote,
    }  # fmt: skip


class Polygon(Venue):
    """`is_told`: whether the key may ask for the table of symbols, which has two pages; or, `is_endless`, always one
    more."""

    def __init__(self) -> None:
        super().__init__("polygon")
        self.is_told = True
        self.is_endless = False

    def reply(self, path: str, head: str) -> tuple[int, bytes]:
        if not self.is_told or f"Authorization: Bearer {KEY}\r\n".lower() not in head.lower():
            return 403, b"{}"
        if "cursor=2" in path and not self.is_endless:
            return 200, json.dumps({"results": [ticker("ETH", "BTC")]}).encode()
        return 200, json.dumps(
            {"results": [ticker("BTC", "USD")], "next_url": "https://elsewhere.example/v3/reference/tickers?cursor=2"}
        ).encode()

    async def converse(self, connection: ServerConnection) -> None:
        async def status(status: str, message: str) -> None:
            await connection.send(json.dumps([{"ev": "status", "status": status, "message": message}]))

        await status("connected", "Connected Successfully")
        async for text in connection:
            asked = json.loads(text)
            if asked["action"] == "auth":
                is_right = asked["params"] == KEY
                await status(
                    *(("auth_success", "authenticated") if is_right else ("auth_failed", "authentication failed"))
                )
                continue
            for topic in asked["params"].split(","):
                (self.topics.add if asked["action"] == "subscribe" else self.topics.discard)(topic)
                await status("success", f"{asked['action']}d to: {topic}")
            self.told()

    async def say(self, *messages: bytes) -> None:
        """Records in one message."""
        await super().say(b"[%s]" % b",".join(messages))
