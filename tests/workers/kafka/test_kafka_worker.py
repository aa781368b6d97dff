"""`lb-kafka` with librdkafka's own brokers: each record there, once, in order, by key and topic; the account."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from feeding import Finished, framed, ready_worker, run_worker
from harness.lb_process import with_constants
from mock_cluster import PRODUCE, MockCluster, mock_cluster
from topic_reader import Message, messages

from trade_balancer.errors import UsageError
from trade_balancer.kafka.rules import Rules, rules_of
from trade_balancer.kafka.settings import settings_of

KAFKA = ["-m", "trade_balancer.kafka.program"]
IN_PYTHON = with_constants("trade_balancer.kafka.program", {"trade_balancer.kafka.library.NAME": "/no such file"})
"""The same where librdkafka itself can't be opened."""
KNOWN = ["-X", "message.max.bytes=1000000"]
"""These brokers do not answer the question for it."""
MANY = 30_000
"""More than wait for brokers that answer."""
NOT_LEADER, TIMED_OUT, TOO_LARGE, NOT_ALLOWED = 6, 7, 10, 29
EVENTS, SYMBOLS = (
    ("ev", "e", "event", "type"),
    ("sym", "pair", "T", "p", "s", "product_id", "symbol", "stream", "channel"),
)


@pytest.fixture
def cluster() -> Iterator[MockCluster]:
    with mock_cluster() as brokers:
        yield brokers


@pytest.fixture(params=[KAFKA, IN_PYTHON], ids=["", "in-python"])
def program(request: pytest.FixtureRequest) -> list[str]:
    words: list[str] = request.param
    return words


def options(cluster: MockCluster, *more: str, program: Sequence[str] = KAFKA) -> list[str]:
    return [*program, "--brokers", cluster.brokers, *KNOWN, "--topic", "trades", *more]


def trade(number: int) -> bytes:
    return b'{"ev":"T","sym":"S%d","p":1.5,"q":%d}' % (number % 37, number)


def ended(worker: Sequence[str], streams: Sequence[Sequence[bytes]], folder: Path, code: int = 0) -> dict[str, Any]:
    """The summary of a run on pipes with these records; its account is checked."""
    path = folder / "summary"
    done = run_worker([*worker, "--summary", str(path)], [framed(records) for records in streams])
    assert done.code == code, done.err
    summary: dict[str, Any] = json.loads(path.read_text()) | {"err": done.err}
    assert summary["records"] == sum(map(len, streams))
    assert summary["records"] == summary["acknowledged"] + summary["waiting"] + summary["failed"]
    return summary


def expected_subject(record: bytes) -> tuple[str, str]:
    """Event and symbol: the first strings that are called so and not empty."""
    try:
        members = orjson.loads(record)
    except ValueError:
        return "", ""
    named = [next((members[n] for n in members if n in names and isinstance(members[n], str) and members[n]), "")
             for names in (EVENTS, SYMBOLS)]  # fmt: skip
    return named[0], named[1]


def forged(chance: random.Random) -> bytes:
    """A record with members in any order, of any type; the head of Polygon's among them."""
    values = ["A", "BRK.B", "", "é", 1.5, None, True, {"sym": "inner"}, ["sym"], "T", "Q", "trade"]
    names = [*EVENTS, *SYMBOLS, "x", "data", "sym2"]
    members = {chance.choice(names): chance.choice(values) for _ in range(chance.randrange(6))}
    if chance.random() < 0.4:
        members = {"ev": chance.choice(values), chance.choice(["sym", "pair"]): chance.choice(values)} | members
    return orjson.dumps(members)


def test_each_record_is_a_message_of_its_symbol(cluster: MockCluster, tmp_path: Path, program: list[str]) -> None:
    chance = random.Random(1)
    sent = [forged(chance) for _ in range(800)] + [b"", b"no JSON", b'{"ev"', b"[1]", b"x" * 300_000]
    before_ns = time.time_ns()
    summary = ended(options(cluster, "--topic", "T=t,Q=q", program=program), [sent[::2], sent[1::2]], tmp_path)
    assert ("each record costs a call of Python's" in summary["err"]) is (program is IN_PYTHON)
    found = messages(cluster.brokers, ["trades", "t", "q"])
    assert summary["acknowledged"] == summary["messages"] == len(sent) == len(found)
    by_pipe: dict[str, dict[int, Message]] = {}
    for message in found:
        by_pipe.setdefault(message.source, {})[message.numbers[0]] = message
        assert before_ns <= int(message.headers["producerTime"]) <= time.time_ns()
        assert message.time_ms == int(message.headers["producerTime"]) // 1_000_000
    pipes = {len(by_number): by_number for by_number in by_pipe.values()}  # one of them has a record more
    assert [pipes[len(part)][number].value for part in (sent[::2], sent[1::2]) for number in range(len(part))] == [
        *sent[::2], *sent[1::2]
    ]  # fmt: skip
    for message in found:
        event, symbol = expected_subject(message.value)
        assert (message.key or b"").decode() == symbol, message.value
        assert message.topic == {"T": "t", "Q": "q"}.get(event, "trades"), message.value
    assert_in_order(found)


