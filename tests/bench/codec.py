"""The codec's speed beside fastavro's: `python -m tests.bench.codec` (needs no registry).

Times are the best of seven rounds, in nanoseconds a call, frame included.
"""

import io
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from timeit import repeat
from typing import Any

import fastavro
from fastavro.schema import parse_schema
from rich.console import Console
from rich.table import Table

from foldlog.contracts.decoder import decoder, decoder_before, decoder_with
from foldlog.contracts.encoder import encoder
from foldlog.contracts.schema import schema_of
from foldlog.core.contract import Contract
from foldlog.core.meta import Meta
from foldlog.core.record import Money, Record

FRAME = b"\0\0\0\0\7"
ROUND = 50_000


class Post(Record):
    account: str
    reference: str
    amount: Money
    note: str | None = None


class Posted(Post): ...


record = Post("ada-123456", "t-12345678", Decimal("1234.56"), "rent for June")
event = Posted(record.account, record.reference, record.amount, record.note)
time = datetime(2026, 1, 2, 3, 4, 5, 678_000, UTC)
meta = Meta("ada-123456@17", "ada-123456", 17, time, "bank.account.commands:3:123456", "k-12345678", "ada")


def contract(kind: type[Record], part: Any) -> tuple[Any, dict[str, Any]]:
    named: dict[str, Any] = {}
    return parse_schema(schema_of(Contract(kind, "bank", "account", part)), named_schemas=named), named


def cases() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Name → encode, decode."""
    schema, named = contract(Post, "command")
    events, their_names = contract(Posted, "event")
    encode, body, tail = encoder(Post), encoder(Posted), encoder(Meta)
    command, message = FRAME + encode(record), FRAME + body(event) + tail(meta)
    read, before = decoder(schema, named, Post), decoder_before(events, their_names, Posted)
    whole = decoder_with(events, their_names, Posted, Meta)
    return {
        "command of 4 fields": (lambda: FRAME + encode(record), lambda: read(command)),
        "event and its meta, meta unread": (lambda: FRAME + body(event) + tail(meta), lambda: before(message)),
        "event and its meta": (lambda: FRAME + body(event) + tail(meta), lambda: whole(message)),
        "fastavro: command of 4 fields": (lambda: theirs(schema), lambda: from_theirs(schema, command)),
    }


def theirs(schema: Any) -> bytes:
    out = io.BytesIO()
    out.write(FRAME)
    values = {"account": record.account, "reference": record.reference, "amount": record.amount, "note": record.note}
    fastavro.schemaless_writer(out, schema, values)
    return out.getvalue()


def from_theirs(schema: Any, message: bytes) -> Post:
    found: Any = fastavro.schemaless_reader(io.BytesIO(message[5:]), schema)
    return Post(*found.values())


def nanoseconds(call: Callable[[], Any]) -> str:
    return f"{min(repeat(call, number=ROUND, repeat=7)) / ROUND * 1e9:,.0f}"


def main() -> None:
    """Measure and print the table."""
    table = Table("", "encode, ns", "decode, ns", title="Codec")
    for name, (encode, decode) in cases().items():
        table.add_row(name, nanoseconds(encode), nanoseconds(decode))
    Console().print(table)


if __name__ == "__main__":
    main()
