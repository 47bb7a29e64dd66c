"""SQL over views: what the topics hold, exact, with a clear word on every query that is none."""

import json
import os
import signal
import subprocess
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import polars
import pytest

from foldlog import query
from foldlog.core.errors import ConfigError
from foldlog.core.record import Record
from tests.cli.bank import Balance, Owner
from tests.cli.conftest import Cli, Context, Ran

ADA = Balance(Decimal("12.50"), 2, date(1997, 1, 2), (Owner("A", 60), Owner("ö", 40)))
BOB = Balance(Decimal("-0.05"), 1)


@pytest.fixture(scope="module", autouse=True)
def balances(context: Context) -> str:
    """The view's topic: 1,002 rows, one of them written twice, a deleted one, and one of an aborted transaction."""
    topic, encode = f"{context.name}.balances", context.codec.encode
    rows: list[tuple[str, Record | None]] = [("bob", ADA), ("eve", BOB), ("ada", ADA), ("bob", BOB), ("eve", None)]
    rows += [(f"c{n:03}", Balance(Decimal(n), n)) for n in range(1000)]
    context.write(topic, *((key, None if row is None else encode(row)) for key, row in rows))
    context.abort(topic, "mallory", encode(BOB))
    return topic


def sql(cli: Cli, context: Context, *arguments: str, stdin: bytes = b"") -> str:
    ran = cli("sql", context.module, *arguments, stdin=stdin)
    assert ran.code == 0, ran.err
    return ran.out


def test_a_query_gives_a_table(cli: Cli, context: Context) -> None:
    ran = cli("sql", context.module, "select key, amount, last from balances where key not like 'c%' order by key")
    assert ran.out.splitlines() == ["key  amount  last", "ada   12.50  1997-01-02", "bob   -0.05"]
    assert (ran.code, ran.err) == (0, "2 rows\n")


def test_json_keeps_what_is_nested_and_every_digit(cli: Cli, context: Context) -> None:
    statement = f"select * from {context.name}.balances where key = 'ada'"
    assert json.loads(sql(cli, context, statement, "--json")) == [
        {
            "key": "ada",
            "amount": "12.50",
            "postings": 2,
            "last": "1997-01-02",
            "owners": [{"name": "A", "share": 60}, {"name": "ö", "share": 40}],
        }
    ]


def test_csv(cli: Cli, context: Context) -> None:
    statement = "select key, owners[2].name as second from balances where amount < 0 or last is not null order by key"
    assert sql(cli, context, statement, "--format", "csv") == "key,second\nada,ö\nbob,\n"


def test_aggregates_are_exact_numbers(cli: Cli, context: Context) -> None:
    statement = (
        "select count(*) n, sum(postings) postings, sum(amount) amount, sum(amount)::double / 0 wild from balances"
    )
    assert json.loads(sql(cli, context, statement, "--json")) == [
        {"n": 1002, "postings": 499_503, "amount": "499512.45", "wild": None}
    ]


@pytest.mark.parametrize("how", ["argument", "file", "stdin", "dash"])
def test_a_query_comes_from_wherever_it_is(how: str, cli: Cli, context: Context, tmp_path: Path) -> None:
    statement = "/* the best */\nselect key from balances order by amount desc limit 1;\n"
    (tmp_path / "best.sql").write_text(statement)
    ways: dict[str, tuple[str, ...]] = {
        "argument": (statement,),
        "file": ("-f", str(tmp_path / "best.sql")),
        "stdin": (),
        "dash": ("--file", "-"),
    }
    piped = statement.encode() if how in ("stdin", "dash") else b""
    assert sql(cli, context, *ways[how], "--format", "csv", stdin=piped) == "key\nc999\n"


def test_a_query_that_names_no_view_sees_all(cli: Cli, context: Context) -> None:
    assert sql(cli, context, "show tables", "--format", "csv") == "name\nbalances\n"


