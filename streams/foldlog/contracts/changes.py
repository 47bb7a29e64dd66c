"""What a change of a schema breaks: the reasons behind a registry's "incompatible", and what it overlooks.

FULL compatibility asks that old readers read new records and new readers old ones. Registries do not look at logical
types, so a changed scale, which would turn 1.00 into 0.01, passes them; here it is refused.
"""

from collections.abc import Iterator
from typing import Any

from fastavro.schema import parse_schema

from foldlog.contracts.skipping import plain

Schemas = tuple[Any, dict[str, Any]]


def breaking(old: Any, new: Any) -> list[str]:
    """Why records of two schemas cannot be read by each other's readers, one line each; empty where they can."""
    return list(_Comparison(old, new).differences())


class _Comparison:
    def __init__(self, old: Any, new: Any) -> None:
        self._old: dict[str, Any] = {}
        self._new: dict[str, Any] = {}
        self._roots = parse_schema(old, named_schemas=self._old), parse_schema(new, named_schemas=self._new)
        self._seen: set[str] = set()

    def differences(self) -> Iterator[str]:
        """Every reason, its place first."""
        return self._types("", *self._roots)

    def _types(self, place: str, old: Any, new: Any) -> Iterator[str]:
        old, new = plain(old, self._old), plain(new, self._new)
        if isinstance(old, list) and isinstance(new, list):
            yield from self._unions(place, old, new)
        elif _name(old) != _name(new):
            yield f"{place}{_name(old)} became {_name(new)}"
        elif old["type"] == "record":
            yield from self._records(old, new)
        elif old["type"] == "enum":
            yield from _enums(place, old, new)
        elif old["type"] in ("array", "map"):
            inner = "items" if old["type"] == "array" else "values"
            yield from self._types(place, old[inner], new[inner])

    def _records(self, old: Any, new: Any) -> Iterator[str]:
        if old["name"] in self._seen:
            return
        self._seen.add(old["name"])
        before = {field["name"]: field for field in old["fields"]}
        after = {field["name"]: field for field in new["fields"]}
        for name in [*before, *(name for name in after if name not in before)]:
            place = f"{old['name']}.{name}: "
            if name not in before and "default" not in after[name]:
                yield f"{place}added without a default"
            elif name not in after and "default" not in before[name]:
                yield f"{place}removed, and it had no default"
            elif name in before and name in after:
                yield from self._types(place, before[name]["type"], after[name]["type"])

    def _unions(self, place: str, old: list[Any], new: list[Any]) -> Iterator[str]:
        before = {_name(plain(branch, self._old)): branch for branch in old}
        after = {_name(plain(branch, self._new)): branch for branch in new}
        if before.keys() != after.keys():
            yield f"{place}{' | '.join(before)} became {' | '.join(after)}"
        for name in before.keys() & after.keys():
            yield from self._types(place, before[name], after[name])


def _enums(place: str, old: Any, new: Any) -> Iterator[str]:
    before, after = old["symbols"], new["symbols"]
    added = [symbol for symbol in after if symbol not in before]
    removed = [symbol for symbol in before if symbol not in after]
    if added and "default" not in old:
        yield f"{place}{old['name']} got {', '.join(added)}; an enum may grow only if it has a member UNKNOWN"
    if removed and "default" not in new:
        yield f"{place}{old['name']} lost {', '.join(removed)}; an enum may shrink only if it has a member UNKNOWN"


def _name(schema: Any) -> str:
    """A type as it must stay: its name, or its base and logical type."""
    if isinstance(schema, list):
        return " | ".join(_name(branch if isinstance(branch, dict) else {"type": branch}) for branch in schema)
    name = str(schema.get("name", schema["type"]))
    match schema.get("logicalType"):
        case None:
            return name
        case "decimal":
            return f"{name} decimal({schema.get('precision')}, {schema.get('scale', 0)})"
        case logical:
            return f"{name} {logical}"
