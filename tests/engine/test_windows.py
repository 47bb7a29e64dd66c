"""Windowed views in a worker: the rows are those that a recomputation of the log gives."""

import random
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foldlog.client.client import Client
from foldlog.cluster import Cluster
from foldlog.core import Record, Tumbling, View
from foldlog.core.window import name_of
from foldlog.testing import rows
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh
from tests.engine.scraping import scrape, url_of
from tests.engine.till import MINUTE, Ring, Rung, Sold, hourly, lately, tills, visits

SKUS, CUSTOMERS = ("lp", "cd", "mc", "dvd"), ("ada", "bob", "eve")


@pytest.fixture
def shop(cluster: Cluster) -> Iterator[Bank]:
    """A context of tills for one test."""
    with fresh(cluster, tills) as shop:
        yield shop


def started(shop: Bank, home: Path) -> Worker:
    """A worker of the views by time, ready."""
    names, context = ("w", "till", "hourly", "lately", "visits"), "tests.engine.till"
    return Worker(shop, home, *names, module=context, TILL=shop.name, FOLDLOG_HTTP="127.0.0.1:0").ready()


def recomputed(shop: Bank, view: View[Rung, Any]) -> dict[str, Record]:
    """The rows of the whole log, partition by partition."""
    by_partition = defaultdict(list)
    for event, meta in shop.log("till"):
        assert isinstance(event, Rung)
        by_partition[shop.home((view.key(event) or "").encode())].append((meta.time, event))
    found: dict[str, Record] = {}
    for events in by_partition.values():
        found |= rows(view, *events)
    return found


def sales(chance: random.Random, count: int, since: datetime, spread: timedelta) -> list[Ring]:
    """Sales at many tills, at times between `since` and `spread` later, in no order."""
    return [
        Ring(
            f"till {chance.randrange(9)}",
            chance.choice(SKUS),
            chance.choice(CUSTOMERS),
            chance.randint(1, 5),
            since + chance.random() * spread,
        )
        for _ in range(count)
    ]


def settle(shop: Bank, view: View[Rung, Any]) -> dict[str, Any]:
    """The rows of a view, once they are those that the log gives."""
    wanted = recomputed(shop, view)
    eventually(lambda: shop.rows(view.name) == wanted, f"{view.name}: {wanted}")
    return wanted


def test_windows_equal_a_recomputation_also_after_kills(shop: Bank, tmp_path: Path) -> None:
    """Each round reaches further on in time, and some of its sales are of three days ago."""
    chance, now = random.Random(4), datetime.now(UTC)
    worker = started(shop, tmp_path)
    try:
        for number in range(3):
            commands = sales(chance, 150, now - (7 - 2 * number) * 60 * MINUTE, 180 * MINUTE)
            commands += sales(chance, 15, now - timedelta(days=3), 60 * MINUTE)
            shop.send(*chance.sample(commands, len(commands)))
            if number < 2:
                eventually(lambda number=number: len(shop.log("till")) > 165 * number + 60)  # type: ignore[misc]
                worker.close()  # kill -9, in the middle of it
                worker = started(shop, tmp_path)
        eventually(lambda: len(shop.log("till")) == 3 * 165, "every sale")
        by_hour, by_visit, recent = settle(shop, hourly), settle(shop, visits), settle(shop, lately)
        assert min(row.start for row in recent.values()) > now - 300 * MINUTE, "the rest had their time"
        # The first sale is within minutes of seven hours ago; where its hour begins depends on the time of day.
        assert now - 360 * MINUTE > min(row.start for row in by_hour.values()) > now - timedelta(days=1, hours=2), (
            "the rest came too late"
        )
        assert sum(row.sales for row in by_visit.values()) == 3 * 165
    finally:
        worker.close()


def test_late_events_are_counted_and_stay_in_the_log(shop: Bank, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    worker = started(shop, tmp_path)
    try:
        shop.send(Ring("till 1", "lp", "ada", 1, now), Ring("till 1", "lp", "ada", 1, now - timedelta(days=2)))
        eventually(lambda: len(shop.log("till")) == 2)
        assert [row.units for row in settle(shop, hourly).values()] == [1]
        found = eventually(
            lambda: late if (late := scrape(url_of(worker))["foldlog_late_events_total", "hourly"]) else None
        )
        assert found == 1
        eventually(lambda: "late events" in worker.output, "a line about them")
    finally:
        worker.close()


def test_who_wrote_finds_the_row_of_its_window_at_once(shop: Bank, tmp_path: Path) -> None:
    """The row's name says nothing about its partition; the key before it does."""
    now = datetime.now(UTC)
    worker = started(shop, tmp_path)
    client = Client(shop.topology, bootstrap=shop.cluster.bootstrap, registry=shop.cluster.registry)
    try:
        for number in range(12):
            reply = client.send(Ring(f"till {number}", f"sku {number}", "ada", number, now), timeout=30)
            (span,) = Tumbling(60 * MINUTE).spans(now)
            row = client.row(hourly, name_of(f"sku {number}", span.start), after=reply, timeout=30)
            assert row == Sold(span.start, span.end, number)
    finally:
        client.close()
        worker.close()