def test_columns_of_one_name_are_told_apart(cli: Cli, context: Context) -> None:
    assert sql(cli, context, "select 1 a, 2 a, 3 a_1", "--format", "csv") == "a,a_1,a_1_1\n1,2,3\n"
    assert json.loads(sql(cli, context, "select 1 a, 2 a", "--json")) == [{"a": 1, "a_1": 2}]


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("selec 1", 'syntax error at or near "selec"'),
        ("", "one statement is run at a time; here are none"),
        ("/* nothing */", "one statement is run at a time; here are none"),
        ("select 1; select 2", "one statement is run at a time; here are 2"),
        ("delete from balances", "DELETE is no query; views change by events alone, so there is SELECT alone"),
        ("copy balances to 'x.csv'", "COPY is no query; views change by events alone, so there is SELECT alone"),
        ("attach 'x.db' as x", "ATTACH is no query; views change by events alone, so there is SELECT alone"),
        ("select * from credits", "Table with name credits does not exist! the views of {} are: balances"),
        ("select owner from balances", 'Referenced column "owner" not found in FROM clause!'),
        ("select amount from balances where key = 1", "Could not convert string"),
        ("select * from read_csv('/nowhere.csv')", 'No files found that match the pattern "/nowhere.csv"'),
        ("select '\udcff'", "the query is not UTF-8"),
        ("select * from balances where key = $1", "Values were not provided for the following parameters: 1"),
    ],
)
def test_what_is_no_right_query_is_told_in_a_line(statement: str, reason: str, cli: Cli, context: Context) -> None:
    ran = cli("sql", context.module, statement)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: SQL: {reason.format(context.name)}")
    assert ran.err.count("\n") == 1


def test_wrong_places_of_a_query(cli: Cli, context: Context, tmp_path: Path) -> None:
    def error(*arguments: str, stdin: bytes = b"") -> str:
        ran: Ran = cli("sql", context.module, *arguments, stdin=stdin)
        assert (ran.code, ran.out) == (1, "")
        return ran.err

    (tmp_path / "latin.sql").write_bytes(b"select '\xff'")
    assert (
        error("-f", str(tmp_path / "no.sql")) == f"error: {tmp_path}/no.sql cannot be read: No such file or directory\n"
    )
    assert error("-f", str(tmp_path)) == f"error: {tmp_path} cannot be read: Is a directory\n"
    assert error("-f", str(tmp_path / "latin.sql")) == f"error: {tmp_path}/latin.sql is not UTF-8: byte 8\n"
    assert error(stdin=b"\xff") == "error: standard input is not UTF-8: byte 0\n"
    assert error("select 1", "-f", "x") == "error: give the query as an argument or in a file, not both\n"


def test_missing_topics_and_contexts(cli: Cli, empty: Context) -> None:
    missing = f"error: there is no topic {empty.name}.balances: run `foldlog topics apply topologies.{empty.name}`\n"
    assert cli("sql", empty.module, "select * from balances").err == missing
    assert cli("sql", "no.such.module", "select 1").code == 1


def test_a_row_that_cannot_be_read_is_told_with_its_place(cli: Cli, context: Context, balances: str) -> None:
    context.write(balances, ("broken", b"\x01garbage"))
    try:
        ran = cli("sql", context.module, "select 1 from balances")
    finally:
        context.write(balances, ("broken", None))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {balances}:")


def test_a_notebook_gets_tables(context: Context) -> None:
    table = query.table(context.topology, "balances")
    assert table.num_rows == 1002
    assert table.column("key").to_pylist()[:3] == ["ada", "bob", "c000"]
    frame = query.polars(context.topology, "balances")
    assert frame.filter(polars.col("key") == "bob").row(0, named=True)["amount"] == Decimal("-0.05")
    found = query.sql(context.topology, "select max(amount) best from balances")
    assert found.to_pylist() == [{"best": Decimal("999.00")}]
    with pytest.raises(ConfigError, match=rf"^{context.name} has no view `credits`; its views are: balances$"):
        query.table(context.topology, "credits")


def test_a_query_does_not_see_the_variables_of_its_notebook(context: Context) -> None:
    secret = duckdb.sql("select 1")
    with pytest.raises(ConfigError, match="Table with name secret does not exist"):
        query.sql(context.topology, "select * from secret")
    del secret


def test_ctrl_c_ends_a_long_query(context: Context, tmp_path: Path) -> None:
    endless = (
        f"select count(*) from range(10000000000) a, range(10000000000) b, '{tmp_path}/x.csv' where a.range % 7 = 1"
    )
    os.mkfifo(tmp_path / "x.csv")  # the query runs once somebody has given it this
    program = subprocess.Popen(
        [sys.executable, "-m", "foldlog.cli.main", "sql", context.module, endless],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    (tmp_path / "x.csv").write_text("one\n1\n")
    program.send_signal(signal.SIGINT)
    out, err = program.communicate(timeout=60)
    assert (program.returncode, out) == (130, b"")
    assert b"Traceback" not in err
