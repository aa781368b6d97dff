"""The fakes of the venues over real sockets: what they answer, and that books can be kept from what they send."""

import json
import threading
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from feed_client import Client, session
from websockets.exceptions import InvalidStatus

from lb.replay.errors import InputError, UsageError
from lb.replay.made_books import PLACES, Instrument, MadeBook
from lb.replay.venue_faults import VenueFault
from lb.replay.venue_recording import read_venue_recording
from lb.replay.venue_server import VenueServer
from lb.replay.venues import FAKES

Sides = tuple[dict[Decimal, Decimal], dict[Decimal, Decimal]]


def get(server: VenueServer, path: str) -> Any:
    with urllib.request.urlopen(server.rest_url + path, timeout=30) as reply:
        return json.load(reply, parse_float=Decimal)


def status_of(server: VenueServer, path: str) -> tuple[int, Any, Any]:
    try:
        urllib.request.urlopen(server.rest_url + path, timeout=30).close()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, json.loads(error.read())
    raise AssertionError("the request was answered")


def ask(client: Client, request: object) -> Any:
    client.connection.send(json.dumps(request))
    return hear(client)


def hear(client: Client) -> Any:
    return json.loads(client.hear(), parse_float=Decimal)


def closed_with(client: Client) -> int:
    client.hear_all()
    assert client.close_received is not None
    return client.close_received.code


def put(side: dict[Decimal, Decimal], levels: list[list[str]]) -> None:
    for price, size, *_ in levels:
        side[Decimal(price)] = Decimal(size)
        if not Decimal(size):
            del side[Decimal(price)]


def best(sides: Sides, depth: int = 10) -> tuple[list[tuple[Decimal, Decimal]], list[tuple[Decimal, Decimal]]]:
    return sorted(sides[0].items(), reverse=True)[:depth], sorted(sides[1].items())[:depth]


def levels_of(server: VenueServer, depth: int = 10) -> tuple[list[tuple[Decimal, Decimal]], ...]:
    return tuple([(Decimal(price), Decimal(size)) for price, size in side] for side in server.levels("ETH-BTC", depth))


# Made-up books


def test_a_book_ends_where_it_began_and_is_never_crossed_or_empty() -> None:
    book = MadeBook(Instrument.of("ETH-BTC"), "1 x")
    states = [book.state(count) for count in range(PLACES + 1)]
    assert states[0] == states[PLACES]
    for before, after, count in zip(states[:-1], states[1:], range(1, PLACES + 1), strict=True):
        assert after.bids[0][0] < after.asks[0][0]
        assert [price for price, _ in after.bids] == sorted({price for price, _ in after.bids}, reverse=True)
        for was, now, change in (
            (before.bids, after.bids, book.change(count).bids),
            (before.asks, after.asks, book.change(count).asks),
        ):
            sizes = {**dict(was), **dict(change)}
            assert {price: size for price, size in sizes.items() if size} == dict(now)
    assert book.state(-1) == states[PLACES - 1]


def test_the_same_seed_makes_the_same_books_and_venues_cross_now_and_then() -> None:
    one, same, other = (MadeBook(Instrument.of("BTC-USDT"), seed) for seed in ("1 a", "1 a", "1 b"))
    assert one.changes == same.changes != other.changes
    pairs = [(one.state(count), other.state(count * 3)) for count in range(PLACES)]
    crossed = [max(a.bids[0], b.bids[0])[0] > min(a.asks[0], b.asks[0])[0] for a, b in pairs]
    assert 0 < sum(crossed) < len(crossed)


@pytest.mark.parametrize("name", ["ETHBTC", "eth-btc", "A-B-C", "-BTC", ""])
def test_what_is_no_symbol_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        VenueServer("binance", symbols=[name])


def test_a_venue_that_there_is_no_fake_of() -> None:
    with pytest.raises(UsageError, match="binance"):
        VenueServer("mars")


# Binance


@pytest.fixture
def binance() -> Iterator[VenueServer]:
    with VenueServer("binance", symbols=["ETH-BTC"], rate=0) as server:
        yield server


def subscribe(client: Client, *streams: str, number: int = 1) -> None:
    assert ask(client, {"method": "SUBSCRIBE", "params": streams, "id": number}) == {"result": None, "id": number}


