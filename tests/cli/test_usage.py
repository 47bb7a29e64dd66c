"""Help, wrong usage and settings: no cluster is needed to be told what to do."""

import json
import os
import subprocess
import sys

import pytest

from foldlog import __version__
from foldlog.settings import Settings
from tests.cli.conftest import Cli

COMMANDS = [
    "up", "down", "status", "run", "send", "view", "sql", "export", "verify", "inspect", "describe", "settings",
    "topics apply", "topics diff", "schemas write", "schemas check", "schemas push",
    "dead-letters list", "dead-letters show", "dead-letters retry", "dead-letters edit", "dead-letters drop",
    "parked list", "parked show", "parked retry", "parked drop", "services", "contracts", "asyncapi", "query serve",
    "sink postgres", "sink redis", "sink parquet", "sink postgres-events", "edge http", "edge rabbitmq-in",
    "edge rabbitmq-out", "edge webhook",
]  # fmt: skip


@pytest.mark.parametrize(
    "command", ["", "topics", "schemas", "dead-letters", "parked", "sink", "edge", "query", *COMMANDS]
)
def test_every_help_has_an_example(command: str, cli: Cli) -> None:
    ran = cli(*command.split(), "--help")
    assert ran.code == 0
    assert f"$ foldlog {command}".rstrip() in ran.out or f"| foldlog {command}" in ran.out


def test_the_help_lists_every_command(cli: Cli) -> None:
    text = cli("--help").out
    assert [name for name in {command.split()[0] for command in COMMANDS} if name not in text] == []


def test_the_version(cli: Cli) -> None:
    assert cli("--version").out == f"foldlog {__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["view"],
        ["view", "bank.balances", "--format", "xml"],
        ["inspect", "bank.account", "ada", "--at", "-1"],
        ["inspect", "bank.account", "ada", "--at", "two"],
        ["send", "bank.account"],
        ["send", "bank.account", "-", "--rate", "fast"],
        ["send", "bank.account", "-", "--rate", "0"],
        ["send", "bank.account", "-", "--rate", "-5"],
        ["send", "bank.account", "-", "--timeout", "0"],
        ["send", "bank.account", "-", "--timeout", "soon"],
        ["send", "bank.account", "-", "--json"],
        ["dead-letters", "list", "--limit", "0"],
        ["dead-letters", "show", "bank"],
        ["dead-letters", "retry", "bank"],
        ["dead-letters", "drop", "bank", "a:1:2", "--all"],
        ["parked", "retry", "bank.balances"],
        ["parked", "retry", "bank.balances", "ada", "--all"],
        ["parked", "retry", "bank.balances", "--all", "--wait", "-1"],
        ["parked", "drop", "bank.balances", "--all", "--sequence", "1"],
        ["parked", "drop", "bank.balances", "ada", "--sequence", "0"],
        ["describe", "tests.cli.bank", "--format", "png"],
        ["query", "serve"],
        ["topics", "destroy"],
        ["sink", "postgres", "bank.balances"],
        ["sink", "redis", "bank.balances", "--url", "redis://x", "--ttl", "0"],
        ["sink", "parquet", "bank.balances", "files", "--sync-ms", "0"],
        ["up", "--frobnicate"],
    ],
)
def test_wrong_usage_is_exit_2_and_says_why(arguments: list[str], cli: Cli) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert "Usage:" in ran.err
    assert "Error" in ran.err


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BATCH_RECORDS", "many"),
        ("BATCH_RECORDS", "0"),
        ("COMPRESSION", "brotli"),
        ("REPLICATION_FACTOR", "-1"),
        ("INSTANCE", "a b"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"FOLDLOG_{name}", value)
    ran = cli("settings")
    assert ran.code == 1
    assert ran.err.startswith(f"error: FOLDLOG_{name}=")


def test_settings_say_what_is_and_what_would_be(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDLOG_BATCH_MS", "20")
    default = Settings.model_fields["batch_ms"].default
    found = {row["name"]: row for row in json.loads(cli("settings", "--json").out)}
    assert (found["FOLDLOG_BATCH_MS"]["value"], found["FOLDLOG_BATCH_MS"]["default"]) == ("20", str(default))
    assert all(row["description"] for row in found.values())
    assert "FOLDLOG_BATCH_MS" in cli("settings").out


def test_no_cluster_is_one_line_that_says_how_to_get_one(
    cli: Cli, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FOLDLOG_HOME", str(tmp_path))
    for name in ("FOLDLOG_BOOTSTRAP", "FOLDLOG_REGISTRY"):
        monkeypatch.delenv(name, raising=False)
    ran = cli("topics", "diff", "tests.cli.bank")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: no cluster: run `foldlog up`")


def test_an_unreachable_kafka_is_one_line(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("foldlog.kafka.admin.METADATA_S", 0.5)
    monkeypatch.setenv("FOLDLOG_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("FOLDLOG_REGISTRY", "http://127.0.0.1:1")
    ran = cli("topics", "diff", "tests.cli.bank")
    assert ran.code == 1
    assert ran.err.startswith("error: Kafka at 127.0.0.1:1: ")
    assert ran.err.count("\n") == 1


def foldlog(*arguments: str, pipe_to: str = "") -> subprocess.CompletedProcess[str]:
    """Runs the real program in a process of its own, behind a shell with pipefail off."""
    command = " ".join([sys.executable, "-m", "foldlog.cli.main", *arguments])
    return subprocess.run(["sh", "-c", command + pipe_to], capture_output=True, text=True, check=False)


def test_a_reader_that_leaves_is_silent() -> None:
    ran = foldlog("describe", "tests.cli.bank", "--json", pipe_to=" | head -n 1")
    assert (ran.stdout, ran.stderr) == ("{\n", "")


def test_the_command_line_starts_without_what_is_slow_to_load() -> None:
    loaded = (
        "import sys, foldlog.cli.main; print([m for m in ('confluent_kafka', 'faust', 'pydantic') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
