"""What is done to the address of `lb --metrics` while it deals: it is scraped, and somebody looks at the page."""

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

from harness.errors import TrialError
from harness.faults.play import Play

OPTIONS = ("--metrics", "127.0.0.1:0")
EVERY_S = 0.25
"""Prometheus asks every few seconds."""
_WAIT_S = 20.0


@contextlib.contextmanager
def scraped(play: Play) -> Iterator[None]:
    """From now on, until the block ends. Raises TrialError where nothing was answered."""
    place = urlsplit(next(line["url"] for line in play.lines() if line["message"] == "metrics and page are served"))
    page = http.client.HTTPConnection(str(place.hostname), place.port, timeout=_WAIT_S)
    page.request("GET", "/events")
    events = page.getresponse()
    events.readline()  # the process has begun: what that costs is no part of a run
    is_over = threading.Event()
    answers: list[int] = []

    def scrape() -> None:
        while not is_over.wait(EVERY_S):
            connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=_WAIT_S)
            with contextlib.closing(connection):
                connection.request("GET", "/metrics")
                answers.append(len(connection.getresponse().read()))

    scraper = threading.Thread(target=scrape)
    scraper.start()
    began_s = time.monotonic()
    try:
        yield
    finally:
        is_over.set()
        scraper.join()
        events.close()
        page.close()
    if time.monotonic() - began_s > 2 * EVERY_S and not answers:
        raise TrialError("nobody has answered a scrape")
