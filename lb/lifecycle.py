"""How a balancer ends, as data: its states, what can happen in them, and what follows.

    RUNNING     reads the feed
    DRAINING    reads no more; delivers what was received, and closes each pipe as soon as nothing waits for it
    FINISHING   every pipe is closed; the workers read what is left and end
    KILLING     SIGTERM and SIGCONT were sent; whoever is still there soon gets SIGKILL
    ENDED       no worker is left

Law: pure. Every pair of state and event has its entry; the balancer carries the action out after it has taken the next
state.
"""

from __future__ import annotations

import enum
from typing import NamedTuple


class State(enum.Enum):
    RUNNING = enum.auto()
    DRAINING = enum.auto()
    FINISHING = enum.auto()
    KILLING = enum.auto()
    ENDED = enum.auto()


class Event(enum.Enum):
    STOP = enum.auto()
    """A signal asks for it, or no session will ever succeed."""
    STOP_AGAIN = enum.auto()
    """A signal a second or more after the first."""
    FAILED = enum.auto()
    """A system call of ours fails: the pump can't go on."""
    DRAINED = enum.auto()
    """Nothing waits for any pipe."""
    GONE = enum.auto()
    """No worker is left."""
    OVERDUE = enum.auto()
    """The state's time is up."""


class Action(enum.Enum):
    NOTHING = enum.auto()
    DRAIN = enum.auto()
    CLOSE_PIPES = enum.auto()
    TERMINATE = enum.auto()
    KILL = enum.auto()


class Step(NamedTuple):
    action: Action
    state: State


_STAY: dict[Event, Step | None] = dict.fromkeys(Event)

_STEPS: dict[State, dict[Event, Step | None]] = {
    State.RUNNING: _STAY
    | {
        Event.STOP: Step(Action.DRAIN, State.DRAINING),
        Event.STOP_AGAIN: Step(Action.DRAIN, State.DRAINING),
        Event.FAILED: Step(Action.DRAIN, State.DRAINING),
    },
    State.DRAINING: _STAY
    | {
        Event.STOP_AGAIN: Step(Action.KILL, State.ENDED),
        Event.FAILED: Step(Action.CLOSE_PIPES, State.FINISHING),
        Event.DRAINED: Step(Action.CLOSE_PIPES, State.FINISHING),
        Event.OVERDUE: Step(Action.CLOSE_PIPES, State.FINISHING),
    },
    State.FINISHING: _STAY
    | {
        Event.STOP_AGAIN: Step(Action.KILL, State.ENDED),
        Event.GONE: Step(Action.NOTHING, State.ENDED),
        Event.OVERDUE: Step(Action.TERMINATE, State.KILLING),
    },
    State.KILLING: _STAY
    | {
        Event.STOP_AGAIN: Step(Action.KILL, State.ENDED),
        Event.GONE: Step(Action.NOTHING, State.ENDED),
        Event.OVERDUE: Step(Action.KILL, State.ENDED),
    },
    State.ENDED: _STAY,
}


def next_step(state: State, event: Event) -> Step:
    """What to do, and the state from then on."""
    return _STEPS[state][event] or Step(Action.NOTHING, state)
