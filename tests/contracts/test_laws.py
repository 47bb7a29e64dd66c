"""The laws of the wire: what is written is read again, by foldlog and by fastavro, whichever of them wrote it."""

import io
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import fastavro
import pytest
from fastavro.schema import parse_schema
from hypothesis import given

from foldlog.contracts.decoder import decoder, decoder_before, decoder_with
from foldlog.contracts.encoder import encoder
from foldlog.contracts.schema import schema_of
from foldlog.core.meta import Meta
from foldlog.core.record import Record
from tests.contracts.specimen import Balance, Defaults, Everything, Posted, Sample, contract
from tests.contracts.values import everything, moments, native

FRAME = b"\0\0\0\0\1"
NAMED: dict[str, Any] = {}
SCHEMA = parse_schema(schema_of(contract(Everything)), named_schemas=NAMED)
encode = encoder(Everything)
decode = decoder(SCHEMA, NAMED, Everything)


@given(everything)
def test_what_is_encoded_is_decoded_again_with_the_same_types(record: Everything) -> None:
    found = decode(FRAME + encode(record))
    assert found == record
    assert type(found.lines) is tuple
    assert type(found.tags) is list
    assert found.moment.tzinfo is UTC
    assert repr(found.amount) == repr(record.amount.quantize(Decimal("0.01")))


@given(everything)
def test_fastavro_and_foldlog_read_each_other(record: Everything) -> None:
    plain, ours, theirs = native(record, "shop.cart"), encode(record), io.BytesIO()
    fastavro.schemaless_writer(theirs, SCHEMA, plain)
    assert decode(FRAME + theirs.getvalue()) == record
    read = fastavro.schemaless_reader(io.BytesIO(ours), SCHEMA, return_record_name=True)
    assert read == plain


@given(moments)
def test_a_meta_follows_its_event_and_can_be_left_unread(moment: datetime) -> None:
    named: dict[str, Any] = {}
    schema = parse_schema(schema_of(contract(Posted, "event")), named_schemas=named)
    meta = Meta("ada@1", "ada", 1, moment, "cause", "correlation", None, "tenant", "topic:0:1")
    message = FRAME + encoder(Posted)(Sample.event) + encoder(Meta)(meta)
    assert decoder_before(schema, named, Posted)(message) == Sample.event
    unplaced = Meta("ada@1", "ada", 1, moment, "cause", "correlation", None, "tenant")
    assert decoder_with(schema, named, Posted, Meta)(message) == (Sample.event, unplaced)


@pytest.mark.parametrize(
    ("amount", "data"),
    [("0", b"\0"), ("1.27", b"\x7f"), ("1.28", b"\0\x80"), ("-1.28", b"\x80"), ("-1.29", b"\xff\x7f")],
)
def test_a_decimal_is_as_short_as_java_writes_it(amount: str, data: bytes) -> None:
    assert encoder(Balance)(Balance(Decimal(amount))) == bytes([2 * len(data)]) + data


def test_two_times_that_differ_in_fold_only_are_two_instants() -> None:
    class Moment(Record):
        at: datetime

    first = datetime(2025, 10, 26, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    write = encoder(Moment)
    assert first == first.replace(fold=1)
    assert write(Moment(first)) != write(Moment(first.replace(fold=1)))


@pytest.mark.parametrize("moment", [datetime.min, datetime(1969, 12, 31, 23, 59, 59, 999_999), datetime.max])
@pytest.mark.parametrize("day", [date.min, date(1970, 1, 1), date.max])
def test_the_ends_of_time_fit(moment: datetime, day: date) -> None:
    class Ends(Record):
        at: datetime
        on: date

    named: dict[str, Any] = {}
    schema = parse_schema(schema_of(contract(Ends)), named_schemas=named)
    record = Ends(moment.replace(tzinfo=UTC), day)
    assert decoder(schema, named, Ends)(FRAME + encoder(Ends)(record)) == record


def test_defaults_are_those_that_avro_states() -> None:
    empty = parse_schema({"type": "record", "name": "Defaults", "fields": []})
    assert decoder(empty, {}, Defaults)(FRAME) == Defaults()
    stated: Any = next(fastavro.json_reader(io.StringIO("{}"), schema_of(contract(Defaults))))
    expected = native(Defaults(), "shop.cart")
    assert stated == {**expected, "payment": expected["payment"][1]}


def test_a_default_that_can_change_is_not_shared() -> None:
    empty = parse_schema({"type": "record", "name": "Defaults", "fields": []})
    read = decoder(empty, {}, Defaults)
    assert read(FRAME).tags is not read(FRAME).tags


def test_a_time_in_milliseconds_is_read() -> None:
    class Moment(Record):
        at: datetime

    at = {"type": "long", "logicalType": "timestamp-millis"}
    schema = parse_schema({"type": "record", "name": "Moment", "fields": [{"name": "at", "type": at}]})
    data = io.BytesIO()
    moment = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(milliseconds=5)
    fastavro.schemaless_writer(data, schema, {"at": moment})
    assert decoder(schema, {}, Moment)(FRAME + data.getvalue()) == Moment(moment)
