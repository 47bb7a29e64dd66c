"""Records: the immutable values of a domain, and the types that only Avro can say exactly."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypeVar, dataclass_transform

import msgspec
from msgspec import field

R = TypeVar("R", bound="Record")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
class Record(msgspec.Struct, frozen=True, gc=False):
    """A frozen value: a command, an event, a row or a state; its fields become Avro fields in order.

    What is frozen cannot come to contain itself, so the collector of cycles need not look at it.
    """


@dataclass(frozen=True)
class Scale:
    """Precision and scale of a decimal, as Avro's `decimal` logical type has them."""

    precision: int
    scale: int


Money = Annotated[Decimal, Scale(18, 2)]


def replace(record: R, /, **changes: Any) -> R:
    """The same record with some fields changed."""
    return msgspec.structs.replace(record, **changes)
