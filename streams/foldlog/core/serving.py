"""How the rows of a view are kept for those who read them: declared with the view, for that is where they are known."""

from dataclasses import dataclass

import msgspec

from foldlog.core.errors import TopologyError
from foldlog.core.record import Record


@dataclass(frozen=True)
class Serving:
    """What a view's rows are kept like; what is not said is up to the settings and options of whoever keeps them.

    `refresh_ms`: how long sinks and query replicas gather changes before they show them, in milliseconds; a replica
    of several views goes by the shortest. `indexes`: the columns by which tables elsewhere are indexed. `cache_mb`:
    memory for the view's decoded rows in each worker, in MiB.
    """

    refresh_ms: int | None = None
    indexes: tuple[str, ...] = ()
    cache_mb: int | None = None


AS_CONFIGURED = Serving()


def check_serving(name: str, row: type[Record], serving: Serving) -> None:
    """Raises TopologyError for a column that the row does not have, and for what is no time or size."""
    columns = [field.name for field in msgspec.structs.fields(row)]
    for index in serving.indexes:
        if index not in columns:
            raise TopologyError(f"{name}: {row.__name__} has no field `{index}` to index; it has {', '.join(columns)}")
    if serving.refresh_ms is not None and not 1 <= serving.refresh_ms <= 3_600_000:
        raise TopologyError(f"{name}: refresh_ms must be from 1 to 3600000, not {serving.refresh_ms}")
    if serving.cache_mb is not None and serving.cache_mb < 0:
        raise TopologyError(f"{name}: cache_mb must not be negative, it is {serving.cache_mb}")
