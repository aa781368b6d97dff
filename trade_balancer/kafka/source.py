"""Records of a topic, as from a pipe: what reads pipes reads them, and does not know the difference.

Law: an offset is committed when its records, and all before them, are finished, as a worker of lb acknowledges them. A
partition is given away when what was read of it is finished: the next who gets it begins behind it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from trade_balancer import channel
from trade_balancer.errors import UnavailableError, UsageError, tell
from trade_balancer.kafka.inbox import Inbox, Place, Question
from trade_balancer.kafka.journey import Journey, journey_of
from trade_balancer.kafka.library import library

_PIPE_BYTES = 1 << 20
_READ_BYTES = 1 << 18
"""Of frames, before they go into the pipe."""
_WAIT_S = 0.1
_FULL_S = 0.5
"""How long a pipe is full before nothing more is fetched; the group does not see us meanwhile."""
_GIVE_AWAY_S = 30
"""How long a partition that is to be given away waits for what was read of it."""
_COMMIT_S = 2.0
"""And then for the brokers to take that this is finished."""
_TOLD_EVERY_S = 60.0
_DEFAULTS: dict[str, Any] = {
    "enable.auto.offset.store": False,  # stored is what is finished, and what is stored is committed each second
    "auto.commit.interval.ms": 1000,
    "auto.offset.reset": "earliest",
    "fetch.wait.max.ms": 100,
    "log_level": 2,  # what goes wrong is told by us
}
_CLASSIC = {"partition.assignment.strategy": "cooperative-sticky", "session.timeout.ms": 10_000}
"""Where the group's protocol is the brokers' own (KIP-848), these are the brokers' to say."""

Note = Callable[[int, Journey], None]
"""Called with the number of a record, counted from 1, and the way of a message at or before it, before that record is
in the pipe; in a thread of its own."""


def consume(
    brokers: str,
    topics: Sequence[str],
    group: str,
    *,
    member: str = "",
    settings: Mapping[str, Any] | None = None,
    note: Note | None = None,
) -> Consumed:
    """Joins a group that reads topics, and reads its part of them as a pipe:

        with consume("kafka1:9092", ["trades"], "bars") as source:
            for fd, records in batches(source.fds):
                ...

    Args:
        group: its members part the topics' partitions among them; what is finished is known by its name.
        member: a name of this member's own, for one that comes back at once after its end, or death: it gets back what
            it had, and no other notices. It gives nothing away when it leaves, until its session ends (10 s).
        settings: librdkafka's; group.protocol=consumer for groups as Kafka 4 has them (KIP-848).
        note: is told the way of one message of each read, any of them.

    Raises:
        UnavailableError: no broker answers, or a topic is not there.
        UsageError: a setting is none; or a member's name for a group of KIP-848: there, one that was killed and comes
            back is refused, for good.
    """
    from trade_balancer.kafka.topics import Topics

    given = {"bootstrap.servers": brokers, **(settings or {})}
    is_classic = given.get("group.protocol", "classic") == "classic"
    if member:
        given = {"group.instance.id": member, **given}
    if "group.instance.id" in given and not is_classic:
        name = "--member" if member else "-X group.instance.id"
        raise UsageError(f"{name}: group.protocol=consumer refuses a member that was killed and comes back")
    Topics(given).check(topics)
    chosen = _DEFAULTS | (_CLASSIC if is_classic else {}) | {"group.id": group}
    return Consumed({**chosen, **given}, topics, note)


