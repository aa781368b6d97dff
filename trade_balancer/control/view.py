"""What a running lb looks like at this moment, made of what it tells those who watch (docs/control.md): for lb-top and
the page.

Law: pure; the clock is the caller's. Bounded whatever lb has: of pipes, workers and readers so many are listed, those
in trouble first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

KEPT_S = 600
"""Of rate and lag, a point each second."""
LISTED = 64
LISTED_LINES = 12
RECENT_S = 3600.0
"""So long ago a session may have ended, or a gap, and is shown."""
FULL_SOON_S = 10.0
ENDS_OFTEN_S = 60.0
"""A worker that has ended twice and runs no longer than this may end again."""
DROPS_S = 10.0
"""After the last drop it may go on: the older half of a backlog goes at once, and then nothing for a while."""
WORTH_A_FORECAST = 0.02
"""Of what a pipe can hold."""
_LISTED_TOPICS = 5

Status = Mapping[str, Any]


class View:
    """take() what is pushed; `picture` is then what there is to see, and `points` are the last minutes."""

    def __init__(self) -> None:
        self._before: Status | None = None
        self._dropped_s: dict[int, float] = {}
        """By pipe: how long lb had run when records were last dropped for it."""
        self._lines: deque[dict[str, object]] = deque(maxlen=LISTED_LINES)
        self.status: Status | None = None
        """The newest."""
        self.picture: dict[str, Any] = {}
        self.points: deque[list[float | None]] = deque(maxlen=KEPT_S)
        """[s since 1970, records/s, lag p50 (ms), lag p99 (ms)]; None where there was none."""

    def take(self, event: Mapping[str, Any], now_s: float) -> bool:
        """Returns whether there is something new to see. `now_s`: since 1970."""
        name = event.get("name")
        if name == "log" and event.get("message") == "statistics":
            return False  # their numbers are on view
        if name == "log":
            self._lines.append(_line(event, now_s))
            return bool(self.picture) and self._see(now_s)
        if name == "status":
            self._before = self.status if self.status is not None and _follows(event, self.status) else None
            self.status = event
            self.points.append([round(now_s, 3), self._rate(), *_lag(event)])
            return self._see(now_s)
        return False

    def _see(self, now_s: float) -> bool:
        status = self.status
        assert status is not None
        self._note_drops()
        dropping = {pipe for pipe, at_s in self._dropped_s.items() if status["lb"]["uptime_s"] - at_s < DROPS_S}
        session, slots = status["session"], status["slots"]
        stops = status["counters"]["full_pipe"] if status["counters"]["stopped"] else None
        held = {pipe["pipe"]: _pipe(pipe, dropping, stops) for pipe in status["pipes"]}
        fullest = sorted(held.values(), key=lambda pipe: (-pipe["share"], pipe["pipe"]))[:LISTED]
        troubled = sorted(slots, key=lambda slot: (slot["state"] == "running" and not slot["paused"], slot["slot"]))
        newest = self.points[-1]
        self.picture = {
            "time_s": now_s,
            "lb": status["lb"],
            "rate": newest[1],
            "lag_p50_ms": newest[2],
            "lag_p99_ms": newest[3],
            "balance": {name: value for name, value in status["balance"].items() if not isinstance(value, list)},
            "session": _session(session),
            "pipes": sorted(fullest, key=lambda pipe: int(pipe["pipe"])),
            "pipes_total": len(held),
            "workers": sorted(map(_worker, troubled[:LISTED]), key=lambda worker: int(worker["slot"])),
            "workers_total": len(slots),
            "workers_running": sum(_runs(slot) for slot in slots),
            "readers": [_reader(reader) for reader in status["readers"]],
            "sessions": [*_recent(session["sessions"], now_s)],
            "gaps": [*_recent(session["gaps"], now_s)],
            "alarms": sorted(_alarms(status, dropping), key=lambda alarm: alarm["level"] != "error"),
            "lines": [*self._lines],
        }
        return True

    def _rate(self) -> float | None:
        """Records a second, whoever gets them, since the status before."""
        if self._before is None or self.status is None:
            return None
        elapsed_s = float(self.status["lb"]["uptime_s"] - self._before["lb"]["uptime_s"])
        return round((_market_total(self.status) - _market_total(self._before)) / elapsed_s, 1)

    def _note_drops(self) -> None:
        if self._before is None or self.status is None:
            self._dropped_s.clear()
            return
        for before, pipe in zip(self._before["pipes"], self.status["pipes"], strict=False):
            if pipe["dropped_total"] > before["dropped_total"]:
                self._dropped_s[pipe["pipe"]] = self.status["lb"]["uptime_s"]


def is_ready(status: Status) -> list[tuple[str, bool]]:
    """What must be so that records get to workers, and whether it is."""
    session, slots = status["session"], status["slots"]
    answered = not session["unacknowledged"] or len(session["unacknowledged"]) < len(session["topics"])
    return [
        ("lb runs", status["lb"]["state"] == "running"),
        ("the session is open, the key accepted", session["state"] == "open"),
        ("topics are acknowledged", session["state"] == "open" and answered),
        ("all workers run", all(map(_runs, slots))),
    ]


def _runs(slot: Mapping[str, Any]) -> bool:
    return slot["state"] == "running" and not slot["paused"]


def _follows(status: Status, before: Status) -> bool:
    """Whether both are the same lb's, one after the other."""
    lb, lb_before = status["lb"], before["lb"]
    return bool(lb["pid"] == lb_before["pid"] and lb["uptime_s"] > lb_before["uptime_s"])


