"""The codec frames records, finds their schemas by id, and says what is wrong with what is not a record."""

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from foldlog.contracts.codec import Codec
from foldlog.contracts.encoder import Unfit, encoder
from foldlog.contracts.faults import fault_in
from foldlog.contracts.registry import Registry
from foldlog.core.contract import Handled, Process, Snapshot
from foldlog.core.decider import Decider
from foldlog.core.errors import ContractError, DecodeError, EncodeError
from foldlog.core.meta import Meta
from foldlog.core.outcome import DeadLetter, Header, Reply
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from tests.contracts.specimen import (
    Account,
    Balance,
    Line,
    Post,
    Posted,
    Sample,
    Sku,
    Steps,
    account,
    banking,
    fresh_name,
)

sample = Sample()
NOW = datetime(2026, 1, 2, tzinfo=UTC)
LETTER = DeadLetter("t", 1, 2, "p", "malformed", "why", NOW, None, b"\0", (Header("a", None), Header("b", b"x")))


@pytest.mark.parametrize(
    ("record", "envelope"),
    [
        (Post("ada", Decimal("1.20")), None),
        (sample.event, sample.meta),
        (Account(Decimal("-3.00")), Snapshot(7, (Handled("first", 1), Handled("second", 7)))),
        (Balance(Decimal("4.00")), None),
        (Steps(3), Process(7, True)),
        (Reply("id", "accepted", 3, "t:0:1", None, True), None),
        (LETTER, None),
    ],
)
def test_every_part_of_a_context_travels(codec: Codec, record: Record, envelope: Record | None) -> None:
    message = codec.encode(record, envelope)
    assert message[0] == 0
    assert codec.decode(message) == record
    assert codec.decode_with(message) == (record, envelope)


def test_a_record_has_its_contract(codec: Codec, bank: Topology) -> None:
    assert codec.contract(Posted).name == f"{bank.name}.account.Posted"
    with pytest.raises(ContractError, match="Header is no command, event, state or row of"):
        codec.contract(Header)


def test_a_schema_that_is_not_registered_is_named(registry: Registry) -> None:
    name = fresh_name()
    with pytest.raises(ContractError) as caught:
        Codec(banking(name), registry).prepare()
    hint = f"run `foldlog schemas push topologies.{name}`"
    assert str(caught.value) == f"{name}.account.Post is not registered: {hint}"


META = sample.meta


@pytest.mark.parametrize(
    ("record", "envelope", "message"),
    [
        (Posted("ada", 1.5), META, "Posted.amount: is float, not Decimal"),  # type: ignore[arg-type]
        (Posted("ada", Decimal("1.005")), META, "Posted.amount: 1.005 has more than 2 decimal places; round it before"),
        (Posted("ada", Decimal("1E+16")), META, "Posted.amount: 1E+16 has too many digits for decimal(18, 2)"),
        (Posted("ada", Decimal("NaN")), META, "Posted.amount: NaN is no number for decimal(18, 2)"),
        (Posted("a\ud800", Decimal(1)), META, "Posted.account: 'a\\ud800' has a lone surrogate"),
        (Post(None, Decimal(1)), None, "Post.account: is NoneType, not str"),  # type: ignore[arg-type]
        (Post("ada", Decimal(1), 5), None, "Post.note: is int, not str"),  # type: ignore[arg-type]
        (Steps(True), Process(1, False), "Steps.seen: is bool, not int"),
        (Steps(1 << 63), Process(1, False), "Steps.seen: 9223372036854775808 does not fit 64 bits"),
        (Posted("ada", Decimal(1)), None, "Posted.meta: is NoneType, not Meta"),
        (Posted("ada", Decimal(1)), Process(1, True), "Posted.meta: is Process, not Meta"),
        (Post("ada", Decimal(1)), META, "Post has no Meta"),
        (
            Posted("ada", Decimal(1)),
            Meta("", "", 1, datetime(2026, 1, 2), "", ""),
            "Posted.meta.time: 2026-01-02T00:00:00 has no time zone; use an aware datetime",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    codec: Codec, bank: Topology, record: Record, envelope: Record | None, message: str
) -> None:
    with pytest.raises(EncodeError) as caught:
        codec.encode(record, envelope)
    assert str(caught.value).startswith(f"{bank.name}.account.{message}".replace("account.Steps", "audit.Steps"))


def test_trailing_zeros_beyond_the_scale_are_no_rounding(codec: Codec) -> None:
    assert codec.decode(codec.encode(Balance(Decimal("1.5000")))) == Balance(Decimal("1.50"))


def test_a_record_of_another_context_is_refused(codec: Codec, bank: Topology) -> None:
    with pytest.raises(EncodeError, match=f"Header is no record of {bank.name}$"):
        codec.encode(Header("a", None))


def test_an_unprepared_codec_says_so(bank: Topology, registry: Registry) -> None:
    with pytest.raises(EncodeError, match="prepare\\(\\) comes first"):
        Codec(bank, registry).encode(Balance())


def post(codec: Codec) -> bytes:
    return codec.encode(Post("ada", Decimal("1.20"), "note"))


GARBAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "0 bytes are too short for a schema id and a record"),
    "short": (lambda _: b"\0\0\0", "3 bytes are too short for a schema id and a record"),
    "magic": (lambda good: b"{" + good[1:], "the first byte is 123, not 0: no Confluent framing"),
    "truncated": (lambda good: good[:-1], "the record ends too early"),
    "no body": (lambda good: good[:5], "the record ends too early"),
    "trailing": (lambda good: good + b"ab", "2 bytes are left after the record"),
    "huge varint": (lambda good: good[:5] + b"\xff" * 20, "an integer is longer than 64 bits"),
    "huge length": (lambda good: good[:5] + b"\xfe" * 9 + b"\x01", "the record ends too early"),
    "negative length": (lambda good: good[:5] + b"\x01", "a length is negative"),
    "not UTF-8": (lambda good: good[:5] + b"\x02\xff" + good[9:], "a string is not UTF-8"),
    "no such branch": (lambda good: good[:11] + b"\x08", "the union has no branch 4"),
    "long decimal": (lambda good: good[:9] + b"\x20" + b"\x7f" * 16 + b"\0", "a number is out of range for its type"),
}


