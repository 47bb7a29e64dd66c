"""Sagas from steps: forward in order, back in reverse, again after a pause, and what an operator can do."""

from datetime import timedelta
from typing import Any

import pytest

from foldlog.core import Call, Cancel, Record, Retry, Saga, Schedule, Step, Topology
from foldlog.core.errors import TopologyError
from foldlog.testing import fold, given, intervention, retry_due, timed_out
from tests.core.counter import echo
from tests.core.trip import (
    MINUTE,
    Book,
    Booked,
    Full,
    GiveBack,
    GivenBack,
    NotTaken,
    PlanTrip,
    Trip,
    agency,
    step,
    trip,
    trips,
)

plan = PlanTrip("t")


def booked(*names: str) -> tuple[Record, ...]:
    return tuple(Booked(name, "t") for name in names)


def times_out(what: str, attempt: int = 1, saga: Saga[Any, Any, Any] = trip) -> Schedule:
    return Schedule(what, timed_out(saga, what, attempt), after=MINUTE)


def again(what: str, attempt: int, seconds: int, saga: Saga[Any, Any, Any] = trip) -> Schedule:
    return Schedule(what, retry_due(saga, what, attempt), after=timedelta(seconds=seconds))


def state(*history: Record, saga: Saga[Any, Any, Trip] = trip) -> Trip:
    found: Trip = fold(saga, *history)
    return found


def statuses(*history: Record, saga: Saga[Any, Any, Trip] = trip) -> dict[str, str]:
    return {each.name: each.status for each in state(*history, saga=saga).steps}


def test_it_begins_with_the_first_step_and_a_timer_for_its_answer() -> None:
    given(trip).when(plan).then(Book("flight", "t"), times_out("flight"))
    assert state(plan).status == "running"


def test_an_answer_brings_the_next_steps_those_in_parallel_at_once() -> None:
    given(trip, plan).when(Booked("flight", "t")).then(Cancel("flight"), Book("hotel", "t"), Book("car", "t"))


def test_parallel_steps_are_all_waited_for_in_any_order() -> None:
    given(trip, plan, *booked("flight")).when(Booked("car", "t")).then()
    given(trip, plan, *booked("flight", "car")).when(Booked("hotel", "t")).then(Book("ticket", "t"))


def test_all_steps_done_complete_it() -> None:
    history = plan, *booked("flight", "hotel", "car", "ticket")
    assert (state(*history).status, trip.ended(state(*history))) == ("completed", True)
    assert not trip.ended(state(*history[:-1]))


def test_a_step_that_has_nothing_to_send_is_passed_over() -> None:
    history = PlanTrip("t", by_car=False), *booked("flight")
    assert statuses(*history) == {"flight": "done", "hotel": "sent", "car": "skipped"}
    given(trip, *history).when(Booked("hotel", "t")).then(Book("ticket", "t"))


def test_data_of_answers_may_be_noted() -> None:
    assert state(plan, *booked("flight", "car")).booked == ("flight", "car")


def test_a_failure_undoes_what_succeeded_the_latest_first() -> None:
    history: tuple[Record, ...] = plan, *booked("flight", "car", "hotel")
    given(trip, *history).when(Full("ticket", "t")).then(GiveBack("hotel", "t"))
    assert state(*history, Full("ticket", "t")).reason == "ticket: Full"
    history = *history, Full("ticket", "t"), GivenBack("hotel", "t")
    given(trip, *history[:-1]).when(history[-1]).then(GiveBack("car", "t"))
    given(trip, *history).when(GivenBack("car", "t")).then(GiveBack("flight", "t"), times_out("flight"))
    history = *history, GivenBack("car", "t")
    assert state(*history).status == "compensating"
    given(trip, *history).when(GivenBack("flight", "t")).then(Cancel("flight"))
    ended = state(*history, GivenBack("flight", "t"))
    assert (ended.status, trip.ended(ended)) == ("compensated", True)


def test_a_step_without_compensation_is_left_as_it_is() -> None:
    saga = trips(step("visa", lasting=True), step("flight", retry=Retry()))
    given(saga, plan, *booked("visa")).when(Full("flight", "t")).then()
    assert statuses(plan, *booked("visa"), Full("flight", "t"), saga=saga) == {"visa": "done", "flight": "failed"}
    assert state(plan, *booked("visa"), Full("flight", "t"), saga=saga).status == "compensated"


