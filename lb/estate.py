"""What lb leaves behind where it is killed, and how the next start takes it over (docs/crash.md).

It is in the service manager's store (lb/handover/store.py): the pump's memory, both ends of every pipe, the session's
socket, and a document of what Python knows, which is written anew when that changes.

Law: nothing here is done per record. What is taken over is proven to belong together; otherwise all of it is refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lb import logs
from lb.feed import succession as feed
from lb.handing_over import Parts
from lb.handover import HandOverRefused, kept
from lb.handover import store as names
from lb.handover.kept import Kept
from lb.handover.store import Store
from lb.pump import description
from lb.service import Manager
from lb.signals import WakeUps
from lb.slots import group
from lb.slots import succession as slots
from lb.slots.proc import fields_of
from lb.version import VERSION

LOOK_S = 5.0
"""Between two documents where nothing has changed but what is counted."""
RETRY_S = 0.05
"""Between two tries where the service manager has no room for a word now."""
MOST_ADOPTIONS = 3
"""In a row, without a record between them: what was taken over may be what kills."""
LEAVE_S = 1.0
"""What a worker has for its end before a restart."""
ABANDON_S = 0.5
"""How long a manager that has no room for a word now is waited for at a stop: what it keeps holds pipes open."""
BURY_S = 2.0
"""How long the end of a killed worker is waited for."""

_STARTED = 19
"""Of the fields behind the name in /proc/PID/stat: starttime."""
_NEVER_NS = 1 << 62
_Document = Mapping[str, Any]


class Estate:
    """To be tended between two runs of the pump."""

    def __init__(self, parts: Parts, adopted: _Document | None = None) -> None:
        """`adopted`: hand_over() of the program that had this process before, or what take() has found."""
        self._parts = parts
        self._store = Store(parts.manager)
        self._kept: Kept | None = None
        self._is_put = adopted is not None and adopted["pump_inode"] == _inode(parts.pump.memory_fd)
        self._session_inode: int | None = None
        self._mark: object = None
        self._due_ns = 0
        self._is_whole = False
        self._has_left = False
        self._adoptions = self._records_before = 0
        if adopted is not None:
            self._kept = Kept(adopted["document_fd"])
            self._session_inode = adopted["session_inode"]
            self._adoptions, self._records_before = adopted["adoptions"], adopted["records_before"]
        elif self._is_possible():
            self._kept = Kept()

    def _is_possible(self) -> bool:
        most, needed = self._parts.manager.most_kept, 2 * len(self._parts.pipes.read_fds) + 3
        if 0 < most < needed:
            text = "the service manager keeps too few descriptors: a crash loses the session and what waits"
            logs.warning(text, most=most, needed=needed, remedy=f"FileDescriptorStoreMax={needed}")
        return most >= needed

    def hand_over(self) -> dict[str, Any] | None:
        """For another program in this process. None: nothing is kept."""
        if self._kept is None:
            return None
        adoptions = {"adoptions": self._adoptions, "records_before": self._records_before}
        pump_inode = _inode(self._parts.pump.memory_fd) if self._is_put else None
        fds = {"document_fd": self._kept.fileno(), "pump_inode": pump_inode}
        return {**fds, "session_inode": self._session_inode, **adoptions}

    def touch(self) -> None:
        """Something has changed that mark() does not show."""
        self._mark = None

    def tend(self, now_ns: int) -> None:
        if self._kept is None:
            return
        mark = feed.mark(self._parts.keeper), slots.mark(self._parts.supervisor)
        if mark == self._mark and now_ns < self._due_ns:
            return
        self._mark, self._is_whole = mark, False
        self._count_adoptions()
        try:
            self._kept.write(self._document())
        except OSError as error:
            logs.error("what a crash leaves can't be written", error=str(error))
            self.abandon()
            return
        self._is_whole = self._put(self._kept)
        self._due_ns = now_ns + int((LOOK_S if self._is_whole else RETRY_S) * 1e9)

    @property
    def deadline_ns(self) -> int:
        """When tend() is to put again what there was no room for (CLOCK_MONOTONIC)."""
        return _NEVER_NS if self._kept is None or self._is_whole else self._due_ns

    def _count_adoptions(self) -> None:
        records = self._parts.pump.counters().records_total
        if records > self._records_before:
            self._adoptions, self._records_before = 0, records

    @property
    def keeps_session(self) -> bool:
        return self._kept is not None and self._session_inode is not None

    def leave(self, wake_ups: WakeUps) -> None:
        """A start follows that is to go on with the session; this process ends, and touches nothing any more. Workers
        are asked to end, and have a moment for it: their pipes do not end. Raises OSError where not all is left."""
        self._keep_all()  # before the workers are asked
        logs.info("leaving: the next start goes on")
        self._has_left, self._adoptions = True, 0
        supervisor, until_ns = self._parts.supervisor, time.monotonic_ns() + int(LEAVE_S * 1e9)
        supervisor.terminate()
        while supervisor.running and time.monotonic_ns() < until_ns:
            wake_ups.wait(until_ns)
            wake_ups.take()
            supervisor.reap()
        self._keep_all()
        os._exit(0)

    def _keep_all(self) -> None:
        """Raises OSError where that can't be."""
        self.touch()
        self.tend(time.monotonic_ns())
        if not (self._is_whole and self.keeps_session):
            raise OSError(errno.EAGAIN, "the service manager does not keep all")

    def abandon(self) -> None:
        """lb stops: whoever is started next begins anew, and pipes end where lb closes them."""
        if self._kept is not None:
            until_ns = time.monotonic_ns() + int(ABANDON_S * 1e9)
            while not self._store.remove() and time.monotonic_ns() < until_ns:
                time.sleep(ABANDON_S / 50)
            self._kept.wipe()  # so nobody begins with it where the manager has not listened
            self._kept.close()
            self._kept = None

    def _put(self, document: Kept) -> bool:
        """What is not in the store yet. Returns whether all is."""
        pipes = self._parts.pipes
        if not self._is_put:
            self._session_inode = None
            self._is_put = (
                self._store.remove()
                and self._store.put(names.PUMP, [self._parts.pump.memory_fd])
                and self._store.put(names.PIPES, [*pipes.read_fds, *pipes.write_fds])
                and self._store.put(names.DOCUMENT, [document.fileno()])
            )
        session = feed.settled_session(self._parts.keeper)
        inode = None if session is None else _inode(session.fileno())
        if self._is_put and inode != self._session_inode and self._store.remove([names.SESSION]):
            self._session_inode = None  # the manager's own copy would hold the connection open
            if session is not None and self._store.put(names.SESSION, [session.fileno()]):
                self._session_inode = inode
        return self._is_put and inode == self._session_inode

    def _document(self) -> dict[str, Any]:
        parts = self._parts
        session = feed.settled_session(parts.keeper)
        return {
            "from": VERSION,
            "has_left": self._has_left,
            "words": list(parts.words),
            "key": parts.config.key.hand_over(),
            "mapping": description(),
            "pipes": {"size_bytes": parts.pipes.size_bytes, "inodes": [*map(_inode, parts.pipes.read_fds)]},
            "high_water_bytes": parts.high_water_bytes,
            "redelivery": None if parts.redelivery is None else parts.redelivery.hand_over(),
            "slots": slots.bequeath(parts.supervisor),
            "workers": [[slot.pid, _started(slot.pid)] for slot in parts.supervisor.slots if slot.pid],
            "keeper": feed.bequeath(parts.keeper),
            "reporter": parts.reporter.hand_over(),
            "session_inode": None if session is None else _inode(session.fileno()),
            "sessions_total": parts.pump.sessions_total,
            "adoptions": self._adoptions,
            "records_before": self._records_before,
        }


