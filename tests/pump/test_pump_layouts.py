"""What a venue's messages look like: which records are its own words, which pipe the others go to, and that the usual
ones are cut quickly. That all come out as they should is tested with everything else, in test_pump_delivery.py."""

from __future__ import annotations

import model
import pytest
from model import TEXT, Failure, Frame, Status
from pumping import Rig, assert_delivered, modelled, records_in

from lb.pump import Layout, Route, Vectors

TRADE = b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":12345,"p":"0.00100000"}}'
TICKER = b'{"stream":"btcusdt@bookTicker","data":{"u":50093239212,"s":"BTCUSDT","b":"61837.63000000","B":"3.78826000"}}'
DEPTH = (
    b'{"stream":"btcusdt@depth@100ms","data":{"e":"depthUpdate","s":"BTCUSDT","U":1,"b":[["0.35","6195.0"]],"a":[]}}'
)
BOOK = b'{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":50093239218,"bids":[["61837.63","3.7"]],"asks":[]}}'
KLINE = b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","s":"BTCUSDT","k":{"t":1672515780000,"i":"1m"}}}'
MANY = b'{"stream":"!miniTicker@arr","data":[{"s":"BTCUSDT"},{"s":"ETHUSDT"}]}'
MORE = TRADE[:-1] + b',"more":1}'
OTHER = TRADE.replace(b"btcusdt", b"ethusdt").replace(b"BTC", b"ETH")

WORDS = [
    b'{"result":null,"id":1}',
    b'{"error":{"code":2,"msg":"Invalid request: invalid stream"},"id":1}',
    b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
    b'{"e":"serverShutdown","E":1770123456789}',
    b'{"data":{"stream":"btcusdt@trade"}}',
]


def sent_of(messages: list[bytes]) -> list[Frame]:
    return [Frame(TEXT, message) for message in messages]


def test_binance_s_own_words_are_no_records() -> None:
    messages = [TRADE, *WORDS, MANY, *WORDS]
    with Rig(layout=Layout.BINANCE) as rig:
        rig.send_frames(sent_of(messages))
        rig.finish()
        assert rig.events == [Status(word) for word in WORDS * 2]
        assert rig.pump.counters().records_total == 2
        assert rig.pump.counters().notices_total == len(WORDS) * 2


@pytest.mark.parametrize("pipes", [2, 7, 64])
def test_a_symbol_s_trades_and_books_have_one_pipe_also_where_an_event_does_not_name_it(pipes: int) -> None:
    events = [TRADE, TICKER, DEPTH, BOOK, KLINE, b'{"data":{},"stream":"btcusdt@x"}', b'{"stream":"btcusdt"}']
    with Rig(pipes=pipes, route=Route.SYMBOL, layout=Layout.BINANCE) as rig:
        rig.send_frames(sent_of([*events, MANY, OTHER]))
        rig.finish()
        counted = [rig.pump.pipe_counters(pipe).records_total for pipe in range(pipes)]
        wanted = [0] * pipes
        for key, count in ((b"btcusdt", len(events)), (b"!miniTicker", 1), (b"ethusdt", 1)):
            wanted[model.pipe_of_key(key, pipes)] += count
        assert counted == wanted


def test_what_binance_sends_most_is_cut_quickly() -> None:
    flat, exact = [TRADE, TICKER, DEPTH, BOOK] * 3, [KLINE, MANY, KLINE.replace(b"btcusdt@", b"1000sats@"), MORE]
    with Rig(layout=Layout.BINANCE) as rig:
        rig.send_frames(sent_of([*flat, *exact]))
        rig.finish()
        assert rig.pump.counters().records_exact_total == len(exact)
        assert rig.pump.layouts() == [KLINE, MANY, MORE]


ODD_NAMES = [
    b"",
    b"@",
    b"x@trade",
    b"x" * 80,
    b"x" * 118,
    b"x" * 119,
    b"x" * 500,
    b"\xc3\xa9@trade",
    b"{@a",
    b"}@a",
    b"\\",
]
ODD_NAMES += [b'\\"@trade', b'\\"}}', b'","data":{', b'x","data":{}}', b"a@b@c", b"\x00"]


