"""Timers of sagas: each goes off once, not before it is due and soon after, whatever becomes of the workers."""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import pytest

from foldlog.core import topics
from foldlog.core.contract import Process
from foldlog.kafka import reading
from tests.engine.bank import UNLUCKY, Due, Open, Posted, Standing, StandingOrder, StopOrder
from tests.engine.conftest import Start
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually
from tests.engine.timed import ids, lateness, one, orders


def payments(bank: Bank) -> Counter[str]:
    """How often each standing order has paid."""
    return Counter(event.transfer or "" for event, _ in bank.log() if isinstance(event, Posted))


def test_a_timer_goes_off_once_and_its_step_is_one_like_any_other(bank: Bank, worker: Worker) -> None:
    account, name = ids(2)
    bank.send(Open(account))
    order = StandingOrder(name, account, one, every_ms=300)
    bank.send(order)
    bank.row("standing", name, Standing(order, done=1))
    _, (paid, meta) = eventually(lambda: bank.events(account)[1:] and bank.events(account))
    assert paid == Posted(account, "nobody", one, name)
    assert meta.causation == f"standing:{name}:2.0"
    assert meta.correlation == process(bank, name).taken[0].causation
    asked, gone_off = process(bank, name).taken
    assert (asked.step, asked.sent, gone_off.step, gone_off.sent) == ("StandingOrder", (), "Due", ("Post",))
    assert gone_off.causation == f"standing:{name}:1.next"
    assert (gone_off.time - asked.time).total_seconds() >= 0.3 - 0.001


def process(bank: Bank, name: str) -> Process:
    entry = reading.latest(bank.tail(topics.table(bank.name, "standing")).entries())[name]
    found: Process = bank.codec.decode_with(entry.value or b"")[1]
    return found


def test_a_timer_may_ask_for_the_next_one(bank: Bank, worker: Worker) -> None:
    account, name = ids(2)
    order = StandingOrder(name, account, one, every_ms=50, times=4)
    bank.send(Open(account), order)
    bank.row("standing", name, Standing(order, done=4))
    eventually(lambda: payments(bank)[name] >= 4, "the payment that the last step has asked for")
    assert payments(bank)[name] == 4
    assert process(bank, name).timers == ()


def test_a_cancelled_timer_does_not_go_off(bank: Bank, worker: Worker) -> None:
    account, name, other = ids(3)
    order = StandingOrder(name, account, one, every_ms=8000)  # by then it is cancelled, also by a slow machine
    bank.send(Open(account), order)
    eventually(lambda: name in bank.rows("standing"))
    assert [timer.name for timer in process(bank, name).timers] == ["next"]
    bank.send(StopOrder(name))
    bank.send(StandingOrder(other, account, one, every_ms=8100))
    eventually(lambda: payments(bank)[other])
    assert payments(bank)[name] == 0
    assert process(bank, name).due is None


def test_a_saga_whose_timer_fails_is_parked_and_others_go_on(bank: Bank, worker: Worker) -> None:
    account, bad, good = ids(3)
    bank.send(Open(account), StandingOrder(bad, account, UNLUCKY, 100), StandingOrder(good, account, one, 200))
    eventually(lambda: payments(bank)[good])
    eventually(lambda: bad in bank.parked("standing"), "its parking")
    assert bank.waiting("standing", bad) == [Due(bad, 1)]
    assert bank.parked("standing")[bad].cause == "fold-failed"
    assert process(bank, bad).timers, "and the row still waits for it"


def test_a_timer_that_goes_off_twice_counts_once(bank: Bank, worker: Worker) -> None:
    account, name = ids(2)
    order = StandingOrder(name, account, one, every_ms=60_000)
    bank.send(Open(account), order)
    eventually(lambda: name in bank.rows("standing"))
    step, inbox = bank.codec.encode(Due(name, 1)), topics.inbox(bank.name, "standing")
    for _ in range(3):  # as the inbox has it where a worker dies before it has handled what it wrote
        bank.put(name.encode(), step, [("timer", f"standing:{name}:1.next".encode())], topic=inbox)
    bank.row("standing", name, Standing(order, done=1))
    eventually(lambda: payments(bank)[name])
    assert process(bank, name).steps == 2
    assert payments(bank)[name] == 1