def take(manager: Manager, words: Sequence[str]) -> dict[str, Any] | None:
    """What a killed lb has left; None where nothing is there. Its workers are gone afterwards.

    What can't be taken over is told, and nobody's any more.
    """
    if not (left := names.take()):
        return None
    try:
        return _taken(left, words)
    except HandOverRefused as error:
        refuse(manager, error, [fd for fds in left.values() for fd in fds])
        return None


def refuse(manager: Manager, error: Exception, fds: Iterable[int]) -> None:
    """Nothing of it is used. `fds`: what of it is open."""
    logs.error("what a killed lb has left is not taken over: all begins anew", why=str(error))
    Store(manager).remove()
    for fd in fds:
        os.close(fd)


def _taken(left: Mapping[str, Sequence[int]], words: Sequence[str]) -> dict[str, Any]:
    """Raises HandOverRefused."""
    if len(left.get(names.DOCUMENT, ())) != 1 or len(left.get(names.PUMP, ())) != 1:
        raise HandOverRefused("its document or its pump is not there")
    (document_fd,), (pump_fd,) = left[names.DOCUMENT], left[names.PUMP]
    document = kept.read(document_fd)
    try:
        _bury(document["workers"])
        _prove(document, words)
        document["adoptions"] += 1
        Kept(document_fd).write(document)
        document["pipes"] |= _pipe_ends(left.get(names.PIPES, ()), document["pipes"]["inodes"])
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise HandOverRefused(f"its document does not fit: {error!r}") from None
    session_fds = [fd for fd in left.get(names.SESSION, ()) if _inode(fd) == document["session_inode"]]
    for fd in {*left.get(names.SESSION, ())}.difference(session_fds[:1]):
        document["session_inode"] = _inode(fd)  # so that it is taken out of the store
        os.close(fd)
    session_fd = session_fds[0] if session_fds else None
    fds = {"document_fd": document_fd, "pump_fd": pump_fd, "session_fd": session_fd}
    return document | fds | {"is_killed": True, "pump_inode": _inode(pump_fd)}


