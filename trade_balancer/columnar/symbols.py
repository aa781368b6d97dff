"""The symbols that a decoder has seen, by the codes that stand for them in columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

from trade_balancer.columnar._columns import ffi, lib


class Symbols(Sequence[str]):
    """The symbols seen so far: `symbols[code]` is a text. It grows; a code never changes while the decoder lives.

    Code 0 is the empty symbol. It stands where a record has none, too, and `Table.valid` tells which.
    """

    def __init__(self, decoder: Any) -> None:
        self._decoder = decoder
        self._texts: list[str] = []
        self._length_bytes = ffi.new("size_t *")

    def __len__(self) -> int:
        return lib.columns_symbols(self._decoder)

    @overload
    def __getitem__(self, code: int) -> str: ...
    @overload
    def __getitem__(self, code: slice) -> list[str]: ...
    def __getitem__(self, code: int | slice) -> str | list[str]:
        texts = self._texts
        if isinstance(code, slice) or code >= len(texts) or code < 0:
            texts = self._all()
        return texts[code]

    def code(self, symbol: str) -> int | None:
        """The symbol's code; None as long as it was not seen."""
        text = symbol.encode()
        code = lib.columns_symbol_code(self._decoder, text, len(text))
        return None if code < 0 else code

    def _all(self) -> list[str]:
        for code in range(len(self._texts), len(self)):
            text = lib.columns_symbol(self._decoder, code, self._length_bytes)
            self._texts.append(str(ffi.buffer(text, self._length_bytes[0])[:], "utf-8"))
        return self._texts