@pytest.mark.parametrize("kind", GARBAGE)
@pytest.mark.parametrize("whole", [False, True])
def test_garbage_is_malformed_and_says_how(codec: Codec, kind: str, whole: bool) -> None:
    spoil, reason = GARBAGE[kind]
    decode: Callable[[bytes], Any] = codec.decode_with if whole else codec.decode
    with pytest.raises(DecodeError) as caught:
        decode(spoil(post(codec)))
    assert caught.value.cause == "malformed"
    assert str(caught.value).endswith(reason)


def test_an_unknown_schema_is_told_apart(codec: Codec) -> None:
    with pytest.raises(DecodeError, match="the registry has no schema 4294967295") as caught:
        codec.decode(b"\0\xff\xff\xff\xff\0")
    assert caught.value.cause == "unknown-schema"


def test_a_record_that_the_context_does_not_have_is_unexpected(codec: Codec, registry: Registry) -> None:
    stranger = {"type": "record", "name": "Stranger", "namespace": fresh_name(), "fields": []}
    schema_id = registry.register(f"{fresh_name()}-strangers", stranger)
    with pytest.raises(DecodeError, match=r"Stranger is no record of ") as caught:
        codec.decode(b"\0" + schema_id.to_bytes(4, "big"))
    assert caught.value.cause == "unexpected-type"


def test_a_plain_string_is_unexpected(codec: Codec, registry: Registry) -> None:
    schema_id = registry.register(f"{fresh_name()}-value", {"type": "string"})
    with pytest.raises(DecodeError, match=r"string is no record of ") as caught:
        codec.decode(b"\0" + schema_id.to_bytes(4, "big") + b"\x02a")
    assert caught.value.cause == "unexpected-type"


def test_an_event_without_the_meta_that_its_schema_has_is_malformed(codec: Codec) -> None:
    whole = codec.encode(sample.event, sample.meta)
    alone = codec.encode(Post(*structs.astuple(sample.event)))
    with pytest.raises(DecodeError, match="the record ends too early") as caught:
        codec.decode(whole[:5] + alone[5:])
    assert caught.value.cause == "malformed"


def test_a_record_of_the_right_name_and_the_wrong_type_is_unexpected(
    codec: Codec, bank: Topology, registry: Registry
) -> None:
    fields = [{"name": "account", "type": "long"}, {"name": "amount", "type": "double"}]
    twin = {"type": "record", "name": "Post", "namespace": f"{bank.name}.account", "fields": fields}
    schema_id = registry.register(f"{fresh_name()}-twins", twin)
    with pytest.raises(
        DecodeError, match=r"account\.Post \(schema \d+\): long was written where str is read$"
    ) as caught:
        codec.decode(b"\0" + schema_id.to_bytes(4, "big") + b"\0" * 9)
    assert caught.value.cause == "unexpected-type"


def test_a_nested_record_of_a_subclass_is_refused_not_cut() -> None:
    class Parcel(Record):
        line: Line

    class Heavy(Line):
        weight: int

    assert encoder(Parcel)(Parcel(Line(Sku("a"), 1, Decimal(1))))
    parcel = Parcel(Heavy(Sku("a"), 1, Decimal(1), 5))
    assert fault_in(parcel) == "line: is Heavy, not Line"
    with pytest.raises(Unfit):
        encoder(Parcel)(parcel)


@given(st.binary(max_size=60), st.integers(0, 60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_do_worse_than_a_decode_error(codec: Codec, noise: bytes, cut: int) -> None:
    for good in (post(codec), codec.encode(LETTER), codec.encode(sample.event, sample.meta)):
        message = good[: 5 + cut] + noise
        for decode in (codec.decode, codec.decode_with):
            try:
                decode(message)
            except DecodeError as error:
                assert error.cause == "malformed"  # noqa: PT017 — most noise is, some is a record


def test_one_name_for_two_records_is_refused(registry: Registry) -> None:
    class Post(Record):
        account: str

    def ignore(state: Account, event: Post) -> Account:
        return state

    twin: Decider[Any, Any, Any] = Decider(
        "account", Account(), key=lambda c: c.account, decide=account.decide, evolve=ignore
    )
    with pytest.raises(ContractError, match=r"^twins\.account\.Post names two records; rename one$"):
        Codec(Topology("twins", deciders=(twin,)), registry)
