"""The page of lb-emit in a browser: it shows the newest values as they come, to everybody, and comes back by itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import DESKTOP, PHONE, await_text, chromium, faults, opened
from harness.emitting import Emit, trade
from playwright.sync_api import Browser

SYMBOLS = [f"S{number:03}" for number in range(500)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


def test_it_shows_what_comes_to_everybody(browser: Browser) -> None:
    with Emit("--drain", "0.1") as emit:
        emit.feed(*(trade(symbol, 100.0) for symbol in SYMBOLS))
        with opened(browser, emit.url) as page:
            await_text(page, "count", "500")
            emit.feed(*(trade(symbol, 101.5) for symbol in SYMBOLS))
            await_text(page, "market", "+1.50 %")
            assert page.inner_text("#market tr:nth-child(2)").split()[:4] == ["S000", "101.50", "+1.50", "%"]
            assert page.locator("#market tr").count() < 100, "those that nobody sees are not there"
            page.fill("#search", "s49")
            await_text(page, "count", "10 of 500")
            assert page.inner_text("#market tr:nth-child(2)").split()[0] == "S490"
            emit.feed(trade("S499", 200.0))
            await_text(page, "market", "+100.00 %")
            page.click("[data-order=change]")
            page.wait_for_function("document.querySelector('#market tr:nth-child(2)').innerText.startsWith('S499')")
            await_text(page, "state-word", "live")
            await_text(page, "hop-emit", "≤")
            emit.await_metric("lb_emit_hop_seconds_count", lambda total: total > 0, hop="screen")
            for theme, (width, height) in (("light", DESKTOP), ("dark", PHONE)):
                page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
                page.set_viewport_size({"width": width, "height": height})
                assert faults(page) == []
                assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_it_asks_for_the_token_and_comes_back_to_the_next_one(browser: Browser, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("t0ken")
    with Emit("--drain", "0.1", "--token-file", token) as emit, opened(browser, emit.url, may_fail=True) as page:
        emit.feed(trade("A", 1.0))
        await_text(page, "state-word", "a token is wanted")
        page.fill("#token", "t0ken")
        page.keyboard.press("Enter")
        await_text(page, "market", "1.00")
        emit.end_pipe()
        await_text(page, "state-word", "connecting again")
        assert emit.wait() == 0
        with Emit("--drain", "0.1", port=emit.port) as other:
            other.feed(trade("A", 2.0))
            await_text(page, "market", "+100.00 %")
