"""The rows of a view: complete, sorted, exact, and the same bytes for the same rows."""

import csv
import io
import json
from datetime import date
from decimal import Decimal

import pytest

from foldlog.core.record import Record
from tests.cli.bank import Balance, Owner
from tests.cli.conftest import Cli, Context

ADA = Balance(Decimal("12.50"), 2, date(1997, 1, 2), (Owner('A "x", y', 60), Owner("ö", 40)))
BOB = Balance(Decimal("-0.05"), 1)
ZOE = Balance(Decimal(0), 0)


@pytest.fixture(scope="module")
def balances(context: Context) -> str:
    """The view's name; it has three rows, one of them written twice, and a deleted one."""
    topic, encode = f"{context.name}.balances", context.codec.encode
    rows: list[tuple[str, Record | None]] = [("zoe", ZOE), ("bob", ADA), ("eve", BOB), ("ada", ADA)]
    rows += [("bob", BOB), ("eve", None)]
    context.write(topic, *((key, None if row is None else encode(row)) for key, row in rows))
    context.abort(topic, "mallory", encode(BOB))
    return topic


def view(cli: Cli, context: Context, *arguments: str) -> str:
    ran = cli("view", f"{context.name}.balances", *arguments, "--topology", context.module)
    assert ran.code == 0, ran.err
    return ran.out


def test_csv(cli: Cli, context: Context, balances: str) -> None:
    assert view(cli, context, "--format", "csv") == (
        "key,amount,postings,last,owners\n"
        'ada,12.50,2,1997-01-02,"[{""name"": ""A \\""x\\"", y"", ""share"": 60}, {""name"": ""ö"", ""share"": 40}]"\n'
        "bob,-0.05,1,,[]\n"
        "zoe,0.00,0,,[]\n"
    )


def test_json_is_a_list_and_one_object_for_a_key(cli: Cli, context: Context, balances: str) -> None:
    rows = json.loads(view(cli, context, "--format", "json"))
    assert [row["key"] for row in rows] == ["ada", "bob", "zoe"]
    one = json.loads(view(cli, context, "ada", "--format", "json"))
    assert one == rows[0]
    assert one == {
        "key": "ada",
        "amount": "12.50",
        "postings": 2,
        "last": "1997-01-02",
        "owners": [{"name": 'A "x", y', "share": 60}, {"name": "ö", "share": 40}],
    }


def test_the_table(cli: Cli, context: Context, balances: str) -> None:
    lines = view(cli, context).splitlines()
    assert lines[0].split() == ["key", "amount", "postings", "last", "owners"]
    assert [line.split()[:3] for line in lines[1:]] == [
        ["ada", "12.50", "2"],
        ["bob", "-0.05", "1"],
        ["zoe", "0.00", "0"],
    ]


@pytest.mark.parametrize("key", ["eve", "mallory", "nobody", "", "a'; drop", "ä", "*"])
def test_a_row_that_is_not_there(key: str, cli: Cli, context: Context, balances: str) -> None:
    ran = cli("view", f"{context.name}.balances", key, "--topology", context.module, "--format", "json")
    assert (ran.code, ran.out, ran.err) == (1, "", f"error: {context.name}.balances has no row `{key}`\n")


def test_an_aggregate_is_no_view(cli: Cli, context: Context) -> None:
    ran = cli("view", f"{context.name}.account", "--topology", context.module)
    assert ran.code == 1
    assert ran.err.startswith(f"error: {context.name}.account is a decider, not a view; try `foldlog inspect")


def test_missing_topics(cli: Cli, empty: Context) -> None:
    ran = cli("view", f"{empty.name}.balances", "--topology", empty.module)
    assert ran.code == 1
    assert ran.err == (
        f"error: there is no topic {empty.name}.balances: run `foldlog topics apply topologies.{empty.name}`\n"
    )


@pytest.fixture(scope="module")
def many(context: Context) -> str:
    """A view of as many rows as the demo has customers; kept apart from the others by the topology's own topic."""
    topic = f"{context.name}.balances"
    rows = [(f"c{n:05}", context.codec.encode(Balance(Decimal(n) / 100, n, date(1997, 1, 1)))) for n in range(23_570)]
    context.write(topic, *rows)
    return topic


@pytest.mark.parametrize("style", ["csv", "json", "table"])
def test_23570_rows(style: str, cli: Cli, context: Context, many: str) -> None:
    text = view(cli, context, "--format", style)
    match style:
        case "csv":
            found = {row["key"]: row["amount"] for row in csv.DictReader(io.StringIO(text))}
        case "json":
            found = {row["key"]: row["amount"] for row in json.loads(text)}
        case _:
            found = {line.split()[0]: line.split()[1] for line in text.splitlines()[1:]}
    assert {key: found[key] for key in found if key.startswith("c")} == {
        f"c{n:05}": f"{Decimal(n) / 100:.2f}" for n in range(23_570)
    }


def test_a_row_that_is_not_avro_is_told_with_its_place(cli: Cli, context: Context, balances: str) -> None:
    context.write(balances, ("broken", b"\x01garbage"))
    ran = cli("view", balances, "broken", "--topology", context.module)
    context.write(balances, ("broken", None))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {balances}:")
    assert ran.err.count("\n") == 1