def test_binance_book_kept_by_the_rule_of_its_documents(binance: VenueServer) -> None:
    with session(binance.url) as client:
        subscribe(client, "ethbtc@depth@100ms")
        binance.advance("ETH-BTC", 5)
        for straddles in (True, False):
            snapshot = get(binance, "/api/v3/depth?symbol=ETHBTC&limit=5000")
            binance.advance("ETH-BTC", 300)
            sides: Sides = ({}, {})
            put(sides[0], snapshot["bids"])
            put(sides[1], snapshot["asks"])
            last, applied, has_straddled = snapshot["lastUpdateId"], 0, False
            while applied < 300 + straddles:
                event = hear(client)
                assert event["stream"] == "ethbtc@depth@100ms"
                data = event["data"]
                if data["u"] <= last:
                    continue
                has_straddled = has_straddled or data["U"] <= last
                assert data["U"] <= last + 1
                put(sides[0], data["b"])
                put(sides[1], data["a"])
                last, applied = data["u"], applied + 1
                assert max(sides[0]) < min(sides[1])
            assert has_straddled == straddles
            assert best(sides, 1000) == levels_of(binance, 1000)


def test_binance_other_streams_agree_with_the_book(binance: VenueServer) -> None:
    with session(binance.url) as client:
        subscribe(client, "ethbtc@depth20@100ms", "ethbtc@bookTicker", "ethbtc@trade")
        heard: dict[str, Any] = {}
        for _ in range(60):
            binance.advance("ETH-BTC")
            while "@depth20" not in (event := hear(client))["stream"]:
                heard[event["stream"]] = event["data"]
            heard["top"] = event["data"]
            bids, asks = levels_of(binance, 20)
            assert [[(Decimal(p), Decimal(q)) for p, q in heard["top"][side]] for side in ("bids", "asks")] == [
                bids,
                asks,
            ]
        binance.advance("ETH-BTC", PLACES - 60)
        while heard["top"]["lastUpdateId"] < event["data"].get("lastUpdateId", 0) or len(heard) < 3:
            event = hear(client)
            heard[event["stream"]] = event["data"]
        ticker, trade = heard["ethbtc@bookTicker"], heard["ethbtc@trade"]
        assert Decimal(ticker["b"]) < Decimal(ticker["a"])
        assert trade["s"] == ticker["s"] == "ETHBTC"
        assert len(trade["p"].partition(".")[2]) == 8


def test_binance_acknowledges_what_there_is_not_and_sends_nothing(binance: VenueServer) -> None:
    with session(binance.url) as client:
        subscribe(client, "fooxyz@depth@100ms", "ethbtc@depth@100ms")
        binance.advance("ETH-BTC")
        assert hear(client)["stream"] == "ethbtc@depth@100ms"
        assert ask(client, {"method": "LIST_SUBSCRIPTIONS", "id": "a"}) == {
            "result": ["fooxyz@depth@100ms", "ethbtc@depth@100ms"],
            "id": "a",
        }
        assert ask(client, {"method": "UNSUBSCRIBE", "params": ["ethbtc@depth@100ms"], "id": None})["id"] is None
        binance.advance("ETH-BTC")
        assert ask(client, {"method": "GET_PROPERTY", "params": ["combined"], "id": 9}) == {"result": True, "id": 9}


@pytest.mark.parametrize(
    ("request_text", "code", "number"),
    [
        ("{", 3, None),
        ('{"id":1}', 2, None),
        ('{"method":"DANCE","id":4}', 2, 4),
        ('{"method":"SET_PROPERTY","params":["combined",1],"id":5}', 1, 5),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":6}', 0, 6),
        (json.dumps({"method": "SUBSCRIBE", "params": [f"s{n}@trade" for n in range(1025)], "id": 19}), 4, 19),
    ],
)
def test_binance_errors_are_nested(binance: VenueServer, request_text: str, code: int, number: int | None) -> None:
    with session(binance.url) as client:
        client.connection.send(request_text)
        answer = hear(client)
        assert (answer["error"]["code"], answer["id"]) == (code, number)


def test_binance_a_malformed_name_ends_the_session(binance: VenueServer) -> None:
    with session(binance.url) as client:
        answer = ask(client, {"method": "SUBSCRIBE", "params": ["ethbtc@trade", "@@@"], "id": 1})
        assert answer == {"error": {"code": 2, "msg": "Invalid request: invalid stream"}, "id": 1}
        assert closed_with(client) == 1008


def test_binance_the_sixth_message_of_a_second_ends_the_session(binance: VenueServer) -> None:
    with session(binance.url) as client:
        client.connection.pong()
        for number in range(5):
            client.connection.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
        assert closed_with(client) == 1008


