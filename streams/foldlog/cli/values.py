"""Records as text for people: a cell, a line."""

import json
from collections.abc import Mapping
from typing import Any

from foldlog.core.plain import plain
from foldlog.core.record import Record


def cell(value: Any) -> str:
    """The value as the text of one cell: nothing for None, JSON for what is nested."""
    simple = plain(value)
    return "" if simple is None else _shown(simple)


def fields(record: Record | Mapping[str, Any]) -> str:
    """A record's fields on one line, `name=value`, without those that are None."""
    values = plain(record)
    return " ".join(f"{name}={_shown(value)}" for name, value in values.items() if value is not None)


def _shown(simple: Any) -> str:
    return simple if isinstance(simple, str) else json.dumps(simple, ensure_ascii=False)
