"""The purchase log: what is in the file is known, and the context turns it into what a recomputation says."""

import gzip
import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from foldlog.cli.demo.cdnow import Purchase, commands, deliveries, order_commands, read
from foldlog.cli.demo.checks import Actual, compare
from foldlog.cli.demo.expected import CustomerRow, Expected, Outcome, expected
from foldlog.core import Record
from foldlog.core.errors import ConfigError
from foldlog.testing import fold
from tests.topologies.driver import Driver, Place
from topologies.orders import orders as context

LOG = Path(__file__).parents[2] / "topologies/orders/data/CDNOW_master.txt.gz"
SHA256 = "eff6889ed364c5199d6eacbbeb7a6d559971df4406ac876f322c373f00a072ef"
LAST = "1998-06"


@pytest.fixture(scope="module")
def purchases() -> tuple[Purchase, ...]:
    return read(LOG)


@pytest.fixture(scope="module")
def outcome(purchases: tuple[Purchase, ...]) -> Expected:
    return expected(purchases)


def test_the_file_is_the_published_one_and_can_be_made_again() -> None:
    text = gzip.decompress(LOG.read_bytes())
    assert hashlib.sha256(text).hexdigest() == SHA256
    assert LOG.read_bytes()[4:8] == bytes(4), "the time stamp in the gzip header"


def test_the_log_is_what_is_known_of_it(purchases: tuple[Purchase, ...]) -> None:
    lines = [bought[1:] for bought in purchases]
    assert len(purchases) == 69_659
    assert len({bought.customer for bought in purchases}) == 23_570
    assert sum(bought.month == LAST for bought in purchases) == 2_043
    assert sum(bought.money == 0 for bought in purchases) == 80
    assert len(lines) - len(set(lines)) == 255
    assert (min(b.day for b in purchases), max(b.day for b in purchases)) == (date(1997, 1, 1), date(1998, 6, 30))


def test_the_order_is_the_line_number(purchases: tuple[Purchase, ...]) -> None:
    assert purchases[0] == Purchase("1", "00001", date(1997, 1, 1), 1, Decimal("11.77"))
    assert purchases[-1] == Purchase("69659", "23570", date(1997, 3, 26), 2, Decimal("42.96"))


def test_every_month_but_the_last_gets_what_it_sells(purchases: tuple[Purchase, ...]) -> None:
    stock = deliveries(purchases)
    assert len(stock) == 17
    assert LAST not in stock
    assert stock["1997-01"] == 19_416


def test_stock_is_delivered_before_the_first_order(purchases: tuple[Purchase, ...]) -> None:
    sent = list(commands(purchases))
    assert [aggregate for aggregate, _ in sent] == ["stock"] * 17 + ["order"] * 69_659
    assert sent[0][1] == {
        "type": "ReceiveStock",
        "data": {"sku": "1997-01", "quantity": 19_416, "delivery": "cdnow"},
        "id": "cdnow-1997-01",
    }
    assert sent[17][1] == {
        "type": "CreateOrder",
        "data": {
            "order": "1",
            "customer": "00001",
            "placed": "1997-01-01",
            "items": [{"sku": "1997-01", "quantity": 1, "total": "11.77"}],
            "submit": True,
        },
        "id": "cdnow-1",
    }
    assert len({line["id"] for _, line in sent}) == len(sent)


def test_the_outcome_is_known_in_advance(outcome: Expected) -> None:
    assert outcome.confirmed == Outcome(67_616, 162_594, Decimal("2424206.33"))
    assert outcome.cancelled == {f"insufficient inventory of {LAST}": Outcome(2_043, 5_287, Decimal("76109.30"))}
    assert outcome.events == {"order": 208_977, "payment": 139_318, "stock": 137_292}
    assert outcome.sagas == 69_659
    assert outcome.customers["00002"] == CustomerRow(2, 1, date(1997, 1, 12), date(1997, 1, 12), 6, Decimal("89.00"))
    assert outcome.top_customers(1) == [("07592", outcome.customers["07592"])]


def run(purchases: Sequence[Purchase], seed: int | None = None) -> Actual:
    """The purchases through the context itself, in memory; interleaved at random where there is a seed."""
    random = None if seed is None else Random(seed)

    def choose(places: Sequence[Place]) -> Place:
        return random.choice(places) if random else places[0]

    driver = Driver(context, choose)
    for aggregate, line in commands(purchases):
        driver.send("log", command_of(line))
        if aggregate == "stock" or random is None:
            driver.run()
    driver.run()
    return actual_of(driver)


def command_of(line: dict[str, Any]) -> Record:
    """A command from its JSON line, as the sender reads it."""
    kind = next(kind for kind in context.deciders_by_command if kind.__name__ == line["type"])
    return msgspec.json.decode(msgspec.json.encode(line["data"]), type=kind)


