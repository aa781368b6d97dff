"""What venues' tables of symbols say, by bodies of their form; what is asked of lb and of REST for a symbol."""

from __future__ import annotations

import contextlib

import orjson
import pytest

from trade_balancer.books.books import Rule
from trade_balancer.books.summary import Decimals
from trade_balancer.books.venue import Request, VenueSymbol, decimals_of
from trade_balancer.books.venues import VENUES

BODIES = {
    "binance": b"""{"timezone":"UTC","symbols":[
        {"symbol":"ETHBTC","status":"TRADING","baseAsset":"ETH","quoteAsset":"BTC","filters":[
            {"filterType":"PRICE_FILTER","minPrice":"0.00001000","maxPrice":"922327.00000000","tickSize":"0.00001000"},
            {"filterType":"LOT_SIZE","minQty":"0.00010000","maxQty":"100000.00000000","stepSize":"0.00010000"}]},
        {"symbol":"OLDUSDT","status":"BREAK","baseAsset":"OLD","quoteAsset":"USDT","filters":[
            {"filterType":"PRICE_FILTER","tickSize":"1.00000000"},{"filterType":"LOT_SIZE","stepSize":"1.00000000"}]}]}""",
    "bitstamp": b"""[{"name":"ETH/BTC","url_symbol":"ethbtc","base_decimals":8,"counter_decimals":8,"trading":"Enabled",
        "minimum_order":"0.00020000 BTC","description":"Ether / Bitcoin"},
        {"name":"OLD/USDT","url_symbol":"oldusdt","base_decimals":0,"counter_decimals":5,"trading":"Disabled"}]""",
    "coinbase": b"""{"products":[{"product_id":"ETH-BTC","base_currency_id":"ETH","quote_currency_id":"BTC",
        "base_increment":"0.00000001","quote_increment":"0.00001","status":"online","trading_disabled":false},
        {"product_id":"OLD-USDT","base_currency_id":"OLD","quote_currency_id":"USDT","base_increment":"1",
        "quote_increment":"0.01","status":"delisted"}],"num_products":2}""",
    "kraken": b"""{"error":[],"result":{
        "XETHXXBT":{"altname":"ETHXBT","wsname":"ETH/XBT","pair_decimals":5,"lot_decimals":8,"status":"online"},
        "OLDUSDT":{"altname":"OLDUSDT","wsname":"OLD/USDT","pair_decimals":2,"lot_decimals":0,"status":"cancel_only"}}}""",
    "polygon": b"""{"results":[{"ticker":"X:ETHBTC","name":"Ethereum - Bitcoin","market":"crypto","locale":"global",
        "active":true,"currency_symbol":"BTC","currency_name":"Bitcoin","base_currency_symbol":"ETH",
        "base_currency_name":"Ethereum",
        "last_updated_utc":"2017-01-01T00:00:00Z"},
        {"ticker":"X:OLDUSDT","market":"crypto","active":false,"currency_symbol":"USDT","base_currency_symbol":"OLD"}],
        "status":"OK","request_id":"e30d","count":2}""",
}  # fmt: skip
TABLES = {
    "binance": [VenueSymbol("ethbtc", Decimals(5, 4), True), VenueSymbol("oldusdt", Decimals(0, 0), False)],
    "bitstamp": [VenueSymbol("ethbtc", Decimals(8, 8), True), VenueSymbol("oldusdt", Decimals(5, 0), False)],
    "coinbase": [VenueSymbol("ETH-BTC", Decimals(5, 8), True), VenueSymbol("OLD-USDT", Decimals(2, 0), False)],
    "kraken": [VenueSymbol("ETH/BTC", Decimals(5, 8), True), VenueSymbol("OLD/USDT", Decimals(2, 0), False)],
    "polygon": [VenueSymbol("ETH-BTC", Decimals(10, 8), True), VenueSymbol("OLD-USDT", Decimals(10, 8), False)],
}
TOPICS = {
    "binance": (["ethbtc@depth20@100ms", "ethbtc@bookTicker"], ["ethbtc@depth@100ms"]),
    "bitstamp": (["order_book_ethbtc"], ["order_book_ethbtc"]),
    "coinbase": (["level2:ETH-BTC"], ["level2:ETH-BTC"]),
    "kraken": (["book-100:ETH/BTC"], ["book-100:ETH/BTC"]),
    "polygon": (["XL2.ETH-BTC", "XQ.ETH-BTC"], ["XL2.ETH-BTC", "XQ.ETH-BTC"]),
}


@pytest.mark.parametrize("name", sorted(VENUES))
def test_a_table_has_canonical_symbols_with_their_decimals_and_whether_they_trade(name: str) -> None:
    assert VENUES[name].table(orjson.loads(BODIES[name])) == dict(
        zip(("ETH-BTC", "OLD-USDT"), TABLES[name], strict=True)
    )


@pytest.mark.parametrize("name", sorted(VENUES))
@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b"null", b'{"symbols":[{}],"products":[{}],"result":{"a":{}}}', b"[{}]"]
)
def test_what_is_no_table_is_an_error_or_has_nothing(name: str, body: bytes) -> None:
    with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
        assert VENUES[name].table(orjson.loads(body)) == {}


@pytest.mark.parametrize("name", sorted(VENUES))
def test_what_is_asked_of_lb(name: str) -> None:
    venue = VENUES[name]
    symbol = TABLES[name][0].name
    assert (venue.topics(symbol, False), venue.topics(symbol, True)) == TOPICS[name]


def test_differences_need_a_snapshot_and_whole_books_none() -> None:
    binance = VENUES["binance"]
    assert binance.snapshot("ethbtc", False) is None
    assert binance.rule(True) is Rule.IDS
    assert binance.snapshot("ethbtc", True) == Request("/api/v3/depth?symbol=ETHBTC&limit=5000", 250)


def test_the_rest_of_a_table_is_asked_of_the_same_place_whatever_it_says() -> None:
    polygon = VENUES["polygon"]
    more = {"results": [], "next_url": "https://elsewhere.example/v3/reference/tickers?cursor=YWN0&x=1"}
    assert polygon.more(more) == Request("/v3/reference/tickers?cursor=YWN0&x=1", 1)
    assert polygon.more({"results": []}) is None


@pytest.mark.parametrize(("step", "decimals"), [("0.00010000", 4), ("1", 0), ("1.00000000", 0), ("10", 0), ("0.5", 1)])
def test_decimals_of_a_step(step: str, decimals: int) -> None:
    assert decimals_of(step) == decimals


@pytest.mark.parametrize("step", ["", "0", "0.000", "-1", "abc"])
def test_what_is_no_step(step: str) -> None:
    with pytest.raises(ValueError, match=r"step|float"):
        decimals_of(step)
