"""The options of `lb` that concern pipes and the workers behind them, and which of them go together."""

from __future__ import annotations

import argparse

from lb.config import Frame, OnCrashes, OnFull, OnStuck, Spawn
from lb.errors import UsageError
from lb.numbers import whole
from lb.options.values import interval, on_full, one_of, route
from lb.pump import Route
from lb.slots.crashes import WINDOW_S
from lb.slots.watch import FIRST_READ_S


def add_workers(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--route",
        type=route,
        default=(Route.ROUND_ROBIN, ""),
        metavar="round-robin|symbol|least-backlog|key=MEMBER",
        help="which pipe a record goes to: the next in turn, the one of its symbol, the one with the least bytes "
        "unread, in the pipe and in lb, or the one of what its MEMBER says, as key=account does (default: "
        "round-robin)",
    )
    add(
        "--spawn",
        type=one_of(Spawn),
        default=Spawn.SHARED,
        metavar="shared|per-pipe",
        help="one worker for all pipes, or one for each (default: shared)",
    )
    add(
        "--frame",
        type=one_of(Frame),
        default=Frame.LENGTH,
        metavar="length|lines",
        help="what a worker reads: a length and a record, on its pipes, or records as lines on its standard input, for "
        "awk, jq and shells (by lb-lines, which runs WORKER) (default: length)",
    )
    add(
        "--pipe-size",
        type=whole("bytes", 4096, 1 << 31),
        metavar="BYTES",
        help="size of each pipe (default: as much as the system grants, at most 268435456, and all together a quarter "
        "of the memory that the machine, or lb's container, has)",
    )


def add_full_pipes(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--on-full",
        type=on_full,
        default=(OnFull.BLOCK, ""),
        metavar="block|drop-oldest|drop-newest|spill=DIR",
        help="what happens where a pipe and its backlog are full: the feed is read no further until there is room; the "
        "older half of the backlog is dropped, or the record that comes, both counted and told; the backlog goes to "
        "files in DIR, from where it is delivered as soon as there is room, also by the next lb (default: block)",
    )
    add(
        "--spill-max",
        type=whole("bytes", 1 << 16, 1 << 50),
        default=8 << 30,
        metavar="BYTES",
        help="how much may stand in DIR; beyond, as block (default: 8589934592)",
    )
    add(
        "--backlog",
        type=whole("bytes", 1, 1 << 34),
        metavar="BYTES",
        help="how much may wait in lb for each pipe, besides what is in the pipe (default: 33554432 for all pipes "
        "together, and 65536 at least)",
    )
    add(
        "--redeliver",
        action="store_true",
        help="keep each record until its worker has acknowledged it, as the SDK does by itself, and give what a worker "
        "that died has not to its successor; needs --spawn per-pipe (default: what a dead worker had read is gone)",
    )
    add(
        "--retain",
        type=whole("bytes", 4096, 1 << 34),
        metavar="BYTES",
        help="with --redeliver: how much may be unacknowledged and waiting, of each pipe, before the feed is read no "
        "further (default: 67108864, and all pipes together an eighth of the memory that lb may use)",
    )


def add_supervision(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--stuck-after",
        type=interval,
        default=10.0,
        metavar="S",
        help=f"a worker that reads nothing of what a pipe holds for S seconds, and for {FIRST_READ_S:g} at least "
        "before its first read, is told; 0 is off (default: 10)",
    )
    add(
        "--on-stuck",
        type=one_of(OnStuck),
        default=OnStuck.TELL,
        metavar="tell|restart",
        help="what to do about such a worker: a line in the log, or kill it and start another, too (default: tell)",
    )
    add(
        "--max-crashes",
        type=whole("ends", 0, 1_000_000),
        default=5,
        metavar="N",
        help=f"N ends of workers in one slot within {WINDOW_S:g} s are an error; 0 is off (default: 5)",
    )
    add(
        "--on-crashes",
        type=one_of(OnCrashes),
        default=OnCrashes.TELL,
        metavar="tell|exit",
        help="what to do about it: a line in the log, or stop, with exit code 69 (default: tell)",
    )


def check_pipes(args: argparse.Namespace, is_without_workers: bool) -> None:
    if args.pipes == 0 and not is_without_workers:
        raise UsageError("NPIPES 0 has neither DIR nor WORKER: nothing is dealt")
    if args.pipes == 0 and args.control is None:
        raise UsageError("NPIPES 0 is for --control: a session that only readers use")
    if args.pipes == 0 and (args.redeliver or args.on_full[0] is not OnFull.BLOCK):
        raise UsageError("NPIPES 0 has no pipes for --redeliver or --on-full")


def check_redelivery(args: argparse.Namespace) -> None:
    if not args.redeliver:
        if args.retain is not None:
            raise UsageError("--retain is for --redeliver")
    elif args.spawn is not Spawn.PER_PIPE:
        raise UsageError("--redeliver needs --spawn per-pipe: what a worker has not finished is one pipe's")
    elif args.on_full[0] is not OnFull.BLOCK:
        raise UsageError(f"--redeliver loses nothing, and so can't be had with --on-full {args.on_full[0].value}")
    elif args.backlog is not None:
        raise UsageError("--redeliver has no --backlog: --retain is the bound of all that lb keeps for a pipe")
    elif args.frame is not Frame.LENGTH:
        raise UsageError(f"--redeliver needs workers that acknowledge, which those of --frame {args.frame.value} can't")
