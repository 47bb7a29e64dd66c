"""What holds for a stepwise saga in whatever order answers, refusals, losses, repetitions and timeouts come."""

from collections import Counter, deque
from datetime import timedelta
from itertools import count
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from foldlog.core import Cancel, Record, Retry, Schedule
from foldlog.core.folding import with_meta
from foldlog.core.specification import meta_of
from tests.core.trip import (
    MINUTE,
    Book,
    Booked,
    Booking,
    Full,
    GiveBack,
    GivenBack,
    NotTaken,
    PlanTrip,
    Trip,
    step,
    trips,
)

ONCE, TWICE = Retry(), Retry(1, timedelta(seconds=1))
saga = trips(
    step("flight", timeout=MINUTE, retry=TWICE),
    (step("hotel", timeout=MINUTE, retry=ONCE), step("car", timeout=MINUTE, retry=ONCE)),
    step("visa", timeout=MINUTE, retry=ONCE, lasting=True),
    step("ticket", timeout=MINUTE, retry=TWICE),
)

Sent = tuple[Booking, int]  # a command and its id, or an event and the id of the command that caused it


class World:
    """An agency that knows what it has booked, and a saga; messages between them keep their order for each booking."""

    def __init__(self, random: Random, failures: float, faithful: bool) -> None:
        self.random, self.failures, self.faithful = random, failures, faithful
        self.state, self.timers = Trip(), dict[str, Record]()
        self.commands, self.events = dict[str, deque[Sent]](), dict[str, deque[Sent]]()
        self.ids = count()
        self.booked, self.given_back = Counter[str](), Counter[str]()

    def run(self) -> "World":
        """Until nothing is left that could happen."""
        self.take(PlanTrip("t", by_car=self.random.random() < 0.8))
        while places := [
            *(("command", name) for name, queue in self.commands.items() if queue),
            *(("event", name) for name, queue in self.events.items() if queue),
            *(("timer", name) for name in self.timers),
        ]:
            # Mostly the world is faster than a minute.
            quick = [place for place in places if place[0] != "timer"]
            match self.random.choice(quick if quick and self.random.random() < 0.8 else places):
                case "command", name:
                    self.decide(*self.commands[name].popleft())
                case "event", name:
                    self.hear(self.events[name])
                case _, name:
                    self.take(self.timers.pop(name))
        return self

    def hear(self, queue: deque[Sent]) -> None:
        """The saga hears an event, some of them twice."""
        self.take(*(queue[0] if self.random.random() < 0.2 and not self.faithful else queue.popleft()))

    def take(self, message: Record, cause: int = 0) -> None:
        """The saga takes a step."""
        if saga.ended(self.state):
            return
        before, meta = self.state, meta_of(cause)
        asked = with_meta(saga.react)(before, message, meta)
        self.state = with_meta(saga.evolve)(before, message, meta)
        for each in asked:
            match each:
                case Schedule(name, timer):
                    self.timers[name] = timer
                case Cancel(name):
                    self.timers.pop(name, None)
                case Booking(what):
                    if isinstance(each, GiveBack):
                        self.check_the_latest(what, before)
                    self.commands.setdefault(what, deque()).append((each, next(self.ids)))
                case _:
                    raise AssertionError(each)
        if saga.ended(self.state):
            self.timers = {}

    def check_the_latest(self, what: str, before: Trip) -> None:
        """What it begins to undo is the latest success that is not undone, but for what lasts; nothing is under way."""
        was = {each.name: each.status for each in before.steps}
        now = {each.name: each.status for each in self.state.steps}
        if was[what] not in ("undoing", "undo-delayed"):
            left = [name for name in self.state.succeeded if now[name] in ("done", "undoing") and name != "visa"]
            assert left[-1] == what
        assert not {"sent", "delayed"} & set(now.values())

    def decide(self, command: Booking, id_: int) -> None:
        """The agency's answer: it books once and gives back once; where it refuses nothing has happened."""
        fails, what = self.random.random() < self.failures, command.what
        match command:
            case _ if fails and self.random.random() < 0.3 and not self.faithful:
                return  # lost
            case Book() if self.booked[what]:
                answer: Booking = Booked(what, "t")
            case Book() if fails:
                answer = Full(what, "t")
            case Book():
                self.booked[what] += 1
                answer = Booked(what, "t")
            case GiveBack() if fails and not self.given_back[what] and not self.faithful:
                answer = NotTaken(what, "t")
            case _:
                self.given_back[what] += not self.given_back[what]
                answer = GivenBack(what, "t")
        self.events.setdefault(what, deque()).append((answer, id_))


def worlds(*, faithful: bool) -> st.SearchStrategy[World]:
    return st.builds(
        lambda seed, failures: World(Random(seed), failures, faithful).run(),
        st.integers(0, 1 << 32),
        st.sampled_from([0.1, 0.3, 0.6]),
    )


@settings(max_examples=500, deadline=None)
@given(worlds(faithful=False))
def test_it_always_comes_to_an_end(world: World) -> None:
    assert world.state.status in ("completed", "compensated", "failed")
    stuck = [each.name for each in world.state.steps if each.status == "stuck"]
    assert bool(stuck) is (world.state.status == "failed")


@settings(max_examples=500, deadline=None)
@given(worlds(faithful=False))
def test_it_undoes_exactly_what_succeeded_once_or_nothing(world: World) -> None:
    booked = {name for name, count in world.booked.items() if count}
    given_back = {name for name, count in world.given_back.items() if count}
    match world.state.status:
        case "completed":
            assert given_back == set()
            assert {"flight", "hotel", "visa", "ticket"} <= booked
        case "compensated":
            assert given_back == booked - {"visa"}
        case _:
            assert given_back < booked


@settings(max_examples=500, deadline=None)
@given(worlds(faithful=True))
def test_without_losses_it_ends_for_good_and_undoes_in_reverse(world: World) -> None:
    assert saga.ended(world.state)
    assert set(world.booked.values()) <= {0, 1}
    assert set(world.given_back.values()) <= {0, 1}


def test_the_runs_reach_every_status() -> None:
    """The laws say little unless runs go everywhere."""
    found: Counter[str] = Counter()
    statuses: set[str] = set()
    late = 0
    for seed in range(600):
        world = World(Random(seed), 0.3, faithful=False).run()
        found[world.state.status] += 1
        statuses.update(each.status for each in world.state.steps)
        late += any(each.status == "failed" and each.unanswered for each in world.state.steps)
    assert found.keys() == {"completed", "compensated", "failed"}
    assert min(found.values()) > 20
    assert {"done", "failed", "skipped", "undone", "stuck"} <= statuses
    assert late > 20
