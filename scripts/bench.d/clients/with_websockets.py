"""py-websockets: the `websockets` library on asyncio."""

import asyncio

from dealing import SUBSCRIBE, Dealer, from_command_line
from websockets.asyncio.client import connect


async def run(dealer: Dealer) -> None:
    async with connect(dealer.url, compression=None) as feed:
        await feed.recv()
        await feed.send(dealer.auth)
        await feed.recv()
        await feed.send(SUBSCRIBE)
        await feed.recv()
        async for message in feed:
            dealer.deal(message)


asyncio.run(run(from_command_line()))
