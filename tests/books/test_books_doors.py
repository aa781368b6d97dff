"""Who may connect to the gRPC server, and what anybody may ask it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from serving import SYMBOL, SYMBOLS, Upstream, connected, fails, run, served, stream, until

from trade_balancer.books.service import protos
from trade_balancer.books.service.access import Access
from trade_balancer.books.service.server import ListenError, Server
from trade_balancer.errors import InputError, UsageError


class Keys:
    """An authority, and files of what it has signed."""

    def __init__(self, folder: Path) -> None:
        self._authority = trustme.CA()
        self._folder = folder
        self.authority = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(str(self.authority))

    def files(self, name: str) -> tuple[Path, Path]:
        """Certificate and key."""
        issued = self._authority.issue_cert(name)
        chain, key = self._folder / f"{name}.pem", self._folder / f"{name}.key"
        chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        issued.private_key_pem.write_to_path(str(key))
        return chain, key


async def symbols(channel: Any, *metadata: tuple[str, str]) -> list[str]:
    reply = await channel.unary_unary(f"/{protos.BOOKS}/Symbols")(b"", metadata=metadata, timeout=10)
    return list(protos.SymbolsReply.FromString(reply).symbols)


def secure(port: int, authority: Path, chain: Path | None = None, key: Path | None = None) -> Any:
    credentials = grpc.ssl_channel_credentials(
        authority.read_bytes(), key.read_bytes() if key else None, chain.read_bytes() if chain else None
    )
    return grpc.aio.secure_channel(f"localhost:{port}", credentials, options=[("grpc.use_local_subchannel_pool", 1)])


def test_over_tls_only_whoever_knows_the_authority_gets_in(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    chain, key = keys.files("localhost")

    async def main() -> None:
        async with served(Upstream(), access=Access(chain, key)) as (_, port):
            async with secure(port, keys.authority) as channel:
                assert await symbols(channel) == list(SYMBOLS)
            stranger = tmp_path / "stranger.pem"
            trustme.CA().cert_pem.write_to_path(str(stranger))
            async with secure(port, stranger) as channel:
                assert (await fails(symbols(channel)))[0] == grpc.StatusCode.UNAVAILABLE
            async with connected(port) as channel:
                assert (await fails(symbols(channel)))[0] == grpc.StatusCode.UNAVAILABLE

    run(main())


def test_where_clients_need_certificates_those_without_do_not_get_in(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    chain, key = keys.files("localhost")
    (tmp_path / "others").mkdir()
    stranger = Keys(tmp_path / "others").files("client")

    async def main() -> None:
        async with served(Upstream(), access=Access(chain, key, client_authority=keys.authority)) as (_, port):
            async with secure(port, keys.authority, *keys.files("client")) as channel:
                assert await symbols(channel) == list(SYMBOLS)
            for files in ((), stranger):
                async with secure(port, keys.authority, *files) as channel:
                    assert (await fails(symbols(channel)))[0] == grpc.StatusCode.UNAVAILABLE

    run(main())


def test_without_the_token_there_is_nothing_but_health(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("open sesame\n")
    token.chmod(0o600)

    async def main() -> None:
        upstream = Upstream()
        async with served(upstream, access=Access(token=token)) as (_, port), connected(port) as channel:
            right = ("authorization", "Bearer open sesame")
            assert await symbols(channel, right) == list(SYMBOLS)
            for wrong in ((), (("authorization", "Bearer open"),), (right, right), (("authorization", "open sesame"),)):
                code, text = await fails(symbols(channel, *wrong))
                assert code == grpc.StatusCode.UNAUTHENTICATED
                assert "sesame" not in text
            assert (await fails(stream(channel, [SYMBOL]).read()))[0] == grpc.StatusCode.UNAUTHENTICATED
            watch = channel.stream_stream(f"/{protos.BOOKS}/Watch")()
            assert (await fails(watch.read()))[0] == grpc.StatusCode.UNAUTHENTICATED
            assert upstream.said == []
            answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            assert answer.status == health_pb2.HealthCheckResponse.SERVING

    run(main())


@pytest.mark.parametrize(
    ("text", "mode", "why"),
    [
        ("secret", 0o640, "mode 0640"),
        ("", 0o600, "not one line"),
        ("a\nb", 0o600, "not one line"),
        ("ü", 0o600, "ASCII"),
    ],
)
def test_a_token_that_others_may_read_or_that_is_none_is_refused(
    tmp_path: Path, text: str, mode: int, why: str
) -> None:
    token = tmp_path / "token"
    token.write_text(text)
    token.chmod(mode)
    with pytest.raises(InputError, match=why) as caught:
        Access(token=token).interceptors()
    assert "secret" not in str(caught.value)
    with pytest.raises(InputError, match="No such file"):
        Access(token=tmp_path / "none").interceptors()


def test_what_does_not_go_together_is_said(tmp_path: Path) -> None:
    file = tmp_path / "file"
    for access, address in (
        (Access(certificate=file), "127.0.0.1:0"),
        (Access(key=file), "127.0.0.1:0"),
        (Access(client_authority=file), "127.0.0.1:0"),
        (Access(token=file), "0.0.0.0:50051"),
    ):
        with pytest.raises(UsageError):
            access.check(address)
    Access(token=file).check("localhost:50051")
    Access(file, file, file, file).check("0.0.0.0:50051")


def test_an_address_that_is_taken_is_said() -> None:
    async def main() -> None:
        async with served(Upstream()) as (_, port):
            server = Server(Upstream().market)
            with pytest.raises(ListenError, match=f"127.0.0.1:{port}"):
                await server.start(f"127.0.0.1:{port}")
            await server.stop()

    run(main())


def test_health_is_told_until_the_stop() -> None:
    async def main() -> None:
        upstream = Upstream()
        async with served(upstream) as (server, port), connected(port) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            for service in ("", *protos.SERVICES):
                watching = stub.Watch(health_pb2.HealthCheckRequest(service=service))
                assert (await watching.read()).status == health_pb2.HealthCheckResponse.SERVING
            call = stream(channel, [SYMBOL])
            await until(lambda: upstream.market.watchers(SYMBOL) == 1)
            stopping = asyncio.ensure_future(server.stop(0.2))  # who watches health doesn't end by itself
            assert (await watching.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            await fails(call.read())
            await stopping

    run(main())


def test_a_client_that_knows_no_proto_learns_all_by_reflection() -> None:
    async def main() -> None:
        async with served(Upstream()) as (_, port):
            names, fields = await asyncio.to_thread(_reflected, port)
            assert {*protos.SERVICES, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"} == set(names)
            assert fields == [field.name for field in protos.Summary.DESCRIPTOR.fields]

    run(main())


def _reflected(port: int) -> tuple[list[str], list[str]]:
    """All services, and the fields of our summary."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        pool = DescriptorPool(database)
        for name in database.get_services():
            assert pool.FindServiceByName(name).methods
        summary = pool.FindMessageTypeByName("tradebalancer.books.v1.Summary")
        return list(database.get_services()), [field.name for field in summary.fields]