def test_a_failure_is_tried_again_after_longer_and_longer_pauses() -> None:
    history: tuple[Record, ...] = plan, Full("flight", "t")
    given(trip, plan).when(Full("flight", "t")).then(again("flight", 1, 10))
    given(trip, *history).when(retry_due(trip, "flight", 1)).then(Book("flight", "t"), times_out("flight", 2))
    history = *history, retry_due(trip, "flight", 1)
    given(trip, *history).when(Full("flight", "t")).then(again("flight", 2, 30))
    history = *history, Full("flight", "t"), retry_due(trip, "flight", 2)
    given(trip, *history).when(Full("flight", "t")).then(Cancel("flight"))
    assert state(*history, Full("flight", "t")).status == "compensated"


def test_pauses_grow_to_a_limit() -> None:
    retry = Retry(9, first=timedelta(seconds=2), factor=2, longest=timedelta(minutes=1))
    assert [retry.pause(n).total_seconds() for n in (1, 2, 3, 6, 10_000)] == [2, 4, 8, 60, 60]


def test_no_answer_in_time_is_a_failure() -> None:
    given(trip, plan).when(timed_out(trip, "flight")).then(again("flight", 1, 10))
    saga = trips(step("flight", timeout=MINUTE, retry=Retry()))
    given(saga, plan).when(timed_out(saga, "flight")).then()
    assert state(plan, timed_out(saga, "flight"), saga=saga).reason == "flight: no answer in time"


def test_an_answer_between_two_attempts_counts() -> None:
    history = plan, timed_out(trip, "flight")
    given(trip, *history).when(Booked("flight", "t")).then(Cancel("flight"), Book("hotel", "t"), Book("car", "t"))


def test_a_success_that_comes_too_late_is_undone_too() -> None:
    saga = trips(step("flight", timeout=MINUTE, retry=Retry()))
    given_up = plan, timed_out(saga, "flight")
    assert state(*given_up, saga=saga).status == "compensated"
    assert not saga.ended(state(*given_up, saga=saga)), "its command has no answer yet"
    given(saga, *given_up).when(Booked("flight", "t")).then(GiveBack("flight", "t"), times_out("flight", saga=saga))
    ended = state(*given_up, *booked("flight"), GivenBack("flight", "t"), saga=saga)
    assert (ended.status, saga.ended(ended)) == ("compensated", True)


def test_a_late_failure_closes_it() -> None:
    saga = trips(step("flight", timeout=MINUTE, retry=Retry()))
    assert saga.ended(state(plan, timed_out(saga, "flight"), Full("flight", "t"), saga=saga))


def test_steps_under_way_are_waited_for_before_it_goes_back() -> None:
    history = plan, *booked("flight")
    given(trip, *history).when(Full("hotel", "t")).then()
    given(trip, *history, Full("hotel", "t")).when(Booked("car", "t")).then(GiveBack("car", "t"))
    given(trip, *history, Full("hotel", "t")).when(Full("car", "t")).then(GiveBack("flight", "t"), times_out("flight"))


@pytest.mark.parametrize("stray", [*booked("flight", "ticket"), GivenBack("flight", "t"), Full("ticket", "t")])
def test_what_it_does_not_wait_for_moves_nothing(stray: Record) -> None:
    history = plan, *booked("flight")
    given(trip, *history).when(stray).then()
    assert statuses(*history, stray) == statuses(*history)


@pytest.mark.parametrize("stray", [timed_out(trip, "flight", 2), retry_due(trip, "flight"), timed_out(trip, "boat")])
def test_a_timer_of_another_attempt_moves_nothing(stray: Record) -> None:
    given(trip, plan).when(stray).then()
    assert state(plan, stray) == state(plan)


def test_it_begins_once() -> None:
    given(trip, plan).when(plan).then_rejected("it began before")
    given(trip).when(Booked("flight", "t")).then()


failing = plan, *booked("flight"), Full("hotel", "t"), Booked("car", "t"), NotTaken("car", "t")


def test_a_compensation_that_fails_stops_it_until_an_operator_comes() -> None:
    stopped = state(*failing)
    assert (stopped.status, trip.ended(stopped)) == ("failed", False)
    assert stopped.reason == "hotel: Full; undoing car: NotTaken"
    given(trip, *failing).when(Booked("boat", "t")).then()


