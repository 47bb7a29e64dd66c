"""`foldlog run --processes N`: several worker processes that are started, shown and ended as one."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import uuid
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from foldlog.cluster.extra import embedded as extra
from foldlog.cluster.ports import is_free
from foldlog.engine.reports import merged, received
from foldlog.engine.stats import ProcessorStats
from tests.adapters.programs import free_port
from tests.engine.bank import Balance, Open, Post
from tests.engine.conftest import Start
from tests.engine.processes import ROOT, Worker
from tests.engine.running import PATIENCE, Bank, eventually
from tests.engine.scraping import get

ten = Decimal("10.00")
TWO = ("--processes", "2")


def children(worker: Worker) -> list[Any]:
    """The processes that a parent has started, in the order of their start."""
    found = extra("psutil").Process(worker.process.pid).children(recursive=True)
    return sorted(found, key=lambda child: child.create_time())


def next_ports() -> int:
    """A port that is free, as is the one after it."""
    return next(port for port in iter(free_port, None) if is_free(port + 1))


def have_ended(processes: list[Any]) -> bool:
    """True once none of them is there, or only as a name that nobody has asked for yet."""
    return not any(has_not_ended(each) for each in processes)


def has_not_ended(process: Any) -> bool:
    """Whether it is there and no zombie; it may go between the two questions."""
    try:
        return bool(process.is_running() and process.status() != "zombie")
    except extra("psutil").NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_two_processes_share_the_work_and_end_together(own_bank: Bank, start: Start, number: signal.Signals) -> None:
    bank, accounts = own_bank, [uuid.uuid4().hex for _ in range(30)]
    worker = start("account", "balances", options=TWO).ready()
    started = children(worker)
    assert len(started) == 2
    bank.send(*(Open(account, "ada") for account in accounts))
    bank.send(*(Post(account, ten) for account in accounts))
    eventually(lambda: len(bank.log()) == 60)
    eventually(lambda: bank.rows("balances") == dict.fromkeys(accounts, Balance("ada", ten, 1)))
    eventually(lambda: bank.owners("account") == {"w-0", "w-1"}, "offsets of both")
    eventually(lambda: "partitions=0-2 records=60 " in worker.output, "the figures of both together")
    assert worker.stop(number) == 0
    assert have_ended(started)
    assert worker.errors == []
    assert not (worker.directory / "ready").exists()


def test_where_one_is_killed_all_end_and_it_is_told(own_bank: Bank, start: Start) -> None:
    port = next_ports()
    worker = start("account", options=TWO, FOLDLOG_HTTP=f"127.0.0.1:{port}").ready()
    started = children(worker)
    for each in (port, port + 1):
        url = f"http://127.0.0.1:{each}/readyz"  # the second one's coming may have the first restore once more
        eventually(lambda url=url: get(url)[0] == 200, "each serves at a port of its own")  # type: ignore[misc]
    started[1].kill()
    assert worker.ended() == 1
    assert have_ended(started)
    assert worker.errors == ["error: process w-1 was killed by SIGKILL; the others were stopped too"]


def test_where_one_fails_all_end_with_its_error(own_bank: Bank, start: Start) -> None:
    taken = start("account", instance="w-1").ready()
    worker = start("account", options=TWO)
    assert worker.ended() == 1
    [error] = worker.errors
    assert re.match(r"error: process w-1: instance w-1 is in use by another process on .*; the others were stop", error)
    taken.ready()  # the other one's coming and going may have it restore once more


def test_the_error_is_told_in_json_too(start: Start) -> None:
    taken = start("account", instance="w-1").ready()
    worker = start("account", options=(*TWO, "--log-format", "json"))
    assert worker.ended() == 1
    told = [json.loads(line) for line in worker.output.splitlines()]
    assert re.match("process w-1: instance w-1 is in use by another process on .*; the others", told[-1]["error"])
    taken.ready()  # the other one's coming and going may have it restore once more


def test_one_that_is_stopped_alone_ends_all(own_bank: Bank, start: Start) -> None:
    worker = start("account", options=TWO).ready()
    started = children(worker)
    started[0].send_signal(signal.SIGTERM)
    assert worker.ended() == 1
    assert have_ended(started)
    assert worker.errors == ["error: process w-0 was stopped; the others were stopped too"]


def test_a_parent_that_is_killed_leaves_nobody_behind(own_bank: Bank, start: Start) -> None:
    worker = start("account", options=TWO).ready()
    started = children(worker)
    worker.process.kill()
    worker.ended()
    eventually(lambda: have_ended(started), "the end of the children")
    assert own_bank.members("account") == set(), "they have ended as if they were told to"


def test_without_a_name_each_takes_a_free_slot(own_bank: Bank, start: Start, tmp_path: Path) -> None:
    environment = {"FOLDLOG_HOME": str(tmp_path), "BANK": own_bank.name}
    environment |= {"FOLDLOG_BOOTSTRAP": own_bank.cluster.bootstrap, "FOLDLOG_REGISTRY": own_bank.cluster.registry}
    environment = {name: value for name, value in os.environ.items() if name != "FOLDLOG_INSTANCE"} | environment
    command = [sys.executable, "-m", "foldlog.cli.main", "run", "tests.engine.bank", "--only", "account", *TWO]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        names = {f"{socket.gethostname()}-{number}" for number in range(2)}
        eventually(lambda: {file.parent.name for file in tmp_path.glob("workers/*/ready")} == names)
    finally:
        worker.terminate()
        assert worker.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("given", "told"), [("0", "should be greater than or equal to 1"), ("two", "should be a valid integer")]
)
def test_a_number_that_is_none_is_wrong_usage(given: str, told: str) -> None:
    command = [sys.executable, "-m", "foldlog.cli.main", "run", "tests.engine.bank", "--processes", given]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "--processes" in ran.stderr
    assert told in " ".join(ran.stderr.replace("│", " ").split())


def stats(processor: str = "account", **values: object) -> ProcessorStats:
    """Stats with some values and nothing else."""
    plain: dict[str, object] = {
        "kind": "decider",
        "partitions": (),
        "state": "running",
        **dict.fromkeys(("records", "rate", "lag", "rows", "dead_letters", "restored", "to_restore"), 0),
    }
    return ProcessorStats(processor, **{**plain, **values})  # type: ignore[arg-type]


def test_the_stats_of_several_are_one_line_a_processor() -> None:
    one = [stats(partitions=(0, 2), records=5, rate=1.5, lag=2, lag_s=3.0, standby=(1,)), stats("balances", rows=1)]
    two = [stats(partitions=(1,), records=7, rate=2.0, lag=1, lag_s=1.0, standby=(0,), state="restoring")]
    assert merged([one, two]) == [
        stats(partitions=(0, 1, 2), records=12, rate=3.5, lag=3, lag_s=3.0, standby=(0, 1), state="restoring"),
        stats("balances", rows=1),
    ]
    assert merged([]) == []


REPORT = """
import sys
from foldlog.engine.reports import reporting
from foldlog.engine.stats import ProcessorStats
report = reporting(int(sys.argv[1]))
told = [ProcessorStats("account", "decider", (), "running", 0, 0, 0, rows, 0, 0, 0) for rows in range(20)]
for line in sys.stdin:
    for _ in range(int(line)):
        report(told)
    print("done", flush=True)
"""


def test_reports_never_wait_for_the_parent_and_end_with_it() -> None:
    told = [stats(rows=rows) for rows in range(20)]
    ours, theirs = socket.socketpair()
    with closing(ours), theirs:
        command = [sys.executable, "-c", REPORT, str(theirs.fileno())]
        child = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=(theirs.fileno(),), bufsize=0
        )
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(b"1000\n")  # more than a socket holds, and nobody reads
        assert child.stdout.readline() == b"done\n"
        first = ours.recv(1 << 20).split(b"\n")
        assert received(first[1]) == told
        child.stdin.write(b"1\n")
        assert child.stdout.readline() == b"done\n"
        rest = [received(line) for line in ours.recv(1 << 20).split(b"\n")]
        assert told in rest, "it goes on behind a line that was cut off"
        assert all(each in (None, told) for each in rest)
    assert child.wait(30) == -signal.SIGTERM
    child.stdin.close()
    child.stdout.close()
    assert received(b"not json") is None
