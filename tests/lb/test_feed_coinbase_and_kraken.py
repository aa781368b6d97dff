"""lb --feed coinbase and --feed kraken over real sockets: whose messages are records, and who gets them."""

from __future__ import annotations

import json
from pathlib import Path

from harness import Feed, Lb
from harness.feed import Peer
from harness.joining import Joined

from trade_balancer import attach, batches

COINBASE = ("--feed", "coinbase", "--subscribe", "level2:BTC-USD")
KRAKEN = ("--feed", "kraken", "--subscribe", "book:BTC/USD")


def listed(number: int, *products: str) -> bytes:
    events = [{"subscriptions": {"heartbeats": ["heartbeats"], "level2": products}}]
    return json.dumps({"channel": "subscriptions", "sequence_num": number, "events": events}).encode()


def heartbeat(number: int) -> bytes:
    return b'{"channel":"heartbeats","sequence_num":%d,"events":[{"heartbeat_counter":1}]}' % number


def levels(number: int, product: str = "BTC-USD", more: int = 0) -> bytes:
    updates = b"[" + b'{"side":"bid","price_level":"1.5","new_quantity":"2"},' * more + b"{}]"
    event = b'{"type":"update","product_id":"%s","updates":%s}' % (product.encode(), updates)
    return b'{"channel":"l2_data","client_id":"","timestamp":"","sequence_num":%d,"events":[%s]}' % (number, event)


def test_a_reader_of_everything_gets_all_that_counts_in_coinbase_s_sequence(tmp_path: Path) -> None:
    path = tmp_path / "lb.sock"
    with (
        Feed() as feed,
        Lb(feed.url, 1, *COINBASE, "--control", str(path), key="none") as lb,
        feed.connection() as peer,
    ):
        assert peer.upgrade().receive_json() == {"type": "subscribe", "channel": "heartbeats"}
        asked = {"type": "subscribe", "product_ids": ["BTC-USD"], "channel": "level2"}
        assert peer.receive_json() == asked
        lb.await_line("session open")
        with attach(path, ["*"]) as source, Joined(path) as client:
            sent = [listed(0), levels(1), listed(2, "BTC-USD"), heartbeat(3), levels(4), heartbeat(5)]
            for message in sent:
                peer.say(message)
            received: list[bytes] = []
            for _, records in batches(source.fds):
                received += records
                if len(received) == len(sent):
                    break
            assert received == sent
            assert client.result("status")["session"]["unacknowledged"] == []
        assert lb.await_records(len(sent)).pipes == {0: sent}


def test_a_book_s_first_message_may_have_more_than_other_feeds_frames_and_workers_keep_the_heartbeats(
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "lb.sock")
    with (
        Feed() as feed,
        Lb(feed.url, 1, *COINBASE, "--control", path, key="none") as lb,
        feed.connection() as peer,
    ):
        peer.upgrade().receive_json()
        peer.receive_json()
        lb.await_line("session open")
        with attach(path, ["level2:ETH-USD"]):
            assert peer.receive_json()["product_ids"] == ["ETH-USD"]
            whole = levels(1, more=350_000)
            assert len(whole) > 16 << 20
            sent = [listed(0, "BTC-USD", "ETH-USD"), whole, levels(2, "ETH-USD"), heartbeat(3)]
            for message in sent:
                peer.say(message)
            assert lb.await_records(3).pipes[0] == [sent[0], whole, sent[3]]


def subscribed(peer: Peer) -> None:
    request = peer.receive_json()
    assert request["params"] == {"channel": "book", "symbol": ["BTC/USD"], "depth": 10, "snapshot": True}
    result = {"channel": "book", "symbol": "BTC/USD", "depth": 10, "snapshot": True}
    answer = {"method": "subscribe", "result": result, "success": True, "req_id": request["req_id"]}
    peer.say(json.dumps(answer).encode())


def test_kraken_is_pinged_by_a_message_and_its_signs_of_life_are_no_records() -> None:
    constants = {"lb.feed.venues.kraken.VENUE.health.ping_after_s": 0.2}
    book = b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[],"asks":[],"checksum":7}]}'
    with Feed() as feed, Lb(feed.url, 1, *KRAKEN, key="none", constants=constants) as lb, feed.connection() as peer:
        subscribed(peer.upgrade())
        assert peer.receive_json() == {"method": "ping"}
        peer.say(b'{"method":"pong","time_in":"t","time_out":"t"}')
        peer.say(b'{"channel":"heartbeat"}')
        peer.say(book)
        assert lb.await_records(1).pipes == {0: [book]}
        assert lb.stop().balance["received"] == 1
