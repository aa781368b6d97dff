"""How a balancer ends, walked through as the table says it."""

from __future__ import annotations

import itertools

import pytest

from lb.lifecycle import Action, Event, State, next_step

EVERY_PAIR = list(itertools.product(State, Event))


def walked(*events: Event) -> tuple[State, list[Action]]:
    """Where these events lead from RUNNING, and what is done on the way."""
    state, actions = State.RUNNING, []
    for event in events:
        action, state = next_step(state, event)
        actions.append(action)
    return state, [action for action in actions if action is not Action.NOTHING]


@pytest.mark.parametrize(("state", "event"), EVERY_PAIR)
def test_no_event_ever_leads_back(state: State, event: Event) -> None:
    assert next_step(state, event).state.value >= state.value


@pytest.mark.parametrize(("state", "event"), EVERY_PAIR)
def test_something_is_done_only_with_a_new_state(state: State, event: Event) -> None:
    action, after = next_step(state, event)
    assert action is Action.NOTHING or after is not state


@pytest.mark.parametrize("state", [State.DRAINING, State.FINISHING, State.KILLING])
def test_every_state_but_running_ends_by_its_time_alone(state: State) -> None:
    for _ in State:
        state = next_step(state, Event.OVERDUE).state
    assert state is State.ENDED


def test_all_goes_well() -> None:
    assert walked(Event.STOP, Event.DRAINED, Event.GONE) == (State.ENDED, [Action.DRAIN, Action.CLOSE_PIPES])


def test_a_worker_that_does_not_end_gets_sigterm_before_sigkill() -> None:
    events = (Event.STOP, Event.DRAINED, Event.OVERDUE, Event.OVERDUE)
    assert walked(*events) == (State.ENDED, [Action.DRAIN, Action.CLOSE_PIPES, Action.TERMINATE, Action.KILL])


def test_a_worker_that_obeys_sigterm_is_not_killed() -> None:
    assert walked(Event.STOP, Event.DRAINED, Event.OVERDUE, Event.GONE)[1][-1] is Action.TERMINATE


def test_repeated_stops_are_one_stop() -> None:
    assert walked(Event.STOP, Event.STOP, Event.STOP) == walked(Event.STOP)


@pytest.mark.parametrize(
    "before", [(Event.STOP,), (Event.STOP, Event.DRAINED), (Event.STOP, Event.DRAINED, Event.OVERDUE)]
)
def test_a_second_signal_ends_it_at_once(before: tuple[Event, ...]) -> None:
    state, actions = walked(*before, Event.STOP_AGAIN)
    assert (state, actions[-1]) == (State.ENDED, Action.KILL)


def test_a_failure_that_stays_is_met_twice_and_no_more() -> None:
    """The first gives up the session, the second the pump: nothing calls it any more."""
    state, actions = walked(*[Event.FAILED] * 100)
    assert (state, actions) == (State.FINISHING, [Action.DRAIN, Action.CLOSE_PIPES])


@pytest.mark.parametrize("event", Event)
def test_the_end_is_the_end(event: Event) -> None:
    assert next_step(State.ENDED, event) == (Action.NOTHING, State.ENDED)
