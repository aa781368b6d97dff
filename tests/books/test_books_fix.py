"""Sessions of FIX 4.4, over real sockets, with a client that is none of ours; the market is fed by hand."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest
import trustme
from fix_client import NAME, Client, Field, Received, accepted, connected, request
from serving import run, until
from test_books_merge import Venues

from trade_balancer.books.fix.acceptor import Acceptor
from trade_balancer.books.market import Market
from trade_balancer.books.service.access import Access
from trade_balancer.books.service.server import ListenError
from trade_balancer.errors import UsageError

SYMBOL = "BTC-USD"
NO_SUCH = request("no", 1, "NOPE")


def a_market() -> Market:
    return Market([SYMBOL], grace_s=0)


def a_book() -> Venues:
    venues = Venues("here", "there", symbol=SYMBOL)
    venues.send("here", [(100_05, 7)], [(101_00, 10**8)])
    venues.send("there", [(99_00, 1)], [])
    return venues


@asynccontextmanager
async def subscribed(market: Market) -> AsyncIterator[tuple[Acceptor, Client]]:
    """A client that has asked for each change of the book."""
    async with accepted(market) as (acceptor, port), connected(port) as client:
        await client.log_on((141, "Y"))
        await client.say("V", request("one", 1))
        await until(lambda: market.watchers(SYMBOL) == 1)
        yield acceptor, client


def test_a_session_and_its_snapshot() -> None:
    async def scene() -> None:
        market = a_market()
        async with accepted(market) as (acceptor, port), connected(port) as client:
            logon = await client.log_on((141, "Y"), beat_s=7)
            assert (logon[49], logon[56], logon[108], logon[141]) == ("LB-BOOKS", NAME, "7", "Y")
            await client.say("V", request("one", 0))
            await until(lambda: market.watchers(SYMBOL) == 1)
            venues = Venues("here", "there", symbol=SYMBOL)
            market.offer(venues.now())
            venues.send("here", [(100_05, 7)], [(101_00, 10**8)])
            venues.send("there", [(99_00, 1)], [])
            await client.say("1", [(112, "not yet")])
            await client.expect("0")
            market.offer(venues.now())
            book = await client.expect("W")
            assert (book[262], book[55]) == ("one", SYMBOL)
            assert re.fullmatch(r"\d{8}-\d\d:\d\d:\d\d\.\d{3}", book[52])
            assert [{tag: entry[tag] for tag in (269, 270, 271, 282)} for entry in book.groups(268, 269)] == [
                {269: "0", 270: "100.05", 271: "0.00000007", 282: "here"},
                {269: "0", 270: "99.00", 271: "0.00000001", 282: "there"},
                {269: "1", 270: "101.00", 271: "1.00000000", 282: "here"},
            ]
            assert market.watchers(SYMBOL) == 0
            await client.say("1", [(112, "are you there")])
            assert (await client.expect("0"))[112] == "are you there"
            assert list(acceptor.clients) == [NAME]
            await client.say("5")
            await client.expect("5")
            assert await client.is_closed()
            await until(lambda: not acceptor.clients)

    run(scene())


@pytest.mark.slow
def test_a_client_that_falls_silent_is_asked_and_then_left() -> None:
    """Of a machine that is gone nothing else is seen."""

    async def scene() -> None:
        market = a_market()
        async with accepted(market) as (acceptor, port), connected(port) as client:
            await client.log_on((141, "Y"), beat_s=1)
            await client.say("V", request("one", 1))
            await until(lambda: market.watchers(SYMBOL) == 1)
            came = set()
            while (message := await client.next()) is not None:
                came.add(message[35])
            assert came == {"0", "1"}, "heartbeats, and a question"
            await until(lambda: not acceptor.clients)
            assert market.watchers(SYMBOL) == 0

    run(scene())


def test_a_client_that_leaves_without_a_word_leaves_nothing() -> None:
    async def scene() -> None:
        market = a_market()
        async with accepted(market) as (acceptor, port):
            async with connected(port) as client:
                await client.log_on((141, "Y"))
                await client.say("V", request("one", 1))
                await client.say("V", request("two", 0))
                await until(lambda: market.watchers(SYMBOL) == 1)
            await until(lambda: not acceptor.clients and market.watched() == [])

    run(scene())


async def resent(client: Client, begin: int, end: int = 0) -> list[Received]:
    """What a ResendRequest brings; a TestRequest behind it ends it."""
    await client.say("2", [(7, begin), (16, end)])
    await client.say("1", [(112, "end")])
    messages = []
    while (message := await client.next()) is not None and message.get(112) != "end":
        messages.append(message)
    return messages


def test_what_is_asked_for_again_is_an_answer_again_and_a_gap_for_quotes() -> None:
    async def scene() -> None:
        market, venues = a_market(), a_book()
        async with subscribed(market) as (_, client):  # 1
            market.offer(venues.now())
            await client.expect("W")  # 2
            await client.say("V", NO_SUCH)
            refused = await client.expect("Y")  # 3
            venues.send("here", [(100_04, 7)], [(101_00, 10**8)])
            market.offer(venues.now())
            await client.expect("X")  # 4
            first, answer, last = await resent(client, 1)
            assert [(gap[35], gap[34], gap[43], gap[123], gap[36]) for gap in (first, last)] == [
                ("4", "1", "Y", "Y", "3"), ("4", "4", "Y", "Y", "5")
            ]  # fmt: skip
            again = {**dict(refused.fields), 43: "Y", 122: refused[52]}
            del again[9], again[10], again[52]
            assert {tag: answer[tag] for tag in again} == again
            assert answer[52] >= answer[122]
            assert [message[35] for message in await resent(client, 3, 3)] == ["Y"]

    run(scene())


def test_a_gap_of_the_client_is_asked_for_and_filled_or_reset() -> None:
    async def scene() -> None:
        async with accepted(a_market()) as (_, port), connected(port) as client:
            await client.log_on((141, "Y"))
            client.sent += 3
            await client.say("1", [(112, "five")])
            wanted = await client.expect("2")
            assert (wanted[7], wanted[16]) == ("2", "0")
            await client.say("4", [(43, "Y"), (122, "20260101-00:00:00"), (123, "Y"), (36, 5)], number=2)
            assert (await client.expect("0"))[112] == "five"
            await client.say("4", [(123, "N"), (36, 100)], number=1)
            client.sent = 99
            await client.say("1", [(112, "a hundred")])
            assert (await client.expect("0"))[112] == "a hundred"
            broken = client.made("1", [(112, "broken")], number=101)
            client.writer.write(broken[:-4] + b"%03d\x01" % ((int(broken[-4:-1]) + 1) % 256))
            await client.say("1", [(112, "whole")])
            assert (await client.expect("0"))[112] == "whole", "a wrong checksum is no message"
            await client.say("1", [(112, "old")], number=7)
            assert "too low" in (await client.expect("5"))[58]

    run(scene())


def test_a_session_goes_on_with_the_next_process(tmp_path: Path) -> None:
    async def scene() -> None:
        folder = tmp_path / "sessions"
        async with accepted(a_market(), folder=folder) as (acceptor, port):
            async with connected(port) as client:
                await client.log_on()
                await client.say("V", NO_SUCH)
                await client.expect("Y")
            await until(lambda: not acceptor.clients)
        async with (
            accepted(a_market(), folder=folder) as (_, port),
            connected(port, sent=client.sent, taken=client.taken) as client,
        ):
            assert (await client.log_on()).get(141) is None
            assert client.taken == 3
            assert [message[35] for message in await resent(client, 1)] == ["4", "Y", "4"]
            await client.say("5")
            await client.expect("5")
        async with accepted(a_market(), folder=folder) as (_, port), connected(port) as client:
            await client.log_on((141, "Y"))
            assert client.taken == 1, "both begin anew"

    run(scene())


TOKEN = "not for everybody"


def logon(client: Client, *fields: Field) -> bytes:
    return client.made("A", [(98, 0), (108, 30), (141, "Y"), *fields])


def test_who_may_not_come_in_is_closed_without_a_word(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text(TOKEN)
    folder = tmp_path / "sessions"

    async def scene() -> None:
        async with (
            accepted(a_market(), access=Access(token=token), folder=folder) as (acceptor, port),
            connected(port) as first,
        ):
            await first.log_on((141, "Y"), (554, TOKEN))
            for bad in ("peer", "type", "version", "password", "name", "twice", "garbage", "endless"):
                async with connected(port) as client:
                    client.name = {"name": "é" * 65, "twice": NAME}.get(bad, f"other-{bad}")
                    client.peer = "NOBODY" if bad == "peer" else "LB-BOOKS"
                    message = logon(client, (554, "guessed" if bad == "password" else TOKEN))
                    message = {
                        "type": client.made("1", [(112, "x")]),
                        "version": message.replace(b"FIX.4.4", b"FIX.4.2"),
                        "garbage": b"8=FIX.4.4\x019=5\x0135=A\x0110=000\x01",
                        "endless": b"8=" + bytes(200_000),
                    }.get(bad, message)
                    client.writer.write(message)
                    assert await client.is_closed(), bad
            assert list(acceptor.clients) == [NAME]
            await first.say("1", [(112, "still here")])
            await first.expect("0")
        assert sorted(path.name for path in folder.iterdir()) == [f"{NAME}.session", "lock"]

    run(scene())
    said = capfd.readouterr().err
    assert "Password (554) is not the token" in said
    assert TOKEN not in said
    assert "guessed" not in said


def test_two_at_one_place_are_refused(tmp_path: Path) -> None:
    async def scene() -> None:
        async with accepted(a_market(), folder=tmp_path) as (_, port):
            with pytest.raises(UsageError, match="another lb-books"):
                await Acceptor(a_market(), depth=1, folder=tmp_path).start("127.0.0.1:0")
            with pytest.raises(ListenError):
                await Acceptor(a_market(), depth=1).start(f"127.0.0.1:{port}")
            with pytest.raises(UsageError, match="HOST:PORT"):
                await Acceptor(a_market(), depth=1).start("nowhere")

    run(scene())


def test_over_tls_with_certificates_of_clients(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate, key, signers = tmp_path / "cert", tmp_path / "key", tmp_path / "ca"
    server = authority.issue_cert("localhost", "127.0.0.1")
    server.private_key_pem.write_to_path(key)
    for blob in server.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    authority.cert_pem.write_to_path(signers)
    access = Access(certificate, key, signers)

    def client_of(*, is_known: bool) -> ssl.SSLContext:
        context = ssl.create_default_context()
        authority.configure_trust(context)
        if is_known:
            authority.issue_cert("trader").configure_cert(context)
        return context

    async def speaks(client: AbstractAsyncContextManager[Client]) -> bool:
        try:
            async with client as connected_client:
                connected_client.writer.write(logon(connected_client))
                return await connected_client.next() is not None
        except OSError:
            return False

    async def scene() -> None:
        async with accepted(a_market(), access=access) as (acceptor, port):
            assert await speaks(connected(port, tls=client_of(is_known=True)))
            assert not await speaks(connected(port, tls=client_of(is_known=False)))
            assert not await speaks(connected(port))
            await until(lambda: not acceptor.clients)

    run(scene())


def test_a_client_that_takes_nothing_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trade_balancer.books.fix.connection.BLOCKED_S", 0.2)

    async def scene() -> None:
        market, venues = a_market(), a_book()
        async with subscribed(market) as (acceptor, client):
            client.writer.transport.pause_reading()  # type: ignore[attr-defined] # of an asyncio stream
            price = 0
            while acceptor.clients:
                price += 1
                venues.send("here", [(price, 1)], [])
                market.offer(venues.now())
                await asyncio.sleep(0)
            assert market.watched() == [] or market.watchers(SYMBOL) == 0

    run(scene())
