"""py-websocket-client: the `websocket-client` library, blocking."""

import websocket
from dealing import SUBSCRIBE, from_command_line

dealer = from_command_line()
feed = websocket.create_connection(dealer.url)
feed.recv()
feed.send(dealer.auth)
feed.recv()
feed.send(SUBSCRIBE)
feed.recv()
while message := feed.recv():
    dealer.deal(message)
