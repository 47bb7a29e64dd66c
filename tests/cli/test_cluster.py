"""`up`, `down` and `status` with a cluster that is there already: found, described, never touched."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, Context


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty: Context) -> Path:
    """A data directory of this test; the environment names the tests' cluster."""
    monkeypatch.setenv("FOLDLOG_HOME", str(tmp_path))
    return tmp_path


def test_up_finds_it(cli: Cli, home: Path, empty: Context) -> None:
    found = json.loads(cli("up", "--json").out)
    assert (found["bootstrap"], found["kind"]) == (empty.cluster.bootstrap, "external")
    assert empty.cluster.bootstrap in cli("up").out


def test_status_describes_it(cli: Cli, home: Path, empty: Context) -> None:
    ran = cli("status")
    assert (ran.code, ran.err) == (0, "external cluster, running\n")
    assert [line.split()[0] for line in ran.out.splitlines()] == ["server", "kafka", "registry"]
    found = json.loads(cli("status", "--json").out)
    assert [server["responding"] for server in found["servers"]] == [True, True]


def test_down_leaves_it(cli: Cli, home: Path, empty: Context) -> None:
    ran = cli("down", "--json")
    assert json.loads(ran.out) == {"stopped": False, "wiped": False}
    assert cli("down").err == "nothing was running\n"
    assert cli("status").code == 0


def test_status_of_nothing_is_exit_1(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDLOG_HOME", str(tmp_path / "none"))
    for name in ("FOLDLOG_BOOTSTRAP", "FOLDLOG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    ran = cli("status", "--json")
    assert (ran.code, json.loads(ran.out)["running"]) == (1, False)


@pytest.mark.parametrize(
    ("bootstrap", "registry", "message"),
    [
        ("nonsense", "http://127.0.0.1:1", "FOLDLOG_BOOTSTRAP is 'nonsense': write host:port"),
        ("127.0.0.1:1", "nonsense", "FOLDLOG_REGISTRY is 'nonsense': write http"),
        ("127.0.0.1:1", "http://127.0.0.1:1", "no Kafka answers at 127.0.0.1:1"),
    ],
)
def test_wrong_addresses_are_one_line(
    bootstrap: str, registry: str, message: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDLOG_BOOTSTRAP", bootstrap)
    monkeypatch.setenv("FOLDLOG_REGISTRY", registry)
    ran = cli("up")
    assert (ran.code, ran.out) == (1, "")
    assert message in ran.err
    assert ran.err.count("\n") == 1


def test_a_silent_registry_is_one_line(cli: Cli, empty: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDLOG_REGISTRY", "http://127.0.0.1:1")
    ran = cli("schemas", "push", empty.module)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: the registry at http://127.0.0.1:1 does not answer: ")
    assert ran.err.count("\n") == 1
