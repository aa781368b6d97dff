"""--metrics: the numbers are lb's own, and whatever becomes of the process that serves them, lb goes on."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import SOON, Feed, Lb, inline, lb_environment, message, run_lb
from harness.flood import record
from harness.lb_process import hold
from harness.served import Served

from lb.pump import Counters, PipeCounters

ROOT = Path(__file__).resolve().parents[2]
NO_FEED = "ws://127.0.0.1:1/stocks"
ANY = ("--metrics", "127.0.0.1:0")
WAITING = inline("import os, sys; os.read(int(sys.argv[1]), 1)")
LONGEST_END_S = 60
OFTEN = {"lb.control.server.PUSH_S": 0.02}


def page_process(lb: Lb) -> int:
    """Its pid."""
    for entry in Path(f"/proc/{lb.pid}/task/{lb.pid}/children").read_text().split():
        if b"trade_balancer.page" in Path(f"/proc/{entry}/cmdline").read_bytes():
            return int(entry)
    raise AssertionError("there is none")


def await_end(pid: int) -> None:
    """Whether somebody has reaped it, or not yet."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([process], [], [], LONGEST_END_S)[0], "it lives on"
    finally:
        os.close(process)


def test_metrics_are_the_balance() -> None:
    with Feed() as feed, Lb(feed.url, 2, *ANY, constants=OFTEN) as lb, feed.session() as peer:
        served = Served.by(lb)
        peer.say(message([record(number) for number in range(5)]))
        lb.await_records(5)
        samples = served.await_metric("lb_records_received_total", 5)
        balance = lb.balance()
        assert balance["received"] == 5
        names = ("recovered", "written")
        assert [samples[f"lb_records_{name}_total", frozenset()] for name in names] == [balance[name] for name in names]
        assert samples["lb_records_waiting", frozenset()] == balance["waiting"]
        assert samples["lb_balance_exact", frozenset()] == 1
        by_pipe = [samples["lb_pipe_records_written_total", frozenset({("pipe", str(pipe))})] for pipe in range(2)]
        assert by_pipe == balance["per_pipe"]
        assert samples["lb_session_open", frozenset()] == 1
        assert samples["lb_worker_running", frozenset({("slot", "0")})] == 1
        assert samples["process_start_time_seconds", frozenset()] > 0


def test_all_that_is_counted_is_a_metric() -> None:
    source = (ROOT / "trade_balancer" / "page" / "exposition.py").read_text()
    told_otherwise = {"last_input_ns", "full_pipe", "spill_errno"}
    counted = {*Counters.__slots__, *PipeCounters.__slots__} - told_otherwise
    assert [name for name in sorted(counted) if f'"{name}"' not in source and f"['{name}']" not in source] == []


def test_drops_and_lost_sessions_are_told_by_reason() -> None:
    options = ("--on-full", "drop-newest", "--pipe-size", "4096", "--backlog", "4096")
    with Feed() as feed, Lb(feed.url, 1, *ANY, *options, worker=WAITING, constants=OFTEN | SOON) as lb:
        served = Served.by(lb)
        with feed.session() as peer:
            peer.say(message([record(number) for number in range(300)]))
            lb.await_line("a pipe is full: records for it are dropped")
        lb.await_line("session lost")
        samples = served.await_metric("lb_session_ends_total", 1, reason="lost")
        balance = lb.balance()
        assert samples["lb_records_dropped_total", frozenset({("reason", "full")})] == balance["dropped"] > 0
        assert samples["lb_pipe_records_dropped_total", frozenset({("pipe", "0"), ("reason", "full")})] > 0


def test_it_is_ready_while_there_is_a_session_and_workers_run() -> None:
    with Feed() as feed, Lb(feed.url, 1, *ANY, worker=WAITING, constants=OFTEN | SOON) as lb:
        served = Served.by(lb)
        assert served.await_answer("/healthz", 200).text == "ok\n"
        served.await_answer("/readyz", 503, "NOT the session is open")
        with feed.session():
            ready = served.await_answer("/readyz", 200)
            assert "NOT" not in ready.text
        served.await_answer("/readyz", 503, "NOT the session is open")


