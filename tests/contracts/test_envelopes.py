"""Envelopes made of bytes are those that the codec makes of records."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from foldlog.contracts import envelopes
from foldlog.contracts.encoder import encoder
from foldlog.contracts.schema import EPOCH
from foldlog.contracts.varint import text, varint
from foldlog.core import Meta
from foldlog.core.contract import Handled, Snapshot

words = st.text(max_size=40)
long_words = words | st.integers(8000, 9000).map("é".__mul__)
versions = st.integers(1, 1 << 62)
instants = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))
_meta, _snapshot = encoder(Meta), encoder(Snapshot)


@given(
    name=words,
    aggregate=long_words,
    version=versions,
    time=instants,
    id_=long_words,
    correlation=st.none() | words,
    actor=st.none() | words,
)
def test_a_meta(
    *, name: str, aggregate: str, version: int, time: datetime, id_: str, correlation: str | None, actor: str | None
) -> None:
    time = time.replace(microsecond=time.microsecond // 1000 * 1000)
    milliseconds = (time - EPOCH) // timedelta(milliseconds=1)
    start = envelopes.origin(milliseconds, text(id_), correlation, actor)
    key, made = envelopes.meta(f"{name}:".encode(), aggregate.encode(), version, start)

    event_id = f"{name}:{aggregate}@{version}"
    whole = Meta(event_id, aggregate, version, time, id_, correlation or id_, actor)
    assert (key, made) == (f"{aggregate}@{version}".encode(), _meta(whole))


@given(versions, st.lists(st.tuples(words, versions), max_size=5), st.binary(max_size=9))
def test_a_snapshot(version: int, handled: list[tuple[str, int]], before: bytes) -> None:
    items = b"".join(text(id_) + varint(number) for id_, number in handled)
    made = envelopes.snapshot(version, len(handled), items)
    assert made == _snapshot(Snapshot(version, tuple(Handled(*each) for each in handled)))
    whole = before + made
    *read, start = envelopes.read_snapshot(whole, len(before))
    assert (*read, whole[start:-1]) == (version, len(handled), items)
