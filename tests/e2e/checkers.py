"""What must hold of the orders context's topics, whatever happened to its workers: pure functions over what was read.

Each gives a line for every fault, and nothing where all is well.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from foldlog.core.contract import Process
from topologies.orders.order import Status
from topologies.orders.order_status import OrderStatus
from topologies.orders.stock_levels import StockLevel


class Event(NamedTuple):
    """An event as a read_committed reader meets it, in the order of its partition."""

    log: str
    aggregate: str
    version: int
    id: str


def wrong_versions(events: Iterable[Event]) -> Iterator[str]:
    """The versions of every aggregate are 1, 2, 3 … in the log's order, without gap or repeat."""
    last: Counter[tuple[str, str]] = Counter()
    for event in events:
        key = event.log, event.aggregate
        if event.version != last[key] + 1:
            yield f"{event.log} {event.aggregate}: version {event.version} follows {last[key]}"
        last[key] = event.version


def repeated_ids(events: Iterable[Event]) -> Iterator[str]:
    """No event is there twice."""
    for (log, id_), count in Counter((event.log, event.id) for event in events).items():
        if count > 1:
            yield f"{log} {id_}: {count} times"


def lost_orders(sent: Iterable[str], orders: Mapping[str, OrderStatus]) -> Iterator[str]:
    """Every order that was sent is there and decided, and no other is."""
    wanted = set(sent)
    for order in sorted(wanted - orders.keys()):
        yield f"order {order} is lost"
    for order, row in orders.items():
        if order not in wanted:
            yield f"order {order} was never sent"
        elif row.status not in (Status.CONFIRMED, Status.CANCELLED):
            yield f"order {order} is {row.status}"


def unconserved_stock(levels: Mapping[str, StockLevel]) -> Iterator[str]:
    """Every piece received is available, reserved or shipped, and once all is done none is reserved."""
    for sku, row in levels.items():
        if row.received != row.available + row.reserved + row.shipped:
            yield f"{sku}: received {row.received}, but {row.available} + {row.reserved} + {row.shipped} are known"
        if row.reserved:
            yield f"{sku}: {row.reserved} are still reserved"


def open_sagas(sent: Iterable[str], sagas: Mapping[str, Process]) -> Iterator[str]:
    """The saga of each that was sent has ended."""
    for id_ in sent:
        if id_ not in sagas:
            yield f"the saga of {id_} never began"
        elif not sagas[id_].ended:
            yield f"the saga of {id_} is open after {sagas[id_].steps} steps"


def differing_rows(rows: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> Iterator[str]:
    """Two tables are the same, byte for byte."""
    for key in sorted(rows.keys() | wanted.keys()):
        if rows.get(key) != wanted.get(key):
            yield f"{key}: {_shown(rows.get(key))} instead of {_shown(wanted.get(key))}"


def _shown(row: bytes | None) -> str:
    return "nothing" if row is None else row.hex()
