"""Records as what JSON and text can hold, exactly: decimals plain, times in ISO 8601, bytes in Base64."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from foldlog.core.record import Record


def plain(value: Any) -> Any:
    """The value as JSON types; a decimal is a string without an exponent, so that no digit is lost."""
    return _without_decimals(msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True))


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


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return {name: _without_decimals(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_decimals(inner) for inner in value]
    return value
