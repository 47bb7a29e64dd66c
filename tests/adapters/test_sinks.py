"""What every sink does: the target is the view, and each batch is applied once."""

import threading
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from foldlog.core.errors import AwayError, ContractError, FencedError, SinkError
from foldlog.sinks import running
from foldlog.sinks.target import Applied, Consistency
from tests.adapters.conftest import PlaceOf
from tests.adapters.kept import KINDS, Bank, Kind, following, sink_of
from tests.cli.bank import Balance, Owner
from tests.engine.running import eventually

pytestmark = [pytest.mark.adapters, pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)]

ADA = Balance(Decimal("12.50"), 2, date(1997, 1, 2), (Owner('A "x", y', 60), Owner("ö", 40)))
BOB = Balance(Decimal("-0.05"), 1)


def test_the_target_is_the_view(kind: Kind, bank: Bank, place: PlaceOf) -> None:
    bank.change(("ada", BOB), ("bob", BOB), ("eve", ADA), ("", BOB))
    bank.change(("ada", ADA), ("eve", None), ("never", None))
    bank.abort(bank.view, "mallory", bank.codec.encode(BOB))
    at = place(kind)
    sink_of(kind, bank, at).run(once=True)
    assert kind.rows(at) == bank.rows()
    assert {"ada", "bob", ""} <= set(kind.rows(at))
    assert not {"eve", "never", "mallory"} & set(kind.rows(at))


def test_what_was_applied_is_not_applied_again(kind: Kind, bank: Bank, place: PlaceOf) -> None:
    bank.change(("ada", ADA))
    at = place(kind)
    sink_of(kind, bank, at).run(once=True)
    again = sink_of(kind, bank, at)
    again.run(once=True)
    assert (again.records, again.transactions) == (0, 0)
    bank.change(("ada", None), ("bob", BOB))
    again.run(once=True)
    assert again.records == 2
    assert kind.rows(at) == bank.rows()


def test_an_empty_view_is_an_empty_target(kind: Kind, own_bank: Bank, place: PlaceOf) -> None:
    at = place(kind)
    sink_of(kind, own_bank, at).run(once=True)
    assert kind.rows(at) == {}


def test_the_last_record_of_a_key_wins_in_a_batch_and_after_it(kind: Kind, bank: Bank, place: PlaceOf) -> None:
    at = place(kind)
    for number in range(2):
        bank.change(*(("ada", Balance(Decimal(number), step)) for step in range(50)), ("bob", BOB), ("bob", None))
        sink_of(kind, bank, at).run(once=True)
        assert kind.rows(at) == bank.rows()


def test_it_follows(kind: Kind, bank: Bank, place: PlaceOf) -> None:
    at = place(kind)
    sink = sink_of(kind, bank, at)
    with following(sink) as raised:
        for number in range(3):
            bank.change(("ada", Balance(Decimal(number))), (f"k{number}", BOB))
            view = bank.rows()
            eventually(lambda view=view: sink.transactions and kind.rows(at) == view, "the target")  # type: ignore[misc]
    assert not raised


def test_a_younger_process_takes_over(kind: Kind, bank: Bank, place: PlaceOf) -> None:
    """One of the two ends with an error: for files on one machine the younger, which finds them locked."""
    at = place(kind)
    bank.change(("ada", ADA))
    older, younger = sink_of(kind, bank, at), sink_of(kind, bank, at)
    with following(older) as first:
        eventually(lambda: older.transactions, "the first process")
        with following(younger) as second:
            eventually(lambda: second or younger._source._consumer, "the second process")
            bank.change(("bob", BOB))
            eventually(lambda: first or second, "the end of one")
            eventually(lambda: kind.rows(at) == bank.rows(), "the target")
    (error,) = first + second
    assert isinstance(error, FencedError)
    assert "another process" in str(error)


def test_another_topic_of_the_same_name_is_an_error_until_it_is_rebuilt(kind: Kind, bank: Bank, place: PlaceOf) -> None:
    at = place(kind)
    bank.change(("ada", ADA), ("bob", BOB))
    target = kind.target(at, bank.view)
    target.open()
    target.apply([], Applied({0: 1000, 1: 1000, 2: 1000}, "another-id", datetime.now(UTC)))
    target.close()
    sink = sink_of(kind, bank, at)
    with pytest.raises(SinkError, match=r"filled from another .* add --rebuild"):
        sink.run(once=True)
    target.clear()
    sink.run(once=True)
    assert kind.rows(at) == bank.rows()


def test_who_was_away_for_half_a_day_may_have_missed_a_deletion(
    kind: Kind, bank: Bank, place: PlaceOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = place(kind)
    bank.change(("ada", ADA))
    sink_of(kind, bank, at).run(once=True)
    monkeypatch.setattr(running, "LONGEST_AWAY", timedelta(0))
    sink_of(kind, bank, at).run(once=True)  # nothing came meanwhile: nothing can have been missed
    bank.change(("ada", None))
    with pytest.raises(SinkError, match="deletions may be compacted away: add --rebuild"):
        sink_of(kind, bank, at).run(once=True)


def test_one_that_is_idle_tells_that_it_is_up_to_date(kind: Kind, bank: Bank, place: PlaceOf) -> None:
    at = place(kind)
    bank.change(("ada", ADA))
    sink = sink_of(kind, bank, at, Consistency(sync_ms=20, heartbeat_s=0.1))
    with following(sink) as raised:
        eventually(lambda: sink.transactions >= 4, "heartbeats")
    assert not raised
    assert kind.rows(at) == bank.rows()


def test_garbage_in_the_topic_is_an_error_with_its_place_and_nothing_is_lost(
    kind: Kind, own_bank: Bank, place: PlaceOf
) -> None:
    at = place(kind)
    own_bank.change(("ada", ADA))
    own_bank.write(own_bank.view, ("bad", b"\x01garbage"))
    for _ in range(2):
        with pytest.raises(ContractError, match=rf"^{own_bank.view}:\d:\d+: "):
            sink_of(kind, own_bank, at).run(once=True)
    own_bank.change(("bad", BOB))  # a later record of the key: the view is whole again
    sink_of(kind, own_bank, at).run(once=True)
    assert kind.rows(at) == own_bank.rows()


def test_kafka_that_is_away_is_an_error_at_once_or_waited_for(kind: Kind, bank: Bank, place: PlaceOf) -> None:
    bank.change(("ada", ADA))
    at = place(kind)
    sink, find = sink_of(kind, bank, at), bank.source()._find
    away = threading.Event()

    def lost() -> str:
        away.set()
        raise AwayError("Kafka is away")

    sink._source._find = lost
    with pytest.raises(AwayError):
        sink.run(once=True)
    away.clear()
    with following(sink) as raised:
        assert away.wait(30)
        sink._source._find = find
        eventually(lambda: sink.transactions and kind.rows(at) == bank.rows(), "the target")
    assert not raised
