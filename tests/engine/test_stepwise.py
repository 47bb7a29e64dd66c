"""Stepwise sagas on Kafka: money goes where it should or comes back, once, whoever is killed meanwhile."""

import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from foldlog.cluster import Cluster
from foldlog.core import Record, topics
from foldlog.core.contract import Process
from foldlog.core.outcome import Reply
from foldlog.kafka import reading
from foldlog.testing import intervention
from tests.engine.bank import Open, Post, Posted
from tests.engine.errands import Errand, RunErrand, errand, errands
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh

one = Decimal("1.00")


@dataclass
class Place:
    """A bank of errands, and where its workers live."""

    bank: Bank
    home: Path

    def start(self, *only: str, instance: str = "w") -> Worker:
        return Worker(self.bank, self.home, instance, *only, module="tests.engine.errands")

    def ids(self, count: int) -> list[str]:
        return [uuid.uuid4().hex for _ in range(count)]

    def process(self, id: str) -> Process:
        table = reading.latest(self.bank.tail(topics.table(self.bank.name, "errand")).entries())
        found: Process = self.bank.codec.decode_with(table[id].value or b"")[1]
        return found

    def state(self, id: str) -> Errand:
        found = self.bank.rows("errand")[id]
        assert isinstance(found, Errand)
        return found

    def status(self, id: str) -> str:
        found = self.bank.rows("errand").get(id)
        return found.status if isinstance(found, Errand) else "new"

    def ends(self, id: str, status: str) -> Errand:
        eventually(lambda: self.status(id) == status, f"{id} is {status}")
        return self.state(id)

    def ask(self, command: Record, id: str | None = None) -> Reply:
        """Sends a command to the saga itself, as an operator does."""
        name, saga = id or uuid.uuid4().hex, str(getattr(command, "saga", "") or getattr(command, "transfer", ""))
        headers: list[tuple[str, str | bytes | None]] = [("command-id", name), ("reply-to", b"")]
        before = len(self.bank.replies(name))
        topic = topics.commands(self.bank.name, "errand")
        self.bank.put(saga.encode(), self.bank.codec.encode(command), headers, topic=topic)
        return eventually(lambda: self.bank.replies(name)[before:], f"a reply to {command}")[0]