@pytest.mark.parametrize("route", Route)
def test_any_name_of_a_stream(route: Route) -> None:
    """Also those that end the string early: then what follows is no JSON, and the scanner says so."""
    messages = [TRADE.replace(b"btcusdt@trade", name) for name in ODD_NAMES]
    if route in (Route.SYMBOL, Route.KEY):  # the key of an object that is not JSON is not defined
        messages = [message for message in messages if model.cut(message, 1 << 20).fault is None]
        assert len(messages) > 10
    expected = modelled(5, route, layout=Layout.BINANCE)
    expected.session(sent_of(messages))
    with Rig(pipes=5, route=route, layout=Layout.BINANCE) as rig:
        rig.send_frames(sent_of(messages))
        rig.drain()
        assert_delivered(rig, expected)


def test_a_name_that_is_not_utf_8_ends_the_session() -> None:
    with Rig(layout=Layout.BINANCE) as rig:
        rig.send_frames(sent_of([TRADE, TRADE.replace(b"btc", b"\xff"), TRADE]))
        rig.drain()
        assert rig.events == [Failure(1007)]
        assert rig.pump.counters().records_total == 1


BOOK_OF_CHANNEL = b'{"data":{"bids":[["1.1","2"]],"asks":[]},"channel":"order_book_btcusd","event":"data"}'


def test_bitstamp_s_own_words_are_no_records_and_a_pair_s_channels_share_a_pipe() -> None:
    words = [
        b'{"event":"bts:subscription_succeeded","channel":"order_book_btcusd","data":{}}',
        b'{"event":"bts:request_reconnect","channel":"","data":""}',
        b'{"data":{"channel":"order_book_btcusd"},"event":"data"}',
    ]
    events = [BOOK_OF_CHANNEL, BOOK_OF_CHANNEL.replace(b"order_book", b"live_trades"), b'{"channel":"btcusd"}']
    other = BOOK_OF_CHANNEL.replace(b"btcusd", b"ethusd")
    with Rig(pipes=7, route=Route.SYMBOL, layout=Layout.BITSTAMP) as rig:
        rig.send_frames(sent_of([*words, *events, *words, other]))
        rig.finish()
        assert rig.events == [Status(word) for word in words * 2]
        counted = [rig.pump.pipe_counters(pipe).records_total for pipe in range(7)]
        wanted = [0] * 7
        for key, count in ((b"btcusd", len(events)), (b"ethusd", 1)):
            wanted[model.pipe_of_key(key, 7)] += count
        assert counted == wanted


LEVELS = (
    b'{"channel":"l2_data","timestamp":"2026-11-27T10:00:00.5Z","sequence_num":1,"events":[{"type":"update",'
    b'"product_id":"BTC-USD","updates":[{"side":"bid","price_level":"1.5","new_quantity":"0"}]}]}'
)
TICKERS = b'{"channel":"ticker","sequence_num":2,"events":[{"type":"update","tickers":[{"product_id":"BTC-USD"}]}]}'
ANSWER = b'{"channel":"subscriptions","sequence_num":0,"events":[{"subscriptions":{"level2":["BTC-USD"]}}]}'
HEARTBEAT = b'{"channel":"heartbeats","sequence_num":3,"events":[{"heartbeat_counter":1}]}'


def test_whatever_counts_in_coinbase_s_sequence_is_a_record_and_answers_are_told_besides() -> None:
    error = b'{"type":"error","message":"no"}'
    frames = sent_of([ANSWER, LEVELS, error, TICKERS, ANSWER, HEARTBEAT])
    expected = modelled(1, Route.ROUND_ROBIN, layout=Layout.COINBASE)
    expected.session(frames)
    with Rig(pipes=1, layout=Layout.COINBASE) as rig:
        rig.send_frames(frames)
        rig.finish()
        assert rig.events == [Status(word) for word in (ANSWER, error, ANSWER)]
        assert_delivered(rig, expected)
        assert expected.pipes == [[ANSWER, LEVELS, TICKERS, ANSWER, HEARTBEAT]]


def test_an_answer_that_waits_for_a_full_pipe_is_told_once() -> None:
    long = ANSWER.replace(b"BTC-USD", b"x" * 3000)
    with Rig(pipes=1, layout=Layout.COINBASE, pipe_size_bytes=4096, high_water_bytes=4096) as rig:
        rig.send_frames(sent_of([long] * 20))
        rig.finish()
        assert rig.events == [Status(long)] * 20
        assert rig.pump.pipe_counters(0).written_total == 20


