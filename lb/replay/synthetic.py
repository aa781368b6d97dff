"""A synthetic market: trades of thousands of symbols, made from a seed alone, for when no recorded tape is at hand.

The same seed, rate, layout and size give the same bytes on every machine and Python version: no clock is read, and no
function of the C library decides a digit. Its make-up:

- *Symbols*: 6,000; a few dozen well-known names first, then made-up ones of three or four letters, some with a class
  (`ABC.B`) or a lower-case suffix (`ABCpD`). The symbol of rank r (from 0) is traded in proportion to 1 / (r + 2): the
  first takes 6 % of the trades, the first hundred half of them.
- *Time*: the tape begins at 2026-06-16 11:06:00 in New York, in the middle of a day. Trades come in sweeps of 1 to 12
  at the same instant in the same symbol. One sixth of the sweeps come in bursts, in which they follow each other twenty
  times as fast; over the whole the rate is as asked.
- *Messages*: the feed is taken to send one array per millisecond in which there were trades, of at most 500 records. A
  feed that is always behind (`behind`, as at full speed) sends one per 10 ms. So an array holds one or two records at
  1,000 records/s and hundreds in a burst.
- *Records*, in the order of fields seen on the wire. `2026`: 160 bytes on average, with `pt`, `ds` and, for the half
  printed at a trade reporting facility (`x` 4), `trfi` and `trft`. `2022`: 112 bytes on average, without these. `c` is
  left out where there are no conditions; more than half of the trades are odd lots (condition 37).

A tape of it is one block, by default of 65,536 records, which a server plays in a loop: prices, ids and, unless the
server stamps them, times begin again with every pass.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from random import Random

from lb.replay.dialogue import array as message_of
from lb.replay.errors import UsageError
from lb.replay.tape import Tape

SYMBOL_COUNT = 6_000
BLOCK_RECORDS = 65_536
HIGHEST_RATE = 1e8

_START_MS = 1_781_622_360_000
_FIRST_SEQUENCE = 4_938_000
_MAX_BATCH_RECORDS = 500
_TICK_NS = 1_000_000
_TICK_BEHIND_NS = 10_000_000

_TRF = 4
_EXCHANGES = (1, 2, 3, 7, 8, 10, 11, 12, 15, 16, 18, 19, 20, 21)
# Trade ids are 6 digits long on these exchanges, 14 on the others.
_SHORT_ID_EXCHANGES = frozenset({12, 15, 16})
# fmt: off
_WELL_KNOWN = (
    "SPY", "NVDA", "TSLA", "AAPL", "QQQ", "AMD", "AMZN", "MSFT", "PLTR", "META", "GOOGL", "INTC", "SOFI", "BAC", "F",
    "MSTR", "COIN", "AVGO", "NIO", "T", "IWM", "SMCI", "MU", "HOOD", "XLF", "PFE", "JPM", "C", "BRK.B", "WMT", "DIS",
    "KO", "XOM", "CVX", "GE", "UBER", "BABA", "ORCL", "NFLX", "CSCO", "BACpL",
)
# fmt: on
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Layout(enum.Enum):
    """Which year's fields a trade has."""

    OF_2026 = "2026"
    OF_2022 = "2022"


@dataclass
class _Stock:
    """A symbol and what moves with each of its trades. Prices are in 1/10000 of a dollar."""

    symbol: str
    tape: int
    price: int
    trade_id: int


@dataclass(frozen=True)
class _Trade:
    """One trade as the writers of the layouts need it; `s` is in whole shares."""

    symbol: str
    trade_id: str
    exchange: int
    price: int
    shares: int
    conditions: str
    time_ms: int
    participant_ms: int
    sequence: int
    tape: int
    facility: int
    shares_text: str


def synthetic_market(
    seed: int = 1,
    rate: float = 10_000.0,
    layout: Layout = Layout.OF_2026,
    records: int = BLOCK_RECORDS,
    behind: bool = False,
) -> Tape:
    """A block of `records` trades that come at `rate` records per second of market time on average.

    Raises UsageError for a rate outside of 0 to 1e8 records/s.
    """
    if not 0 < rate <= HIGHEST_RATE:
        raise UsageError(f"rate of {rate:g} records/s is not above 0 and at most {HIGHEST_RATE:g} records/s")
    random = Random(seed)
    duration_ns = int(records * 1e9 / rate)
    moments = _moments(random, records, duration_ns)
    write = _write_2026 if layout is Layout.OF_2026 else _write_2022
    texts = [write(trade).encode() for trade in _trades(random, moments)]
    return _batch(texts, moments, duration_ns, _TICK_BEHIND_NS if behind else _TICK_NS)


