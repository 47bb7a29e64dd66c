"""`foldlog sink` as its users call it: what it says, and how it refuses."""

from decimal import Decimal

import psycopg
import pytest

from tests.adapters.conftest import PlaceOf
from tests.adapters.kept import KINDS, Bank, Kind
from tests.cli.bank import Balance
from tests.cli.conftest import Cli, cli

__all__ = ["cli"]
pytestmark = pytest.mark.adapters
of_each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@of_each_kind
def test_once_again_and_anew(kind: Kind, bank: Bank, place: PlaceOf, cli: Cli) -> None:
    at = place(kind)
    bank.change(("ada", Balance(Decimal(1))), ("bob", Balance()))
    bank.change(("bob", None))
    line = ("sink", kind.name, bank.view, *kind.arguments(at), "--topology", bank.module, "--once")
    first, second, anew = cli(*line), cli(*line), cli(*line, "--rebuild")
    assert [(ran.code, ran.out) for ran in (first, second, anew)] == [(0, "")] * 3, first.err
    said = [ran.err.splitlines()[-1].partition(" to ")[0].partition(" records of ") for ran in (first, second, anew)]
    assert said[1][::2] == ("0", f"{bank.view} in 0 transactions")
    assert said[0][0] == said[2][0] != "0"
    assert kind.rows(at) == bank.rows()


@of_each_kind
def test_what_is_no_view_is_refused(kind: Kind, bank: Bank, place: PlaceOf, cli: Cli) -> None:
    arguments = (*kind.arguments(place(kind)), "--topology", bank.module, "--once")
    for target, reason in (
        (f"{bank.name}.account", "is a decider, not a view"),
        (f"{bank.name}.nothing", "has no processor `nothing`"),
        ("nothing", "is not CONTEXT.NAME"),
    ):
        ran = cli("sink", kind.name, target, *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert reason in ran.err


def test_columns_are_indexed_that_the_view_declares_and_that_are_asked_for(
    bank: Bank, place: PlaceOf, cli: Cli
) -> None:
    kind = KINDS[0]
    at = place(kind)
    line = ("sink", kind.name, bank.view, *kind.arguments(at), "--topology", bank.module, "--once")
    assert cli(*line, "--index", "amount", "--index", "postings").code == 0
    with psycopg.connect(at.url) as connection:
        found = connection.execute("SELECT indexname FROM pg_indexes WHERE schemaname = %s", [at.name]).fetchall()
    names = {name for (name,) in found if name.startswith("balances_by_")}
    assert names == {"balances_by_amount", "balances_by_postings"}


@pytest.mark.parametrize(
    ("name", "url", "reason"),
    [
        ("postgres", "postgresql://me:secret@127.0.0.1:1/x", "127.0.0.1:1/x"),
        ("postgres", "http://me:secret@127.0.0.1/x", "PostgreSQL's URL cannot be read"),
        ("redis", "redis://:secret@127.0.0.1:1/0", "127.0.0.1:1/0"),
        ("redis", "http://me:secret@127.0.0.1/x", "Redis's URL"),
    ],
)
def test_a_server_that_is_not_there_is_one_line_without_secrets(
    bank: Bank, cli: Cli, name: str, url: str, reason: str
) -> None:
    ran = cli("sink", name, bank.view, "--url", url, "--topology", bank.module, "--once")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert ran.err.startswith("error: ")
    assert reason in ran.err
    assert "secret" not in ran.err
