"""Views for people: replicas in DuckDB, SQL, tables, exports.

In a notebook: `foldlog.query.table(orders, "customers")`, `foldlog.query.polars(orders, "customers")`,
`foldlog.query.sql(orders, "select count(*) from customers")`.
"""

from foldlog.core.errors import ConfigError

try:
    from foldlog.query.notebook import polars, sql, table
except ModuleNotFoundError as error:
    raise ConfigError(f"queries need the extra `query`: pip install 'foldlog[query]' ({error})") from error

__all__ = ["polars", "sql", "table"]