def assert_in_order(found: Sequence[Message]) -> None:
    """Each symbol of a pipe is in one partition, there by number."""
    places: dict[tuple[str, bytes, str], int] = {}
    numbers: dict[tuple[str, bytes, str], list[int]] = {}
    for message in found:
        if message.key:
            of_symbol = (message.topic, message.key, message.source)
            assert places.setdefault(of_symbol, message.partition) == message.partition
            numbers.setdefault(of_symbol, []).extend(message.numbers)
    assert all(some == sorted(set(some)) for some in numbers.values())


def test_records_of_one_symbol_are_packed_in_their_order(cluster: MockCluster, tmp_path: Path) -> None:
    sent = [trade(number) for number in range(20_000)]
    sent[5] = b'{"ev":"T",\n "sym":"S5",\r\n "q":5}'
    sent[6] = b"no JSON"
    sent[7] = b'{"ev":"T","sym":"S7","x":"' + b"x" * 950_000 + b'"}'
    streams = [sent[:12_000], sent[12_000:]]
    summary = ended(options(cluster, "--pack-ms", "20"), streams, tmp_path)
    found = messages(cluster.brokers, ["trades"])
    assert summary["messages"] == len(found) < len(sent) / 20
    assert_in_order(found)
    by_pipe: dict[str, dict[int, bytes]] = {}
    for message in found:
        by_pipe.setdefault(message.source, {}).update(message.records)
        assert len({expected_subject(record)[1] for _, record in message.records}) == 1
    lines = sorted(([one for _, one in sorted(records.items())] for records in by_pipe.values()), key=len, reverse=True)
    assert lines == [[record.replace(b"\n", b" ") for record in stream] for stream in streams]


def test_what_brokers_refuse_for_a_while_is_there_once(cluster: MockCluster, tmp_path: Path) -> None:
    cluster.push_errors(PRODUCE, [NOT_LEADER, TIMED_OUT, NOT_LEADER, TIMED_OUT])
    sent = [trade(number) for number in range(3000)]
    # These brokers take a request also where the one before it has failed.
    words = [f"-X{word}" for word in ("retry.backoff.ms=10", "retry.backoff.max.ms=20", "max.in.flight=1")]
    ended(options(cluster, *words), [sent], tmp_path)
    found = messages(cluster.brokers, ["trades"])
    assert sorted(message.value for message in found) == sorted(sent)
    assert_in_order(found)


@pytest.mark.parametrize(
    ("program", "packing"),
    [(KAFKA, []), (KAFKA, ["--pack-ms", "5"]), (IN_PYTHON, [])],
    ids=["single", "packed", "in-python"],
)
def test_brokers_that_are_slow_hold_up_the_pipe(
    cluster: MockCluster, program: list[str], packing: list[str], tmp_path: Path
) -> None:
    """The queue has room for 50 messages, and each answer takes 20 ms."""
    cluster.set_round_trip_ms(1, 20)
    sent = [b'{"ev":"T","sym":"S%d"}' % number for number in range(600)]
    ended(options(cluster, "--queue", "50", "--linger-ms", "0", *packing, program=program), [sent], tmp_path)
    assert sorted(message.value for message in messages(cluster.brokers, ["trades"])) == sorted(sent)


def test_a_record_that_is_too_large_has_failed_and_no_other(
    cluster: MockCluster, tmp_path: Path, program: list[str]
) -> None:
    sent = [trade(1), b'{"ev":"T","sym":"S1","x":"%s"}' % (b"x" * 1_000_000), trade(38)]
    for packing in ([], ["--pack-ms", "5"]):
        summary = ended(options(cluster, *packing, program=program), [sent], tmp_path, code=74)
        assert (summary["acknowledged"], summary["failed"], summary["waiting"]) == (2, 1, 0)
        assert "1 records were refused for good: Broker: Message size too large" in summary["err"]
    assert sorted(message.value for message in messages(cluster.brokers, ["trades"])) == sorted([sent[0], sent[2]] * 2)