def _market_total(status: Status) -> int:
    return int(status["counters"]["records_total"] + status["counters"]["unwanted_total"])


def _lag(status: Status) -> tuple[float | None, float | None]:
    return status["lag"]["lag_p50_ms"], status["lag"]["lag_p99_ms"]


def _share(pipe: Mapping[str, Any]) -> float:
    """How full it is, 0 to 1."""
    return min(pipe["held_bytes"] / pipe["capacity_bytes"], 1.0) if pipe["capacity_bytes"] else 0.0


def _full_in_s(pipe: Mapping[str, Any]) -> float | None:
    """None where it does not fill, or holds so little that a burst looks like a trend."""
    return pipe["full_in_s"] if _share(pipe) >= WORTH_A_FORECAST else None


def _pipe(pipe: Mapping[str, Any], dropping: set[int], stops: int | None) -> dict[str, Any]:
    """`stops`: the pipe that stops the reading."""
    return {
        "pipe": pipe["pipe"],
        "held_bytes": pipe["held_bytes"],
        "capacity_bytes": pipe["capacity_bytes"],
        "share": round(_share(pipe), 4),
        "full_in_s": _full_in_s(pipe),
        "written": pipe["written_total"],
        "waiting": pipe["waiting_records"],
        "spilled": pipe["spilled_records"],
        "dropped": pipe["dropped_total"],
        "is_dropping": pipe["pipe"] in dropping,
        "is_stopping": pipe["pipe"] == stops,
    }


def _worker(slot: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "slot": slot["slot"],
        "state": "paused" if slot["paused"] and slot["state"] == "running" else slot["state"],
        "pid": slot["pid"],
        "ran_s": slot["ran_s"],
        "starts": slot["starts_total"],
        "pipes": ranges(slot["pipes"]),
        "says": slot["says"],
        "last_end": end_in_words(slot["last_end"]),
    }


def _reader(reader: Mapping[str, Any]) -> dict[str, Any]:
    topics = reader["topics"]
    more = [f"and {len(topics) - _LISTED_TOPICS} more"] if len(topics) > _LISTED_TOPICS else []
    return {
        "reader": reader["reader"],
        "topics": ", ".join([*topics[:_LISTED_TOPICS], *more]),
        "delivered": reader["delivered_total"],
        "waiting": reader["waiting_records"],
        "dropped": reader["dropped_total"],
    }


def _session(session: Mapping[str, Any]) -> dict[str, Any]:
    topics = session["topics"]
    return {
        "state": session["state"],
        "url": session["url"],
        "tls": session["tls"],
        "sessions_total": session["sessions_total"],
        "topics": topics[:_LISTED_TOPICS],
        "topics_total": len(topics),
    }


def _recent(happened: Sequence[Mapping[str, Any]], now_s: float) -> Iterator[Mapping[str, Any]]:
    """What is not over, or has not been for longer than RECENT_S; the newest first."""
    for item in reversed(happened):
        end = item.get("ended", item.get("first_received"))
        if end is None or now_s - datetime.fromisoformat(str(end)).timestamp() <= RECENT_S:
            yield item


