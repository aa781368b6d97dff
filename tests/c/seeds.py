"""Writes inputs to begin with for a target of tests/c: `python seeds.py TARGET DIRECTORY`."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "books")]

import message_forge  # noqa: E402 - found only now
import wire as venue  # noqa: E402 - found only now
from model import BINARY, BYTE_ORDER_MARK, CONTINUATION, PING, TEXT, Frame, crc32c, wire  # noqa: E402 - found only now

VALUES = (TESTS / "pump" / "json_values.txt").read_bytes().splitlines()
TRADE = b'{"ev":"T","sym":"AAPL","i":"143541","x":4,"p":297.845,"s":40,"c":[37],"t":1781622376036,"q":4938312,"z":3}'
OTHERS = [
    b'{"ev":"status","status":"success","message":"subscribed to: T.*"}',
    b'{"ev":"LULD","h":3.63,"l":2.97,"i":[15],"z":3,"T":"ATHR","t":1788877046310003385,"q":3209681}',
    b'{"ev":"XL2","pair":"BTC-USD","t":1,"b":[[1.5,2],[1.4,3]],"a":[]}',
    b'{"ev":"C","p":"EUR/USD","a":1.1,"b":1.2}',
]


STREAM_EVENTS = [
    b'{"stream":"btcusdt@trade","data":{"e":"trade","E":1672515782136,"s":"BTCUSDT","t":12345,"p":"0.00100000"}}',
    b'{"stream":"btcusdt@depth20@100ms","data":{"lastUpdateId":50093239218,"bids":[["61837.63","3.7"]],"asks":[]}}',
    b'{"stream":"btcusdt@kline_1m","data":{"e":"kline","s":"BTCUSDT","k":{"t":1672515780000,"i":"1m"}}}',
    b'{"stream":"!serverShutdown","data":{"e":"serverShutdown","E":1770123456789}}',
    b'{"result":null,"id":1}',
]

CHANNEL_EVENTS = [
    b'{"data":{"microtimestamp":"1641343691244908","bids":[["1.1","9.0"]],"asks":[]},"channel":"order_book_btcusd",'
    b'"event":"data"}',
    b'{"event": "data", "data": {"id": 1}, "channel": "live_trades_fooxyz-perp"}',
    b'{"event":"bts:subscription_succeeded","channel":"order_book_btcusd","data":{}}',
    b'{"event":"bts:request_reconnect","channel":"","data":""}',
]

NESTED_EVENTS = [
    b'{"channel":"l2_data","timestamp":"2026-11-27T10:00:00.5Z","sequence_num":3,"events":[{"type":"update",'
    b'"product_id":"BTC-USD","updates":[{"side":"bid","price_level":"1.5","new_quantity":"0"}]}]}',
    b'{"channel":"ticker","sequence_num":4,"events":[ {"type":"update","tickers":[{"product_id":"ETH-USD"}]}]}',
    b'{"channel":"subscriptions","sequence_num":0,"events":[{"subscriptions":{"level2":["BTC-USD"]}}]}',
    b'{"channel":"heartbeats","sequence_num":5,"events":[{"heartbeat_counter":1}]}',
    b'{"type":"error","message":"no"}',
    b'{"channel":"book","type":"update","data":[{"symbol":"BTC/USD","bids":[{"price":1.5,"qty":2}],"asks":[],"checksum":7}]}',
    b'{"channel":"instrument","type":"snapshot","data":{"assets":[{"id":"USD"}]}}',
    b'{"channel":"heartbeat"}',
    b'{"method":"subscribe","result":{"channel":"book","symbol":"BTC/USD"},"success":true,"req_id":1}',
]


def messages() -> Iterator[bytes]:
    yield b"[" + b",".join([TRADE, *OTHERS, TRADE, TRADE]) + b"]"
    for value in VALUES:
        yield b'[{"v":' + value + b"}," + TRADE + b"]"
        yield b"[" + value + b"," + TRADE + b"]"
        yield BYTE_ORDER_MARK + value


def frame_headers() -> Iterator[bytes]:
    for first, second in product((0x00, 0x01, 0x81, 0x82, 0x88, 0x89, 0xC1), (0, 1, 125, 126, 127, 255)):
        yield bytes([first, second]) + bytes(5) + b"\x01\x00\x00"


def sessions() -> Iterator[bytes]:
    for some in (list(messages())[:20], (STREAM_EVENTS + CHANNEL_EVENTS + NESTED_EVENTS) * 4):
        yield b"".join(wire(Frame(TEXT, message)) for message in some)
    for number, message in enumerate(messages()):
        at = number % (len(message) + 1)
        frames = [Frame(BINARY, message[:at], fin=False), Frame(PING, b"ping"), Frame(CONTINUATION, message[at:])]
        yield b"".join(map(wire, frames))


def segment(blocks: list[list[bytes]], done: int = 0) -> bytes:
    """As lb/pump/csrc/segment.h says."""
    text = b"LBSPILL\1" + struct.pack("<QQQ", done, done ^ (1 << 64) - 1, 0)
    first = 0
    for records in blocks:
        frames = [struct.pack("<I", len(record)) + record for record in records]
        header = b"LBSB" + struct.pack("<IQQI", len(frames), sum(map(len, frames)), first, 0)
        text += header + struct.pack("<I", crc32c(header))
        text += b"".join(struct.pack("<I", crc32c(frame)) for frame in frames) + b"".join(frames)
        first += len(frames)
    return text


def segments() -> Iterator[bytes]:
    for number in range(24):
        one = segment([[TRADE, *OTHERS], [TRADE], [b"{}"] * 9], done=number % 8)
        other = segment([[TRADE] * (number + 1)])
        one, other = one[: len(one) - number % 3 * 7], other[: len(other) - number // 3 * 5]
        for made in (0, 7):
            yield bytes([number << 3 | made]) + struct.pack("<H", len(one)) + one + other


def book_lines() -> Iterator[tuple[int, list[bytes]]]:
    """Forms as in books.h, and what such venues send: `!` a snapshot, `@` a new session, `#` books opened again."""
    bids, asks = [(99, 5), (98, 6), (97, 1), (96, 1)], [(101, 7), (102, 8), (103, 1)]
    yield (
        0,
        [
            venue.binance_difference(99, 101, [(100, 1)], []),
            b"!" + venue.binance_snapshot(100, bids, asks),
            venue.binance_difference(102, 102, [(95 + size, size) for size in range(5)], [(104, 1), (101, 0)]),
            venue.binance_whole(103, bids, asks),
            venue.binance_best(104, (100, 1), (101, 1)),
            venue.binance_difference(105, 106, bids, asks, "ethusdt"),
            b"@",
            venue.binance_whole(107, asks, bids),
        ],
    )
    books = [(time, bids[time % 3 :], asks[time % 2 :]) for time in range(1, 5)]
    diffs = [venue.bitstamp("diff_order_book_btcusd", *book) for book in books]
    wholes = [venue.bitstamp("order_book_btcusd", *book) for book in books]
    yield 1, [*diffs, b"!" + venue.bitstamp_snapshot(2, bids, asks), *wholes, b"#", *diffs[:2]]
    counted = [venue.coinbase("snapshot" if number < 2 else "update", number, bids, asks) for number in (0, 1, 2, 4)]
    yield 2, counted
    checksum = venue.kraken_checksum(bids, asks)
    yield 3, [venue.kraken(kind, bids, asks, checksum) for kind in ("snapshot", "update", "update")]
    yield 4, [b'{"ev":"XL2","pair":"BTC-USD","t":1,"b":[[1.5,2],[1.4,3]],"a":[[1.6,1]],"x":0}', OTHERS[2]]


def inputs(target: str) -> Iterator[bytes]:
    match target:
        case "ws_frame":
            yield from frame_headers()
        case "scan":
            for number, message in enumerate(messages()):
                yield bytes([number % 2, number % 256]) + message
        case "json_member":
            yield from (record[1:-1] for record in [TRADE, *OTHERS])
            yield from (b'"x":' + value + b',"ev":' + value for value in VALUES)
            yield from (value + b':"v","ev":"T"' for value in VALUES)
        case "realign":
            for number in range(120):
                lines = b"\n".join([TRADE, *OTHERS, *VALUES[: number % 50]] * (1 + number % 5))
                yield bytes([number * 37 % 256, number * 101 % 256, number % 16, number % 3]) + lines[:5000]
        case "polygon":
            yield from (record[1:-1] for record in [TRADE, *OTHERS])
            yield from (b'"ev":' + value + b',"sym":' + value for value in VALUES)
        case "binance":
            yield from (record[1:-1] for record in STREAM_EVENTS)
            yield from (value + b'@trade","data":' + value for value in VALUES)
            yield from (b'"s":"BTCUSDT","b":' + value for value in VALUES)
        case "bitstamp":
            yield from (record[1:-1] for record in CHANNEL_EVENTS)
            yield from (b'"channel":' + value + b',"event":' + value for value in VALUES)
        case "coinbase" | "kraken":
            yield from (record[1:-1] for record in NESTED_EVENTS)
            yield from (b'"channel":"x","events":' + value + b',"data":' + value for value in VALUES)
            yield from (
                b'"channel":"x","events":[{"trades":' + value + b'}],"data":{"symbol":' + value for value in VALUES
            )
        case "pump":
            for number, session in enumerate(sessions()):
                yield bytes([number % 16 | number % 2 << 7, 200, number % 4, number % 256]) + session
        case "adopt":
            for number, session in enumerate(sessions()):
                changes = [
                    bytes([number % 250 + at, number * 8 % 256, number % 9, at * 5 % 256, number % 256, 0])
                    for at in range(number % 4)
                ]
                config = bytes([number * 29 % 256, number * 7 % 256, number * 40 % 256, len(changes)])
                yield config + b"".join(changes) + session
        case "spill":
            yield from segments()
        case "columns":
            lines = [TRADE, *OTHERS, *(b'{"ev":"T","p":' + value + b',"x":1}' for value in VALUES)]
            for choice in range(256):
                yield bytes([choice, choice % 24]) + b"\n".join([TRADE, *OTHERS, TRADE, lines[choice % len(lines)]])
            yield bytes([255, 20]) + b"\n".join([TRADE] * 40)
        case "recording":
            some = [TRADE, *OTHERS, b"", b'{"ev":"lb","dropped":18446744073709551615}', b"{\n}"]
            frames = b"".join(struct.pack("<I", len(record)) + record for record in some)
            for cut in range(len(frames) - 60, len(frames) + 1):
                yield bytes([cut % 256]) + frames[:cut]
            yield b"\1" + b"".join(record + b"\n" for record in some)
            yield b"\1\xff\xff\xff\xff"
        case "pgcopy":
            zeros = b'{"ev":"T","sym":"A\\u0000","i":"\\u0000\\u0000","otc":true,"c":[],"t":null}'
            lines = [b'{"ev":"T","sym":"A","i":%b,"t":%b,"q":7,"c":[37,-1]}' % (value, value) for value in VALUES]
            for choice in range(64):
                yield bytes([choice, choice % 5]) + b"\n".join([TRADE, zeros, lines[choice % len(lines)], *OTHERS])
        case "books":
            for (form, lines), choice in product(book_lines(), range(25)):
                yield bytes([form, choice]) + b"\n".join(lines)
        case "forms":
            yield from venues_messages()
        case "unpack":
            yield from topics_messages()
        case "bars":
            lines = [b'{"ev":"T","sym":"A","p":1.5,"s":%b,"t":1781622376036,"c":[37]}' % value for value in VALUES]
            late = [
                TRADE.replace(b"1781622376036", b"%d" % time_ms) for time_ms in (1781622377000, 1781622376999, 0, -1)
            ]
            for choice in range(64):
                yield bytes([choice, choice % 2]) + b"\n".join(
                    [TRADE, *late, lines[choice % len(lines)], *OTHERS, TRADE]
                )


def venues_messages() -> Iterator[bytes]:
    sources = [(venue, False) for venue in message_forge.VENUES] + [(venue, True) for venue in message_forge.BODIES]
    for seed in range(400):
        number = seed % len(sources)
        venue, is_snapshot = sources[number]
        yield bytes([number, seed % 8]) + message_forge.made(seed, venue, is_snapshot=is_snapshot)


def topics_messages() -> Iterator[bytes]:
    """What was sent again, packed otherwise than before; headers that lb-kafka does not write."""
    told = [
        *(b"run/3/7", b"run/3/7+1+5", b"run/3/8+5", b"run/3/6+1+1+6", b"/0", b"run/3/13", b"other/3/1+1"),
        *(b"", b"7", b"run/3/", b"run/3/7+", b"run/3/+7", b"run/3/x", b"run/3/7++8", b"run/3/-1"),
        *(b"r/9999999999999999999", b"r/9999999999999999999+9999999999999999999", b"r/00000000000000000001"),
    ]
    values = [b"a\nbb\n\nccc", b"", b"\n", b"one", b"\n".join([b"x"] * 60)]
    for number in range(120):
        chosen = [(number * 7 + at * (1 + number % 5)) % len(told) for at in range(12)]
        yield b"".join(
            bytes([number + at == at * 31, len(told[one]), at % 2, len(values[(one + at) % 5])])
            + told[one] + b"K"[: at % 2] + values[(one + at) % 5]
            for at, one in enumerate(chosen)
        )  # fmt: skip


def main(target: str, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for number, content in enumerate(inputs(target)):
        (directory / f"seed-{number:03}").write_bytes(content)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
