"""What the rows of a snapshot are."""

from typing import NamedTuple

import duckdb

from foldlog.kafka.marks import Place

_STATE = (
    'SELECT NULL, topic, "partition", next FROM _foldlog.positions '
    "UNION ALL SELECT name, topic, NULL, NULL FROM _foldlog.shown"
)


class State(NamedTuple):
    """Each view's topic, and the next offsets of all topics."""

    topics: dict[str, str]
    positions: dict[Place, int]

    @classmethod
    def of(cls, cursor: duckdb.DuckDBPyConnection) -> "State":
        """That of a connection's transaction; one statement, since each costs as much as a small answer."""
        found = cursor.execute(_STATE).fetchall()
        positions = {(topic, partition): position for name, topic, partition, position in found if name is None}
        return cls({name: topic for name, topic, _, _ in found if name is not None}, positions)
