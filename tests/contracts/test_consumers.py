"""A public event that a consumer could not read any more is found before it is published, and the consumer named."""

from decimal import Decimal
from enum import Enum
from typing import Annotated

import pytest

from foldlog.contracts.consumers import broken, published, unreadable
from foldlog.contracts.schema import schema_of
from foldlog.core import Money, Record, Scale, Topology
from foldlog.core.contract import Contract
from tests.engine.loyalty import loyalty
from tests.engine.shop import shop

SALE = "shop.sales.SaleMade"


class Plain(Record):
    customer: str
    amount: Money


class More(Record):
    customer: str
    amount: Money
    sale: str
    note: str = ""
    coupons: tuple[str, ...] = ()


class WithoutAmount(Record):
    customer: str


class Renamed(Record):
    customer: str
    total: Money


class Finer(Record):
    customer: str
    amount: Annotated[Decimal, Scale(18, 3)]


class AsText(Record):
    customer: str
    amount: str


class MayBeMissing(Record):
    customer: str | None
    amount: Money


class Kind(Enum):
    CASH = 1
    CARD = 2


class OpenKind(Enum):
    UNKNOWN = 0
    CASH = 1


class WithCard(Record):
    kind: Kind


class Closed(Enum):
    CASH = 1


def schema(record: type[Record]) -> dict[str, object]:
    return schema_of(Contract(record, "shop", "sales", "public"))


def test_what_is_declared_together_fits() -> None:
    assert broken([shop, loyalty], {name: [one] for name, one in published(shop).items()}) == []


@pytest.mark.parametrize("compatible", [Plain, More])
def test_what_a_consumer_does_not_read_may_change(compatible: type[Record]) -> None:
    assert broken([loyalty], {SALE: [schema(compatible)]}) == []


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (WithoutAmount, "WithoutAmount was written without `amount`"),
        (Renamed, "Renamed was written without `amount`, which has no default"),
        (Finer, "Finer.amount: decimal(18, 3) was written where decimal(18, 2) is read"),
        (AsText, "AsText.amount: string was written where decimal(18, 2) is read"),
        (MayBeMissing, "MayBeMissing.customer: null was written where str is read"),
    ],
)
def test_a_breaking_change_names_consumer_event_field_and_reason(changed: type[Record], reason: str) -> None:
    [line] = broken([loyalty], {SALE: [schema(changed)]})
    assert line.startswith(f"loyalty.purchases cannot read {SALE}: shop.sales.{reason}")


def test_every_version_that_may_be_in_the_topic_must_be_readable() -> None:
    lines = broken([loyalty], {SALE: [schema(Plain), schema(Renamed), schema(Renamed)]})
    assert len(lines) == 1


def test_an_event_that_nobody_publishes_is_named() -> None:
    assert broken([loyalty], {}) == [f"loyalty.purchases reads {SALE}, which nobody publishes"]


def test_a_symbol_that_a_closed_enum_does_not_have_is_a_break() -> None:
    class AsClosed(Record):
        kind: Closed

    class AsOpen(Record):
        kind: OpenKind

    assert unreadable(schema(WithCard), AsOpen) == []
    [line] = unreadable(schema(WithCard), AsClosed)
    assert line == "shop.sales.WithCard.kind: CARD may be written, and there is no UNKNOWN"


def test_a_context_that_neither_publishes_nor_consumes_breaks_nothing() -> None:
    alone = Topology("alone", deciders=shop.deciders)
    assert (published(alone), broken([alone], {})) == ({}, [])


class Note(Record):
    sale: str


class NoteMade(Record):
    sale: Note


def test_a_record_within_a_record_is_looked_into() -> None:
    class Inner(Record):
        number: int

    Inner.__name__ = "Note"

    class Reader(Record):
        sale: Inner

    [line] = unreadable(schema(NoteMade), Reader)
    assert line.startswith("shop.sales.Note was written without `number`")