def test_a_product_s_channels_share_a_pipe_and_so_do_a_symbol_s() -> None:
    book = b'{"channel":"book","type":"update","data":[{"symbol":"BTC-USD","bids":[],"asks":[],"checksum":7}]}'
    for layout, events in (
        (Layout.COINBASE, [LEVELS, TICKERS]),
        (Layout.KRAKEN, [book, book.replace(b"book", b"trade")]),
    ):
        other = [event.replace(b"BTC-USD", b"ETH-USD") for event in events]
        with Rig(pipes=7, route=Route.SYMBOL, layout=layout) as rig:
            rig.send_frames(sent_of([*events, *other]))
            rig.finish()
            counted = [rig.pump.pipe_counters(pipe).records_total for pipe in range(7)]
            wanted = [0] * 7
            for key in (b"BTC-USD", b"ETH-USD"):
                wanted[model.pipe_of_key(key, 7)] += 2
            assert counted == wanted


def test_kraken_s_own_words_are_no_records() -> None:
    words = [
        b'{"channel":"status","type":"update","data":[{"system":"online"}]}',
        b'{"channel":"heartbeat"}',
        b'{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD"},"success":true,"req_id":1}',
    ]
    event = b'{"channel":"instrument","data":{"symbol":"USD"}}'
    with Rig(layout=Layout.KRAKEN) as rig:
        rig.send_frames(sent_of([*words, event]))
        rig.finish()
        assert rig.events == [Status(word) for word in words]
        assert rig.pump.counters().records_total == 1


def test_a_pair_s_books_and_quotes_share_a_pipe() -> None:
    book = b'{"ev":"XL2","pair":"BTC-USD","t":1,"b":[[1.5,2],[1.4,3]],"a":[],"x":1}'
    quote = b'{"ev":"XQ","pair":"BTC-USD","bp":1.5,"bs":2,"ap":1.6,"as":1,"t":1,"x":1,"r":2}'
    other = [record.replace(b"BTC", b"ETH") for record in (book, quote)]
    with Rig(pipes=7, route=Route.SYMBOL, layout=Layout.POLYGON) as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join([book, quote, *other]) + b"]")])
        rig.finish()
        counted = [rig.pump.pipe_counters(pipe).records_total for pipe in range(7)]
        wanted = [0] * 7
        for key in (b"BTC-USD", b"ETH-USD"):
            wanted[model.pipe_of_key(key, 7)] += 2
        assert counted == wanted


@pytest.mark.parametrize("vectors", Vectors)
def test_any_member_can_decide_the_pipe(vectors: Vectors) -> None:
    """A string by what stands between its quotes, another value as it is spelled; the first of two; none: pipe 0."""
    keys = {
        b'{"id":"1","account":"a-1","amount":"1.50"}': b"a-1",
        b'{"id":"2","account" :\t"a-1" ,"to":"b"}': b"a-1",
        b'{"account":"\\u0041","sym":"x"}': b"\\u0041",
        '{"account":"K\u00f6ln"}'.encode(): "K\u00f6ln".encode(),
        b'{"ev":"T","account":17 ,"sym":"AAPL"}': b"17",
        b'{"ev":"T","sym":"AAPL","account":17}': b"17",
        b'{"account":{"x":[1,"}"]} }': b'{"x":[1,"}"]}',
        b'{"account":null}': b"null",
        b'{"account":"a","account":"b"}': b"a",
        b'{"x":{"account":"c"},"account":""}': b"",
    }
    nobody = [b'{"x":{"account":"c"}}', b"{}", b'{"ev":"T","sym":"AAPL","Account":"a"}']
    pipes = 7
    wanted: list[list[bytes]] = [[] for _ in range(pipes)]
    for record, key in keys.items():
        wanted[model.pipe_of_key(key, pipes)].append(record)
    wanted[0] += nobody
    with Rig(pipes=pipes, route=Route.KEY, key_member="account", vectors=vectors) as rig:
        rig.send_frames([Frame(TEXT, b"[" + b",".join([*keys, *nobody]) + b"]")])
        rig.drain()
        assert [records_in(bytes(received)) for received in rig.received] == wanted
