"""Streams of gRPC: what a client is sent, when, and what it cannot do to the others."""

from __future__ import annotations

import asyncio

import grpc
from serving import SYMBOL, SYMBOLS, Upstream, Watching, connected, fails, run, served, stream, until

from trade_balancer.books.service import protos
from trade_balancer.books.service.clients import Limits

NARROW = ("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 4096)
"""Options of a client that takes little in advance."""


def test_each_credit_brings_the_newest_and_says_what_was_skipped() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (_, port), connected(port) as channel:
            client = Watching(channel)
            await client.say(add=[SYMBOL], credits=1)
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            first = upstream.offer()
            got = await client.summary()
            assert (got.sequence, got.skipped) == (first, 0)
            taken, skipped = 1, 0
            for burst in (1, 7, 300):
                for _ in range(burst):
                    newest = upstream.offer()
                await client.say(credits=1)
                got = await client.summary()
                assert (got.sequence, got.skipped) == (newest, burst - 1)
                taken, skipped = taken + 1, skipped + got.skipped
            assert taken + skipped == newest
            upstream.offer()
            await client.done()  # no credit is left and none can come
            assert await client.reply() is grpc.aio.EOF

    run(main())


def test_a_summary_is_whole_and_as_deep_as_was_asked() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (_, port), connected(port) as channel:
            client = Watching(channel)
            await client.say(add=[SYMBOL], depth=3, credits=100)
            await client.say(add=["ETH-BTC"])
            await until(lambda: upstream.market.watchers("ETH-BTC") == 1)
            upstream.offer(levels=20)
            shallow = await client.summary()
            upstream.offer("ETH-BTC", levels=20)
            deep = await client.summary()
            assert (len(shallow.bids), len(shallow.asks)) == (3, 3)
            assert (len(deep.bids), len(deep.asks)) == (10, 10)
            assert (shallow.symbol, shallow.spread, shallow.crossing) == (SYMBOL, -1, 2)
            assert [venue.name for venue in shallow.venues] == ["here", "there"]
            await client.say(add=[SYMBOL], depth=5)  # what there is comes again
            assert len((await client.summary()).bids) == 5

    run(main())


def test_the_state_of_now_comes_at_once_and_what_is_removed_comes_no_more() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (_, port), connected(port) as one, connected(port) as other:
            first, second = Watching(one), Watching(other)
            await first.say(add=[SYMBOL, "ETH-BTC"], credits=100)
            await until(lambda: upstream.market.watchers("ETH-BTC") == 1)
            newest = upstream.offer()
            await second.say(add=[SYMBOL], credits=1)
            assert (await second.summary()).sequence == newest
            assert (await first.summary()).sequence == newest
            await first.say(remove=[SYMBOL, "never added"])
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            upstream.offer()
            last = upstream.offer("ETH-BTC")
            assert (await first.summary()).sequence == last

    run(main())


def test_two_clients_of_a_symbol_are_one_subscription_and_the_last_one_ends_it() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (server, port), connected(port) as channel:
            first = Watching(channel)
            await first.say(add=[SYMBOL])
            second = stream(channel, [SYMBOL])
            await until(lambda: upstream.market.watchers(SYMBOL) == 2)
            assert upstream.said == [f"+{SYMBOL}"]
            first.cancel()
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            assert upstream.said == [f"+{SYMBOL}"]
            second.cancel()
            await until(lambda: upstream.said == [f"+{SYMBOL}", f"-{SYMBOL}"])
            assert len(server.clients) == 0

    run(main())


def test_an_unknown_symbol_is_refused_before_anything_goes_to_a_venue() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (_, port), connected(port) as channel:
            code, text = await fails(stream(channel, [SYMBOL, "BTC-USX"]).read())
            assert code == grpc.StatusCode.NOT_FOUND
            assert "'BTC-USX'" in text
            assert "BTC-USD" in text
            assert upstream.said == []
            client = Watching(channel)
            await client.say(add=["BTC-USX", SYMBOL], credits=1)
            refused = (await client.reply()).refused
            assert (refused.symbol, refused.near[0]) == ("BTC-USX", SYMBOL)
            assert "BTC-USX" in refused.reason
            await until(lambda: upstream.said == [f"+{SYMBOL}"])
            newest = upstream.offer()
            assert (await client.summary()).sequence == newest  # the stream goes on, and the credit is still there

    run(main())


def test_limits_are_said_in_words() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream, limits=Limits(streams=2, symbols=2)) as (server, port), connected(port) as channel:
            code, text = await fails(stream(channel, list(SYMBOLS)).read())
            assert (code, text) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "at most 2 symbols on a stream")
            client = Watching(channel)
            await client.say(add=SYMBOLS, credits=1)
            assert (await client.reply()).refused.reason == "at most 2 symbols on a stream"
            await client.say(remove=[SYMBOLS[0]], add=[SYMBOLS[2]])  # there is room again
            await until(lambda: upstream.market.watchers(SYMBOLS[2]) == 1)
            kept = stream(channel, [SYMBOL])
            await until(lambda: len(server.clients) == 2)
            code, text = await fails(stream(channel, [SYMBOL]).read())
            assert (code, text) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "2 streams are open: there may be no more")
            kept.cancel()
            await until(lambda: len(server.clients) == 1)
            again = stream(channel, [SYMBOL])
            await until(lambda: len(server.clients) == 2)
            again.cancel()

    run(main())


