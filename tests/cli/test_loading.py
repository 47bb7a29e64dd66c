"""A topology is found by its module; whatever is wrong with the module is one clear line."""

from pathlib import Path

import pytest

from tests.cli.conftest import Cli


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


CONTEXT = """
from foldlog.core import *
class Go(Record):
    id: str
class Gone(Record):
    id: str
def decide(command: Go, state: Gone) -> list[Gone]: return []
def evolve(state: Gone, event: Gone) -> Gone: return state
"""


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import nothing_of_that_name", "m1.py:1: ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        ("x = (\n", "m1.py:1: SyntaxError: '(' was never closed"),
        ("\n\n1 / 0", "m1.py:3: ZeroDivisionError: division by zero"),
        ("from foldlog.core import Nothing", "m1.py:1: ImportError: cannot import name 'Nothing'"),
        ("x = 1", "m1 must export exactly one Topology; it has none"),
        (
            "from foldlog.core import Topology\na, b = Topology('one'), Topology('two')",
            "m1 must export exactly one Topology; it has one, two",
        ),
        ("from foldlog.core import Topology\na = Topology('One')", "name `One`: use lower case letters"),
        (CONTEXT + "d = Decider('d', Gone(''), lambda c: c.id, decide, evolve)\nt = Topology('t', (d,))", "Gone is"),
    ],
)
def test_a_module_that_cannot_be_used(
    code: str, message: str, project: Path, cli: Cli, request: pytest.FixtureRequest
) -> None:
    # A module is imported once in a process: each case has a name of its own.
    name = f"m1_{abs(hash(request.node.name))}"
    (project / f"{name}.py").write_text(code)
    ran = cli("describe", name)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: ")
    assert message in ran.err.replace(name, "m1")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("name", ["", "a/b", "../x", "orders.", "1x", "a b", "topologies/orders.py", "\x00"])
def test_a_name_that_is_no_module(name: str, cli: Cli) -> None:
    ran = cli("describe", name)
    assert ran.code == 1
    assert "is not a module: write it with dots" in ran.err


def test_a_module_that_is_not_there(cli: Cli) -> None:
    ran = cli("describe", "topologies.ordres")
    assert ran.code == 1
    assert ran.err.startswith("error: there is no module topologies.ordres in ")


def test_the_working_directory_is_searched(project: Path, cli: Cli) -> None:
    (project / "here_only.py").write_text("from foldlog.core import Topology\nt = Topology('here')")
    assert cli("describe", "here_only").out.startswith("context here\n")


@pytest.mark.parametrize("command", ["view", "inspect", "send"])
@pytest.mark.parametrize("name", ["", "orders", "orders.", ".x", "a.b.c", "Orders.order", "orders/order", "é.é"])
def test_a_place_is_context_dot_name(command: str, name: str, cli: Cli) -> None:
    ran = cli(command, name, "x")
    assert (ran.code, ran.err) == (1, f"error: `{name}` is not CONTEXT.NAME, for example orders.order\n")


def test_an_unknown_processor_is_told_with_the_known_ones(cli: Cli) -> None:
    ran = cli("view", "bank.balance", "--topology", "tests.cli.bank")
    assert ran.err == ("error: bank has no processor `balance`; it has account, transfer, balances, welcome\n")


def test_a_topology_of_another_name(cli: Cli) -> None:
    ran = cli("view", "shop.balances", "--topology", "tests.cli.bank")
    assert (ran.code, ran.err) == (1, "error: tests.cli.bank is the context `bank`, not `shop`\n")