def _prove(document: _Document, words: Sequence[str]) -> None:
    if document["mapping"] != description():
        raise HandOverRefused(f"it was of version {document['from']}, whose pump is laid out otherwise")
    if document["words"] != list(words):
        raise HandOverRefused("the command line is another one")
    if document["adoptions"] >= MOST_ADOPTIONS:
        raise HandOverRefused(f"{MOST_ADOPTIONS} times in a row, who had it was killed before it dealt a record")


def _pipe_ends(fds: Sequence[int], inodes: Sequence[int]) -> dict[str, list[int]]:
    """By pipe. Raises HandOverRefused where an end is missing."""
    ends: dict[tuple[int, int], int] = {}
    for fd in fds:
        ends[_inode(fd), fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE] = fd
    try:
        read_fds = [ends[inode, os.O_RDONLY] for inode in inodes]
        write_fds = [ends[inode, os.O_WRONLY] for inode in inodes]
    except KeyError:
        raise HandOverRefused("an end of a pipe is not there") from None
    if len({*read_fds, *write_fds}) != len(fds):
        raise HandOverRefused("there are other pipes than its own")
    return {"read_fds": read_fds, "write_fds": write_fds}


def _bury(workers: Sequence[tuple[int, int]]) -> None:
    """Kill what has outlived lb: two may not read one pipe. Service managers have done it already."""
    left = [pid for pid, started in workers if _is_left(pid, started)]
    for pid in left:
        group.send(pid, signal.SIGKILL)
    until_ns = time.monotonic_ns() + int(BURY_S * 1e9)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            process_fd = os.pidfd_open(pid)
            try:
                poll = select.poll()
                poll.register(process_fd, select.POLLIN)
                poll.poll(max(until_ns - time.monotonic_ns(), 0) / 1e6)
            finally:
                os.close(process_fd)


def _is_left(pid: int, started: int) -> bool:
    """The worker, or of its group what it has left."""
    if pid <= 1:
        return False
    if (now := _started(pid)) != 0:
        return now == started
    with contextlib.suppress(OSError):
        os.killpg(pid, 0)
        return True
    return False


def adopt(parts: Parts, document: _Document) -> None:
    """Go on where the killed one was. Its pipes and its pump are in `parts` already; nothing runs yet."""
    unread_bytes = sum(parts.pipes.backlog_bytes())
    for pipe, read_fd in enumerate(parts.pipes.read_fds):
        os.set_blocking(read_fd, True)
        parts.pump.settle_write(pipe, read_fd)
    parts.pump.go_on_readers({})
    slots.inherit(parts.supervisor, document["slots"])
    # The pump's, and the document's: it may have been killed between the two, at an opening or an end.
    is_same = parts.pump.has_session and parts.pump.sessions_total == document["sessions_total"]
    session_fd = document["session_fd"] if is_same else None
    is_kept = feed.inherit(parts.keeper, document["keeper"], session_fd, parts.pump.go_on)
    if not is_kept:
        parts.pump.detach()
        if document["session_fd"] is not None:
            os.close(document["session_fd"])
    parts.reporter.adopt(document["reporter"])
    waiting = sum(parts.pump.pipe_counters(pipe).waiting_records for pipe in range(len(parts.pipes.read_fds)))
    session = "kept" if is_kept else "opened anew"
    (logs.info if document["has_left"] else logs.warning)(
        "restarted: taken over" if document["has_left"] else "lb was killed: taken over",
        **{"from": document["from"]},
        session=session,
        waiting_records=waiting,
        unread_bytes=unread_bytes,
    )


def _inode(fd: int) -> int:
    return os.fstat(fd).st_ino


def _started(pid: int) -> int:
    """When a process was, in clock ticks since the boot; 0 where there is none."""
    fields = fields_of(pid)
    return int(fields[_STARTED]) if len(fields) > _STARTED else 0