def _moments(random: Random, records: int, duration_ns: int) -> list[int]:
    """The time of each trade in nanoseconds after the start: never decreasing, equal within a sweep."""
    raw: list[int] = []
    now, in_burst = 0, False
    while len(raw) < records:
        if random.random() < (0.01 if in_burst else 0.002):
            in_burst = not in_burst
        now += int(random.random() * (100_000 if in_burst else 2_000_000))
        raw.extend([now] * _sweep_length(random))
    # Scaled in whole numbers, so that the last trade falls on the end and no rounding differs between machines.
    return [moment * duration_ns // (raw[records - 1] + 1) for moment in raw[:records]]


def _sweep_length(random: Random) -> int:
    """1 for six in ten, then ever rarer, up to 12."""
    length = 1
    while length < 12 and random.random() < 0.4:
        length += 1
    return length


def _trades(random: Random, moments: list[int]) -> Iterator[_Trade]:
    stocks = _stocks(random)
    weights = list(accumulate(10**9 // (rank + 2) for rank in range(len(stocks))))
    sequence = _FIRST_SEQUENCE
    for moment, sweep in groupby(moments):
        stock = random.choices(stocks, cum_weights=weights)[0]
        for _ in sweep:
            sequence += 1 + int(random.random() * 3)
            yield _trade(random, stock, _START_MS + moment // 1_000_000, sequence)


def _trade(random: Random, stock: _Stock, time_ms: int, sequence: int) -> _Trade:
    at_facility = random.random() < 0.5
    exchange = _TRF if at_facility else _EXCHANGES[int(random.random() * len(_EXCHANGES))]
    odd_lot = random.random() < 0.6
    swept = not at_facility and random.random() < 0.5
    shares = (
        1 + int(random.random() * 99)
        if odd_lot
        else 100 * (1 + int(random.random() * random.random() * random.random() * 20))
    )
    # Whole cents on an exchange; a facility reports fractions of a cent.
    step = int((random.random() - 0.5) * (300 if at_facility else 6)) * (1 if at_facility else 100)
    stock.price = max(stock.price + step, 1_000)
    stock.trade_id += 1
    conditions = ",".join((["14"] if swept else []) + (["37"] if odd_lot else []) + (["41"] if swept else []))
    fraction = f"{int(random.random() * 10**6):06d}" if at_facility and odd_lot and random.random() < 0.2 else "0"
    return _Trade(
        symbol=stock.symbol,
        trade_id=str(stock.trade_id) if exchange in _SHORT_ID_EXCHANGES else f"5298{stock.trade_id:010d}",
        exchange=exchange,
        price=stock.price if at_facility else stock.price // 100 * 100,
        shares=shares,
        conditions=f'"c":[{conditions}],' if conditions else "",
        time_ms=time_ms,
        participant_ms=time_ms - int(random.random() * 12),
        sequence=sequence,
        tape=stock.tape,
        facility=(201, 202, 203)[int(random.random() * 3)],
        shares_text=f"{shares}.{fraction}",
    )


def _stocks(random: Random) -> list[_Stock]:
    """All symbols, the most traded first."""
    symbols = dict.fromkeys(_WELL_KNOWN)
    while len(symbols) < SYMBOL_COUNT:
        symbols[_made_up_symbol(random)] = None
    return [
        _Stock(
            symbol,
            tape=1 + int(random.random() * 3),
            price=(20 if symbol in _WELL_KNOWN else 1 + int(random.random() * random.random() * 300)) * 10_000
            + int(random.random() * 3_000_000),
            trade_id=100_000 + int(random.random() * 800_000),
        )
        for symbol in symbols
    ]


def _made_up_symbol(random: Random) -> str:
    letters = "".join(_LETTERS[int(random.random() * 26)] for _ in range(3 + int(random.random() * 2)))
    chance = random.random()
    if chance < 0.02:
        return f"{letters[:3]}.{'AB'[int(random.random() * 2)]}"
    if chance < 0.06:
        return f"{letters[:3]}p{_LETTERS[int(random.random() * 12)]}"
    return letters


def _price_text(price: int) -> str:
    """A price in 1/10000 of a dollar as the feed writes it: no trailing zeros, no point if whole."""
    return f"{price // 10_000}.{price % 10_000:04d}".rstrip("0").rstrip(".")


def _write_2026(trade: _Trade) -> str:
    facility = f',"trfi":{trade.facility},"trft":{trade.time_ms}' if trade.exchange == _TRF else ""
    return (
        f'{{"ev":"T","sym":"{trade.symbol}","i":"{trade.trade_id}","x":{trade.exchange},"p":{_price_text(trade.price)},'
        f'"s":{trade.shares},{trade.conditions}"t":{trade.time_ms},"pt":{trade.participant_ms},"q":{trade.sequence},'
        f'"z":{trade.tape}{facility},"ds":"{trade.shares_text}"}}'
    )


def _write_2022(trade: _Trade) -> str:
    return (
        f'{{"ev":"T","sym":"{trade.symbol}","i":"{trade.trade_id}","x":{trade.exchange},"p":{_price_text(trade.price)},'
        f'"s":{trade.shares},{trade.conditions}"t":{trade.time_ms},"q":{trade.sequence},"z":{trade.tape}}}'
    )


def _batch(texts: list[bytes], moments: list[int], duration_ns: int, tick_ns: int) -> Tape:
    """Joins the records of each tick to arrays; an array is due when its last trade was made."""
    messages: list[bytes] = []
    records_total: list[int] = []
    due_ns: list[int] = []
    for _, tick in groupby(range(len(texts)), lambda number: moments[number] // tick_ns):
        numbers = list(tick)
        for start in range(0, len(numbers), _MAX_BATCH_RECORDS):
            batch = numbers[start : start + _MAX_BATCH_RECORDS]
            messages.append(message_of(*texts[batch[0] : batch[-1] + 1]))
            records_total.append(batch[-1] + 1)
            due_ns.append(moments[batch[-1]] - moments[0])
    return Tape(messages, records_total, due_ns, duration_ns, frozenset({"T"}))