def test_what_is_no_request_is_an_error_of_the_client_s() -> None:
    async def main() -> None:
        async with served(Upstream()) as (_, port), connected(port) as channel:
            for request in (b"\xff", protos.StreamRequest().SerializeToString()):
                code, _ = await fails(channel.unary_stream(f"/{protos.BOOKS}/Stream")(request).read())
                assert code == grpc.StatusCode.INVALID_ARGUMENT
            for rate_hz in (-1, 1e-9, float("nan")):
                code, text = await fails(stream(channel, [SYMBOL], max_rate_hz=rate_hz).read())
                assert code == grpc.StatusCode.INVALID_ARGUMENT, text
            client = Watching(channel)
            await client.say(add=[SYMBOL], max_rate_hz=-1)
            assert (await fails(client.reply()))[0] == grpc.StatusCode.INVALID_ARGUMENT
            too_long = protos.StreamRequest(symbols=["X" * (1 << 20)]).SerializeToString()
            code, _ = await fails(channel.unary_stream(f"/{protos.BOOKS}/Stream")(too_long).read())
            assert code == grpc.StatusCode.RESOURCE_EXHAUSTED

    run(main())


def test_a_client_that_limits_its_rate_gets_the_newest_of_then() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (_, port), connected(port) as channel:
            call = stream(channel, [SYMBOL], max_rate_hz=20)
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            upstream.offer()
            loop = asyncio.get_running_loop()
            began_s = loop.time()
            first = await call.read()
            got = [first]
            while len(got) < 5:
                offering = asyncio.ensure_future(call.read())
                while not offering.done():
                    upstream.offer()
                    await asyncio.sleep(0.001)
                got.append(await offering)
            assert loop.time() - began_s >= 3.9 / 20
            assert all(summary.skipped > 0 for summary in got[2:])
            assert sum(1 + summary.skipped for summary in got) == got[-1].sequence

    run(main())


def test_a_client_that_does_not_read_is_ended_and_holds_up_no_other() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with (
            served(upstream, limits=Limits(blocked_s=0.3)) as (server, port),
            connected(port, *NARROW) as narrow,
            connected(port) as channel,
        ):
            stuck, reading = stream(narrow, [SYMBOL], depth=100), Watching(channel)
            await reading.say(add=[SYMBOL], credits=1)
            await until(lambda: upstream.market.watchers(SYMBOL) == 2)
            while server.clients.blocked_total == 0:
                newest = upstream.offer(levels=100)
                assert (await reading.summary()).sequence == newest
                await reading.say(credits=1)
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            code, text = await fails(_to_the_end(stuck))
            assert (code, text) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "nothing was read for 0.3 s")
            await until(lambda: len(server.clients) == 1)

    run(main())


async def _to_the_end(call: object) -> None:
    async for _ in call:  # type: ignore[attr-defined]
        pass


def test_a_stop_ends_the_streams_and_says_so() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (server, port), connected(port) as channel:
            without_credit, waiting, slow = Watching(channel), stream(channel, [SYMBOL]), Watching(channel)
            await without_credit.say(add=[SYMBOL])
            await slow.say(add=[SYMBOL], credits=9, max_rate_hz=0.01)
            await until(lambda: upstream.market.watchers(SYMBOL) == 3)
            upstream.offer()
            await waiting.read()
            await slow.reply()
            upstream.offer()
            await waiting.read()
            stopping = asyncio.ensure_future(server.stop(20))
            for call in (without_credit.reply(), waiting.read(), slow.reply()):
                assert await fails(call) == (grpc.StatusCode.UNAVAILABLE, "lb-books stops")
            await stopping
            assert len(server.clients) == 0

    run(main())


def test_a_thousand_clients_of_one_symbol() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (server, port), connected(port) as channel:
            calls = [stream(channel, [SYMBOL]) for _ in range(1000)]
            await until(lambda: upstream.market.watchers(SYMBOL) == 1000)
            newest = upstream.offer()
            assert {summary.sequence for summary in await asyncio.gather(*(call.read() for call in calls))} == {newest}
            assert server.clients.sent_total == 1000
            for call in calls:
                call.cancel()
            await until(lambda: len(server.clients) == 0)
        assert upstream.said[0] == f"+{SYMBOL}"

    run(main())


def test_symbols_are_listed() -> None:
    async def main() -> None:
        async with served(Upstream()) as (_, port), connected(port) as channel:
            reply = protos.SymbolsReply.FromString(await channel.unary_unary(f"/{protos.BOOKS}/Symbols")(b""))
            assert list(reply.symbols) == list(SYMBOLS)

    run(main())
