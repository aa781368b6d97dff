"""The readers that are attached: programs that have joined by the control socket, each with a pipe and topics.

Law: lb keeps no read end: that a reader has gone shows at its pipe. What a reader has and has not got is told when it
leaves.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lb import logs
from lb.pump import Policy, Pump, Topic
from lb.slots.pipes import enlarge

PIPE_BYTES = 1 << 20
BACKLOG_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """What a reader asks for. Sizes in bytes."""

    topics: Sequence[str]
    policy: Policy = Policy.DROP_OLDEST
    has_markers: bool = False
    pipe_size_bytes: int = PIPE_BYTES
    backlog_bytes: int = BACKLOG_BYTES


@dataclasses.dataclass(slots=True, eq=False)
class Reader:
    number: int
    wish: Wish
    """What it asked for when it joined."""
    topics: Sequence[str]
    meant: Sequence[Topic]
    """What its topics mean."""
    write_fd: int
    pipe_size_bytes: int


class Readers:
    """`parse`: what a topic means."""

    def __init__(self, pump: Pump, parse: Callable[[str], Topic]) -> None:
        self._pump = pump
        self._parse = parse
        self._attached: dict[int, Reader] = {}

    def attach(self, wish: Wish) -> tuple[Reader, int]:
        """The reader, and its pipe's read end, the caller's. Raises OSError."""
        read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
        try:
            os.set_blocking(write_fd, False)
            size_bytes = enlarge(write_fd, wish.pipe_size_bytes)
            number = self._pump.add_reader(
                write_fd, wish.policy, has_markers=wish.has_markers, backlog_bytes=wish.backlog_bytes
            )
        except OSError:
            os.close(read_fd)
            os.close(write_fd)
            raise
        reader = Reader(number, wish, wish.topics, [*map(self._parse, wish.topics)], write_fd, size_bytes)
        self._attached[number] = reader
        logs.info("reader attached", reader=number, topics=list(wish.topics[:20]), pipe_size_bytes=size_bytes)
        return reader, read_fd

    def hand_over(self) -> list[dict[str, Any]]:
        """For adopt() in another process: what is known of each besides what the pump knows."""
        return [
            {
                "number": number,
                "wish": {**dataclasses.asdict(reader.wish), "policy": int(reader.wish.policy)},
                "topics": list(reader.topics),
                "write_fd": reader.write_fd,
                "pipe_size_bytes": reader.pipe_size_bytes,
            }
            for number, reader in self._attached.items()
        ]

    def adopt(self, handed_over: Sequence[Mapping[str, Any]]) -> None:
        """Raises OSError where one can't go on."""
        self._pump.go_on_readers({known["number"]: known["write_fd"] for known in handed_over})
        for known in handed_over:
            wish = Wish(**{**known["wish"], "policy": Policy(known["wish"]["policy"])})
            meant = [*map(self._parse, known["topics"])]
            self._attached[known["number"]] = Reader(
                known["number"], wish, known["topics"], meant, known["write_fd"], known["pipe_size_bytes"]
            )

    @property
    def fds(self) -> list[int]:
        return [reader.write_fd for reader in self._attached.values()]

    @property
    def numbers(self) -> list[int]:
        return list(self._attached)

    def get(self, number: int) -> Reader | None:
        return self._attached.get(number)

    def change(self, reader: Reader, topics: Sequence[str]) -> None:
        """It wants these from now on."""
        reader.topics, reader.meant = topics, [*map(self._parse, topics)]

    def detach(self, reader: Reader) -> bool:
        """Its pipe ends. Returns whether it was attached."""
        if self._attached.get(reader.number) is not reader:
            return False
        del self._attached[reader.number]
        counters = self._pump.reader_counters(reader.number)
        self._pump.remove_reader(reader.number)
        os.close(reader.write_fd)
        logs.info(
            "reader left", reader=reader.number, offered=counters.offered_total, delivered=counters.delivered_total,
            dropped=counters.dropped_total, waiting=counters.waiting_records,
        )  # fmt: skip
        return True

    def close(self) -> None:
        for reader in list(self._attached.values()):
            self.detach(reader)

    @property
    def topics_total(self) -> int:
        """Of all together."""
        return sum(len(reader.meant) for reader in self._attached.values())

    @property
    def most_bytes(self) -> int:
        """What may wait for all together, in their pipes and in lb."""
        return sum(reader.pipe_size_bytes + reader.wish.backlog_bytes for reader in self._attached.values())

    def topics(self) -> dict[int, Sequence[Topic]]:
        """What each wants."""
        return {number: reader.meant for number, reader in self._attached.items()}

    def status(self) -> list[dict[str, object]]:
        """What there is to tell about each."""
        return [
            {
                "reader": number,
                "topics": list(reader.topics),
                "policy": reader.wish.policy.name.lower().replace("_", "-"),
                "markers": reader.wish.has_markers,
                "pipe_size_bytes": reader.pipe_size_bytes,
                **dataclasses.asdict(self._pump.reader_counters(number)),
            }
            for number, reader in self._attached.items()
        ]
