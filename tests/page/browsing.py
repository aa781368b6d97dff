"""A headless Chromium, the machine's own, and pages in it that complain of whatever is not as it should be."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from need import leave_untested
from playwright.sync_api import Browser, Page, sync_playwright

QUIET = (
    *("--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-sandbox"),  # tests may run as root
)
DESKTOP, PHONE = (1240, 900), (390, 844)

_WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => violations.push(event.violatedDirective));
window.shifted = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) shifted += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        leave_untested("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(QUIET))
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(browser: Browser, url: str, *, may_fail: bool = False) -> Iterator[Page]:
    """The page, once lb's numbers are on it. At the end: it has told the console nothing, has tried nothing forbidden,
    has asked nobody else for anything, and nothing on it has jumped. `may_fail`: its server goes away meanwhile."""
    context = browser.new_context(viewport={"width": DESKTOP[0], "height": DESKTOP[1]})
    page = context.new_page()
    page.set_default_timeout(120_000)  # ms; a browser on a machine that is busy
    told: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: told.append(message.text))
    page.on("pageerror", lambda error: told.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(_WATCH)
    page.goto(url)
    page.wait_for_function("() => !document.documentElement.classList.contains('blank')")
    try:
        yield page
        assert page.evaluate("violations") == []
        assert page.evaluate("shifted") < 0.02
        assert may_fail or told == []
        assert [address for address in asked if not address.startswith(url)] == []
    finally:
        context.close()


def await_text(page: Page, place: str, text: str) -> None:
    """As soon as the element has it in its text."""
    page.wait_for_function(
        "([place, text]) => document.getElementById(place).textContent.includes(text)", arg=[place, text], polling=20
    )


def faults(page: Page) -> list[Any]:
    """What axe-core finds wrong for people who use it otherwise than by looking and pointing."""
    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found]
