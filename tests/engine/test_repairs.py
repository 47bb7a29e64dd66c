"""An operator repairs with the command line what a worker could not handle, and the worker carries it out."""

import json
import uuid
from decimal import Decimal
from typing import Any

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from foldlog.contracts.subjects import subjects
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


def test_a_retry_finds_the_schema_that_was_missing(own_bank: Bank, start: Start) -> None:
    bank, subject = own_bank, f"{own_bank.commands}-{own_bank.name}.account.Open"
    start("account").ready()
    known = subjects(bank.topology)[subject]
    younger = {**known, "fields": [*known["fields"], {"name": "branch", "type": "string", "default": ""}]}
    with SchemaRegistryClient({"url": bank.cluster.registry}) as registry:
        probe = {"type": "record", "name": f"probe_{uuid.uuid4().hex}", "fields": []}
        last = registry.register_schema(str(probe["name"]), Schema(json.dumps(probe), "AVRO"))
        body = bank.codec.encode(Open("late", "ada"))[5:] + b"\0"  # an empty branch
        place = bank.put(b"late", b"\0" + (last + 1).to_bytes(4, "big") + body)
        assert [letter.cause for letter in bank.letters_of(place)] == ["unknown-schema"]
        assert registry.register_schema(subject, Schema(json.dumps(younger), "AVRO")) == last + 1

    def retried() -> Any:
        foldlog(bank, "dead-letters", "retry", bank.name, "--cause", "unknown-schema")
        return bank.events("late")

    [(event, _)] = eventually(retried, "the event: a worker asks for an unknown schema again after 5 s")
    assert event == Opened("late", "ada")
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
