"""Compares what the run came to with what it must come to."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from foldlog.cli.demo.expected import Expected, Outcome

Rows = Mapping[str, Mapping[str, Any]]
SHOWN = 5


@dataclass(frozen=True)
class Actual:
    """What was read back: each view's rows by key (column to Decimal, date, int or str), and counts.

    `events` counts each aggregate's log as a read_committed reader sees it.
    """

    orders: Rows
    customers: Rows
    stock: Rows
    events: Mapping[str, int]
    sagas_ended: int
    sagas_open: int


@dataclass(frozen=True)
class Comparison:
    """Each check by name, and a line for each of the first differences."""

    checks: dict[str, bool]
    differences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """True where every check is."""
        return all(self.checks.values())


def compare(actual: Actual, expected: Expected) -> Comparison:
    """Every total and every row against the recomputation; a check that differs says where."""
    return comparison(_compared(actual, expected))


def comparison(compared: Iterable[tuple[str, Iterable[str]]]) -> Comparison:
    """Checks by name with their differences; none means that a check holds, and of many the first are shown."""
    found = {name: list(differences) for name, differences in compared}
    shown = (line for name, lines in found.items() for line in _shown(name, lines))
    return Comparison({name: not lines for name, lines in found.items()}, tuple(shown))


def _compared(actual: Actual, expected: Expected) -> Iterator[tuple[str, Iterator[str]]]:
    yield "orders", _rows(actual.orders, expected.orders)
    yield "customers", _rows(actual.customers, expected.customers)
    yield "stock", _rows(actual.stock, expected.stock)
    yield "confirmed", _value(_outcomes(actual.orders, "confirmed").get(None), expected.confirmed)
    yield "cancelled", _value(_outcomes(actual.orders, "cancelled"), expected.cancelled)
    yield "stock conserved", _unconserved(actual.stock)
    for aggregate, count in expected.events.items():
        yield f"events of {aggregate}", _value(actual.events.get(aggregate, 0), count)
    yield "sagas ended", _value(actual.sagas_ended, expected.sagas)
    yield "no saga open", _value(actual.sagas_open, 0)


def _rows(actual: Rows, expected: Mapping[str, Any]) -> Iterator[str]:
    """Rows missing, rows too many, and columns that differ."""
    for key in sorted(expected.keys() - actual.keys()):
        yield f"{key} is missing"
    for key in sorted(actual.keys() - expected.keys()):
        yield f"{key} should not be there"
    for key in sorted(actual.keys() & expected.keys()):
        row = actual[key]
        for column, value in vars(expected[key]).items():
            if row.get(column) != value:
                yield f"{key}: {column} is {row.get(column)}, expected {value}"


def _value(actual: object, expected: object) -> Iterator[str]:
    if actual != expected:
        yield f"is {actual}, expected {expected}"


def _outcomes(orders: Rows, status: str) -> dict[str | None, Outcome]:
    """The orders of one status, added up by reason."""
    found: dict[str | None, Outcome] = {}
    for row in orders.values():
        if row["status"] == status:
            before = found.get(row["reason"], Outcome(0, 0, row["total"] * 0))
            total = Outcome(before.orders + 1, before.units + row["items"], before.money + row["total"])
            found[row["reason"]] = total
    return found


def _unconserved(stock: Rows) -> Iterator[str]:
    for sku, row in sorted(stock.items()):
        if row["received"] != row["available"] + row["reserved"] + row["shipped"]:
            yield f"{sku}: received {row['received']} is not available + reserved + shipped"


def _shown(name: str, differences: list[str]) -> Iterator[str]:
    yield from (f"{name}: {line}" for line in differences[:SHOWN])
    if len(differences) > SHOWN:
        yield f"{name}: … and {len(differences) - SHOWN} more"
