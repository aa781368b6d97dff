"""py-picows: the `picows` library on asyncio, whose frames come by callback."""

import asyncio

from dealing import SUBSCRIBE, Dealer, from_command_line
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect


class Feed(WSListener):
    def __init__(self, dealer: Dealer) -> None:
        self._dealer = dealer
        self._answers = [dealer.auth, SUBSCRIBE, None]  # to `connected`, to `auth_success`, to the acknowledgement

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type is not WSMsgType.TEXT:
            return
        if not self._answers:
            self._dealer.deal(frame.get_payload_as_bytes())
        elif answer := self._answers.pop(0):
            transport.send(WSMsgType.TEXT, answer.encode())


async def run(dealer: Dealer) -> None:
    transport, _ = await ws_connect(lambda: Feed(dealer), dealer.url)
    await transport.wait_disconnected()


asyncio.run(run(from_command_line()))
