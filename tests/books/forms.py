"""The forms of the C parts, as tests call them."""

from __future__ import annotations

from typing import Any

from form_model import Fault, Kind, Reading, Said, Side, Update, Wanted

from trade_balancer.books._books import ffi, lib

FORMS: dict[str, Any] = {
    form: getattr(lib, f"{form}_form") for form in ("binance", "bitstamp", "coinbase", "kraken", "polygon")
}


def read(name: str, text: bytes, wanted: Wanted, *, is_snapshot: bool = False) -> Reading:
    """All that the message says, as tests/books/form_model.py has it."""
    form, update = FORMS[name], ffi.new("update *")
    message = ffi.from_buffer("uint8_t[]", text)
    found: Reading = []
    rc = (form.snapshot if is_snapshot else form.about)(message, len(text), update)
    if rc < 0:
        return [Fault(rc)]
    while True:
        found.append(Said(_update(update), *(_levels(form, update, which, wanted) for which in (lib.BID, lib.ASK))))
        rc = form.next(update) if form.next else 0
        if rc < 0:
            return [*found, Fault(rc)]
        if rc == 0:
            return found


def _update(update: Any) -> Update:
    return Update(
        Kind(update.kind),
        bytes(ffi.buffer(update.name, update.name_bytes)) if update.name else None,
        (update.first_id, update.last_id) if update.has_id else None,
        update.time_ns,
        update.checksum if update.has_checksum else None,
        update.source,
    )


def _levels(form: Any, update: Any, which: int, wanted: Wanted) -> Side:
    levels = ffi.new("level[]", wanted.limit)
    scale = {"price_decimals": wanted.price_decimals, "size_decimals": wanted.size_decimals}
    if update.kind == lib.UPDATE_NOTHING:
        return []
    count = form.levels(update, which, scale, levels, wanted.limit)
    return Fault(count) if count < 0 else [(levels[i].price, levels[i].size) for i in range(count)]
