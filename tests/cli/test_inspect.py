"""An aggregate as it was at each version; a saga as it stands."""

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from foldlog.core.contract import Process
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from tests.cli.bank import Opened, Posted, Transfer
from tests.cli.conftest import Cli, Context, Ran

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def owner(key: str) -> str:
    """The aggregate id of an event's key."""
    return key.rpartition("@")[0]


def event(context: Context, key: str, record: Record, actor: str | None = None) -> tuple[str, bytes]:
    """An event as the engine writes it."""
    aggregate, _, version = key.rpartition("@")
    meta = Meta(key, aggregate, int(version), TIME, f"command-{version}", "correlated", actor)
    return key, context.codec.encode(record, meta)


@pytest.fixture(scope="module")
def log(context: Context) -> str:
    """Three accounts in one log: ada, one whose id has an @ and begins like ada's, and a doubled one."""
    topic = f"{context.name}.account.events"
    written = [
        event(context, "ada@1", Opened("ada")),
        event(context, "ada@1@1", Opened("ada@1")),
        event(context, "ada@2", Posted("ada", Decimal("10.00")), actor="joe"),
        event(context, "ada@3", Posted("ada", Decimal("-2.50"), "t1")),
        event(context, "twice@1", Opened("twice")),
        event(context, "gap@1", Opened("gap")),
        event(context, "gap@3", Posted("gap", Decimal("1.00"))),
    ]
    context.write(topic, *written, key_of=owner)
    context.write(topic, event(context, "twice@1", Opened("twice")), key_of=owner)
    context.abort(topic, *event(context, "ada@4", Posted("ada", Decimal("99.00"))))
    return topic


def inspect(cli: Cli, context: Context, of: str, key: str, *arguments: str) -> Ran:
    return cli("inspect", f"{context.name}.{of}", key, *arguments, "--topology", context.module)


@pytest.mark.parametrize(
    ("version", "balance", "is_open"), [(0, "0", False), (1, "0", True), (2, "10.00", True), (3, "7.50", True)]
)
def test_the_state_at_each_version(  # noqa: PLR0917
    version: int, balance: str, is_open: bool, cli: Cli, context: Context, log: str
) -> None:
    found = json.loads(inspect(cli, context, "account", "ada", "--at", str(version), "--json").out)
    assert (found["version"], found["state"]) == (version, {"open": is_open, "balance": balance})
    assert [row["meta"]["version"] for row in found["events"]] == list(range(1, version + 1))


def test_json_tells_what_caused_each_event(cli: Cli, context: Context, log: str) -> None:
    found = json.loads(inspect(cli, context, "account", "ada", "--json").out)
    second = found["events"][1]
    assert (second["type"], second["data"]) == ("Posted", {"account": "ada", "amount": "10.00", "transfer": None})
    assert (second["meta"]["causation"], second["meta"]["actor"], second["meta"]["time"]) == (
        "command-2",
        "joe",
        "2026-01-02T03:04:05Z",
    )


def test_the_table_has_a_line_for_each_event_and_the_state(cli: Cli, context: Context, log: str) -> None:
    ran = inspect(cli, context, "account", "ada")
    assert ran.code == 0
    lines = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert lines[2] == "2 2026-01-02 03:04:05 Posted account=ada amount=10.00 command-2 joe"
    assert "state at version 3 of 3" in lines
    assert lines[-1] == "balance 7.50"


def test_an_id_that_holds_an_at_sign_is_not_confused(cli: Cli, context: Context, log: str) -> None:
    found = json.loads(inspect(cli, context, "account", "ada@1", "--json").out)
    assert [row["data"]["account"] for row in found["events"]] == ["ada@1"]


@pytest.mark.parametrize("key", ["nobody", "", "ad", "ada@", "ada@2", "%", "\N{SNOWMAN}"])
def test_an_unknown_id(key: str, cli: Cli, context: Context, log: str) -> None:
    ran = inspect(cli, context, "account", key)
    assert (ran.code, ran.out, ran.err) == (1, "", f"error: {context.name}.account has no `{key}`\n")


def test_a_version_that_does_not_exist_yet(cli: Cli, context: Context, log: str) -> None:
    ran = inspect(cli, context, "account", "ada", "--at", "4")
    assert (ran.code, ran.err) == (1, f"error: {context.name}.account `ada` is at version 3; there is no 4\n")


def test_a_doubled_version_is_warned_of(cli: Cli, context: Context, log: str) -> None:
    ran = inspect(cli, context, "account", "twice")
    assert ran.code == 0
    assert "has version 1 twice, at " in ran.err


def test_a_gap_is_warned_of(cli: Cli, context: Context, log: str) -> None:
    assert f"warning: {log} has 2 events of `gap` up to version 3\n" == inspect(cli, context, "account", "gap").err


@pytest.fixture(scope="module")
def sagas(context: Context) -> None:
    """An ended and an open transfer."""
    encode = context.codec.encode
    context.write(
        f"{context.name}.transfer",
        ("t1", encode(Transfer("bob"), Process(1, False))),
        ("t2", encode(Transfer("eve"), Process(1, False))),
        ("t1", encode(Transfer("bob", True), Process(3, True))),
    )


def test_where_a_saga_stands(cli: Cli, context: Context, sagas: None) -> None:
    found = json.loads(inspect(cli, context, "transfer", "t1", "--json").out)
    assert found == {"id": "t1", "steps": 3, "ended": True, "state": {"target": "bob", "done": True}}
    assert inspect(cli, context, "transfer", "t2").out.startswith("open after 1 steps\n")
    assert inspect(cli, context, "transfer", "t9").err == f"error: {context.name}.transfer has no `t9`\n"


def test_a_saga_keeps_no_versions(cli: Cli, context: Context) -> None:
    ran = inspect(cli, context, "transfer", "t1", "--at", "1")
    assert (ran.code, "there is no --at" in ran.err) == (1, True)


@pytest.mark.parametrize("name", ["balances", "welcome"])
def test_a_view_or_reactor_has_no_history(name: str, cli: Cli, context: Context) -> None:
    ran = inspect(cli, context, name, "x")
    assert ran.code == 1
    assert "not an aggregate or saga" in ran.err
