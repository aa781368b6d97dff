"""What a keeper of a session hands over to the one of another program in the same process, and how that goes on.

Law: no I/O but on the pump. What is looked at over seconds goes along; a dialogue that has not come to its end, and an
attempt to open a session, do not: they are waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lb.errors import SessionLetGo
from lb.feed.session import Session, frames
from lb.feed.states import Open, Waiting

if TYPE_CHECKING:
    from lb.feed.keeper import Keeper

_PARTS = ("_security", "_pace", "_vitals", "_pulse", "_renewal", "history", "topics")


def settled_session(keeper: Keeper) -> Session | None:
    """The one that is open and can be handed over."""
    state = keeper.state
    return state.session if isinstance(state, Open) and state.session.can_be_handed_over else None


def is_settled(keeper: Keeper, *, keeps: bool) -> bool:
    """Whether another program can take this over: with an open session, and no second one beside it, or none. `keeps`:
    whether it can go on with a session."""
    if isinstance(keeper.state, Waiting):
        return not keeper._pump.has_input
    return keeps and settled_session(keeper) is not None and keeper._renewal.successor is None


def let_go(keeper: Keeper, *, keeps: bool) -> None:
    """Close the session, where another program can't go on with it; what the feed has sent is read to its end. That is
    not begun while a full pipe stops the reading. A second session beside it is left for later, unless it goes on
    already."""
    if not isinstance(keeper.state, Open):
        return
    keeper._renewal.postpone(time.monotonic_ns())
    if (keeps and keeper.state.session.can_be_handed_over) or keeper._pump.counters().stopped:
        return
    keeper._send(frames.CLOSE, frames.close_payload(frames.GOING_AWAY))
    why = (
        "the keys of TLS in userspace end with the program"
        if keeps
        else "the other program's pump is laid out otherwise"
    )
    keeper._end(SessionLetGo(f"closed for the upgrade: {why}"))


def mark(keeper: Keeper) -> object:
    """Another one where something has changed that whoever comes after a kill must know; cheap."""
    said = keeper.topics.subscriptions
    return id(keeper.state), said.wanted, *said.counts, keeper.history.sessions_total


def bequeath(keeper: Keeper) -> dict[str, Any]:
    """In any state, for inherit() in another process: a session that is not open, or can't be kept, is opened anew."""
    is_kept = settled_session(keeper) is not None
    return hand_over(keeper) if is_kept else {**_parts(keeper), "state": {"due_ns": 0}}


def inherit(keeper: Keeper, left: Mapping[str, Any], session_fd: int | None, go_on: Callable[[int], None]) -> bool:
    """As adopt(), after a kill. Returns whether the session goes on: `session_fd` is its own, or None."""
    state = dict(left["state"])
    is_kept = "session" in state and session_fd is not None
    state = state | {"session": state["session"] | {"fd": session_fd}} if is_kept else {"due_ns": 0}
    adopt(keeper, {**left, "state": state}, go_on)
    keeper.topics.is_retuned = True
    return is_kept


def hand_over(keeper: Keeper) -> dict[str, Any]:
    """In the states Waiting and Open."""
    return {**_parts(keeper), "state": _state(keeper)}


def _parts(keeper: Keeper) -> dict[str, Any]:
    parts = {name: getattr(keeper, name).hand_over() for name in _PARTS}
    return {**parts, "tls": keeper.tls, "failures": keeper._backoff.failures}


def adopt(keeper: Keeper, handed_over: Mapping[str, Any], go_on: Callable[[int], None]) -> None:
    """`go_on`: the pump is told on which descriptor its session is."""
    for name in _PARTS:
        getattr(keeper, name).adopt(handed_over[name])
    keeper.tls, keeper._backoff.failures = handed_over["tls"], handed_over["failures"]
    state = handed_over["state"]
    if "session" not in state:
        keeper.state = Waiting(state["due_ns"])
        return
    dialogue = keeper._venue.dialogue(keeper._config.key.reveal(), keeper.topics.subscriptions.wanted)
    dialogue.adopt(state["dialogue"])
    session = Session.adopt(state["session"])
    keeper.state = Open(session, dialogue, state["began_ns"])
    go_on(session.fileno())


def _state(keeper: Keeper) -> dict[str, Any]:
    match keeper.state:
        case Waiting(due_ns):
            return {"due_ns": due_ns}
        case Open(session, dialogue, began_ns):
            return {"session": session.hand_over(), "dialogue": dialogue.hand_over(), "began_ns": began_ns}
    raise AssertionError(f"nothing is handed over while {keeper.state}")