@pytest.mark.parametrize("stray", [0, 1], ids=["at home", "on the wrong partition"])
def test_a_command_cannot_pass_for_a_timer(bank: Bank, worker: Worker, stray: int) -> None:
    account, name = ids(2)
    value, topic = bank.codec.encode(StandingOrder(name, account, one, 60_000)), topics.commands(bank.name, "standing")
    headers: list[tuple[str, str | bytes | None]] = [("timer", b"standing:x:1.next")]
    bank.put(name.encode(), value, headers, topic=topic, partition=(bank.home(name.encode()) + stray) % 3)
    eventually(lambda: name in bank.rows("standing"))
    bank.send(StopOrder(name))


def test_what_was_due_while_no_worker_ran_goes_off_at_the_start(own_bank: Bank, start: Start, tmp_path: Path) -> None:
    bank, worker = own_bank, start("standing").ready()
    names = orders(bank, 20, 500, 600)
    eventually(lambda: len(bank.rows("standing")) == 20)
    assert worker.stop(signal.SIGKILL) == -9
    rmtree(tmp_path / "workers" / "w" / "state")
    time.sleep(0.7)
    start("standing", "account")
    eventually(lambda: payments(bank).keys() >= set(names))
    assert set(payments(bank).values()) == {1}


def test_timers_go_off_once_though_workers_are_killed_and_join_and_leave(own_bank: Bank, start: Start) -> None:
    bank = own_bank
    start("account", instance="accounts").ready()
    workers = {name: start("standing", instance=name).ready() for name in ("a", "b")}
    names = orders(bank, 200, 1500, 8000)
    for name in ("a", "b"):
        eventually(several_more(bank))
        workers[name].stop(signal.SIGKILL)
        workers[name] = start("standing", instance=name)
    eventually(several_more(bank))
    start("standing", instance="c").ready()
    workers["b"].stop()
    eventually(lambda: payments(bank).keys() >= set(names), "every timer")
    assert set(payments(bank).values()) == {1}
    assert sorted(bank.rows("standing")) == sorted(names)
    assert bank.letters() == []


def several_more(bank: Bank) -> Callable[[], bool]:
    before = len(payments(bank))
    return lambda: len(payments(bank)) >= min(200, before + 10)


def test_a_worker_that_stood_still_while_another_took_over_does_nothing_twice(own_bank: Bank, start: Start) -> None:
    bank = own_bank
    start("account", instance="accounts").ready()
    frozen = start("standing", instance="frozen").ready()
    names = orders(bank, 60, 1000, 2000)
    eventually(lambda: len(bank.rows("standing")) == 60)
    frozen.process.send_signal(signal.SIGSTOP)
    start("standing", instance="other")
    eventually(lambda: payments(bank).keys() >= set(names), "the other one's payments")
    frozen.process.send_signal(signal.SIGCONT)
    later = orders(bank, 10, 100, 200)
    eventually(lambda: payments(bank).keys() >= {*names, *later})
    assert set(payments(bank).values()) == {1}


def test_no_timer_of_a_thousand_goes_off_before_it_is_due(
    own_bank: Bank, start: Start, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = own_bank
    start("standing").ready()
    names = orders(bank, 1000, 2000, 5000)
    eventually(lambda: len(lateness(bank, names)) == 1000, "all of them")
    late = lateness(bank, names)
    with capsys.disabled():
        sys.stdout.write(f" [late: p50 {late[500] * 1000:.0f} ms, p99 {late[990] * 1000:.0f} ms] ")