class Consumed:
    """A member of a group, with a pipe of what it gets; see `consume`."""

    def __init__(self, settings: Mapping[str, Any], topics: Sequence[str], note: Note | None = None) -> None:
        self._note = note
        self._handed_over: deque[tuple[int, dict[Place, int]]] = deque()
        """Up to which number, and where the next begins, by partition."""
        self._acknowledged = 0
        self._held: set[Place] = set()
        self._is_leaving = False
        self._is_closing = False
        self._errors_seen = 0
        self._is_away = False
        self._fault: Exception | None = None
        self._told_at_s = time.monotonic() + _TOLD_EVERY_S
        self._inbox = Inbox(library(), settings, topics)
        self.fd, self._write_fd = os.pipe()
        with contextlib.suppress(PermissionError):  # fs.pipe-user-pages-soft, pipe(7): it stays small
            fcntl.fcntl(self._write_fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        os.set_blocking(self._write_fd, False)
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._theirs = theirs
        channel.stand_in_for_lb(theirs.fileno(), self.fd)
        os.register_at_fork(after_in_child=self._forget)
        self._thread = threading.Thread(target=self._run, name="kafka", daemon=True)
        self._thread.start()

    @property
    def fds(self) -> list[int]:
        """What `batches`, `records`, `columns` and `run` take."""
        return [self.fd]

    def leave(self) -> None:
        """Nothing more is read from the topic, and the pipe ends behind what is in it."""
        self._is_leaving = True

    def close(self) -> None:
        """Commits what is finished, and leaves the group. The second time, nothing happens.

        Raises:
            UnavailableError: the group, or the topic, could not be read any more.
        """
        if self.fd >= 0:
            self._is_leaving = self._is_closing = True
            self._thread.join()
            channel.stand_in_for_lb(None, self.fd)
            self._theirs.close()
            self._ours.close()
            os.close(self.fd)
            self.fd = -1
        if self._fault is not None:
            fault, self._fault = self._fault, None
            raise UnavailableError(f"Kafka: {fault}") from fault

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _forget(self) -> None:
        """In a process that is forked: the pipe must not be held open, and the topic is its parent's."""
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def _run(self) -> None:
        try:
            while not self._is_leaving:
                self._read()
            self._move_all()
            self._end_pipe()
            self._wait_for_close()
        except Exception as fault:
            self._fault = fault
        finally:
            self._end_pipe()
            self._tell()
            if not self._inbox.has_failed:
                self._commit()
            self._inbox.close()

    def _read(self) -> None:
        self._look(_WAIT_S, _READ_BYTES)
        self._move_all()
        self._answer()
        self._hear(0)
        if time.monotonic() >= self._told_at_s:
            self._told_at_s = time.monotonic() + _TOLD_EVERY_S
            self._tell()

    def _look(self, timeout_s: float, size_bytes: int) -> None:
        """What comes is handed over from here on."""
        inbox = self._inbox
        inbox.read(timeout_s, size_bytes)
        if inbox.has_failed:
            raise UnavailableError(inbox.error)
        if ends := inbox.new_ends():
            self._handed_over.append((inbox.records_total, ends))
            self._is_away = False
            self._tell_journey()
        elif inbox.errors_total > self._errors_seen and not self._is_away:
            self._is_away = True
            tell(f"Kafka: {inbox.error}; trying again")
        self._errors_seen = inbox.errors_total

    def _tell_journey(self) -> None:
        if self._note is None or (sample := self._inbox.sample()) is None:
            return
        if (journey := journey_of(sample)) is not None:
            self._note(self._inbox.records_total, journey)

    def _move_all(self) -> None:
        """Into the pipe; where it stays full, the group still sees us, and no more comes: librdkafka then throws away
        what it has fetched beforehand, so that is not done for a moment's sake."""
        is_paused = False
        full_at_s = time.monotonic() + _FULL_S
        while self._inbox.has_waiting and not self._is_closing:
            if self._move(_WAIT_S):
                full_at_s = time.monotonic() + _FULL_S
                continue
            if time.monotonic() < full_at_s:
                continue
            if not is_paused:
                is_paused = True
                self._inbox.pause(True)
            self._look(0, 0)
            self._answer()
        if is_paused:
            self._inbox.pause(False)

    def _wait_for_close(self) -> None:
        """No more is read, and the group still sees us."""
        self._inbox.pause(True)
        while not self._is_closing:
            self._hear(_WAIT_S)
            self._inbox.read(0, 0)
            self._answer()
        self._hear(0)

    def _move(self, timeout_s: float) -> int:
        """Waits for room, or for an acknowledgement; returns how many bytes went into the pipe."""
        _, writable, _ = select.select([self._ours], [self._write_fd] if self._inbox.has_waiting else [], [], timeout_s)
        self._hear(0)
        return self._inbox.move(self._write_fd) if writable else 0

    def _hear(self, timeout_s: float) -> None:
        """What is finished; where messages have brought no records, they are so without a word."""
        if select.select([self._ours], [], [], timeout_s)[0]:
            while True:
                try:
                    word = self._ours.recv(200, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    break
                if word.startswith(b"ACK "):
                    self._acknowledged = int(word.split()[2])
        self._store()

    def _store(self) -> None:
        """What is stored is committed before long."""
        ends: dict[Place, int] = {}
        while self._handed_over and self._handed_over[0][0] <= self._acknowledged:
            ends |= self._handed_over.popleft()[1]
        self._inbox.finish(ends)

    def _answer(self) -> None:
        """What the group asks."""
        if (question := self._inbox.question) is Question.NOTHING:
            return
        asked = self._inbox.asked()
        if question is Question.TAKE:
            self._held |= asked
        else:
            if question is Question.GIVE:
                self._finish(asked)
            self._forget_what_others_have(asked)
        self._inbox.answer()

    def _finish(self, places: set[Place]) -> None:
        """Waits for what was read of them; they are to be others'."""
        until_s = time.monotonic() + _GIVE_AWAY_S
        while self._has_unfinished(places) and not self._is_closing and time.monotonic() < until_s:
            self._move(_WAIT_S)
        self._commit(_COMMIT_S)

    def _commit(self, patience_s: float = 0.0) -> None:
        """Again and again for so long: while others join or leave, the brokers may take none."""
        until_s = time.monotonic() + patience_s
        while (fault := self._inbox.commit()) and not self._is_closing and time.monotonic() < until_s:
            self._hear(_WAIT_S)
        if fault:
            tell(f"Kafka: what was finished could not be committed: {fault}")

    def _has_unfinished(self, places: set[Place]) -> bool:
        return any(places & ends.keys() for _, ends in self._handed_over)

    def _forget_what_others_have(self, lost: set[Place]) -> None:
        """What is finished of it is not ours to say any more."""
        self._held -= lost
        self._handed_over = deque(
            (number, {place: end for place, end in ends.items() if place not in lost})
            for number, ends in self._handed_over
        )

    def _end_pipe(self) -> None:
        if self._write_fd >= 0:
            os.close(self._write_fd)
            self._write_fd = -1

    def _tell(self) -> None:
        """How many messages there are that we have not read; as far as we have heard."""
        inbox = self._inbox
        again = f", {inbox.again_total} more that came again" if inbox.again_total else ""
        lag = f"lag {inbox.lag(self._held)} messages in {len(self._held)} partitions"
        tell(f"{inbox.records_total} records read{again}; {lag}")
