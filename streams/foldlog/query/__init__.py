"""Views for people: replicas in DuckDB, SQL, tables, exports.

In a notebook: `foldlog.query.table(orders, "customers")`, `foldlog.query.polars(orders, "customers")`,
`foldlog.query.sql(orders, "select count(*) from customers")`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foldlog.query.notebook import polars, sql, table

__all__ = ["polars", "sql", "table"]


def __getattr__(name: str) -> Any:
    """A function for notebooks, imported when it is asked for: the process that runs SQL starts without Kafka."""
    if name not in __all__:
        raise AttributeError(f"module foldlog.query has no attribute {name}")
    from foldlog.core.errors import ConfigError

    try:
        from foldlog.query import notebook
    except ModuleNotFoundError as error:
        raise ConfigError(f"queries need the extra `query`: pip install 'foldlog[query]' ({error})") from error
    return getattr(notebook, name)
