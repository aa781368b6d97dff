"""Readers of a running lb: each gets its topics and no other, workers get theirs, the feed is asked for all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import Feed, Lb, lb_environment, message, run_lb
from harness.feed import AUTH_SUCCESS, CONNECTED
from harness.joining import Joined

from lb.slots.memory import allowed_memory_bytes
from trade_balancer import NoBalancerError, RefusedError, attach, batches
from trade_balancer.control import Control

pytestmark = pytest.mark.slow

TAP = [sys.executable, "-m", "trade_balancer.control.tap"]


def record(event: str, symbol: str, number: int = 0) -> bytes:
    return b'{"ev":"%s","sym":"%s","i":%d,"pad":"%s"}' % (event.encode(), symbol.encode(), number, b"x" * 60)


def acknowledgement(*topics: str, words: str = "subscribed to") -> bytes:
    return message(
        b'{"ev":"status","status":"success","message":"%s: %s"}' % (words.encode(), topic.encode()) for topic in topics
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lb.sock"


@pytest.fixture
def feed() -> Iterator[Feed]:
    with Feed() as feed:
        yield feed


def lb_of(feed: Feed, path: Path, *options: str, **more: object) -> Lb:
    return Lb(feed.url, 1, "--control", str(path), "--linger", "0", *options, **more)  # type: ignore[arg-type]


def await_readers(path: Path, count: int) -> list[dict[str, object]]:
    with Joined(path) as client:
        while len(readers := client.result("status")["readers"]) != count:
            pass
    return list(readers)


def read(fd: int, count: int) -> list[bytes]:
    """So many records of one pipe."""
    got: list[bytes] = []
    for _, records in batches([fd]):
        got += records
        if len(got) >= count:
            return got
    return got


def test_readers_and_workers_get_their_own_topics_and_the_feed_is_asked_for_all(feed: Feed, path: Path) -> None:
    with lb_of(feed, path, "--subscribe", "T.A") as lb, feed.session() as peer:
        lb.await_line("session open")
        with attach(path, ["T.B", "Q.A"]) as reader:
            assert peer.receive_action("subscribe") == "T.B,Q.A"
            peer.say(acknowledgement("T.B", "Q.A"))
            peer.say(
                message([record("T", "A"), record("T", "B"), record("Q", "A"), record("T", "C"), record("T", "A", 1)])
            )
            assert read(reader.fd, 2) == [record("T", "B"), record("Q", "A")]
            lb.await_records(2)
            with attach(path, ["T.*"]):
                assert peer.receive_action("subscribe") == "T.*"
                peer.say(acknowledgement("T.*"))
                assert peer.receive_action("unsubscribe") == "T.A,T.B"
            assert peer.receive_action("subscribe") == "T.A,T.B"
            assert peer.receive_action("unsubscribe") == "T.*"
        assert peer.receive_action("unsubscribe") == "Q.A,T.B"
        end = lb.stop()
        assert (end.balance["received"], end.balance["exact"]) == (2, True)
        assert lb.recording.pipes[0] == [record("T", "A"), record("T", "A", 1)]


def test_what_the_feed_refuses_a_reader_costs_the_workers_nothing(feed: Feed, path: Path) -> None:
    with lb_of(feed, path, "--subscribe", "T.A") as lb, feed.session() as peer:
        lb.await_line("the feed says", text="subscribed to: T.*")  # as it does to any test; here nobody has asked yet
        with attach(path, ["T.*"]), attach(path, ["Q.A"]):
            assert peer.receive_action("subscribe") == "T.*"
            peer.say(b'[{"ev":"status","status":"error","message":"not authorized"}]')
            assert peer.receive_action("subscribe") == "Q.A", "and T.A is not given up"


def test_a_topic_that_the_feed_has_never_acknowledged_is_given_up_at_once(feed: Feed, path: Path) -> None:
    constants = {"lb.desk.ACKNOWLEDGE_S": 0.1}
    with lb_of(feed, path, constants=constants) as lb, feed.session(), Joined(path) as client:
        lb.await_line("session open")
        client.result("subscribe", topics=["V.A"])
        assert client.result("unsubscribe", topics=["V.A"])["topics"] == {"V.A": "unsubscribed"}


def test_what_lb_has_already_is_not_asked_for(feed: Feed, path: Path) -> None:
    with lb_of(feed, path) as lb, feed.session() as peer:
        lb.await_line("the feed says", text="subscribed to: T.*")
        with attach(path, ["T.A"]) as reader, attach(path, ["*"]) as other:
            peer.say(message([record("T", "A"), record("T", "B")]))
            assert read(reader.fd, 1) == [record("T", "A")]
            assert read(other.fd, 2) == [record("T", "A"), record("T", "B")]
        lb.await_records(2)
        await_readers(path, 0)
        assert "topics changed" not in lb.log


def test_topics_survive_the_session(feed: Feed, path: Path) -> None:
    constants = {"lb.feed.keeper.LEAST_DELAY_S": 0.005}
    with lb_of(feed, path, constants=constants) as lb, feed.session() as peer, attach(path, ["Q.A"]) as reader:
        assert peer.receive_action("subscribe") == "Q.A"
        peer.fin()
        lb.await_line("session lost")
        with feed.connection().upgrade() as next_peer:
            next_peer.say(b'[{"ev":"status","status":"connected","message":"Connected Successfully"}]')
            next_peer.receive_action("auth")
            next_peer.say(b'[{"ev":"status","status":"auth_success","message":"authenticated"}]')
            assert next_peer.receive_action("subscribe") == "T.*,Q.A"
            next_peer.say(message([record("Q", "A")]))
            assert read(reader.fd, 1) == [record("Q", "A")]


def test_subscribe_tells_what_the_feed_says_to_each_topic(feed: Feed, path: Path) -> None:
    constants = {"lb.desk.ACKNOWLEDGE_S": 0.3}
    with lb_of(feed, path, constants=constants) as lb, feed.session() as peer, Joined(path) as client:
        lb.await_line("the feed says")
        client.send(b'{"v":1,"id":1,"verb":"subscribe","topics":["Q.A","T.A"]}\n')
        assert peer.receive_action("subscribe") == "Q.A"
        peer.say(acknowledgement("Q.A"))
        assert client.receive()["result"]["topics"] == {"Q.A": "acknowledged", "T.A": "acknowledged"}
        peer.say(message([record("Q", "A")]))
        lb.await_records(1)
        client.send(b'{"v":1,"id":2,"verb":"subscribe","topics":["LULD.A"]}\n')
        peer.receive_action("subscribe")
        peer.say(b'[{"ev":"status","status":"error","message":"not authorized"}]')
        assert client.receive()["result"] == {"topics": {"LULD.A": "rejected"}, "said": ["not authorized"]}
        assert client.result("subscribe", topics=["V.A"])["topics"] == {"V.A": "unacknowledged"}
        peer.receive_action("subscribe")
        client.send(b'{"v":1,"id":3,"verb":"unsubscribe","topics":["Q.A"]}\n')
        assert peer.receive_action("unsubscribe") == "Q.A"
        peer.say(acknowledgement("Q.A", words="unsubscribed to"))
        assert client.receive()["result"]["topics"] == {"Q.A": "unsubscribed"}
        assert client.refusal("unsubscribe", topics=["Q.A"]) == "bad-argument"
        assert client.refusal("subscribe", topics=["*"]) == "bad-argument"
        assert client.refusal("subscribe", topics="T.A") == "bad-argument"
        assert client.refusal("subscribe", topics=["T.A,T.B"]) == "bad-argument"


def test_what_a_reader_asks_for_is_checked(feed: Feed, path: Path) -> None:
    with lb_of(feed, path) as lb, feed.session(), Joined(path) as client:
        lb.await_line("session open")
        for wrong in (
            {"topics": None},
            {"policy": "block"},
            {"markers": 1},
            {"pipe_size": 0},
            {"backlog": 1 << 40},
            {"topics": ["T." + "x" * 100]},
            {"x": 1},
        ):
            assert client.refusal("attach", **({"topics": ["T.A"]} | wrong)) == "bad-argument"
        assert client.result("status")["readers"] == []


@pytest.mark.parametrize(
    ("constant", "value"), [("lb.desk.MOST_TOPICS", 3), ("lb.desk.READERS_SHARE", allowed_memory_bytes() >> 22)]
)
def test_readers_have_so_much_in_all_and_no_more(feed: Feed, path: Path, constant: str, value: int) -> None:
    with lb_of(feed, path, constants={constant: value}) as lb, feed.session():
        lb.await_line("session open")
        with attach(path, ["T.A", "T.B"]):
            with pytest.raises(RefusedError, match="in all"):
                attach(path, ["T.C", "T.D"], backlog=3 << 20)
            assert len(await_readers(path, 1)) == 1
        await_readers(path, 0)
        attach(path, ["T.C", "T.D"]).close()


@pytest.mark.parametrize("end", ["kill", "close the pipe", "close the connection"])
def test_a_reader_that_goes_is_removed_at_once(feed: Feed, path: Path, end: str) -> None:
    with lb_of(feed, path) as lb, feed.session() as peer:
        lb.await_line("session open")
        if end == "kill":
            with subprocess.Popen([*TAP, str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tap:
                await_readers(path, 1)
                tap.kill()
        else:
            with attach(path, ["*"]) as reader:
                if end == "close the pipe":
                    os.close(reader.fd)
                    reader.fd = -1
                    await_readers(path, 0)
                else:
                    reader.leave()
                    assert os.read(reader.fd, 1) == b""
        await_readers(path, 0)
        lb.await_line("reader left")
        peer.say(message([record("T", "A")]))
        lb.await_records(1)


def test_a_reader_that_is_stopped_delays_nobody_and_its_losses_are_exact(feed: Feed, path: Path) -> None:
    records = [record("T", f"S{number % 9}", number) for number in range(20_000)]
    with lb_of(feed, path) as lb, feed.session() as peer:
        lb.await_line("session open")
        with (
            attach(path, ["*"], pipe_size=4096, backlog=1 << 16, markers=True) as stuck,
            attach(path, ["T.S3"]) as quick,
        ):
            for at in range(0, len(records), 500):
                peer.say(message(records[at : at + 500]))
            lb.await_records(len(records))
            assert read(quick.fd, len(records[3::9])) == records[3::9]
            counts = stuck.leave()
            got = [one for _, some in batches(stuck.fds) for one in some]
        assert counts["offered_total"] == len(records)
        assert counts["dropped_total"] > 10_000
        assert sum(counts[name] for name in ("delivered_total", "waiting_records", "dropped_total")) == len(records)
        at, passed_over = 0, 0
        for one in got:
            if one.startswith(b'{"ev":"lb"'):
                passed_over += int(one[21:-1])
                at += int(one[21:-1])
            else:
                assert one == records[at]
                at += 1
        assert passed_over <= counts["dropped_total"]
        assert lb.stop().balance["exact"]


def test_readers_that_come_and_go_at_full_speed_change_nothing_for_the_workers(feed: Feed, path: Path) -> None:
    records = [record("T", f"S{number % 9}", number) for number in range(30_000)]
    with lb_of(feed, path) as lb, feed.session() as peer:
        lb.await_line("session open")
        for at in range(0, len(records), 100):
            peer.say(message(records[at : at + 100]))
            if at % 3000 == 0:
                with attach(path, [f"T.S{at // 3000 % 9}"]) as reader, attach(path, ["*"]):
                    if at % 6000 == 0:
                        peer.say(message([]))
                    reader.leave()
        lb.await_records(len(records))
        assert lb.recording.pipes[0] == records
        assert lb.log.count("reader attached") == 20
        assert lb.stop().balance["exact"]


def test_lb_tap_prints_lines_and_frames_and_says_how_many(feed: Feed, path: Path, tmp_path: Path) -> None:
    with lb_of(feed, path) as lb, feed.session() as peer:
        lb.await_line("session open")
        output = tmp_path / "out"
        with (
            subprocess.Popen([*TAP, str(path), "--count", "2", "T.A"], stdout=-1, stderr=-1) as lines,
            subprocess.Popen([*TAP, str(path), "--frames", "-o", str(output)], stderr=-1) as frames,
        ):
            await_readers(path, 2)
            peer.say(message([record("T", "A"), record("T", "B"), record("T", "A", 1), record("T", "A", 2)]))
            said, told = lines.communicate(timeout=20)
            assert said == record("T", "A") + b"\n" + record("T", "A", 1) + b"\n"
            assert b"2 records" in told
            lb.await_records(4)
            while output.stat().st_size < 4 * 4 + 2 * len(record("T", "A")):
                pass
            frames.send_signal(signal.SIGINT)
            _, told = frames.communicate(timeout=20)
            assert (frames.returncode, b"4 records" in told) == (0, True)
            assert output.read_bytes().startswith(len(record("T", "A")).to_bytes(4, "little") + record("T", "A"))
    assert subprocess.run([*TAP, str(path)], stderr=-1, check=False).returncode == 69


def test_a_worker_script_is_tried_beside_a_running_lb(feed: Feed, path: Path) -> None:
    script = "from trade_balancer import run; print(run(lambda record, fd: print(record['i'], flush=True)).records)"
    command = [sys.executable, "-c", script, "--attach", str(path), "--topics", "T.A,T.B"]
    with lb_of(feed, path) as lb, feed.session() as peer:
        lb.await_line("session open")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None
            await_readers(path, 1)
            peer.say(message([record("T", "A", 1), record("T", "C", 2), record("T", "B", 3)]))
            assert [worker.stdout.readline() for _ in range(2)] == ["1\n", "3\n"]
            worker.send_signal(signal.SIGINT)
            assert worker.stdout.read() == "2\n"
            assert worker.wait(20) == 0


def test_a_reader_attaches_again_after_a_restart_of_lb(feed: Feed, path: Path) -> None:
    with lb_of(feed, path) as lb, feed.session():
        lb.await_line("session open")
        reader = attach(path, ["T.A"])
        lb.stop()
    assert list(batches(reader.fds)) == []
    with pytest.raises(NoBalancerError):
        reader.reattach(0)
    with reader, lb_of(feed, path) as lb, feed.session() as peer:
        assert reader.reattach(20) >= 0
        peer.say(message([record("T", "A")]))
        assert read(reader.fd, 1) == [record("T", "A")]


def test_a_session_that_only_readers_use(feed: Feed, path: Path) -> None:
    options = ["--control", str(path), "--linger", "0"]
    command = [sys.executable, "-m", "lb", *options, "key", feed.url, "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=lb_environment()) as lb:
        with feed.connection().upgrade() as peer:
            peer.say(CONNECTED)
            peer.receive_action("auth")
            peer.say(AUTH_SUCCESS)
            while not path.exists():
                pass
            with attach(path, ["T.A"]) as reader:
                assert peer.receive_action("subscribe") == "T.A"
                peer.say(message([record("T", "A"), record("T", "B"), record("T", "A", 1)]))
                assert read(reader.fd, 2) == [record("T", "A"), record("T", "A", 1)]
                with Joined(path) as client:
                    status = client.result("status")
                    assert (status["slots"], status["pipes"]) == ([], [])
                    assert (status["balance"]["received"], status["balance"]["exact"]) == (0, True)
                    assert status["counters"]["unwanted_total"] == 3
            assert peer.receive_action("unsubscribe") == "T.A"
            with Joined(path) as client:
                client.result("stop")
        _, log = lb.communicate(timeout=20)
        assert (lb.returncode, b"Traceback" in log) == (0, False), log


@pytest.mark.parametrize(
    ("options", "behind"), [([], []), (["--control", "x"], [".", "worker"]), (["--control", "x", "--redeliver"], [])]
)
def test_without_pipes_there_is_a_control_socket_and_nothing_of_workers(options: list[str], behind: list[str]) -> None:
    ended = run_lb(*options, "key", "ws://127.0.0.1:1/stocks", "0", *behind)
    assert (ended.returncode, "NPIPES 0" in ended.stderr) == (64, True)


def test_a_reader_has_other_topics_in_the_same_pipe(feed: Feed, path: Path) -> None:
    with lb_of(feed, path) as lb, feed.session() as peer:
        lb.await_line("session open")
        peer.say(acknowledgement("T.*"))
        with attach(path, []) as reader:
            reader.change(add=["Q.A", "Q.B"])
            assert peer.receive_action("subscribe") == "Q.A,Q.B"
            peer.say(acknowledgement("Q.A", "Q.B"))
            peer.say(message([record("Q", "A"), record("Q", "B", 1)]))
            assert read(reader.fd, 2) == [record("Q", "A"), record("Q", "B", 1)]
            reader.change(add=["Q.C"], remove=["Q.A"])
            assert {peer.receive_action("subscribe"), peer.receive_action("unsubscribe")} == {"Q.C", "Q.A"}
            peer.say(acknowledgement("Q.C"))
            peer.say(message([record("Q", "A", 2), record("Q", "B", 3), record("Q", "C", 4)]))
            assert read(reader.fd, 2) == [record("Q", "B", 3), record("Q", "C", 4)]
            assert await_readers(path, 1)[0]["topics"] == ["Q.B", "Q.C"]
            reader.change(again=["Q.B", "Q.D"])
            assert peer.receive_action("unsubscribe") == "Q.B"
            assert peer.receive_action("subscribe") == "Q.B"
            peer.say(message([record("Q", "B", 5)]))
            assert read(reader.fd, 1) == [record("Q", "B", 5)]


def test_a_reader_s_topics_are_changed_by_who_attached_it_and_no_other(feed: Feed, path: Path) -> None:
    with lb_of(feed, path) as lb, feed.session(), Control(path) as control, attach(path, ["T.A"]) as reader:
        lb.await_line("session open")
        own = control.ask("attach", {"topics": ["T.B"]})["reader"]
        for wrong in (
            {"reader": reader.number, "remove": ["T.A"]},
            {"reader": "0"},
            {"add": "T.C"},
            {"add": ["T.C,T.D"]},
            {"again": None},
            {"x": []},
        ):
            with pytest.raises(RefusedError) as caught:
                control.ask("topics", {"reader": own} | wrong)
            assert caught.value.name == "bad-argument"
        assert sorted(map(str, (one["topics"] for one in await_readers(path, 2)))) == ["['T.A']", "['T.B']"]
