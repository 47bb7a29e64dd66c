"""What `foldlog run` checks before a worker starts, and the whole way of a command through a worker."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.cli.conftest import Cli, Context
from tests.engine.running import eventually


def test_a_worker_needs_its_topics_as_declared(cli: Cli, empty: Context) -> None:
    ran = cli("run", empty.module)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"error: {empty.name}.account.commands is missing (and 14 more): "
        f"run `foldlog topics apply {empty.module}`, or add --apply\n"
    )


def test_only_names_a_processor(cli: Cli, empty: Context) -> None:
    ran = cli("run", empty.module, "--only", "account", "--only", "acount")
    assert ran.code == 1
    assert ran.err.startswith(f"error: {empty.name} has no processor `acount`; it has account, ")


COMMANDS = b"""
{"type": "Open", "data": {"account": "ada"}, "id": "open-ada"}
{"type": "Post", "data": {"account": "ada", "amount": "12.50"}}
{"type": "Post", "data": {"account": "bob", "amount": "1.00"}}
"""


def test_from_a_line_of_json_to_a_row(cli: Cli, empty: Context, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FOLDLOG_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "foldlog.cli.main", "run", empty.module, "--apply", "--only", "account"]
    worker = subprocess.Popen([*command, "--only", "balances"], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert worker.stderr is not None
        assert "schemas registered" in worker.stderr.readline()
        of = ("--topology", empty.module)
        ran = cli("send", f"{empty.name}.account", "-", "--wait", "--timeout", "90", *of, stdin=COMMANDS)
        assert ran.code == 1
        rows = [" ".join(line.split()) for line in ran.out.splitlines()]
        assert {"accepted 2", "rejected 1", "rejected 1 account bob is not open"} <= set(rows)

        ada = ("inspect", f"{empty.name}.account", "ada", *of)
        told = "state at version 2 of 2"
        inspected = eventually(lambda: found if told in (found := cli(*ada)).out else None, "both events")
        assert "open-ada" in inspected.out
        while cli("view", f"{empty.name}.balances", "ada", "--format", "csv", *of).code != 0:
            assert worker.poll() is None
        row = cli("view", f"{empty.name}.balances", "ada", "--format", "csv", *of).out.splitlines()[1]
        assert row == "ada,12.50,1,,[]"
    finally:
        worker.send_signal(signal.SIGINT)
        _, logged = worker.communicate(timeout=60)
    assert worker.returncode == 0, logged
    assert "account state=" in logged
