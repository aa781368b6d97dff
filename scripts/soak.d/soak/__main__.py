"""`python -m soak [--seconds S] [--seed N] [--pipes N] [--on-full block|spill] [--wss]`: see scripts/soak."""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
import tempfile
import time
from pathlib import Path
from random import SystemRandom
from statistics import median

from soak.chaos import Chaos
from soak.judge import Verdict, Watch, judge
from soak.lives import Lives
from soak.programs import Failed, Lb, balancer, feed, wait_for
from soak.proxy import Proxy
from soak.tape import write_streams, write_tape

_PIPE_BYTES = 1 << 18
"""Small, so that a stopped worker's pipe is full at once."""
_SPILL_BACKLOG_BYTES = 1 << 18
_LOOK_S = 0.2
_LAST_LINES = 30
"""Of lb's log, where it has failed."""


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"soak: seed {options.seed}, {options.seconds:g} s, {options.pipes} pipes", flush=True)
    began_s = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="lb-soak-") as folder:
            faults = soak(Path(folder), options)
    except KeyboardInterrupt:
        print("\nsoak: stopped", file=sys.stderr)
        return 130
    except Failed as failure:
        faults = [str(failure)]
    for fault in faults:
        print(f"soak: FAILED: {fault}")
    again = f"scripts/soak --seconds {options.seconds:g} --seed {options.seed} --pipes {options.pipes}"
    again += " --on-full spill" * (options.on_full == "spill")
    print(f"soak: {f'failed; again: {again}' if faults else 'survived'}, {time.monotonic() - began_s:.0f} s")
    return 1 if faults else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser("soak", description="lb at full speed under faults, judged to the record.")
    parser.add_argument("--seconds", type=float, default=180, metavar="S", help="how long (default: 180)")
    parser.add_argument("--seed", type=int, metavar="N", help="of the faults (default: a new one, which is printed)")
    parser.add_argument("--pipes", type=int, choices=[1, 2, 4, 8, 16], default=4, help="and workers (default: 4)")
    parser.add_argument("--on-full", choices=["block", "spill"], default="block", help="of lb (default: block)")
    parser.add_argument("--wss", action="store_true", help="over TLS")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = SystemRandom().randrange(1 << 32)
    return options


def soak(folder: Path, options: argparse.Namespace) -> list[str]:
    """All of it. Returns what was wrong. Raises Failed where it does not go on."""
    tape = folder / "tape.jsonl"
    write_tape(tape, options.seed)
    write_streams(folder, options.pipes)
    lives = Lives(folder)
    scheme = "wss" if options.wss else "ws"
    more = ["--stats-interval", "1", "--pipe-size", str(_PIPE_BYTES)]
    if options.on_full == "spill":
        more += ["--on-full", f"spill={folder / 'spilled'}", "--backlog", str(_SPILL_BACKLOG_BYTES)]
    with feed(tape, *(["--self-signed"] if options.wss else [])) as (port, trust), Proxy(port) as proxy:
        url = f"{scheme}://127.0.0.1:{proxy.port}/stocks"
        with balancer(url, options.pipes, folder, *trust, *more) as lb, Watch(lb.pid) as watch:
            _await_progress(lb, lives, options.pipes)
            quiet_before = _quiet_fds(watch)
            chaos = Chaos(lb, proxy, lives, options.seed, options.seconds)
            chaos.start()
            until_s = time.monotonic() + options.seconds
            try:
                while time.monotonic() < until_s and not chaos.has_failed and lb.is_running and not lives.faults():
                    time.sleep(_LOOK_S)
                if not lb.is_running:
                    raise Failed("lb has ended")
                if faults := lives.faults():
                    raise Failed("; ".join(faults))
                chaos.stop()
                _await_progress(lb, lives, options.pipes)
            except Failed:
                _print_scene(lb, proxy)
                raise
            quiet_after = _quiet_fds(watch)
            exit_code = lb.stop()
    verdict = judge(lb, lives, exit_code, chaos.deaths)
    verdict.faults += watch.faults((quiet_before, quiet_after))
    _print_table(chaos)
    _print_verdict(verdict, lb, watch, options.seconds)
    return verdict.faults


def _await_progress(lb: Lb, lives: Lives, pipes: int) -> None:
    """Until every pipe's worker lives and gets on."""
    wait_for("a worker for each pipe", lambda: len(lb.pids) == pipes)

    def finished() -> list[int]:
        told = [lives.of(lb.pids[slot]) for slot in range(pipes)]
        return [life.finished if life else 0 for life in told]

    before = finished()
    wait_for("progress on every pipe", lambda: all(now > then for now, then in zip(finished(), before, strict=True)))


def _print_scene(lb: Lb, proxy: Proxy) -> None:
    """What there is to see where it has failed."""
    for line in [*lb.lines[-_LAST_LINES:], lb.statistics]:
        print(json.dumps(line))
    print(f"connections {len(proxy.connections)}, of the last one {proxy.bytes_of_connection:,} bytes")
    for pid in (lb.pid, *lb.pids.values()):
        status = Path(f"/proc/{pid}/status")
        state = re.search(r"State:\t(.*)", status.read_text()) if status.exists() else None
        print(f"process {pid}: {state[1] if state else 'is no more'}")


def _quiet_fds(watch: Watch) -> int:
    """A session is open and every worker runs: what is open now is what lb needs. An end that was not taken yet may
    still hold one: the least of some looks."""
    for _ in range(10):
        watch.sample()
        time.sleep(_LOOK_S / 2)
    return min(watch.fds[-10:])


def _print_table(chaos: Chaos) -> None:
    print(f"\n| {'fault':42} | injected | survived | median s | longest s |")
    print(f"|{'-' * 44}|---------:|---------:|---------:|----------:|")
    for name, tally in chaos.tallies.items():
        times = (f"{median(tally.took_s):8.2f}", f"{max(tally.took_s):9.2f}") if tally.took_s else ("-", "-")
        print(f"| {name:42} | {tally.injected:8} | {len(tally.took_s):8} | {times[0]:>8} | {times[1]:>9} |")


def _print_verdict(verdict: Verdict, lb: Lb, watch: Watch, seconds: float) -> None:
    final = lb.balances[-1]
    sessions = lb.statistics.get("reconnects", 0) + 1
    mib = [size >> 20 for size in watch.resident_bytes]
    summands = " + ".join(f"{name} {final[name]:,}" for name in ("written", "waiting", "spilled", "dropped"))
    print(f"\nreceived {verdict.received:,} = {summands}: {'exact' if final['exact'] else 'NOT EXACT'}")
    print(f"written = finished {verdict.finished:,} + read by a worker that was made to end {verdict.unfinished:,}")
    print(
        f"{verdict.received / seconds:,.0f} records/s;",
        f"{verdict.lives:,} workers, {sessions:,} sessions, {len(lb.balances):,} balances",
    )
    print(f"resident memory {min(mib)} to {max(mib)} MiB, at the end {mib[-1]}")
    print(f"descriptors {min(watch.fds)} to {max(watch.fds)}, at the end {watch.fds[-1]}\n")


if __name__ == "__main__":
    sys.exit(main())