def _alarms(status: Status, dropping: set[int]) -> Iterator[dict[str, str]]:
    """What wants somebody's attention. `key` stays the same for as long as the alarm does, its text may change."""
    session, balance = status["session"], status["balance"]
    if status["lb"]["state"] != "running":
        yield _alarm("stops", "warning", f"lb stops: {status['lb']['state']}")
    elif session["state"] != "open":
        reason = f": {session['last_reason']}" if session["last_reason"] else ""
        yield _alarm("session", "error", f"No session with the feed{reason}")
    elif session["rejected"]:
        yield _alarm("rejected", "warning", f"The feed has refused topics: {'; '.join(session['rejected'][:3])}")
    if not balance["exact"]:
        yield _alarm("balance", "error", "The balance is not exact: records are unaccounted for")
    yield from _of_workers(status["slots"])
    yield from _of_pipes(status, dropping)
    for reader in status["readers"]:
        if reader["dropped_total"]:
            yield _alarm(
                f"reader {reader['reader']}", "warning",
                f"Reader {reader['reader']} is too slow: {reader['dropped_total']:,} records were dropped for it",
            )  # fmt: skip


def _of_workers(slots: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    words = {
        "empty": ("error", "has no process"),
        "leaving": ("error", "has ended"),
        "starting": ("warning", "is starting"),
        "stuck": ("error", "does not read its pipe"),
    }
    for slot in slots:
        level, text = words.get(slot["state"], ("warning", "is paused"))
        if not _runs(slot):
            yield _alarm(f"worker {slot['slot']} {slot['state']}", level, f"Worker {slot['slot']} {text}")
        elif slot["failures"] > 1 and slot["ran_s"] < ENDS_OFTEN_S:
            text = f"Worker {slot['slot']} ends again and again: {end_in_words(slot['last_end'])}"
            yield _alarm(f"worker {slot['slot']} ends", "error", text)


def _of_pipes(status: Status, dropping: set[int]) -> Iterator[dict[str, str]]:
    counters = status["counters"]
    if counters["stopped"]:
        number = counters["full_pipe"]
        yield _alarm("stopped", "error", f"Pipe {number} is full: the feed is not read until there is room")
    for pipe in status["pipes"]:
        number, left_s = pipe["pipe"], _full_in_s(pipe)
        if number in dropping:
            yield _alarm(f"pipe {number} drops", "error", f"Pipe {number} is full: records for it are dropped")
        elif pipe["spilled_records"]:
            text = f"Pipe {number} is full: {pipe['spilled_records']:,} of its records wait on disk"
            yield _alarm(f"pipe {number} spills", "warning", text)
        elif left_s is not None and left_s < FULL_SOON_S and not counters["stopped"]:
            yield _alarm(f"pipe {number} fills", "warning", f"Pipe {number} is full {in_words(left_s)}")


def _alarm(key: str, level: str, text: str) -> dict[str, str]:
    return {"key": key, "level": level, "text": text}


def in_words(left_s: float) -> str:
    """When a pipe is full."""
    return "now" if left_s < 1 else f"in {left_s:.0f} s" if left_s < 120 else f"in {left_s / 60:.0f} min"


def end_in_words(end: Mapping[str, Any] | None) -> str:
    """How a worker ended."""
    if end is None:
        return ""
    how = str(end["signal"]) if "signal" in end else f"exit code {end['exit_code']}"
    return f"{how} after {end['ran_s']:.1f} s" + (f": {end['why']}" if end["why"] else "")


def ranges(numbers: Sequence[int]) -> str:
    """Such as 0-3, 7."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and parts[-1][1] == number - 1:
            parts[-1][1] = number
        else:
            parts.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in parts)


def _line(event: Mapping[str, Any], now_s: float) -> dict[str, object]:
    left_out = ("name", "level", "message")
    values = " ".join(f"{name}={_word(value)}" for name, value in event.items() if name not in left_out)
    return {
        "time_s": round(now_s, 3),
        "level": event.get("level", "info"),
        "text": f"{event.get('message', '')} {values}".strip()[:400],
    }


def _word(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_word, value))
    return f"{value:.3f}" if isinstance(value, float) else str(value)
