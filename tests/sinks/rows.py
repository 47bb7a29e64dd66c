"""A row of a view, and what later releases make of it."""

from foldlog.core.record import Money, Record


class Row(Record):
    amount: Money
    tags: tuple[str, ...] = ()


class Wider(Record):
    amount: Money
    tags: tuple[str, ...] = ()
    label: str = "new"


class Retyped(Record):
    amount: str