@pytest.fixture(scope="module")
def place(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A bank that the tests of this module share, with a worker."""
    with fresh(cluster, errands) as bank:
        place = Place(bank, tmp_path_factory.mktemp("errands"))
        worker = place.start()
        try:
            worker.ready()
            yield place
        finally:
            worker.close()


def three(place: Place, *, last_is_open: bool = True) -> tuple[str, str, str]:
    """Three accounts, the first with 10."""
    ada, bob, eve = place.ids(3)
    place.bank.send(Open(ada), Post(ada, 10 * one), Open(bob), *([Open(eve)] if last_is_open else []))
    return ada, bob, eve


def balances(bank: Bank) -> Counter[str]:
    """What each account holds, in cents."""
    found: Counter[str] = Counter()
    for event, _ in bank.log():
        if isinstance(event, Posted):
            found[event.account] += int(event.amount * 100)
    return found


def test_steps_are_taken_in_order_and_in_parallel(place: Place) -> None:
    (ada, bob, eve), [id] = three(place), place.ids(1)
    place.bank.send(RunErrand(id, ada, (bob, eve), one))
    done = place.ends(id, "completed")
    assert done.succeeded[0] == "take"
    found = balances(place.bank)
    assert (found[ada], found[bob], found[eve]) == (800, 100, 100)
    assert (place.process(id).ended, place.process(id).timers) == (True, ())


def test_a_refusal_is_tried_again_after_a_pause_and_then_all_is_undone(place: Place) -> None:
    (ada, bob, closed), [id] = three(place, last_is_open=False), place.ids(1)
    place.bank.send(RunErrand(id, ada, (bob, closed), one))
    back = place.ends(id, "compensated")
    assert back.reason == "gift 1: Refused"
    assert {step.name: (step.status, step.attempts) for step in back.steps} == {
        "take": ("undone", 1),
        "gift 0": ("undone", 1),
        "gift 1": ("failed", 2),
    }
    found = balances(place.bank)
    assert (found[ada], found[bob], found[closed]) == (1000, 0, 0)
    taken = [each.step for each in place.process(id).taken]
    assert taken[0] == "RunErrand"
    assert "StepTimer" in taken
    posted = [event.amount for event, _ in place.bank.events(ada) if isinstance(event, Posted)]
    assert posted == [10 * one, -2 * one, 2 * one], "undone once"


def test_an_account_that_opens_during_the_pause_gets_its_gift(place: Place) -> None:
    (ada, bob, late), [id] = three(place, last_is_open=False), place.ids(1)
    place.bank.send(RunErrand(id, ada, (bob, late), one), Open(late))  # at once: the pause is short
    place.ends(id, "completed")
    assert balances(place.bank)[late] == 100


def test_a_command_to_a_saga_is_answered(place: Place) -> None:
    (ada, bob, eve), [id] = three(place), place.ids(1)
    first = RunErrand(id, ada, (bob, eve), one)
    reply = place.ask(first, id="run-" + id)
    assert (reply.status, reply.version, reply.duplicate) == ("accepted", 1, False)
    assert (reply.position or "").startswith(topics.table(place.bank.name, "errand"))
    place.ends(id, "completed")
    assert place.ask(first, id="run-" + id).duplicate, "it has its first outcome again"
    ended = place.ask(first)
    assert (ended.status, ended.reason) == ("rejected", "the saga has ended")


def test_an_operator_turns_a_saga_back_and_what_succeeds_after_that_is_undone(cluster: Cluster, tmp_path: Path) -> None:
    with fresh(cluster, errands) as bank:
        place = Place(bank, tmp_path)
        (ada, bob, eve), [id, other] = three(place), place.ids(2)
        coordinator = place.start("errand", instance="coordinator")
        bank.send(RunErrand(id, ada, (bob, eve), one))
        place.ends(id, "running")
        unknown = place.ask(intervention(errand, other, "retry"))
        assert (unknown.status, unknown.reason) == ("rejected", "it is new; name one of the steps that wait: none")
        assert place.ask(intervention(errand, id, "compensate", reason="nobody answers")).status == "accepted"
        assert place.ends(id, "compensated").reason == "nobody answers"
        assert not place.process(id).ended
        accounts = place.start("account", instance="accounts")
        eventually(lambda: place.process(id).ended, "its end")
        assert place.state(id).steps[0].status == "undone"
        assert balances(bank)[ada] == 1000
        assert other not in bank.rows("errand")
        assert coordinator.stop() == accounts.stop() == 0


def test_what_a_saga_does_not_understand_is_answered_too(place: Place) -> None:
    [id] = place.ids(1)
    headers: list[tuple[str, str | bytes | None]] = [("command-id", id), ("reply-to", b"")]
    topic = topics.commands(place.bank.name, "errand")
    place.bank.put(id.encode(), b"garbage", headers, topic=topic)
    reply = eventually(lambda: place.bank.replies(id))[0]
    assert reply.status == "failed"
    assert "no Confluent framing" in (reply.reason or "")


def test_each_compensation_happens_once_though_workers_are_killed(cluster: Cluster, tmp_path: Path) -> None:
    with fresh(cluster, errands) as bank:
        place = Place(bank, tmp_path)
        (ada, bob, closed), names = three(place, last_is_open=False), place.ids(40)
        bank.send(Post(ada, 1000 * one))
        workers = {name: place.start(instance=name) for name in ("a", "b")}
        try:
            for start in range(0, 40, 20):
                bank.send(*(RunErrand(id, ada, (bob, closed), one) for id in names[start : start + 20]))
                finished = finished_of(bank)
                eventually(lambda finished=finished: finished_of(bank) > min(finished, 35))  # type: ignore[misc]
                victim = "ab"[start // 20 % 2]
                workers[victim].stop(signal.SIGKILL)
                workers[victim] = place.start(instance=victim)
            eventually(lambda: finished_of(bank) == 40, "every errand")
        finally:
            for worker in workers.values():
                worker.close()
        back = Counter(event.transfer for event, _ in bank.log() if isinstance(event, Posted) and event.transfer)
        assert back == dict.fromkeys(names, 4), "taken, given, taken back and given back: once each"
        assert balances(bank)[ada] == 101_000
        assert bank.letters() == []


def finished_of(bank: Bank) -> int:
    return sum(isinstance(row, Errand) and row.status == "compensated" for row in bank.rows("errand").values())
