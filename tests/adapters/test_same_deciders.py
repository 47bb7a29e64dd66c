"""The specifications of `topologies/orders`, word for word, with the deciders running on PostgreSQL."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from foldlog.core import Decider, Record, Rejected
from foldlog.core.specification import When
from foldlog.sinks.event_store import PostgresEventStore
from tests.adapters.kept import Place
from tests.topologies import test_order, test_payment, test_stock
from topologies.orders import orders

MODULES: tuple[ModuleType, ...] = (test_order, test_payment, test_stock)
SPECIFICATIONS = {
    f"{module.__name__.rpartition('.')[2]}{name.removeprefix('test')}": test
    for module in MODULES
    for name, test in vars(module).items()
    if name.startswith("test_") and "given" in test.__code__.co_names
}
globals().update(SPECIFICATIONS)
pytestmark = pytest.mark.adapters


@dataclass(frozen=True)
class Stored:
    """What has happened so far, in a store of its own."""

    store: PostgresEventStore
    decider: Decider[Any, Any, Any]
    history: tuple[Record, ...]

    def when(self, command: Record) -> When:
        """Appends the history to the command's aggregate, and handles the command there."""
        aggregate = self.decider.key(command)
        self.store.append(aggregate, 0, self.history)
        try:
            outcome = self.store.handle(command)
        except Rejected as rejected:
            return When(rejected=rejected)
        assert [event for event, _ in self.store.read(aggregate)] == [*self.history, *outcome.events]
        return When(outcome.events)


@pytest.fixture(autouse=True)
def on_postgres(postgres: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`given` of the specifications means a store, empty each time."""
    with ExitStack() as stores:

        def given(decider: Decider[Any, Any, Any], *history: Record) -> Stored:
            store = PostgresEventStore(postgres, orders, decider, Place.at(postgres).name)
            return Stored(stores.enter_context(closing(store)), decider, history)

        for module in MODULES:
            monkeypatch.setattr(module, "given", given)
        yield


def test_there_are_some() -> None:
    assert len(SPECIFICATIONS) > 40