def test_binance_streams_in_the_url_combined_and_raw(binance: VenueServer) -> None:
    root = binance.url.removesuffix("/stream")
    with (
        session(f"{root}/stream?streams=ethbtc@trade/none@trade") as combined,
        session(f"{root}/ws/ethbtc@trade") as raw,
    ):
        wait_until(lambda: binance.totals.connections_total == 2)
        binance.advance("ETH-BTC")
        assert hear(combined)["data"]["e"] == hear(raw)["e"] == "trade"
        binance.announce_end()
        assert hear(combined)["stream"] == "!serverShutdown"
        assert hear(raw)["e"] == "serverShutdown"
    with pytest.raises(InvalidStatus, match="404"), session(f"{root}/elsewhere"):
        pass


def wait_until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    while not condition():
        pause.wait(0.001)


def test_binance_rest(binance: VenueServer) -> None:
    [symbol] = get(binance, "/api/v3/exchangeInfo")["symbols"]
    assert (symbol["symbol"], symbol["status"], symbol["baseAsset"]) == ("ETHBTC", "TRADING", "ETH")
    assert symbol["filters"][0]["tickSize"] == "0.00001000"
    assert len(get(binance, "/api/v3/depth?symbol=ETHBTC&limit=7")["bids"]) == 7
    code, _, body = status_of(binance, "/api/v3/depth?symbol=FOOXYZ")
    assert (code, body["code"]) == (400, -1121)
    assert status_of(binance, "/api/v3/exchangeInfo?symbols=%5B%22ETHBTC%22,%22NO%22%5D")[2]["code"] == -1121
    binance.refuse_requests(1, retry_after_s=7)
    code, headers, body = status_of(binance, "/api/v3/depth?symbol=ETHBTC&limit=5000")
    assert (code, headers["Retry-After"], body["code"]) == (429, "7", -1003)
    for _ in range(23):
        get(binance, "/api/v3/depth?symbol=ETHBTC&limit=5000")
    code, headers, _ = status_of(binance, "/api/v3/depth?symbol=ETHBTC&limit=5000")
    assert code == 429
    assert int(headers["X-MBX-USED-WEIGHT-1M"]) > 6000


# Bitstamp


@pytest.fixture
def bitstamp() -> Iterator[VenueServer]:
    with VenueServer("bitstamp", symbols=["ETH-BTC"], rate=0) as server:
        yield server


def channel(client: Client, name: str, event: str = "subscribe") -> None:
    answer = ask(client, {"event": f"bts:{event}", "data": {"channel": name}})
    assert answer == {"event": f"bts:{event[:-9]}subscription_succeeded", "channel": name, "data": {}}


def test_bitstamp_books_whole_and_by_differences(bitstamp: VenueServer) -> None:
    with session(bitstamp.url) as client:
        for name in ("diff_order_book_ethbtc", "order_book_ethbtc", "order_book_fooxyz-perp"):
            channel(client, name)
        snapshot = get(bitstamp, "/api/v2/order_book/ethbtc/")
        sides: Sides = ({}, {})
        put(sides[0], snapshot["bids"])
        put(sides[1], snapshot["asks"])
        latest = int(snapshot["microtimestamp"])
        for _ in range(40):
            bitstamp.advance("ETH-BTC")
            difference, whole = hear(client), hear(client)
            assert (difference["channel"], whole["channel"]) == ("diff_order_book_ethbtc", "order_book_ethbtc")
            assert int(difference["data"]["microtimestamp"]) > latest
            latest = int(difference["data"]["microtimestamp"])
            put(sides[0], difference["data"]["bids"])
            put(sides[1], difference["data"]["asks"])
            told: Sides = ({}, {})
            put(told[0], whole["data"]["bids"])
            put(told[1], whole["data"]["asks"])
            assert best(sides, 100) == best(told, 100) == levels_of(bitstamp, 100)


def test_bitstamp_words(bitstamp: VenueServer) -> None:
    with session(bitstamp.url) as client:
        assert ask(client, {"event": "bts:heartbeat"})["data"] == {"status": "success"}
        assert ask(client, {"event": "bts:dance"})["data"]["message"] == "Bad subscription string."
        wrong = {"event": "bts:subscribe", "data": {"channel": "order_book_ETH/BTC"}}
        assert ask(client, wrong)["data"]["message"] == "Invalid channel provided."
        client.connection.send("{")
        assert hear(client)["data"]["message"] == "Incorrect JSON format."
        channel(client, "live_trades_ethbtc")
        bitstamp.advance("ETH-BTC")
        assert hear(client)["event"] == "trade"
        channel(client, "live_trades_ethbtc", "unsubscribe")
        bitstamp.announce_end()
        assert client.hear() == b'{"event":"bts:request_reconnect","channel":"","data":""}'
        client.connection.send("x" * 513)
        assert closed_with(client) == 1009


