"""`foldlog sagas`: lists, timelines, and an operator's interventions against a running worker."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from foldlog.cluster import Cluster
from foldlog.core.contract import Process, Taken, Timer
from tests.cli.bank import StartTransfer, Transfer
from tests.cli.conftest import Cli, Context, Ran
from tests.engine import errands as module
from tests.engine.bank import Open
from tests.engine.errands import RunErrand
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh

NOON = datetime(2025, 5, 9, 12, 0, tzinfo=UTC)
Sagas = Callable[..., Ran]


@pytest.fixture(scope="module")
def transfers(context: Context) -> Context:
    """An ended and an open transfer, the open one with a timer, and one of an older release, that kept no steps."""
    encode = context.codec.encode
    first = Taken(1, "StartTransfer", NOON, "c1", "ops", ("Post",))
    then = Taken(2, "Posted", NOON.replace(hour=13), "transfer:t1:1.0", None, ())
    step = encode(StartTransfer("t2", "ada", "bob", Decimal("1.00")))
    timer = Timer("deadline", NOON.replace(hour=15), step, "transfer:t2:1.deadline", "c2")
    context.write(
        f"{context.name}.transfer",
        ("t1", encode(Transfer("bob", True), Process(2, True, 1, (first, then)))),
        ("t2", encode(Transfer("eve"), Process(1, False, 2, (first,), (timer,), timer.due))),
        ("t3", encode(Transfer("old"), Process(1, False))),
    )
    return context


@pytest.fixture
def plain(cli: Cli, transfers: Context) -> Sagas:
    """Runs a command about the transfers."""
    return lambda command, *rest: cli(
        "sagas", command, f"{transfers.name}.transfer", *rest, "--topology", transfers.module
    )


def test_sagas_are_listed_as_they_moved(plain: Sagas) -> None:
    ran = plain("list")
    assert [line.split()[:3] for line in ran.out.splitlines()] == [
        ["id", "status", "steps"],
        ["t3", "open", "1"],
        ["t2", "open", "1"],
        ["t1", "ended", "2"],
    ]
    assert ran.err == "3 sagas\n"
    [found] = json.loads(plain("list", "--limit", "1", "--json").out)
    assert found == {
        "id": "t1",
        "status": "ended",
        "ended": True,
        "steps": 2,
        "version": 1,
        "last_step": "Posted",
        "moved": "2025-05-09T13:00:00+00:00",
        "next_timer": None,
    }


def test_sagas_of_a_status_are_listed(plain: Sagas) -> None:
    assert [each["id"] for each in json.loads(plain("list", "--status", "open", "--json").out)] == ["t3", "t2"]
    ran = plain("list", "--status", "lost")
    assert (ran.code, "has open, ended" in ran.err) == (1, True)


def test_one_saga_is_shown_with_its_timers_and_what_led_there(plain: Sagas) -> None:
    lines = plain("show", "t2").out.splitlines()
    assert lines[0] == "t2: open, open after 1 steps, version 2"
    assert "deadline  2025-05-09 15:00:00  StartTransfer  transfer:t2:1.deadline" in lines
    assert lines[-1].split() == ["1", "2025-05-09", "12:00:00", "StartTransfer", "c1", "ops", "Post"]
    found = json.loads(plain("show", "t2", "--json").out)
    assert found["timers"][0]["step"]["data"]["amount"] == "1.00"
    assert found["state"] == {"target": "eve", "done": False}
    assert found["timeline"][0]["causation"] == "c1"


def test_a_saga_that_is_not_there_is_an_error(plain: Sagas) -> None:
    ran = plain("show", "t9")
    assert (ran.code, "has no `t9`" in ran.err) == (1, True)


def test_other_processors_are_no_sagas(cli: Cli, transfers: Context) -> None:
    ran = cli("sagas", "list", f"{transfers.name}.account", "--topology", transfers.module)
    assert ran.code == 1
    assert f"is a decider, not a saga; sagas here: {transfers.name}.transfer" in ran.err


@pytest.mark.parametrize("action", ["retry", "skip", "compensate"])
def test_a_saga_that_is_not_made_of_steps_cannot_be_moved(plain: Sagas, action: str) -> None:
    ran = plain(action, "t2")
    assert (ran.code, "transfer is not made of steps" in ran.err) == (1, True)


@pytest.fixture(scope="module")
def errands(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bank]:
    """Errands whose accounts nobody works for: each waits for its first answer."""
    with fresh(cluster, module.errands) as bank, pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "errands", bank.topology)
        patch.setenv("FOLDLOG_BOOTSTRAP", cluster.bootstrap)
        patch.setenv("FOLDLOG_REGISTRY", cluster.registry)
        worker = Worker(bank, tmp_path_factory.mktemp("errands"), "w", "errand", module=module.__name__)
        try:
            worker.ready()
            yield bank
        finally:
            worker.close()


@pytest.fixture
def moved(cli: Cli, errands: Bank) -> Sagas:
    """Runs a command about the errands."""
    return lambda command, *rest: cli("sagas", command, f"{errands.name}.errand", *rest, "--topology", module.__name__)


def begun(bank: Bank, id: str) -> None:
    bank.send(Open("a"), RunErrand(id, "a", ("b", "c"), Decimal("1.00")))
    eventually(lambda: id in bank.rows("errand"))


def test_an_operator_moves_a_saga_on_and_back(errands: Bank, moved: Sagas) -> None:
    begun(errands, "e1")
    assert json.loads(moved("list", "--status", "running", "--json").out)[0]["id"] == "e1"
    ran = moved("retry", "e1", "--actor", "ops")
    assert (ran.code, "e1: accepted as step 2" in ran.err) == (0, True)
    assert moved("skip", "e1").code == 0
    ran = moved("retry", "e1")
    assert (ran.code, "name one of the steps that wait: gift 0, gift 1" in ran.err) == (1, True)
    assert moved("skip", "e1", "--step", "gift 1").code == 0
    assert moved("compensate", "e1", "--reason", "a test").code == 0
    eventually(lambda: json.loads(moved("show", "e1", "--json").out)["status"] == "compensated")
    told = json.loads(moved("show", "e1", "--json").out)
    assert told["state"]["reason"] == "a test"
    assert [each["step"] for each in told["timeline"]] == ["RunErrand", *["Intervention"] * 4]
    assert told["timeline"][1]["actor"] == "ops"
    assert {each["name"]: each["status"] for each in told["state"]["steps"]} == {
        "take": "skipped",
        "gift 0": "failed",
        "gift 1": "skipped",
    }
    ran = moved("compensate", "e1")
    assert (ran.code, "rejected: it is compensated" in ran.err) == (1, True)


def test_what_became_of_an_intervention_is_told_as_json(errands: Bank, moved: Sagas) -> None:
    begun(errands, "e3")
    for step, action in enumerate((("retry",), ("skip",), ("compensate", "--reason", "a test")), 2):
        ran = moved(action[0], "e3", *action[1:], "--json")
        told = json.loads(ran.out)
        assert (ran.code, ran.err) == (0, "")
        assert (told["saga"], told["id"], told["action"]) == (f"{errands.name}.errand", "e3", action[0])
        assert (told["status"], told["version"], told["reason"]) == ("accepted", step, None)
    ran = moved("retry", "nobody", "--json")
    told = json.loads(ran.out)
    assert (ran.code, told["status"]) == (1, "rejected")
    assert told["reason"].startswith("it is new")
    assert "rejected: it is new" in ran.err


def test_a_step_that_waits_is_shown_with_its_timer(errands: Bank, moved: Sagas) -> None:
    begun(errands, "e2")
    assert moved("skip", "e2").code == 0
    after = "e2: running, open after 2 steps, version 1"
    lines = eventually(
        lambda: lines if after in (lines := moved("show", "e2").out.splitlines()) else None, "the second step"
    )
    assert lines[0] == after
    assert next(line.split() for line in lines if line.startswith("gift 0")) == ["gift", "0", "sent", "1", "1"]
    assert any(line.startswith("gift 1") and "StepTimer" in line for line in lines)


def test_who_moves_what_is_not_there_is_told_so(moved: Sagas) -> None:
    ran = moved("retry", "nobody")
    assert (ran.code, "rejected: it is new" in ran.err) == (1, True)
