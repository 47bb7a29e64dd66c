"""Records as JSON types, exactly: decimals plain, times in ISO 8601, bytes in Base64."""

from decimal import Decimal
from typing import Any

import msgspec


def plain(value: Any) -> Any:
    """The value as JSON types; a decimal is a string without an exponent, so that no digit is lost."""
    return _without_decimals(msgspec.to_builtins(value, builtin_types=(Decimal,), str_keys=True))


def _without_decimals(value: Any) -> Any:
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dict):
        return {name: _without_decimals(inner) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_decimals(inner) for inner in value]
    return value
