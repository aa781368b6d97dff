"""Runs a server as the command line asks, until a signal or the end of the input."""

import argparse
import contextlib
import json
import select
import signal
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from lb.replay.authority import context_from_files
from lb.replay.command import lb_command, lb_command_for_venue
from lb.replay.errors import UnavailableError
from lb.replay.files import read_tape
from lb.replay.key import read_key
from lb.replay.player import End, Playback
from lb.replay.progress import INTERVAL_S, ProgressBar
from lb.replay.selection import Selection
from lb.replay.server import ReplayServer, Server
from lb.replay.synthetic import Layout, synthetic_market
from lb.replay.tally import Totals
from lb.replay.tape import Tape
from lb.replay.venue_recording import read_venue_recording
from lb.replay.venue_server import VenueServer
from lb.replay.venues import FAKES
from lb.replay.wire import WakeUp


def serve(options: argparse.Namespace) -> None:
    """Serves until SIGTERM, SIGINT or, with `once`, until the first client that got everything is gone.

    Raises ReplayError for input that cannot be used and an address that cannot be listened on.
    """
    if options.feed in FAKES:
        _serve_fake(options)
    else:
        _serve_tape(options)


def _serve_fake(options: argparse.Namespace) -> None:
    with WakeUp() as over, _signals_set(over):
        server = VenueServer(
            options.feed,
            symbols=options.symbols,
            rate=options.rate or 10.0,
            seed=1 if options.seed is None else options.seed,
            levels=options.levels or 200,
            host=options.host,
            port=options.port,
            tls=_tls(options),
            ping_interval_s=options.ping_interval,
            faults=options.fault,
            recording=read_venue_recording(options.files) if options.files else None,
        )
        with server:
            lines = [f"listening on {server.url} and {server.rest_url}"]
            lines += [f"ca file {server.ca_file}"] if server.ca_file else []
            command = lb_command_for_venue(options.feed, server.url, server.ca_file, server.example)
            print(*lines, f"to try it: {command}", sep="\n", flush=True)
            if sys.stderr.isatty():
                _watch(server, over, None)
            else:
                _wait(over, None)
        _report(server.totals, options.report)


def _serve_tape(options: argparse.Namespace) -> None:
    key = read_key(options.key)
    tape = _tape(options)
    playback = _playback(options)
    with WakeUp() as over, _signals_set(over):
        server = ReplayServer(
            tape,
            playback,
            key=key,
            host=options.host,
            port=options.port,
            path=options.path,
            tls=_tls(options),
            connections_per_key=options.connections,
            ping_interval_s=options.ping_interval,
            patience=options.slow_consumer_after,
            on_input_end=over.set if options.once else lambda: None,
        )
        with server:
            lines = [f"listening on {server.url}"]
            if server.ca_file:
                lines.append(f"ca file {server.ca_file}")
            command = lb_command(options.key, server.url, server.ca_file, tape.events, playback)
            print(*lines, f"to try it: {command}", sep="\n", flush=True)
            if sys.stderr.isatty():
                _watch(server, over, _expected_records(tape, playback))
            else:
                _wait(over, None)
        _report(server.totals, options.report)


def _tape(options: argparse.Namespace) -> Tape:
    if not options.synthetic:
        return read_tape(options.files, Selection(options.begin, options.by), _tell)
    return synthetic_market(
        seed=1 if options.seed is None else options.seed,
        rate=options.rate or 10_000.0,
        layout=Layout(options.layout or "2026"),
        behind=options.speed is None,
    )


def _tell(text: str) -> None:
    print(f"lb-replay: {text}", file=sys.stderr, flush=True)


def _playback(options: argparse.Namespace) -> Playback:
    return Playback(
        speed=options.speed,
        loop=options.loop or options.synthetic,
        record_limit=options.count,
        duration_s=options.duration,
        drop_every_records=options.drop_every,
        drops=options.drops,
        fragment_bytes=options.fragment,
        stamp=options.stamp,
        end=End(options.end),
        faults=options.fault,
    )


def _tls(options: argparse.Namespace) -> ssl.SSLContext | Literal["self-signed"] | None:
    if options.cert:
        return context_from_files(options.cert, options.key_file)
    return "self-signed" if options.self_signed else None


def _expected_records(tape: Tape, playback: Playback) -> int | None:
    return playback.record_limit if playback.loop else playback.record_limit or tape.record_count


@contextlib.contextmanager
def _signals_set(over: WakeUp) -> Iterator[None]:
    """SIGTERM and SIGINT set the event, in place of what they did before."""
    wanted = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: over.set()) for number in wanted]
    try:
        yield
    finally:
        for number, handler in zip(wanted, before, strict=True):
            signal.signal(number, handler)


def _watch(server: Server, over: WakeUp, expected: int | None) -> None:
    with ProgressBar(expected) as bar:
        while not _wait(over, INTERVAL_S):
            bar.show(server.totals)
        bar.show(server.totals)


def _wait(over: WakeUp, timeout_s: float | None) -> bool:
    """Whether the event was set within the time."""
    poll = select.poll()
    poll.register(over, select.POLLIN)
    return bool(poll.poll(None if timeout_s is None else timeout_s * 1e3))


def _report(totals: Totals, path: Path | None) -> None:
    print(totals, file=sys.stderr)
    if path is not None:
        try:
            path.write_text(json.dumps(totals.as_dict()) + "\n")
        except OSError as error:
            raise UnavailableError(f"the report {path} cannot be written: {error.strerror}") from None
