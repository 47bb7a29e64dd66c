"""An operator repairs with the command line what a worker could not handle, and the worker carries it out."""

import uuid
from decimal import Decimal

from tests.engine.bank import Balance, Misbehave, Open, Opened, Post
from tests.engine.conftest import Start
from tests.engine.processes import Worker, foldlog
from tests.engine.running import Bank, eventually

ten = Decimal("10.00")


def test_a_command_is_edited_and_retried(bank: Bank, worker: Worker) -> None:
    id_ = uuid.uuid4().hex
    place = bank.put(id_.encode(), b"garbage", [("actor", b"joe")])
    bank.letters_of(place)
    line = f'{{"type": "Open", "data": {{"account": "{id_}", "owner": "ada"}}}}'
    ran = foldlog(bank, "dead-letters", "edit", bank.name, place, line, "--topology", "tests.engine.bank")
    assert ran.returncode == 0, ran.stderr
    ran = foldlog(bank, "dead-letters", "retry", bank.name, place)
    assert (ran.returncode, ran.stderr) == (0, "1 dead letters retried\n")
    ((event, meta),) = eventually(lambda: bank.events(id_), "the edited command's event")
    assert (event, meta.causation, meta.actor) == (Opened(id_, "ada"), place, "joe")
    assert place not in foldlog(bank, "dead-letters", "list", bank.name).stdout


def test_a_retry_decodes_and_folds_anew_so_that_a_mended_view_takes_it(own_bank: Bank, start: Start) -> None:
    bank, worker = own_bank, start("account", "balances").ready()
    id_ = f"nameless-{uuid.uuid4().hex}"
    bank.send(Open(id_, "ada"), Post(id_, ten))
    eventually(lambda: len(bank.letters()) == 2, "two dead letters: without its key an event cannot wait in order")
    ran = foldlog(bank, "dead-letters", "retry", bank.name, "--cause", "fold-failed")
    assert ran.returncode == 0, ran.stderr
    eventually(lambda: len(bank.letters()) == 4, "what fails again is a new dead letter")
    assert worker.stop() == 0
    start("account", "balances", BANK_MENDED="1").ready()
    ran = foldlog(bank, "dead-letters", "retry", bank.name, "--all")
    assert ran.stderr == "2 dead letters retried\n"
    bank.row("balances", id_, Balance("ada", ten, 1))
    assert foldlog(bank, "dead-letters", "list", bank.name).stderr == "0 dead letters\n"


def test_parked_keys_are_listed_shown_and_retried(own_bank: Bank, start: Start) -> None:
    bank, worker = own_bank, start("account", "balances").ready()
    bank.send(Open("bad", "ada"), Misbehave("bad", "fold"), Post("bad", ten), Open("worse"), Misbehave("worse", "fold"))
    eventually(lambda: len(bank.waiting("balances", "bad")) == 2 and "worse" in bank.parked("balances"))
    place = f"{bank.name}.balances"
    listed = foldlog(bank, "parked", "list", place)
    assert [line.split()[2:6] for line in listed.stdout.splitlines()[1:]] == [
        [place, key, *numbers] for key, numbers in (("bad", ["2", "1"]), ("worse", ["1", "1"]))
    ]
    assert listed.stderr == "2 parked keys\n"
    shown = foldlog(bank, "parked", "show", place, "bad").stdout
    assert "cause   fold-failed: " in shown
    assert "reason  ValueError: this event cannot be folded\n" in shown
    assert [line.split()[0] for line in shown.splitlines()[-2:]] == ["1", "2"]
    again = foldlog(bank, "parked", "retry", place, "bad")
    assert (again.returncode, again.stderr) == (1, "asked to retry 1 keys\n0 of 1 keys flow again\n")
    assert "this event cannot be folded" in again.stdout
    assert worker.stop() == 0
    start("account", "balances", BANK_MENDED="1").ready()
    done = foldlog(bank, "parked", "retry", place, "--all")
    assert (done.returncode, done.stderr) == (0, "asked to retry 2 keys\n2 of 2 keys flow again\n"), done.stdout
    bank.row("balances", "bad", Balance("ada", ten, 1))


def test_what_is_not_parked_is_told(bank: Bank, worker: Worker) -> None:
    place = f"{bank.name}.balances"
    ran = foldlog(bank, "parked", "retry", place, "nobody")
    assert (ran.returncode, ran.stdout) == (1, "")
    assert ran.stderr == f"error: {place} has not parked `nobody`: see `foldlog parked list {place}`\n"
    ran = foldlog(bank, "parked", "show", f"{bank.name}.account", "nobody")
    assert ran.returncode == 1
    assert ran.stderr.startswith(f"error: `{bank.name}.account` parks no keys; these do: ")
