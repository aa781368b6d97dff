"""What venues send, made of whole numbers: each message as the venue writes it."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence

Levels = Sequence[tuple[int, int]]

PRICE_DECIMALS, SIZE_DECIMALS = 2, 8


def frames(messages: Iterable[bytes]) -> bytes:
    """As they are in a pipe."""
    return b"".join(struct.pack("<I", len(message)) + message for message in messages)


def decimal(value: int, decimals: int) -> str:
    whole, fraction = divmod(value, 10**decimals)
    return f"{whole}.{fraction:0{decimals}d}" if decimals else str(whole)


def pairs(levels: Levels) -> str:
    written = (f'["{decimal(price, PRICE_DECIMALS)}","{decimal(size, SIZE_DECIMALS)}"]' for price, size in levels)
    return f"[{','.join(written)}]"


def binance_difference(first_id: int, last_id: int, bids: Levels, asks: Levels, name: str = "btcusdt") -> bytes:
    return (
        f'{{"stream":"{name}@depth@100ms","data":{{"e":"depthUpdate","E":{1_700_000_000_000 + last_id},'
        f'"s":"{name.upper()}","U":{first_id},"u":{last_id},"b":{pairs(bids)},"a":{pairs(asks)}}}}}'
    ).encode()


def binance_snapshot(last_id: int, bids: Levels, asks: Levels) -> bytes:
    return f'{{"lastUpdateId":{last_id},"bids":{pairs(bids)},"asks":{pairs(asks)}}}'.encode()


def binance_whole(last_id: int, bids: Levels, asks: Levels, name: str = "btcusdt") -> bytes:
    return b'{"stream":"%s@depth20@100ms","data":%s}' % (name.encode(), binance_snapshot(last_id, bids, asks))


def binance_best(last_id: int, bid: tuple[int, int], ask: tuple[int, int], name: str = "btcusdt") -> bytes:
    (bid_price, bid_size), (ask_price, ask_size) = (
        (decimal(price, PRICE_DECIMALS), decimal(size, SIZE_DECIMALS)) for price, size in (bid, ask)
    )
    return (
        f'{{"stream":"{name}@bookTicker","data":{{"u":{last_id},"s":"{name.upper()}","b":"{bid_price}","B":"{bid_size}",'
        f'"a":"{ask_price}","A":"{ask_size}"}}}}'
    ).encode()


def bitstamp_snapshot(time_us: int, bids: Levels, asks: Levels) -> bytes:
    return (
        f'{{"timestamp":"{time_us // 1_000_000}","microtimestamp":"{time_us}",'
        f'"bids":{pairs(bids)},"asks":{pairs(asks)}}}'
    ).encode()


def bitstamp(channel: str, time_us: int, bids: Levels, asks: Levels) -> bytes:
    """Channel: order_book_btcusd, diff_order_book_btcusd."""
    data = bitstamp_snapshot(time_us, bids, asks)
    return b'{"data":%s,"channel":"%s","event":"data"}' % (data, channel.encode())


def coinbase(kind: str, sequence: int, bids: Levels, asks: Levels, name: str = "BTC-USD") -> bytes:
    """Kind: snapshot, update."""
    updates = ",".join(
        f'{{"side":"{side}","event_time":"2026-01-01T00:00:00.000000Z",'
        f'"price_level":"{decimal(price, PRICE_DECIMALS)}","new_quantity":"{decimal(size, SIZE_DECIMALS)}"}}'
        for side, levels in (("bid", bids), ("offer", asks))
        for price, size in levels
    )
    return (
        f'{{"channel":"l2_data","client_id":"","timestamp":"2026-01-01T00:00:00.000000000Z","sequence_num":{sequence},'
        f'"events":[{{"type":"{kind}","product_id":"{name}","updates":[{updates}]}}]}}'
    ).encode()


def polygon(event: str, time_ms: int, exchange: int, bids: Levels, asks: Levels, name: str = "BTC-USD") -> bytes:
    """Event: XL2, the whole book; XQ, its best bid and ask alone."""

    def numbers(levels: Levels) -> str:
        written = (f"[{decimal(price, PRICE_DECIMALS)},{decimal(size, SIZE_DECIMALS)}]" for price, size in levels)
        return f"[{','.join(written)}]"

    head = f'{{"ev":"{event}","pair":"{name}",'
    tail = f'"t":{time_ms},"x":{exchange},"r":{time_ms + 7}}}'
    if event == "XL2":
        return f'{head}"b":{numbers(bids)},"a":{numbers(asks)},{tail}'.encode()
    ((bid, bid_size), (ask, ask_size)) = (
        [decimal(n, d) for n, d in zip(level, (PRICE_DECIMALS, SIZE_DECIMALS), strict=True)]
        for level in (bids[0], asks[0])
    )
    return f'{head}"lp":0,"ls":0,"bp":{bid},"bs":{bid_size},"ap":{ask},"as":{ask_size},{tail}'.encode()


def kraken(kind: str, bids: Levels, asks: Levels, checksum: int, name: str = "BTC/USD") -> bytes:
    """Kind: snapshot, update."""
    sides = (
        ",".join(
            f'{{"price":{decimal(price, PRICE_DECIMALS)},"qty":{decimal(size, SIZE_DECIMALS)}}}' for price, size in side
        )
        for side in (bids, asks)
    )
    written_bids, written_asks = sides
    return (
        f'{{"channel":"book","type":"{kind}","data":[{{"symbol":"{name}","bids":[{written_bids}],"asks":[{written_asks}],'
        f'"checksum":{checksum},"timestamp":"2026-01-01T00:00:00.000000Z"}}]}}'
    ).encode()


def kraken_checksum(bids: Levels, asks: Levels) -> int:
    """Of levels in order, the best first: as Kraken's guide says, over texts."""
    text = "".join(
        written.replace(".", "").lstrip("0")
        for level in [*asks[:10], *bids[:10]]
        for written in (decimal(level[0], PRICE_DECIMALS), decimal(level[1], SIZE_DECIMALS))
    )
    return zlib.crc32(text.encode())