def test_a_compensation_is_tried_again_as_often_as_it_may() -> None:
    saga = trips(step("flight"), step("hotel", retry=Retry()))
    history = plan, *booked("flight"), Full("hotel", "t")
    given(saga, *history).when(NotTaken("flight", "t")).then(again("flight", 1, 10, saga))
    history = *history, NotTaken("flight", "t")
    given(saga, *history).when(retry_due(saga, "flight", 1)).then(GiveBack("flight", "t"))
    given(saga, *history).when(GivenBack("flight", "t")).then(Cancel("flight"))
    for attempt in (1, 2):
        history = *history, retry_due(saga, "flight", attempt), NotTaken("flight", "t")
    assert state(*history, saga=saga).status == "failed"


def test_an_operator_has_a_compensation_tried_again_or_passed_over() -> None:
    given(trip, *failing).when(intervention(trip, "t", "retry")).then(GiveBack("car", "t"))
    assert state(*failing, intervention(trip, "t", "retry")).status == "compensating"
    skip = intervention(trip, "t", "skip", "car")
    given(trip, *failing).when(skip).then(GiveBack("flight", "t"), times_out("flight"))
    assert statuses(*failing, skip, GivenBack("flight", "t")) == {"flight": "undone", "hotel": "failed", "car": "kept"}


def test_an_operator_has_a_step_tried_again_passed_over_or_everything_undone() -> None:
    history = plan, *booked("flight")
    given(trip, *history).when(intervention(trip, "t", "retry", "car")).then(Book("car", "t"))
    given(trip, *history, *booked("hotel")).when(intervention(trip, "t", "skip")).then(Book("ticket", "t"))
    undo = intervention(trip, "t", "compensate", reason="the customer is ill")
    given(trip, *history).when(undo).then(GiveBack("flight", "t"), times_out("flight"))
    assert state(*history, undo).reason == "the customer is ill"
    given(trip, *history, undo).when(Booked("hotel", "t")).then()
    given(trip, *history, undo, *booked("hotel")).when(GivenBack("flight", "t")).then(
        Cancel("flight"), GiveBack("hotel", "t")
    )


def test_an_operator_gives_up_what_is_waited_for_before_it_goes_back() -> None:
    history = plan, *booked("flight"), Full("hotel", "t")
    skip = intervention(trip, "t", "skip", "car")
    given(trip, *history).when(skip).then(GiveBack("flight", "t"), times_out("flight"))


@pytest.mark.parametrize(
    ("history", "command", "why"),
    [
        ((), intervention(trip, "t", "retry"), "it is new; name one of the steps that wait: none"),
        ((plan, *booked("flight")), intervention(trip, "t", "retry"), "name one of the steps that wait: hotel, car"),
        ((plan,), intervention(trip, "t", "skip", "boat"), "steps that wait: flight"),
        (failing, intervention(trip, "t", "compensate"), "it is failed: compensate does not apply to `car`"),
        ((*failing[:3],), intervention(trip, "t", "retry"), "it is compensating: retry does not apply to `car`"),
    ],
)
def test_what_an_operator_cannot_do_is_rejected_with_the_reason(
    history: tuple[Record, ...], command: Record, why: str
) -> None:
    given(trip, *history).when(command).then_rejected(why)


def test_the_saga_knows_its_types() -> None:
    assert set(trip.sends) == {Book, GiveBack}
    assert trip.timed
    assert [command.__name__ for command in trip.commands] == ["PlanTrip", "StepTimer", "Intervention"]
    assert (trip.correlate(plan), trip.correlate(intervention(trip, "t", "skip"))) == ("t", "t")
    assert trip.correlate(timed_out(trip, "flight")) is None
    Topology("travel", deciders=(agency,), sagas=(trip,))


def unannotated(state):  # type: ignore[no-untyped-def]
    return Book("flight", state.trip)


class Elsewhere(Record):
    trip: str


@pytest.mark.parametrize(
    ("steps", "why"),
    [
        ((), "needs a step"),
        ((step("a"), (step("b"), step("a"))), "2 steps are called `a`"),
        ((step("x" * 65),), "1 to 64 characters"),
        ((Step("a", Call(unannotated, Booked)),), "needs a return annotation"),
        ((Step("a", Call(step("a").call.send, (Booked, Elsewhere))),), "Elsewhere is no event of its sources"),
    ],
)
def test_a_definition_that_cannot_run_is_refused(steps: Any, why: str) -> None:
    with pytest.raises(TopologyError, match=why):
        trips(*steps)


def test_a_saga_that_is_not_made_of_steps_takes_no_interventions() -> None:
    with pytest.raises(TopologyError, match="echo is not made of steps"):
        intervention(echo, "t", "retry")
