"""A real Prometheus scrapes a running lb; its own tools judge metrics, alerts and the dashboard."""

from __future__ import annotations

import http.client
import json
import re
import socket
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from harness import Feed, Lb, message
from harness.flood import record
from harness.served import Served

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "contrib" / "prometheus"
PROGRAMS = ("lb", "lb-books")
ANY = ("--metrics", "127.0.0.1:0", "--spawn", "per-pipe")
OFTEN = {"lb.control.server.PUSH_S": 0.1}


class Prometheus:
    def __init__(self, port: int) -> None:
        self._port = port

    def ask(self, path: str) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())["data"]
        finally:
            connection.close()

    def value(self, query: str) -> float | None:
        """Of a query for one series; None where there is none."""
        found = self.ask(f"/api/v1/query?query={urllib.parse.quote(query)}")["result"]
        return float(found[0]["value"][1]) if found else None

    def await_value(self, query: str, value: float) -> None:
        deadline_s = time.monotonic() + 30
        while (found := self.value(query)) != value:
            assert time.monotonic() < deadline_s, (query, found)
            time.sleep(0.05)


@pytest.fixture
def running(prometheus_folder: Path, tmp_path: Path) -> Iterator[tuple[Lb, Prometheus]]:
    """An lb that has dealt 1,234 records to 2 pipes, and a Prometheus that scrapes it with the alerts."""
    with Feed() as feed, Lb(feed.url, 2, *ANY, constants=OFTEN) as lb, feed.session() as peer:
        lb.await_recorders(2)
        peer.say(message([record(number) for number in range(1234)]))
        lb.await_records(1234)
        config = (RULES / "prometheus.yml").read_text()
        config = config.replace("127.0.0.1:9825", f"127.0.0.1:{Served.by(lb).port}").replace("5s", "200ms")
        (tmp_path / "prometheus.yml").write_text(config)
        (tmp_path / "lb-alerts.yml").write_text((RULES / "lb-alerts.yml").read_text())
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]  # it can't tell which port it was given: it must be told one
        command = [
            str(prometheus_folder / "prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=data",
            f"--web.listen-address=127.0.0.1:{port}", "--log.level=error",
        ]  # fmt: skip
        with subprocess.Popen(command, cwd=tmp_path) as process:
            try:
                _await_ready(port, process)
                yield lb, Prometheus(port)
            finally:
                process.terminate()


def _await_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        try:
            connection.request("GET", "/-/ready")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        finally:
            connection.close()
        assert process.poll() is None, "it has ended"
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_what_prometheus_has_is_the_balance(running: tuple[Lb, Prometheus]) -> None:
    lb, prometheus = running
    prometheus.await_value("lb_records_received_total", 1234)
    balance = lb.balance()
    assert balance["received"] == 1234
    for name in ("received", "recovered", "written"):
        assert prometheus.value(f"lb_records_{name}_total") == balance[name], name
    assert prometheus.value("sum(lb_records_dropped_total)") == balance["dropped"]
    assert prometheus.value("lb_records_waiting") == balance["waiting"]
    assert [prometheus.value(f'lb_pipe_records_written_total{{pipe="{n}"}}') for n in (0, 1)] == balance["per_pipe"]
    assert prometheus.value('up{job="lb"}') == prometheus.value("lb_balance_exact") == 1
    rules = prometheus.ask("/api/v1/rules")["groups"][0]["rules"]
    assert [rule["name"] for rule in rules if rule.get("lastError")] == []
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_rules_fire_when_they_should_and_only_then(program: str, prometheus_folder: Path) -> None:
    done = subprocess.run(
        [prometheus_folder / "promtool", "test", "rules", f"{program}-alerts-test.yml"],
        cwd=RULES, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    tested = set(re.findall(r"alertname: (\w+)", (RULES / f"{program}-alerts-test.yml").read_text()))
    assert tested == alerts(program)


def test_names_units_and_help_are_by_the_conventions(prometheus_folder: Path) -> None:
    with Feed() as feed, Lb(feed.url, 2, *ANY, constants=OFTEN) as lb, feed.session():
        served = Served.by(lb)
        served.await_metric("lb_session_open", 1)
        text = served.get("/metrics").text
    done = subprocess.run(
        [prometheus_folder / "promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    names = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    page = (ROOT / "docs" / "metrics.md").read_text()
    told = set(re.findall(r"`(lb_[a-z_]+|process_[a-z_]+)`", page))
    assert {name for name in names if name not in told} == set()
    used = set(re.findall(r"\b(lb_[a-z_]+?)(?:_bucket)?[\[{ )]", "\n".join(dashboard() + rules())))
    labels = {"lb_state", "lb_session_state", "lb_worker_state"}
    assert used - names - labels - {"lb_reader_records_dropped_total", "lb_reader_records_delivered_total"} == set()


@pytest.mark.parametrize("program", PROGRAMS)
def test_each_alert_is_explained(program: str) -> None:
    page = (ROOT / "docs" / "metrics.md").read_text()
    assert {name for name in alerts(program) if f"| `{name}` |" not in page} == set()


def test_every_query_of_the_dashboard_can_be_asked(prometheus_folder: Path, tmp_path: Path) -> None:
    assert len(dashboard()) > 20
    lines = [f"  - record: panel:{number}\n    expr: {json.dumps(query)}" for number, query in enumerate(dashboard())]
    (tmp_path / "panels.yml").write_text("groups:\n- name: dashboard\n  rules:\n" + "\n".join(lines) + "\n")
    done = subprocess.run(
        [prometheus_folder / "promtool", "check", "rules", tmp_path / "panels.yml"], capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def alerts(program: str) -> set[str]:
    return set(re.findall(r"- alert: (\w+)", (RULES / f"{program}-alerts.yml").read_text()))


def rules() -> list[str]:
    return re.findall(r"expr: (.*)", (RULES / "lb-alerts.yml").read_text())


def dashboard() -> list[str]:
    """Its queries, with the variables filled in."""
    panels = json.loads((ROOT / "contrib" / "grafana" / "lb-dashboard.json").read_text())["panels"]
    queries = [target["expr"] for panel in panels for target in panel["targets"]]
    return [
        query.replace("$__rate_interval", "1m").replace("$job", ".*").replace("$instance", ".*") for query in queries
    ]
