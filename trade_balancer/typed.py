"""Records as typed objects: a msgspec Struct for each event of the feed (extra `typed`).

    from trade_balancer import Record, run
    from trade_balancer.typed import Event, Quote, Trade, decode

    def on_record(record: Event | Record, fd: int) -> None:
        match record:
            case Trade(sym=symbol, p=price, s=size):
                print(symbol, "trades for", price * size)
            case Quote(sym=symbol, bp=bid):
                print(symbol, "is bid", bid)

    run(on_record, decode=decode)

Law: members have the names of the wire; one that a record may lack is None then, or an empty tuple; nothing is
converted. What no class here describes comes as a dict: an unknown event, a member of another type than here.

Units: prices in the currency of the quotation, for stocks, options and indices US dollars; times as said, counted from
1970-01-01 UTC. Numbers of exchanges, conditions, indicators and tapes are the vendor's (its REST calls
/v3/reference/exchanges and /v3/reference/conditions name them).

Sources, in brackets behind each member:

- D: the vendor's documentation, https://massive.com/docs/websocket, and the schema in its Python client,
  https://github.com/massive-com/client-python (.massive/websocket.json).
- W: records seen on the wire, 2019 to 2026, where they have more than the documentation, or differ from it.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from trade_balancer.decoding import Record
from trade_balancer.errors import MissingExtraError

try:
    import msgspec
    from msgspec import Struct, field
except ImportError:
    raise MissingExtraError("trade_balancer.typed", "msgspec", "typed") from None


__all__ = [
    "Aggregate",
    "CryptoBook",
    "CryptoMinuteAggregate",
    "CryptoQuote",
    "CryptoSecondAggregate",
    "CryptoTrade",
    "CurrencyAggregate",
    "Event",
    "FairMarketValue",
    "ForexMinuteAggregate",
    "ForexQuote",
    "ForexSecondAggregate",
    "Imbalance",
    "IndexValue",
    "LaunchpadValue",
    "LimitUpLimitDown",
    "MinuteAggregate",
    "Quote",
    "SecondAggregate",
    "Trade",
    "decode",
]


class Trade(Struct, tag_field="ev", tag="T", gc=False):
    """T: a trade of a stock, an option or a future.

    sym: the ticker: AAPL, BRK.B; of an option as O:SPXW251208C06840000 [D]
    p: price of one share or contract [D]
    s: size, shares or contracts; of a fractional size the whole part, which may be 0: see ds [D, W]
    t: time at the SIP, ms [D]
    x: number of the exchange [D]
    i: id, unique among the trades of a ticker, an exchange and a trfi only; a number until 2019 [D, W]
    z: tape: 1 NYSE, 2 NYSE American and regional, 3 Nasdaq; not of options [D]
    c: numbers of the conditions [D]
    q: sequence number, increasing for a ticker, with gaps; seen repeated and going backward, too [D, W]
    pt: time at the participant, that is the exchange, ms [W]
    trfi: number of the trade reporting facility; of trades off the exchanges only [D]
    trft: time at that facility, ms [D]
    ds: size as a decimal number in text, exact: "40.0", "0.740474" [W]
    """

    sym: str
    p: float
    s: float
    t: int
    x: int | None = None
    i: str | int | None = None
    z: int | None = None
    c: tuple[int, ...] = ()
    q: int | None = None
    pt: int | None = None
    trfi: int | None = None
    trft: int | None = None
    ds: str | None = None


class Quote(Struct, tag_field="ev", tag="Q", gc=False):
    """Q: the best bid and ask (NBBO) of a stock, an option or a future. A one-sided quote lacks the other side [W].

    sym: the ticker [D]
    t: time at the SIP, ms [D]
    bp, ap: price of bid and ask [D]
    bs, as_ (on the wire: as): size of bid and ask; of stocks in round lots, normally 100 shares, of others in
        contracts [D]
    bx, ax: number of the exchange of bid and ask [D]
    c: number of the condition [D]
    i: numbers of the indicators [D]
    q: sequence number, increasing for a ticker, with gaps, begun anew each day [D]
    pt: time at the participant, ms [W]
    z: tape: 1 NYSE, 2 NYSE American and regional, 3 Nasdaq [D]
    bt, at: of futures, time of bid and ask, ms [D]
    """

    sym: str
    t: int
    bp: float | None = None
    ap: float | None = None
    bs: float | None = None
    as_: float | None = field(default=None, name="as")
    bx: int | None = None
    ax: int | None = None
    c: int | None = None
    i: tuple[int, ...] = ()
    q: int | None = None
    pt: int | None = None
    z: int | None = None
    bt: int | None = None
    at: int | None = None


class Aggregate(Struct, tag_field="ev", gc=False):
    """A bar of a stock, an option, an index or a future: what SecondAggregate and MinuteAggregate have in common.

    sym: the ticker; of an index as I:SPX [D]
    o, c, h, l: first, last, highest and lowest price in the window [D]
    s, e: begin and end of the window, ms [D]
    v: volume in the window, shares or contracts; not of indices [D]
    av: volume of the day so far [D]
    op: the day's official opening price [D]
    vw: volume-weighted average price in the window [D]
    a: volume-weighted average price of the day so far [D]
    z: average size of the window's trades [D]
    n: of futures, the window's trades [D]
    otc: whether the ticker is traded over the counter; left out if not [D]
    dv, dav: v and av as decimal numbers in text, exact: "4989.0", "4332125.038360" [W]
    """

    sym: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741 - the wire's name
    s: int
    e: int
    v: float | None = None
    av: float | None = None
    op: float | None = None
    vw: float | None = None
    a: float | None = None
    z: float | None = None
    n: int | None = None
    otc: bool = False
    dv: str | None = None
    dav: str | None = None


class SecondAggregate(Aggregate, tag="A", gc=False):
    """A: an Aggregate of one second."""


class MinuteAggregate(Aggregate, tag="AM", gc=False):
    """AM: an Aggregate of one minute."""


class CryptoTrade(Struct, tag_field="ev", tag="XT", gc=False):
    """XT: a trade of a pair of cryptocurrencies.

    pair: as BTC-USD [D]
    p: price of one unit of the first in units of the second [D]
    s: size, in units of the first [D]
    t: time at the exchange, ms [D]
    x: number of the exchange [D]
    i: id [D]
    c: numbers of the conditions: 1 a sale to a bidder, 2 a purchase from an asker [D]
    r: time at which the vendor received it, ms [D]
    """

    pair: str
    p: float
    s: float
    t: int
    x: int | None = None
    i: str | int | None = None
    c: tuple[int, ...] = ()
    r: int | None = None


class CryptoQuote(Struct, tag_field="ev", tag="XQ", gc=False):
    """XQ: the best bid and ask of a pair of cryptocurrencies at one exchange.

    pair: as DOT-USD [D]
    t: time at the exchange, ms [D]
    bp, ap: price of bid and ask [D]
    bs, as_ (on the wire: as): size of bid and ask, in units of the pair's first currency [D]
    x: number of the exchange [D]
    r: time at which the vendor received it, ms [D]
    lp, ls: not documented; seen as 0 only [W]
    """

    pair: str
    t: int
    bp: float | None = None
    ap: float | None = None
    bs: float | None = None
    as_: float | None = field(default=None, name="as")
    x: int | None = None
    r: int | None = None
    lp: float | None = None
    ls: float | None = None


class CryptoBook(Struct, tag_field="ev", tag="XL2", gc=False):
    """XL2: the order book of a pair of cryptocurrencies at one exchange.

    pair: as BTC-USD [D]
    t: time at the exchange, ms [D]
    b, a: bids and asks, best first, each (price, size), the size in units of the pair's first currency [D]
    x: number of the exchange [D]
    r: time at which the vendor received it, ms [D]
    """

    pair: str
    t: int
    b: tuple[tuple[float, float], ...] = ()
    a: tuple[tuple[float, float], ...] = ()
    x: int | None = None
    r: int | None = None


class CurrencyAggregate(Struct, tag_field="ev", gc=False):
    """A bar of a pair of currencies: what the four classes below have in common.

    pair: as BTC-USD, or USD/EUR [D]
    o, c, h, l: first, last, highest and lowest price in the window [D]
    s: begin of the window, ms [D]
    e: its end, ms; not always there [D]
    v: volume in the window: of crypto pairs in units of the first currency, of others the number of quotes [D]
    vw: volume-weighted average price; of crypto pairs [D]
    z: average size of the window's trades; of crypto pairs [D]
    """

    pair: str
    o: float
    c: float
    h: float
    l: float  # noqa: E741 - the wire's name
    s: int
    e: int | None = None
    v: float | None = None
    vw: float | None = None
    z: float | None = None


class CryptoSecondAggregate(CurrencyAggregate, tag="XAS", gc=False):
    """XAS: a CurrencyAggregate of a crypto pair and one second."""


class CryptoMinuteAggregate(CurrencyAggregate, tag="XA", gc=False):
    """XA: a CurrencyAggregate of a crypto pair and one minute."""


class ForexSecondAggregate(CurrencyAggregate, tag="CAS", gc=False):
    """CAS: a CurrencyAggregate of a forex pair and one second."""


class ForexMinuteAggregate(CurrencyAggregate, tag="CA", gc=False):
    """CA: a CurrencyAggregate of a forex pair and one minute."""


class ForexQuote(Struct, tag_field="ev", tag="C", gc=False):
    """C: bid and ask of a pair of currencies.

    p: the pair, not a price: EUR/USD [D]
    b, a: price of bid and ask [D]
    t: time, ms [D]
    x: number of the exchange [D]
    i: numbers of indicators [W]
    """

    p: str
    b: float
    a: float
    t: int
    x: int | None = None
    i: tuple[int, ...] = ()


class IndexValue(Struct, tag_field="ev", tag="V", gc=False):
    """V: the value of an index.

    T: the ticker, as I:SPX [D]
    val: the value [D]
    t: time, ms [D]
    """

    T: str
    val: float
    t: int


class LimitUpLimitDown(Struct, tag_field="ev", tag="LULD", gc=False):
    """LULD: the prices between which a stock may be traded, and its halts.

    T: the ticker [D]
    h, l: highest and lowest price [D]
    t: time, ns; the documentation says ms [W]
    i: numbers of the indicators: 17 a halt, 18 its end, of Nasdaq's stocks only [D]
    z: tape: 1 NYSE, 2 NYSE American and regional, 3 Nasdaq [D]
    q: sequence number, increasing for a ticker, with gaps [D]
    """

    T: str
    h: float
    l: float  # noqa: E741 - the wire's name
    t: int
    i: tuple[int, ...] = ()
    z: int | None = None
    q: int | None = None


class FairMarketValue(Struct, tag_field="ev", tag="FMV", gc=False):
    """FMV: the vendor's estimate of a price.

    sym: the ticker; of a pair as X:BTC-USD, C:EURUSD [D]
    fmv: the price [D]
    t: time, ns [D]
    """

    sym: str
    fmv: float
    t: int


class LaunchpadValue(Struct, tag_field="ev", tag="LV", gc=False):
    """LV: a price on the feed `launchpad`.

    sym: the ticker; of a pair as X:BTC-USD, C:EURUSD [D]
    val: the price [D]
    t: time, ns [D]
    """

    sym: str
    val: float
    t: int


class Imbalance(Struct, tag_field="ev", tag="NOI", gc=False):
    """NOI: the net order imbalance of a stock before an auction.

    T: the ticker [D]
    t: time, ns by the documentation's example, ms by its text [D]
    at: when the auction is planned, New York time, hours times 100 plus minutes: 930 [D]
    a: its kind: O early opening, M opening, H reopening, C closing, P extreme closing imbalance, R regulatory closing
        imbalance [D]
    i: sequence number for the ticker [D]
    x: number of the exchange [D]
    o: imbalance, shares [D]
    p: paired quantity, shares; not a price [D]
    b: price at which the book would clear [D]
    """

    T: str
    t: int
    at: int | None = None
    a: str | None = None
    i: int | None = None
    x: int | None = None
    o: int | None = None
    p: int | None = None
    b: float | None = None


Event = (
    Trade
    | Quote
    | SecondAggregate
    | MinuteAggregate
    | CryptoTrade
    | CryptoQuote
    | CryptoBook
    | CryptoSecondAggregate
    | CryptoMinuteAggregate
    | ForexQuote
    | ForexSecondAggregate
    | ForexMinuteAggregate
    | IndexValue
    | LimitUpLimitDown
    | FairMarketValue
    | LaunchpadValue
    | Imbalance
)
"""Any of them."""

_decode: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode


def decode(record: bytes) -> Event | Record:
    """The record as the object of its event, or as a dict if no class here describes it. For `run(..., decode=decode)`.

    Raises:
        ValueError: it is not JSON, or not an object.
    """
    try:
        return _decode(record)
    except msgspec.ValidationError:
        value = orjson.loads(record)
    if isinstance(value, dict):
        return value
    raise ValueError(f"a JSON {type(value).__name__}, not an object")
