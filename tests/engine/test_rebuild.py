"""A view of another version is folded beside the one that is read; readers change over at once, and miss nothing."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pytest

from foldlog.cluster import Cluster
from foldlog.core import topics
from foldlog.kafka.generations import resolve
from foldlog.kafka.reading import latest, read
from tests.engine.processes import ROOT, Worker
from tests.engine.running import Bank, eventually, fresh
from tests.engine.till import Ring, Rung, tills

LONG = 180  # s: a busy machine takes its time

Foldlog = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Bank]:
    """A context of tills for one test."""
    with fresh(cluster, tills) as shop:
        yield shop


@pytest.fixture
def foldlog(shop: Bank, tmp_path: Path) -> Iterator[Foldlog]:
    """Starts `foldlog` with a version of the view; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(version: int, *arguments: str) -> "subprocess.Popen[str]":
        settings = {
            "TILL": shop.name,
            "TAKINGS": str(version),
            "FOLDLOG_BOOTSTRAP": shop.cluster.bootstrap,
            "FOLDLOG_REGISTRY": shop.cluster.registry,
            "FOLDLOG_HOME": str(tmp_path),
            "FOLDLOG_SESSION_TIMEOUT_MS": "6000",
        }
        line = [sys.executable, "-m", "foldlog.cli.main", *arguments, "--topology", "tests.engine.till"]
        process = subprocess.Popen(
            line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **settings}
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def worker(shop: Bank, tmp_path: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers of a version of the view; they end with the test."""
    started: list[Worker] = []

    def start(version: int) -> Worker:
        name, context = f"v{version}", "tests.engine.till"
        started.append(
            Worker(shop, tmp_path, name, "till", "takings", module=context, TILL=shop.name, TAKINGS=str(version))
        )
        return started[-1]

    yield start
    for each in started:
        each.close()


def done(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """What a command printed as JSON, once it has ended well."""
    out, err = process.communicate(timeout=LONG)
    assert process.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def sales(count: int, chance: Random) -> list[Ring]:
    now = datetime.now(UTC)
    return [
        Ring(f"till {chance.randrange(9)}", f"sku {chance.randrange(40)}", "ada", chance.randint(1, 5), now)
        for _ in range(count)
    ]


def takings(shop: Bank) -> dict[str, dict[str, int]]:
    """Units and sales by SKU, as the log has them."""
    units, times = Counter[str](), Counter[str]()
    for event, _ in shop.log("till"):
        assert isinstance(event, Rung)
        units[event.sku] += event.units
        times[event.sku] += 1
    return {sku: {"units": units[sku], "sales": times[sku]} for sku in units}


def live(shop: Bank) -> str:
    return resolve(shop.cluster.bootstrap, shop.name, "takings").removeprefix(f"{shop.name}.")


def await_change_over(shop: Bank) -> None:
    """Waits until readers have the second generation."""
    deadline = time.monotonic() + LONG
    while live(shop) != "takings.g2":
        assert time.monotonic() < deadline, f"readers still have {live(shop)}"
        time.sleep(0.2)


def rows_of(shop: Bank, foldlog: Foldlog, version: int) -> dict[str, dict[str, int]]:
    """The rows as `foldlog view` of a version prints them."""
    out, err = foldlog(version, "view", f"{shop.name}.takings", "--format", "json").communicate(timeout=LONG)
    return {row.pop("key"): row for row in json.loads(out)} if out else pytest.fail(err)


class Reader:
    """Reads the view again and again, as a client would that was told its name alone."""

    def __init__(self, shop: Bank) -> None:
        self._shop = shop
        self.reads = 0
        self.topics: list[str] = []
        self.faults: list[str] = []
        self._known: set[str] = set()

    def look(self) -> None:
        try:
            topic = resolve(self._shop.cluster.bootstrap, self._shop.name, "takings")
            keys = set(latest(read(self._shop.cluster.bootstrap, topic)))
        except Exception as error:  # whatever a reader may meet
            self.faults.append(repr(error))
            return
        if missing := self._known - keys:
            self.faults.append(f"{topic} lacks {sorted(missing)}")
        if topic not in self.topics:
            self.topics.append(topic)
        self._known |= keys
        self.reads += 1


@contextmanager
def again_and_again(*tasks: Callable[[], object]) -> Iterator[None]:
    """Does each task over and over in a thread of its own."""
    stop = threading.Event()

    def repeat(task: Callable[[], object]) -> None:
        while not stop.is_set():
            task()

    threads = [threading.Thread(target=repeat, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_readers_miss_nothing_while_a_view_is_rebuilt(
    shop: Bank, worker: Callable[..., Worker], foldlog: Foldlog
) -> None:
    chance, reader = Random(1), Reader(shop)
    old = worker(1).ready()
    shop.send(*sales(2000, chance))
    eventually(lambda: len(shop.log("till")) == 2000)

    def trade() -> None:
        shop.send(*sales(5, chance))
        threading.Event().wait(0.05)

    with again_and_again(reader.look, trade):
        eventually(lambda: reader.reads > 3, "reading")
        rebuilding = foldlog(2, "rebuild", f"{shop.name}.takings", "--json")
        await_change_over(shop)
        before = reader.reads
        eventually(lambda: reader.reads > before + 3, "reading")
        new = worker(2).ready()
        told = done(rebuilding)
    assert (told["live"], told["before"]) == ("takings.g2", "takings")
    assert told["compared"]["compared"] == ["units"]
    assert told["compared"]["differing"] == {}
    assert reader.faults == []
    assert "not read yet" not in new.output
    assert reader.topics == [topics.table(shop.name, "takings"), topics.table(shop.name, "takings.g2")]
    assert done(foldlog(2, "rebuild", f"{shop.name}.takings", "--rollback", "--json"))["live"] == "takings"
    assert live(shop) == "takings"
    assert done(foldlog(2, "rebuild", f"{shop.name}.takings", "--json"))["live"] == "takings.g2", "and forth"
    assert old.stop() == 0
    shop.send(*sales(50, chance))  # only the new version runs now
    eventually(lambda: rows_of(shop, foldlog, 2) == takings(shop), "rows of the second version")
    assert done(foldlog(2, "rebuild", f"{shop.name}.takings", "--retire", "--json"))["before"] is None
    table = topics.table(shop.name, "takings")
    eventually(lambda: table not in shop.admin.list_topics(timeout=10).topics, "the end of the topic")
    assert rows_of(shop, foldlog, 2) == takings(shop)


def test_a_rebuild_that_was_killed_goes_on_where_it_was(
    shop: Bank, worker: Callable[..., Worker], foldlog: Foldlog
) -> None:
    worker(1).ready()
    shop.send(*sales(8000, Random(2)))
    eventually(lambda: len(shop.log("till")) == 8000)
    first = foldlog(2, "rebuild", f"{shop.name}.takings")
    eventually(lambda: shop.owners("takings.g2"), "the first transactions of the new version")
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert live(shop) == "takings"
    eventually(lambda: not shop.members("takings.g2"), "the end of what it had started")
    again = foldlog(2, "rebuild", f"{shop.name}.takings", "--json")
    await_change_over(shop)
    assert rows_of(shop, foldlog, 2) == takings(shop)
    again.send_signal(signal.SIGINT)
    again.communicate(timeout=LONG)
    assert again.returncode == 130
    eventually(lambda: not shop.members("takings.g2"), "the end of what the rebuild had started")


def test_rows_that_differ_do_not_reach_readers_unless_that_was_meant(
    shop: Bank, worker: Callable[..., Worker], foldlog: Foldlog
) -> None:
    worker(1).ready()
    shop.send(*sales(30, Random(3)))
    eventually(lambda: len(shop.log("till")) == 30)
    wrong = foldlog(3, "rebuild", f"{shop.name}.takings", "--json")
    out, err = wrong.communicate(timeout=LONG)
    assert wrong.returncode == 1
    assert json.loads(out)["compared"]["differing"] == {"units": len(takings(shop))}
    assert "add --changed units" in err
    assert live(shop) == "takings"
    new = worker(3).ready()
    assert "not read yet" in new.output, new.output
    told = done(foldlog(3, "rebuild", f"{shop.name}.takings", "--changed", "units", "--json"))
    assert told["live"] == "takings.g3"
    doubled = {sku: {**row, "units": 2 * row["units"]} for sku, row in takings(shop).items()}
    assert rows_of(shop, foldlog, 3) == doubled


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("takings",), "takings is read in version 1 already; to fold it anew, raise `version` in its declaration"),
        (("takings", "--rollback"), "takings was read in no other version: there is nothing to go back to"),
        (("takings", "--rollback", "--retire"), "--rollback and --retire are two tasks: choose one"),
        (("takings", "--changed", "price"), "takings has no column price"),
        (("till",), "till is a decider, not a view"),
        (("nothing",), "has no processor `nothing`"),
    ],
)
def test_what_makes_no_sense_is_refused(shop: Bank, foldlog: Foldlog, arguments: tuple[str, ...], reason: str) -> None:
    name, *options = arguments
    process = foldlog(1, "rebuild", f"{shop.name}.{name}", *options)
    _, err = process.communicate(timeout=LONG)
    assert process.returncode == 1
    assert err.startswith("error: ")
    assert reason in err
    assert live(shop) == "takings"