def test_bitstamp_rest(bitstamp: VenueServer) -> None:
    [pair] = get(bitstamp, "/api/v2/trading-pairs-info/")
    assert (pair["url_symbol"], pair["trading"], pair["counter_decimals"]) == ("ethbtc", "Enabled", 5)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        get(bitstamp, "/api/v2/order_book/fooxyz/")


# Coinbase


def test_coinbase_one_count_for_all_that_a_session_is_sent() -> None:
    with VenueServer("coinbase", symbols=["ETH-BTC", "BTC-USD"], rate=0) as server, session(server.url) as client:
        products = get(server, "/api/v3/brokerage/market/products")["products"]
        assert [product["product_id"] for product in products] == ["ETH-BTC", "BTC-USD"]
        listed = ask(client, {"type": "subscribe", "channel": "level2", "product_ids": ["ETH-BTC", "BTC-USD"]})
        assert listed["events"] == [{"subscriptions": {"level2": ["ETH-BTC", "BTC-USD"]}}]
        books: dict[str, Sides] = {}
        for number in range(1, 83):
            message = hear(client)
            assert (message["channel"], message["sequence_num"]) == ("l2_data", number)
            [event] = message["events"]
            if number < 3:
                assert event["type"] == "snapshot"
                books[event["product_id"]] = ({}, {})
            for update in event["updates"]:
                side = books[event["product_id"]][0 if update["side"] == "bid" else 1]
                put(side, [[update["price_level"], update["new_quantity"]]])
            if number % 2 == 0 and number < 82:
                server.advance("ETH-BTC")
                server.advance("BTC-USD")
        assert best(books["ETH-BTC"], 100) == levels_of(server, 100)
        assert ask(client, {"type": "subscribe", "channel": "level2", "product_ids": ["NO-NO"]})["type"] == "error"


# Kraken


def test_kraken_checksums_of_a_book_that_is_cut() -> None:
    with VenueServer("kraken", symbols=["ETH-BTC"], rate=0) as server, session(server.url) as client:
        assert get(server, "/0/public/AssetPairs")["result"]["ETHXBT"]["wsname"] == "ETH/XBT"
        assert hear(client)["channel"] == "status"
        request = {"channel": "book", "symbol": ["ETH/BTC", "NO/NO"], "depth": 10}
        answers = [ask(client, {"method": "subscribe", "params": request, "req_id": 2}), hear(client)]
        assert [(one["success"], one["req_id"]) for one in answers] == [(True, 2), (False, 2)]
        sides: Sides = ({}, {})
        server.advance("ETH-BTC", PLACES)
        told = 0
        while told < PLACES // 2:
            message = json.loads(client.hear(), parse_float=str)
            if message["channel"] == "heartbeat":
                continue
            [data] = message["data"]
            told += 1
            for side, name in zip(sides, ("bids", "asks"), strict=True):
                put(side, [[level["price"], level["qty"]] for level in data[name]])
            for side, levels in zip(sides, best(sides), strict=True):
                side.clear()
                side.update(levels)
            bids, asks = best(sides)
            digits = "".join(
                f"{price:.5f}".replace(".", "").lstrip("0") + f"{size:.8f}".replace(".", "").lstrip("0")
                for price, size in [*asks, *bids]
            )
            assert data["checksum"] == zlib.crc32(digits.encode())
        server.disconnect()
        client.hear_all()


# Faults


def test_faults_of_messages() -> None:
    with VenueServer("binance", symbols=["ETH-BTC", "LTC-BTC"], rate=0) as server, session(server.url) as client:
        subscribe(client, "ethbtc@depth@100ms", "ltcbtc@depth@100ms")
        server.advance("ETH-BTC")
        first = hear(client)["data"]
        server.gap("ETH-BTC")
        server.advance("ETH-BTC", 2)
        assert hear(client)["data"]["U"] == first["u"] + 4
        server.duplicate()
        server.advance("ETH-BTC")
        assert hear(client) == hear(client)
        server.crossed("ETH-BTC")
        server.advance("ETH-BTC")
        bids = [Decimal(price) for price, size in hear(client)["data"]["b"] if Decimal(size)]
        assert max(bids) > levels_of(server)[1][0][0]
        server.silence("ETH-BTC")
        server.advance("ETH-BTC", 3)
        server.advance("LTC-BTC")
        assert hear(client)["stream"] == "ltcbtc@depth@100ms"
        server.speak("ETH-BTC")
        server.advance("ETH-BTC")
        assert hear(client)["data"]["U"] == first["u"] + 22
    assert server.totals.faults_total == 3


