"""Which SQL is answered: one statement that reads, over tables, without the functions that do more than compute.

The sandbox refuses files; some table functions need none and still change their process (its logging, its grammar).
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import duckdb
import msgspec

from foldlog.core.errors import QueryError

MOST_CHARACTERS = 100_000
TABLE_FUNCTIONS = frozenset({"generate_series", "json_each", "json_tree", "range", "unnest"})
REFUSED = frozenset({"write_log"})  # it has an effect
_EXPLAIN = re.compile(r"\s*EXPLAIN\s+(ANALYZE\s+)?", re.IGNORECASE)


class Statement(NamedTuple):
    """A statement that may be run, and the tables that it names."""

    sql: str
    tables: frozenset[str]


def quoted(name: str) -> str:
    """A name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def checked(cursor: duckdb.DuckDBPyConnection, sql: str) -> Statement:
    """The one statement of a text; QueryError says why it is not answered."""
    if len(sql) > MOST_CHARACTERS or not _is_text(sql):
        raise QueryError(f"SQL is text of at most {MOST_CHARACTERS:,} characters, without NUL")
    found = cursor.extract_statements(sql)
    if len(found) != 1:
        raise QueryError(f"one statement at a time, not {len(found)}")
    kind = found[0].type
    if kind not in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
        raise QueryError(f"only SELECT and EXPLAIN are answered, not {kind.name}")
    text = found[0].query.strip()
    (tree,) = cursor.execute("SELECT json_serialize_sql(?)", [_EXPLAIN.sub("", text, count=1)]).fetchone() or ("",)
    parsed = msgspec.json.decode(tree)
    if parsed["error"]:
        raise QueryError(f"only SELECT and EXPLAIN of one are answered: {parsed['error_message']}")
    return Statement(text, frozenset(_tables(parsed["statements"])))


def _is_text(sql: str) -> bool:
    """False for what UTF-8 or C cannot hold: half a surrogate pair, a NUL."""
    return "\0" not in sql and not any("\ud800" <= character <= "\udfff" for character in sql)


def _tables(tree: Any) -> Iterator[str]:
    """The names of the tables in a syntax tree; QueryError where it calls what is refused."""
    for node in _nodes(tree):
        match node:
            case {"type": "TABLE_FUNCTION", "function": {"function_name": str(name)}}:
                if name.lower() not in TABLE_FUNCTIONS:
                    known = ", ".join(sorted(TABLE_FUNCTIONS))
                    raise QueryError(f"the table function {name} is not allowed; these are: {known}")
            case {"type": "FUNCTION", "function_name": str(name)} if name.lower() in REFUSED:
                raise QueryError(f"the function {name} is not allowed")
            case {"type": "BASE_TABLE", "table_name": str(name)}:
                yield name
            case {"type": "SHOW_REF", "table_name": str(name)} if name:
                yield name.strip('"')
            case _:
                pass


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON document, without recursion: a statement may be nested deeply."""
    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, dict):
            yield node
            left.extend(node.values())
        elif isinstance(node, list):
            left.extend(node)