def actual_of(driver: Driver) -> Actual:
    """Each view folded from the events that it hears."""
    rows: dict[str, dict[str, dict[str, Any]]] = {}
    for view in context.views:
        by_key: dict[str, list[Record]] = {}
        for source in view.sources:
            for event in driver.events_of(source.name):
                key = view.key(event) if type(event) in view.events else None
                if key is not None:
                    by_key.setdefault(key, []).append(event)
        rows[view.name] = {key: msgspec.structs.asdict(fold(view, *events)) for key, events in by_key.items()}
    sagas = [saga.ended for saga in driver.of("fulfilment").values()]
    return Actual(
        orders=rows["order_status"],
        customers=rows["customers"],
        stock=rows["stock_levels"],
        events=Counter(owner for owner, _ in driver.events),
        sagas_ended=sum(sagas),
        sagas_open=len(sagas) - sum(sagas),
    )


@pytest.fixture(scope="module")
def actual(purchases: tuple[Purchase, ...]) -> Actual:
    return run(purchases)


def test_the_whole_log_through_the_context_is_what_the_recomputation_says(actual: Actual, outcome: Expected) -> None:
    found = compare(actual, outcome)
    assert found.differences == ()
    assert found.passed
    assert list(found.checks) == [
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
    ]


@pytest.mark.parametrize("seed", range(5))
def test_any_interleaving_comes_to_the_same(purchases: tuple[Purchase, ...], seed: int) -> None:
    some = Random(seed).sample(purchases, 60)
    assert compare(run(some, seed), expected(some)).differences == ()
    assert run(some, seed) == run(some)


def test_a_lost_a_foreign_and_a_changed_row_are_told_apart(actual: Actual, outcome: Expected) -> None:
    wrong = {**actual.customers, "99999": actual.customers["00001"]}
    wrong["00002"] = {**wrong["00002"], "units": 7}
    del wrong["00003"]
    found = compare(replace(actual, customers=wrong), outcome)
    assert found.differences == (
        "customers: 00003 is missing",
        "customers: 99999 should not be there",
        "customers: 00002: units is 7, expected 6",
    )
    assert [name for name, right in found.checks.items() if not right] == ["customers"]
    assert not found.passed


def test_many_differences_are_counted_and_the_first_are_shown(actual: Actual, outcome: Expected) -> None:
    found = compare(replace(actual, customers={}), outcome)
    assert len(found.differences) == 6
    assert found.differences[-1] == "customers: … and 23565 more"


def test_a_wrong_total_names_both_numbers(actual: Actual, outcome: Expected) -> None:
    events = {**actual.events, "stock": 137_293}
    found = compare(replace(actual, events=events, sagas_ended=69_658, sagas_open=1), outcome)
    assert found.differences == (
        "events of stock: is 137293, expected 137292",
        "sagas ended: is 69658, expected 69659",
        "no saga open: is 1, expected 0",
    )


def test_an_order_that_ended_otherwise_changes_rows_and_totals(actual: Actual, outcome: Expected) -> None:
    orders = {**actual.orders, "1": {**actual.orders["1"], "status": "cancelled", "reason": "lost"}}
    found = compare(replace(actual, orders=orders), outcome)
    assert [name for name, right in found.checks.items() if not right] == ["orders", "confirmed", "cancelled"]
    assert "orders: 1: status is cancelled, expected confirmed" in found.differences


def test_stock_that_leaks_is_seen(actual: Actual, outcome: Expected) -> None:
    stock = {**actual.stock, "1997-01": {**actual.stock["1997-01"], "shipped": 19_415}}
    found = compare(replace(actual, stock=stock), outcome)
    assert found.differences == (
        "stock: 1997-01: shipped is 19415, expected 19416",
        "stock conserved: 1997-01: received 19416 is not available + reserved + shipped",
    )


HEADER = b" customer_id  date number_of_cds  dollar_value\r\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"not gzip", "log.gz: cannot be read"),
        (gzip.compress(HEADER, mtime=0)[:-9], "log.gz: cannot be read"),
        (gzip.compress(b"", mtime=0), "log.gz:1: expected the columns"),
        (gzip.compress(b"a b c d\n", mtime=0), "log.gz:1: expected the columns"),
        (gzip.compress(HEADER, mtime=0), "log.gz: has no purchases"),
        (gzip.compress(HEADER + b" 1 19970101 1\n", mtime=0), "log.gz:2: expected a customer"),
        (gzip.compress(HEADER + b" 1 19970101 1 1.0\n 1 19971301 1 1.0\n", mtime=0), "log.gz:3: expected a customer"),
        (gzip.compress(HEADER + b" 1 19970101 one 1.0\n", mtime=0), "log.gz:2: expected a customer"),
        (gzip.compress(HEADER + b" 1 19970101 1 free\n", mtime=0), "got `1 19970101 1 free`"),
        (gzip.compress(HEADER + "ä".encode(), mtime=0), "log.gz: cannot be read"),
    ],
)
def test_a_broken_log_is_refused_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read(path)


def test_a_missing_log_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.gz: cannot be read"):
        read(tmp_path / "none.gz")


def test_money_travels_as_text(purchases: tuple[Purchase, ...]) -> None:
    totals = (line["data"]["items"][0]["total"] for line in order_commands(purchases))
    assert sum(map(Decimal, totals)) == Decimal("2500315.63")