def test_a_frozen_lb_is_not_ready_though_its_metrics_are_there(tmp_path: Path) -> None:
    """It is lb-metrics here, which needs not as long as the product does to call it frozen."""
    path = tmp_path / "lb.sock"
    program = "import trade_balancer.page.news as news, trade_balancer.page.program as it, sys; news.STALE_S = 0.5;"
    program += "it.PUSH_S = 0.1; sys.exit(it.main())"
    with Feed() as feed, Lb(feed.url, 1, "--control", str(path), worker=WAITING, constants=OFTEN) as lb:
        command = [sys.executable, "-c", program, str(path), "127.0.0.1:0"]
        with (
            feed.session(),
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=lb_environment()) as process,
        ):
            assert process.stdout is not None
            served = Served(process.stdout.readline().removeprefix("listening on ").strip())
            served.await_answer("/readyz", 200)
            hold(lb.pid)
            served.await_answer("/readyz", 503, "NOT lb has told its status")
            assert served.await_metric("lb_up", 0)["lb_records_received_total", frozenset()] == 0
            assert served.get("/healthz").status == 200
            os.kill(lb.pid, signal.SIGCONT)
            served.await_answer("/readyz", 200)
            lb.stop()
            assert "lb_records_received_total" not in {name for name, _ in served.await_metric("lb_up", 0)}
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_whatever_becomes_of_the_process_another_serves_the_same_address(number: signal.Signals) -> None:
    """One that is killed, and one that reads nothing any more."""
    constants = {"lb.control.server.PUSH_S": 0.0005, "lb.control.client.UNREAD_S": 0.1}
    with Lb(NO_FEED, 1, *ANY, worker=WAITING, constants=constants) as lb:
        served = Served.by(lb)
        served.get("/healthz")
        first = page_process(lb)
        os.kill(first, number)
        lb.await_line("metrics and page are not served for a while")
        assert served.get("/healthz").status == 200
        assert page_process(lb) != first
        assert lb.stop().exit_code == 0


def test_it_ends_with_lb_however_lb_ends() -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with Lb(NO_FEED, 1, *ANY, worker=WAITING) as lb:
            served = Served.by(lb)
            served.get("/healthz")
            page = page_process(lb)
            lb.send_signal(number)
            lb.wait()
            await_end(page)


def test_the_process_has_no_rights_and_knows_nothing_of_lb_s() -> None:
    with Lb(NO_FEED, 1, *ANY, worker=WAITING, environment={"LB_TEST_SECRET": "not for it"}) as lb:
        Served.by(lb).get("/healthz")
        page = Path(f"/proc/{page_process(lb)}")
        about = dict(line.split(":\t", 1) for line in (page / "status").read_text().splitlines() if ":\t" in line)
        assert about["NoNewPrivs"] == "1"
        assert int(about["CapEff"], 16) == 0
        assert ("65534" in about["Uid"]) == (os.geteuid() == 0)
        if os.geteuid() == 0:
            assert b"LB_TEST_SECRET" not in (page / "environ").read_bytes()
            kinds = sorted(str(link.readlink()).partition(":")[0] for link in (page / "fd").iterdir())
            assert kinds.count("socket") <= 6, kinds


def test_an_address_that_cannot_be_had_is_an_error_at_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        done = run_lb("--metrics", place, "key", NO_FEED, "1", ".", "true")
    assert (done.returncode, f"--metrics {place}: Address already in use" in done.stderr) == (69, True)
    for word in ("9825", "127.0.0.1:", "127.0.0.1:70000"):
        assert run_lb("--metrics", word, "key", NO_FEED, "1", ".", "true").returncode == 64


def test_without_the_extra_that_is_said_in_a_sentence() -> None:
    for module in ("lb.cli", "trade_balancer.page.program"):
        code = f"import sys; sys.modules['prometheus_client'] = None; from {module} import main; sys.exit(main())"
        words = ["--metrics", "127.0.0.1:0", "key", NO_FEED, "1", ".", "true"]
        words = words if module == "lb.cli" else ["/dev/null", "127.0.0.1:0"]
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, env=lb_environment(), check=False
        )
        assert (done.returncode, "pip install 'trade-balancer[metrics]'" in done.stderr) == (69, True), done.stderr
        assert "Traceback" not in done.stderr


def test_an_address_that_others_reach_is_warned_of() -> None:
    with Lb(NO_FEED, 1, "--metrics", "0.0.0.0:0", worker=WAITING) as lb:
        lb.await_line("other machines may see metrics and page: nobody is asked for a password", level="warning")
