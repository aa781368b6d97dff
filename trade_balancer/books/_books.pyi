"""Types of the C module; a test compares this list with dir(lib)."""

from typing import Any

class _Lib:
    BID: int
    ASK: int

    BOOKS_EMALFORMED: int
    BOOKS_EINEXACT: int
    BOOKS_ETOO_LARGE: int

    UPDATE_NOTHING: int
    UPDATE_WHOLE: int
    UPDATE_DIFFERENCE: int
    UPDATE_BEST: int
    UPDATE_NAME_BYTES: int

    binance_form: Any
    bitstamp_form: Any
    coinbase_form: Any
    kraken_form: Any
    polygon_form: Any

    RULE_WHOLE_EACH_TIME: int
    RULE_IDS: int
    RULE_SEQUENCE: int
    RULE_CHECKSUM: int
    RULE_TIMES: int

    WHY_GAP: int
    WHY_CHECKSUM: int
    WHY_CROSSED: int
    WHY_INEXACT: int
    WHY_TOO_LARGE: int
    WHY_MALFORMED: int
    WHY_OVERFLOW: int
    WHY_OLD: int

    STATE_UNKNOWN: int
    STATE_LIVE: int
    STATE_STALE: int
    STATE_SYNCING: int
    STATE_DOWN: int

    CROSSING_NONE: int
    CROSSING_LOCKED: int
    CROSSING_CROSSED: int
    SUMMARY_ENCODED_TIMES: int

    FORM_BINANCE: int
    FORM_BITSTAMP: int
    FORM_COINBASE: int
    FORM_KRAKEN: int
    FORM_POLYGON: int

    BOOKS_VENUES_MAX: int
    BOOKS_DEPTH_MAX: int
    BOOKS_DECIMALS_MAX: int
    BOOKS_NAME_BYTES: int
    BOOKS_SYMBOL_BYTES: int
    BOOKS_ERR_MEMORY: int
    BOOKS_ERR_FULL: int
    BOOKS_ERR_TAKEN: int

    def summary_venues(self, summary: Any) -> Any: ...
    def summary_bids(self, summary: Any) -> Any: ...
    def summary_asks(self, summary: Any) -> Any: ...
    def summary_v1(self, summary: Any, depth: int, to: Any) -> int: ...
    def summary_orderbook(self, summary: Any, depth: int, to: Any) -> int: ...
    def books_new(self, depth: int, levels_max: int) -> Any: ...
    def books_free(self, books: Any) -> None: ...
    def books_add_venue(self, books: Any, name: bytes, form: int, stream: int) -> int: ...
    def books_add_symbol(self, books: Any, name: bytes, price_decimals: int, size_decimals: int) -> int: ...
    def books_remove_symbol(self, books: Any, symbol: int) -> None: ...
    def books_open(
        self,
        books: Any,
        venue: int,
        symbol: int,
        name: bytes,
        name_bytes: int,
        rule: int,
        own_price_decimals: int,
        own_size_decimals: int,
        depth: int,
        source: int,
    ) -> int: ...
    def books_close(self, books: Any, venue: int, symbol: int) -> None: ...
    def books_is_open(self, books: Any, venue: int, symbol: int) -> int: ...
    def books_take(self, books: Any, venue: int, frames: Any, length: int, received_ns: int) -> int: ...
    def books_snapshot(self, books: Any, venue: int, symbol: int, body: Any, length: int, received_ns: int) -> int: ...
    def books_messages(self, books: Any, venue: int) -> int: ...
    def books_repeats(self, books: Any, venue: int) -> int: ...
    def books_taken(self, books: Any) -> Any: ...
    def books_reset(self, books: Any, venue: int, symbol: int) -> None: ...
    def books_set_state(self, books: Any, venue: int, symbol: int, state: int) -> int: ...
    def books_book(self, books: Any, venue: int, symbol: int, to: Any) -> None: ...
    def books_levels(self, books: Any, venue: int, symbol: int, which: int, to: Any, count: int) -> int: ...
    def books_merge_room(self, books: Any) -> int: ...
    def books_merge(self, books: Any, symbol: int, sequence: int, to: Any) -> int: ...
    def books_memory_bytes(self, books: Any) -> int: ...

class _FFI:
    NULL: Any
    def new(self, cdecl: str, init: Any = ...) -> Any: ...
    def buffer(self, cdata: Any, size: int = ...) -> Any: ...
    def gc(self, cdata: Any, destructor: Any) -> Any: ...
    def cast(self, cdecl: str, value: Any) -> Any: ...
    def unpack(self, cdata: Any, length: int) -> Any: ...
    def typeof(self, cdecl: str) -> Any: ...
    def new_allocator(self, *, should_clear_after_alloc: bool) -> Any: ...
    def string(self, cdata: Any) -> bytes: ...
    def from_buffer(self, cdecl: Any, python_buffer: Any) -> Any: ...

lib: _Lib
ffi: _FFI
