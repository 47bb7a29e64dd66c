"""Two generations of a view, row by row, while both go on changing."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from foldlog.client.connection import Connection
from foldlog.core import topics
from foldlog.core.errors import ContractError, DecodeError
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.kafka.reading import Entry, latest, read

_ROUNDS = 6

Rows = dict[str, tuple[Any, ...]]
Pairs = dict[str, tuple[tuple[Any, ...] | None, tuple[Any, ...] | None]]


@dataclass(frozen=True)
class Comparison:
    """What is different between the rows before and now; `differing` columns with the number of rows, by name.

    `moving` rows changed too fast to be compared. Keys are some of those that differ.
    """

    rows_before: int
    rows_now: int
    compared: tuple[str, ...]
    only_before: int
    only_now: int
    differing: dict[str, int]
    moving: int
    keys: tuple[str, ...]

    @property
    def equal(self) -> bool:
        """Whether every row that could be compared is the same."""
        return self.same_keys and not self.differing

    @property
    def same_keys(self) -> bool:
        """Whether both have rows of the same keys."""
        return not (self.only_before or self.only_now)


class Comparing:
    """Compares two generations in the columns that both have, without those that are `changed` on purpose."""

    def __init__(
        self, connection: Connection, topology: Topology, view: View[Any, Any], changed: Collection[str] = ()
    ) -> None:
        self._connection = connection
        self._codec = connection.codec(topology)
        self._context = topology.name
        self._wanted = tuple(name for name in view.row.__struct_fields__ if name not in changed)

    def compare(self, before: str, now: str, settle: Callable[[], bool]) -> Comparison:
        """Compares until what differs stays so after both have gone on to the same place, which `settle` waits for.

        Where it says that they do not come there, what differs then is all that is known.
        """
        tables = self._tables(before, now)
        found, moving = tables.pairs(), 0
        for _ in range(_ROUNDS):
            if not found or not settle():
                break
            tables = self._tables(before, now)
            again = tables.pairs()
            same = {key: pair for key, pair in again.items() if found.get(key) == pair}
            found, moving = again, len(again) - len(same)
            if not moving:
                break
        if moving:
            found = same
        return tables.compared(found, moving)

    def _tables(self, before: str, now: str) -> "_Tables":
        topic_before, topic_now = topics.table(self._context, before), topics.table(self._context, now)
        bootstrap = self._connection.bootstrap
        old, new = latest(read(bootstrap, topic_before)), latest(read(bootstrap, topic_now))
        written = [self._fields(frame) for frame in {(e.value or b"")[:5] for e in (*old.values(), *new.values())}]
        columns = tuple(name for name in self._wanted if all(name in fields for fields in written))
        return _Tables(columns, self._rows(topic_before, old, columns), self._rows(topic_now, new, columns))

    def _fields(self, frame: bytes) -> set[str]:
        schema = self._connection.registry.by_id(int.from_bytes(frame[1:], "big")).schema
        return {field["name"] for field in schema["fields"]}

    def _rows(self, topic: str, entries: Mapping[str, Entry], columns: tuple[str, ...]) -> Rows:
        found: Rows = {}
        for key, entry in entries.items():
            try:
                row = self._codec.decode(entry.value or b"")
            except DecodeError as error:
                raise ContractError(f"{topic}:{entry.partition}:{entry.offset}: {error}") from error
            found[key] = tuple(getattr(row, name) for name in columns)
        return found


@dataclass(frozen=True)
class _Tables:
    columns: tuple[str, ...]
    before: Rows
    now: Rows

    def pairs(self) -> Pairs:
        """The rows that differ, before and now; None where there is none."""
        before, now = self.before, self.now
        return {key: (before.get(key), now.get(key)) for key in before | now if before.get(key) != now.get(key)}

    def compared(self, pairs: Pairs, moving: int) -> Comparison:
        """The figures."""
        differing = Counter(
            name
            for before, now in pairs.values()
            if before is not None and now is not None
            for name, one, other in zip(self.columns, before, now, strict=True)
            if one != other
        )
        return Comparison(
            rows_before=len(self.before),
            rows_now=len(self.now),
            compared=self.columns,
            only_before=sum(now is None for _, now in pairs.values()),
            only_now=sum(before is None for before, _ in pairs.values()),
            differing=dict(differing),
            moving=moving,
            keys=tuple(sorted(pairs)[:5]),
        )
