"""`foldlog demo`: its own cluster, a worker of its own, a part of the purchase log."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

import pytest

from foldlog.cli.demo import run
from foldlog.cli.demo.cdnow import Purchase
from foldlog.cli.demo.expected import Expected, expected
from foldlog.cluster import embedded
from foldlog.cluster.extra import embedded as extra
from foldlog.cluster.place import Place
from foldlog.cluster.processes import processes
from tests.cli.conftest import Cli

ROOT = Path(__file__).parents[2]
DEMO = (sys.executable, "-m", "foldlog.cli.main", "demo")
RESULT = Path("build/demo.json")
CHECKS = [
    "orders",
    "customers",
    "stock",
    "confirmed",
    "cancelled",
    "stock conserved",
    "events of order",
    "events of payment",
    "events of stock",
    "sagas ended",
    "no saga open",
    "versions contiguous",
    "event ids unique",
    "no dead letters",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The data directory that the tests of this file share, in order; its cluster ends with it."""
    home = tmp_path_factory.mktemp("demo") / "home"
    yield home
    embedded.down(home, wipe_data=True)


@pytest.fixture(autouse=True)
def place(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)
    for name, value in environment(home).items():
        monkeypatch.setenv(name, value)


def environment(home: Path) -> dict[str, str]:
    """The embedded cluster of this home, whatever cluster other tests use; an empty address is none."""
    path = os.pathsep.join((str(ROOT), str(ROOT / "streams")))
    return {"FOLDLOG_HOME": str(home), "PYTHONPATH": path, "FOLDLOG_BOOTSTRAP": "", "FOLDLOG_REGISTRY": ""}


@pytest.fixture(scope="module")
def first(home: Path) -> "subprocess.CompletedProcess[str]":
    """The first run on a fresh data directory; the cluster is kept."""
    return subprocess.run(
        [*DEMO, "--orders", "500", "--keep", "--json"],
        cwd=home.parent,
        env=os.environ | environment(home),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_short_run_comes_to_what_the_file_says(first: "subprocess.CompletedProcess[str]", home: Path) -> None:
    assert first.returncode == 0, first.stderr
    found = json.loads(first.stdout)
    assert found["checks"] == dict.fromkeys(CHECKS, True)
    assert found["events"] == found["events_written"] == {"order": 1500, "payment": 1000, "stock": 17 + 2 * 488 + 12}
    assert [(o["status"], o["orders"], o["money"]) for o in found["orders"]] == [
        ("confirmed", 488, "18674.17"),
        ("cancelled", 12, "442.74"),
    ]
    assert found["dead_letters"] == 0
    assert json.loads(RESULT.read_text()) == found
    assert stopped(home) == ["kafka", "registry"], "only the cluster was to be kept"


def test_a_second_run_changes_nothing_and_stops_no_cluster_of_others(
    cli: Cli, first: "subprocess.CompletedProcess[str]", home: Path
) -> None:
    before = json.loads(first.stdout)
    ran = cli("demo", "--orders", "500")
    assert ran.code == 0, ran.err
    after = json.loads(RESULT.read_text())
    assert after["checks"] == dict.fromkeys([*CHECKS, "second run wrote 0 events"], True)
    assert {name: after[name] for name in ("orders", "stock", "top_customers", "events")} == {
        name: before[name] for name in ("orders", "stock", "top_customers", "events")
    }
    assert set(after["events_written"].values()) == {0}
    assert "this run wrote 0 events and changed nothing" in ran.err
    assert "  ✓ second run wrote 0 events" in ran.out.splitlines()
    assert stopped(home) == ["kafka", "registry"]


@pytest.mark.usefixtures("first")
def test_a_total_that_differs_fails_loudly(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """The expectation is of one more piece than was sold to one customer."""

    def doctored(*purchases: tuple[Purchase, ...]) -> Expected:
        right = expected(*purchases)
        wrong = replace(right.customers["00002"], units=7)
        return replace(right, customers={**right.customers, "00002": wrong})

    monkeypatch.setattr(run, "expected", doctored)
    ran = cli("demo", "--orders", "20")
    assert ran.code == 1
    assert "order 500 was sent to this cluster before: this run covers the first 500 orders" in ran.err
    assert "customers: 00002: units is 6, expected 7" in ran.err.splitlines()
    assert ran.err.splitlines()[-1] == "error: 1 of 15 checks failed: customers"
    assert "  ✗ customers" in ran.out.splitlines()
    found = json.loads(RESULT.read_text())
    assert [name for name, right in found["checks"].items() if not right] == ["customers"]
    assert not found["passed"]


def test_a_killed_worker_is_noticed_at_once(home: Path) -> None:
    with started("--orders", "3000") as demo:
        await_line(demo, "sending: ")
        (worker,) = extra("psutil").Process(demo.pid).children()
        worker.kill()
        killed = time.monotonic()
        _, err = demo.communicate(timeout=120)
        assert time.monotonic() - killed < 20, "long before a stall would be noticed"
    assert demo.returncode == 1
    assert "error: the worker was killed by SIGKILL: " in err
    assert f"its log is {home}/demo/worker.log" in err
    assert not RESULT.exists()


@pytest.mark.parametrize(
    ("phase", "number"),
    [
        ("starting registry and kafka", signal.SIGINT),
        ("cluster: ", signal.SIGINT),
        ("topics and schemas: ", signal.SIGTERM),
        ("worker: ", signal.SIGHUP),
        ("sending: ", signal.SIGINT),
        ("processing: ", signal.SIGINT),
    ],
)
def test_an_interrupt_leaves_nothing_running(phase: str, number: signal.Signals, home: Path) -> None:
    """Once or twice: who is impatient does not cut the clean-up short."""
    embedded.down(home)
    with started("--orders", "3000") as demo:
        await_line(demo, phase)
        demo.send_signal(number)
        time.sleep(0.2)
        demo.send_signal(number)
        _, err = demo.communicate(timeout=120)
    assert demo.returncode == 130, err
    assert "Traceback" not in err
    assert stopped(home) == []


def test_after_all_that_the_data_are_intact(cli: Cli, home: Path) -> None:
    ran = cli("demo", "--orders", "3000", "--json")
    assert ran.code == 0, ran.err
    found = json.loads(ran.out)
    assert all(found["checks"].values())
    assert found["events"]["order"] == 9000
    assert stopped(home) == [], "the cluster that the demo started"


def test_a_result_that_cannot_be_written_is_said_before_anything_starts(cli: Cli, home: Path) -> None:
    RESULT.unlink()
    RESULT.parent.rmdir()
    RESULT.parent.write_text("")
    ran = cli("demo")
    RESULT.parent.unlink()
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == "error: build/demo.json cannot be written: File exists\n"
    assert stopped(home) == []


@pytest.mark.parametrize("orders", ["0", "-1", "many"])
def test_orders_is_a_number_from_1(orders: str, cli: Cli) -> None:
    assert cli("demo", "--orders", orders).code == 2


def started(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([*DEMO, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def await_line(demo: "subprocess.Popen[str]", start: str) -> None:
    """Returns once the demo has said so on stderr."""
    stream: IO[str] | None = demo.stderr
    assert stream is not None
    said = []
    for line in stream:
        said.append(line)
        if line.startswith(start):
            return
    raise AssertionError(f"it ended without `{start}`: {''.join(said)}")


def stopped(home: Path) -> list[str]:
    """The servers that still run, once it is sure that the worker does not: nobody holds its lock."""
    path = home / "workers/demo/lock"
    if path.exists():
        with path.open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return sorted(processes(Place.of(home)))
