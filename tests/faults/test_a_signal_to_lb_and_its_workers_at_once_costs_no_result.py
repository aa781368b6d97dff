"""SIGTERM to lb and its workers together, as systemd sends it (KillMode=control-group, its default)."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from harness import Feed, Lb, message
from harness.flood import record
from harness.lb_process import lb_environment

WORKERS = 10

# Each `lb-count` writes a summary of its own, named after its pipe.
COUNTS = """\
import sys
from trade_balancer.count import main
sys.argv[1:1] = ["--summary", "summary." + sys.argv[-1]]
sys.exit(main())
"""


@pytest.mark.parametrize("first", ["lb", "workers"])
def test_every_summary_is_complete(first: str, tmp_path: Path) -> None:
    script = tmp_path / "counts.py"
    script.write_text(COUNTS)
    worker = (sys.executable, str(script))
    records = 100 * WORKERS
    with (
        Feed() as feed,
        Lb(feed.url, WORKERS, "--spawn", "per-pipe", "--log-level", "debug", worker=worker, records=False,
           directory=tmp_path, environment=lb_environment()) as lb,
        feed.session() as peer,
    ):  # fmt: skip
        pids = [lb.await_line("worker ready")["pid"] for _ in range(WORKERS)]
        peer.say(message(record(number) for number in range(records)))
        while lb.balance()["received"] < records:
            pass
        for pid in [lb.pid, *pids] if first == "lb" else [*pids, lb.pid]:
            with contextlib.suppress(ProcessLookupError):  # it has finished already
                os.kill(pid, signal.SIGTERM)
        assert lb.wait().exit_code == 0
    summaries = [json.loads(path.read_text())["records"] for path in tmp_path.glob("summary.*")]
    assert summaries == [100] * WORKERS
