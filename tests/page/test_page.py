"""The page in a browser: it shows what lb says, as it happens, to everybody, and does nothing else."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
from browsing import DESKTOP, PHONE, await_text, chromium, faults, opened
from harness import SOON, Feed, Lb, inline, message
from harness.flood import record
from harness.lb_process import hold
from harness.served import Served
from playwright.sync_api import Browser, Page

ANY = ("--metrics", "127.0.0.1:0", "--spawn", "per-pipe")
OFTEN = {"lb.control.server.PUSH_S": 0.1}
NAMES = ("received", "recovered", "written", "waiting", "spilled", "dropped")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


LIGHT_DESK, LIGHT_PHONE, DARK_DESK, DARK_PHONE = product(("light", "dark"), (DESKTOP, PHONE))


def assert_usable(page: Page, *seen: tuple[str, tuple[int, int]]) -> None:
    """Seen so: in a theme, and on a desk or a phone."""
    for theme, (width, height) in seen:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": height})
        assert faults(page) == []
        assert page.evaluate("document.scrollingElement.scrollWidth <= innerWidth")


def test_its_numbers_are_the_balance(browser: Browser) -> None:
    with Feed() as feed, Lb(feed.url, 3, *ANY, constants=OFTEN) as lb, feed.session() as peer:
        lb.await_recorders(3)
        with opened(browser, Served.by(lb).url) as page:
            peer.say(message([record(number) for number in range(1234)]))
            lb.await_records(1234)
            await_text(page, "written", "1,234")
            balance = lb.balance()
            assert {name: page.inner_text(f"#{name}") for name in NAMES} == {
                name: f"{balance[name]:,}" for name in NAMES
            }
            assert page.inner_text("#exact") == "every record accounted for"
            assert [
                f"written {each:,}," in page.locator(".pipe").nth(pipe).get_attribute("title")
                for pipe, each in enumerate(balance["per_pipe"])
            ] == [True] * 3
            assert page.inner_text("#state-word") == "session open"
            assert page.inner_text("#alarms") == "All is well"


def test_a_killed_worker_shows_as_it_happens(browser: Browser) -> None:
    """Its end is told at once, not at the next status: that comes every second as in the product."""
    with Feed() as feed, Lb(feed.url, 2, *ANY) as lb, feed.session():
        pids = lb.await_recorders(2)
        with opened(browser, Served.by(lb).url) as page:
            await_text(page, "workers", str(pids[1]))
            os.kill(pids[1], signal.SIGKILL)
            await_text(page, "log", f"pid={pids[1]} signal=SIGKILL")
            new = lb.await_recorders(3)[2]
            await_text(page, "workers", str(new))
            await_text(page, "workers", "last: SIGKILL after ")


def test_a_worker_that_stands_still_and_a_pipe_that_fills_are_alarms(browser: Browser) -> None:
    options = ("--pipe-size", "4096", "--backlog", "65536", "--stuck-after", "0.2")
    with Feed() as feed, Lb(feed.url, 1, *ANY, *options, constants=OFTEN) as lb, feed.session() as peer:
        (worker,) = lb.await_recorders(1)
        with opened(browser, Served.by(lb).url) as page:
            peer.say(message([record(0)]))
            lb.await_records(1)
            hold(worker)
            peer.say(message([record(number) for number in range(1, 3000)]))
            await_text(page, "alarms", "Worker 0 does not read its pipe")
            await_text(page, "alarms", "Pipe 0 is full: the feed is not read until there is room")
            assert page.inner_text(".pipe .what") == "full"
            assert "Worker 0 does not read its pipe" in page.inner_text("#announcement")
            os.kill(worker, signal.SIGCONT)
            await_text(page, "alarms", "All is well")
            await_text(page, "announcement", "All is well again")


def test_lost_sessions_and_gaps_stay_on_view_for_an_hour(browser: Browser) -> None:
    with Feed() as feed, Lb(feed.url, 1, *ANY, constants=OFTEN | SOON) as lb:
        for number in range(2):
            with feed.session() as peer:
                peer.say(message([record(number)]))
                lb.await_records(number + 1)
        with feed.session(), opened(browser, Served.by(lb).url) as page:
            await_text(page, "sessions", "connection closed without")
            await_text(page, "sessions", "gap of ")
            assert page.locator("#hour .gap").count() == 1
            assert page.get_attribute("#hour", "aria-label") == "3 sessions and 1 gaps in the last hour"


def test_it_says_so_where_lb_tells_nothing_any_more(browser: Browser) -> None:
    with Feed() as feed, Lb(feed.url, 1, *ANY, constants=OFTEN) as lb, feed.session():
        lb.await_recorders(1)
        with opened(browser, Served.by(lb).url, may_fail=True) as page:
            await_text(page, "state-word", "session open")
            hold(lb.pid)
            await_text(page, "alarms", "No news from lb for ")
            assert_usable(page, DARK_DESK)
            os.kill(lb.pid, signal.SIGCONT)
            await_text(page, "state-word", "session open")
            lb.send_signal(signal.SIGKILL)
            await_text(page, "alarms", "No connection to where this page comes from")


def test_everybody_can_use_it(browser: Browser) -> None:
    """Nothing that axe-core finds, contrast among it, with and without alarms; no need to scroll sideways."""
    with Feed() as feed, Lb(feed.url, 3, *ANY, constants=OFTEN) as lb, feed.session() as peer:
        (worker, *_) = lb.await_recorders(3)
        with opened(browser, Served.by(lb).url) as page:
            await_text(page, "alarms", "All is well")
            assert_usable(page, LIGHT_DESK, LIGHT_PHONE, DARK_DESK, DARK_PHONE)
            hold(worker)
            peer.say(message([record(number) for number in range(100)]))
            os.kill(worker, signal.SIGKILL)
            await_text(page, "log", "worker ended")
            assert_usable(page, LIGHT_PHONE)


def test_the_keyboard_is_enough_and_the_colours_are_remembered(browser: Browser) -> None:
    with Feed() as feed, Lb(feed.url, 1, *ANY) as lb, feed.session(), opened(browser, Served.by(lb).url) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("Tab")
        before = page.evaluate("getComputedStyle(document.body).backgroundColor")
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
        page.reload()
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"
        assert page.evaluate("document.querySelector('input[name=theme]:checked').value") == "dark"


def test_what_a_worker_says_is_text_and_no_markup(browser: Browser, tmp_path: Path) -> None:
    says = inline(
        """
        import os, socket, sys
        with socket.socket(fileno=int(os.environ["LB_CHANNEL"])) as channel:
            channel.send(b"STATUS <img src=x onerror=alert(1)>")
            os.read(int(sys.argv[1]), 1)
        """
    )
    with (
        Feed() as feed,
        Lb(feed.url, 1, *ANY, worker=says, constants=OFTEN) as lb,
        feed.session(),
        opened(browser, Served.by(lb).url) as page,
    ):
        await_text(page, "workers", "<img src=x onerror=alert(1)>")
        assert page.locator("img").count() == 0