def test_a_topic_that_may_not_be_written_ends_the_worker(
    cluster: MockCluster, tmp_path: Path, program: list[str]
) -> None:
    cluster.push_errors(PRODUCE, [NOT_ALLOWED])
    summary = ended(options(cluster, program=program), [[trade(1)]], tmp_path, code=74)
    assert summary["failed"] == 1
    assert "Kafka takes no more: Broker: Topic authorization failed" in summary["err"]


def test_what_waits_when_the_brokers_are_away_at_the_end_is_told(cluster: MockCluster, tmp_path: Path) -> None:
    path = tmp_path / "summary"
    arguments = options(cluster, "--give-up", "1", "--summary", str(path))
    with ready_worker(arguments) as (worker, [pipe]):
        cluster.set_round_trip_ms(1, 60_000)
        os.write(pipe, framed([trade(number) for number in range(MANY)]))
        os.close(pipe)
        out, err = worker.communicate()
    assert (worker.returncode, out) == (74, ""), err
    summary = json.loads(path.read_text())
    assert (summary["records"], summary["waiting"], summary["acknowledged"]) == (MANY, MANY, 0)
    assert (
        err == f"program.py: the brokers do not have all: {MANY} records = 0 acknowledged + {MANY} waiting + 0 failed\n"
    )


def test_a_process_for_each_pipe_has_a_producer_of_its_own(cluster: MockCluster, tmp_path: Path) -> None:
    streams = [[trade(number) for number in range(first, 3000, 3)] for first in range(3)]
    ended(options(cluster, "--processes"), streams, tmp_path)
    found = messages(cluster.brokers, ["trades"])
    assert sorted(message.value for message in found) == sorted(record for stream in streams for record in stream)
    assert len({message.source.partition("/")[0] for message in found}) == 3
    assert_in_order(found)


def refused(worker: Sequence[str]) -> Finished:
    return run_worker(worker, [b""])


def test_a_topic_that_is_missing_is_named(cluster: MockCluster) -> None:
    cluster.refuse_topic("absent", 3)
    done = refused([*KAFKA, "--brokers", cluster.brokers, *KNOWN, "--topic", "absent"])
    assert done.code == 69
    assert re.search(r"topic absent: .*Unknown topic or partition; `lb-kafka setup` makes it\n$", done.err)


def test_a_setting_that_is_none_is_refused(cluster: MockCluster) -> None:
    done = refused(options(cluster, "-X", "no.such=1"))
    assert (done.code, done.err) == (64, 'program.py: -X: No such configuration property: "no.such"\n')


def test_secrets_come_from_files(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("# ours\nsasl.password = a=b\nclient.id=here\n\n")
    assert settings_of("h:1", [f"@{file}", "linger.ms=1"]) == {
        "bootstrap.servers": "h:1", "sasl.password": "a=b", "client.id": "here", "linger.ms": "1"
    }  # fmt: skip
    names = ("sasl.password", "ssl.key.pem", "sasl.oauthbearer.client.credentials.client.secret")
    names += ("sasl.oauthbearer.assertion.private.key.passphrase", "sasl.oauthbearer.config")
    for word in (*(f"{name}=hunter2" for name in names), "linger.ms", "=1", "@/no/such"):
        with pytest.raises(UsageError) as fault:
            settings_of("h:1", [word])
        assert "hunter2" not in str(fault.value)
    assert settings_of("h:1", ["ssl.ca.pem=x", "ssl.certificate.pem=y"])["ssl.ca.pem"] == "x"


def test_of_a_wrong_line_in_a_file_only_its_number_is_told(tmp_path: Path) -> None:
    file = tmp_path / "settings"
    file.write_text("client.id=here\nsasl.password: hunter2\n")
    with pytest.raises(UsageError, match=f"^-X: line 2 of {re.escape(str(file))}: NAME=VALUE is wanted$"):
        settings_of("h:1", [f"@{file}"])


def test_rules_name_a_topic_for_each_event() -> None:
    assert rules_of(["T=trades,Q=quotes", "rest"]) == Rules({"T": "trades", "Q": "quotes"}, "rest")
    assert rules_of([]).topics == ["records"]
    for rule in ("a b", "=x", "T=", "T=x,T=y", "x,y"):
        with pytest.raises(UsageError):
            rules_of([rule])