def test_sessions_end_at_an_age_those_to_come_too() -> None:
    faults = [VenueFault.parse("0:life=0.3")]
    with VenueServer("binance", symbols=["ETH-BTC"], rate=0, faults=faults) as server:
        for _ in range(2):
            with session(server.url) as client:
                assert closed_with(client) == 1001


def test_an_old_snapshot_is_older_than_what_was_sent(binance: VenueServer) -> None:
    binance.age_snapshots()
    old = get(binance, "/api/v3/depth?symbol=ETHBTC")["lastUpdateId"]
    assert old + 2000 < get(binance, "/api/v3/depth?symbol=ETHBTC")["lastUpdateId"]


@pytest.mark.parametrize("name", sorted(FAKES))
def test_sessions_that_end(name: str) -> None:
    with VenueServer(name, rate=100) as server:
        with session(server.url) as client:
            wait_until(lambda: server.totals.connections_total == 1)
            server.disconnect()
            client.hear_all()
            assert client.close_received is None
        with session(server.url) as client:
            wait_until(lambda: server.totals.connections_total == 2)
            server.close(1012)
            assert closed_with(client) == 1012


def test_a_book_changes_by_the_clock() -> None:
    with (
        VenueServer("bitstamp", symbols=["ETH-BTC"], rate=500, tls="self-signed") as server,
        session(server.url, server.ca_file) as client,
    ):
        channel(client, "order_book_ethbtc")
        times = [int(hear(client)["data"]["microtimestamp"]) for _ in range(100)]
    assert times == sorted(set(times))


# Recordings


def frame_file(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_recording_with_its_snapshot_in_the_form_of_hftbacktest(tmp_path: Path) -> None:
    def event(first: int, last: int, bid: str) -> str:
        data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": first, "u": last, "b": [[bid, "1.0"]], "a": []}
        return json.dumps({"stream": "btcusdt@depth@100ms", "data": data}, separators=(",", ":"))

    events = [event(1, 4, "10.0"), event(5, 7, "11.0"), event(8, 9, "12.0")]
    lines = [f"172316125300000000{number} {text}" for number, text in enumerate(events)]
    lines.insert(1, '1723161253000000000 {"lastUpdateId":3,"bids":[["9.0","2.0"]],"asks":[["20.0","1.0"]]}')
    recording = read_venue_recording([frame_file(tmp_path / "btc.txt", lines)])
    with VenueServer("binance", recording=recording) as server, session(server.url) as client:
        assert (server.symbols, server.example) == (["BTC-USDT"], "btcusdt@depth@100ms")
        assert get(server, "/api/v3/exchangeInfo")["symbols"][0]["symbol"] == "BTCUSDT"
        assert get(server, "/api/v3/depth?symbol=BTCUSDT&limit=5")["lastUpdateId"] == 3
        subscribe(client, "btcusdt@depth@100ms", "fooxyz@trade")
        assert [client.hear().decode() for _ in events] == events
        assert get(server, "/api/v3/depth?symbol=BTCUSDT&limit=2") == {
            "lastUpdateId": 9,
            "bids": [["12.0", "1.0"], ["11.0", "1.0"]],
            "asks": [["20.0", "1.0"]],
        }


def test_a_line_that_is_nothing_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.ws:2"):
        read_venue_recording([frame_file(tmp_path / "x.ws", ["", "hello"])])


def test_a_real_session_of_bitstamp_is_sent_as_it_was_recorded(data: Path) -> None:
    files = [data / "venues" / f"bitstamp_diff_20220105.{kind}.zst" for kind in ("ws", "http")]
    recording = read_venue_recording(files)
    wanted = [text for _, text in recording.messages if b'"diff_order_book_ethusd"' in text and b'"bts:' not in text]
    with VenueServer("bitstamp", recording=recording) as server, session(server.url) as client:
        channel(client, "diff_order_book_ethusd")
        assert [client.hear() for _ in range(5)] == wanted[:5]
        book = get(server, "/api/v2/order_book/ethusd/")
        assert Decimal(book["bids"][0][0]) < Decimal(book["asks"][0][0])
        server.disconnect()
        client.hear_all()
