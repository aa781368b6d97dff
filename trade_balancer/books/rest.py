"""What venues are asked by HTTP: their symbols, and snapshots (extra `books`).

Law: few requests of a venue at a time, and no more than its budget of a minute: the others wait their turn. A venue
that says that it has had enough is not asked before the time it names.
"""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections import deque

from trade_balancer.books.key import Key
from trade_balancer.books.venue import BookVenue, Request
from trade_balancer.errors import InputError, MissingExtraError

try:
    import httpx
except ImportError:
    raise MissingExtraError("order books", "httpx", "books") from None

AT_ONCE = 4
TIMEOUT_S = 15.0
"""For all of an answer."""
MOST_BYTES = 64 << 20
"""Of an answer: all the symbols of a venue are a few MB, its deepest book is less."""
MINUTE_S = 60.0
_ENOUGH = (418, 429)
_REFUSALS = (401, 403, 404)
_DEFAULT_PAUSE_S = 30.0
_LONGEST_PAUSE_S = 3600.0


class RestError(Exception):
    """No answer to be used; the text says why. `is_refusal`: it is not for us, with this key or without one."""

    def __init__(self, text: str, *, is_refusal: bool = False) -> None:
        super().__init__(text)
        self.is_refusal = is_refusal


class Rest:
    """Of one venue. `url`: instead of the venue's own. `key`: for a venue that wants one."""

    def __init__(
        self, venue: BookVenue, url: str | None = None, *, key: Key | None = None, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._url = (url or venue.rest_url).rstrip("/")
        self._budget = venue.weight_per_minute
        self._timeout_s = timeout_s
        self._key = key
        self._client = httpx.AsyncClient(timeout=timeout_s, follow_redirects=False)
        self._turn = asyncio.Lock()
        self._room = asyncio.Semaphore(AT_ONCE)
        self._spent: deque[tuple[float, int]] = deque()
        """When, and how much."""
        self._pause_until_s = 0.0
        self.requests_total = 0
        self.failures_total = 0
        self.weight_total = 0
        """Of all requests, as the venue counts it."""

    async def aclose(self) -> None:
        await self._client.aclose()

    async def get(self, request: Request) -> bytes:
        """The body of the answer. Raises RestError."""
        async with self._room:
            await self._wait(request.weight)
            self.requests_total += 1
            self.weight_total += request.weight
            try:
                return await self._answer(self._url + request.path)
            except RestError:
                self.failures_total += 1
                raise

    async def _answer(self, url: str) -> bytes:
        began_s = time.monotonic()
        try:
            headers = {"Authorization": f"Bearer {self._key.reveal()}"} if self._key else {}
            async with asyncio.timeout(self._timeout_s), self._client.stream("GET", url, headers=headers) as answer:
                if answer.status_code in _ENOUGH:
                    pause_s = _pause_s(answer.headers.get("Retry-After", ""), time.time())
                    self._pause_until_s = time.monotonic() + pause_s
                    raise RestError(f"{url}: HTTP status {answer.status_code}: nothing is asked for {pause_s:.0f} s")
                if answer.status_code != httpx.codes.OK:
                    is_refusal = answer.status_code in _REFUSALS
                    raise RestError(f"{url}: HTTP status {answer.status_code}", is_refusal=is_refusal)
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > MOST_BYTES:
                        raise RestError(f"{url}: the answer has more than {MOST_BYTES} bytes")
                return bytes(body)
        except InputError as fault:
            raise RestError(str(fault)) from None
        except TimeoutError:
            raise RestError(f"{url}: no whole answer within {self._timeout_s:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL) as fault:
            after_s = time.monotonic() - began_s
            raise RestError(f"{url}: {fault or type(fault).__name__}, after {after_s:.1f} s") from None

    async def _wait(self, weight: int) -> None:
        """Until the budget has room."""
        async with self._turn:
            while (wait_s := self._wait_s(weight)) > 0:
                await asyncio.sleep(wait_s)
            self._spent.append((time.monotonic(), weight))

    def _wait_s(self, weight: int) -> float:
        now_s = time.monotonic()
        while self._spent and now_s - self._spent[0][0] > MINUTE_S:
            self._spent.popleft()
        if now_s < self._pause_until_s:
            return self._pause_until_s - now_s
        if self._spent and sum(spent for _, spent in self._spent) + weight > self._budget:
            return self._spent[0][0] + MINUTE_S - now_s + 0.001
        return 0.0


def _pause_s(text: str, now_s: float) -> float:
    """Of Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    try:
        pause_s = float(text) if text.isdecimal() else email.utils.parsedate_to_datetime(text).timestamp() - now_s
    except ValueError:
        pause_s = _DEFAULT_PAUSE_S
    return min(max(pause_s, 1.0), _LONGEST_PAUSE_S)
