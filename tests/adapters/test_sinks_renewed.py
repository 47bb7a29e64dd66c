"""A view's readers are pointed to another generation: sinks go along by themselves, and are killed on the way."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread

import pytest

from foldlog.contracts.exact_json import to_json
from foldlog.core.errors import SinkError
from foldlog.core.topics import table, topics
from foldlog.kafka.admin import apply
from foldlog.kafka.generations import point
from foldlog.kafka.reading import latest, read
from foldlog.sinks.source import Batch
from foldlog.sinks.target import Consistency
from tests.adapters.conftest import PlaceOf
from tests.adapters.kept import KINDS, Bank, Kind, Place, Rows, following, sink_of
from tests.adapters.test_sinks_survive import start
from tests.cli.bank import Balance
from tests.engine.running import eventually

pytestmark = [pytest.mark.adapters, pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)]
SMALL = Consistency(sync_ms=20, batch_records=50, heartbeat_s=0.1)
MANY = 600


def first(bank: Bank) -> Rows:
    """Fills the first generation: keys that the second has too, and others."""
    bank.change(*((f"k{number}", Balance(Decimal(number), 1)) for number in range(MANY)))
    eventually(lambda: len(bank.rows()) == MANY, "the end of the transaction")
    return bank.rows()


def second(bank: Bank) -> Rows:
    """Makes and fills the second, which has rows that were changed and deleted again."""
    [declared] = [each for each in topics(bank.topology) if each.name == bank.view]
    topic = table(bank.name, "balances.g2")
    apply(bank.cluster.bootstrap, [replace(declared, name=topic)], 1)
    keys = [f"k{number}" for number in range(MANY // 2, MANY + MANY // 2)]
    for turn in range(2):
        bank.put(topic, *((key, written(key)[turn]) for key in keys))
    bank.put(topic, *((key, None) for key in keys[::7]))
    left = MANY - len(keys[::7])
    eventually(lambda: len(latest(read(bank.cluster.bootstrap, topic))) == left, "the end of the transactions")
    found = latest(read(bank.cluster.bootstrap, topic))
    return {key: to_json(bank.codec.decode(entry.value or b"")) for key, entry in found.items()}


def written(key: str) -> list[Balance]:
    """The rows that a key has one after the other in the second generation."""
    return [Balance(Decimal(f"{int(key[1:]) - MANY // 2}.00"), postings) for postings in (2, 3)]


def history(key: str) -> list[dict[str, object]]:
    """The same as a target has them."""
    return [to_json(row) for row in written(key)]


def change_over(bank: Bank, to: str = "balances.g2") -> None:
    point(bank.cluster.bootstrap, bank.name, "balances", to)


@contextmanager
def watching(kind: Kind, at: Place) -> Iterator[list[Rows]]:
    """What a reader of the target sees, again and again."""
    seen, stop = list[Rows](), Event()

    def look() -> None:
        while not stop.is_set():
            rows = kind.rows(at)
            if not seen or seen[-1] != rows:
                seen.append(rows)

    thread = Thread(target=look, name="reader")
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(60)


def is_of_one(kind: Kind, rows: Rows, generations: tuple[Rows, ...]) -> bool:
    """The rows of one generation, none else; in Redis, which changes row after row, each of one and none missing.

    Of the second a row may be there as it was before its last change.
    """
    if kind.name == "redis":
        each = all(row == generations[0].get(key) or row in history(key) for key, row in rows.items())
        return each and generations[0].keys() & generations[1].keys() <= rows.keys()
    return rows in generations


def test_it_goes_along_and_readers_see_no_gap_and_no_mixture(kind: Kind, own_bank: Bank, place: PlaceOf) -> None:
    old, at = first(own_bank), place(kind)
    sink_of(kind, own_bank, at).run(once=True)
    with following(sink_of(kind, own_bank, at, SMALL)) as raised:
        assert kind.rows(at) == old
        new = second(own_bank)
        with watching(kind, at) as seen:
            change_over(own_bank)
            eventually(lambda: kind.rows(at) == new, "the second generation")
        own_bank.put(f"{own_bank.view}.g2", ("later", Balance(Decimal(7))))
        eventually(lambda: "later" in kind.rows(at), "what came later")
        change_over(own_bank, "balances")
        eventually(lambda: kind.rows(at) == old, "the first generation again")
    assert not raised
    assert all(is_of_one(kind, rows, (old, new)) for rows in seen)


class Killed(BaseException):
    """What ends a sink as a kill would: nothing is done after it."""


@pytest.mark.parametrize("batches", [1, 5])
def test_one_that_ends_in_the_middle_begins_the_change_anew_or_goes_back(
    kind: Kind, own_bank: Bank, place: PlaceOf, batches: int
) -> None:
    old, at = first(own_bank), place(kind)
    sink_of(kind, own_bank, at).run(once=True)
    new = second(own_bank)
    for live, expected in (("balances.g2", new), ("balances", old)):
        change_over(own_bank)
        if live == "balances.g2":
            interrupt(kind, own_bank, at, batches)
        else:
            change_over(own_bank, live)
            sink_of(kind, own_bank, at).run(once=True)
            change_over(own_bank)
            interrupt(kind, own_bank, at, batches)
            assert is_of_one(kind, kind.rows(at), (old, new))
            change_over(own_bank, live)
        sink_of(kind, own_bank, at).run(once=True)
        assert kind.rows(at) == expected


def interrupt(kind: Kind, bank: Bank, at: Place, batches: int) -> None:
    """Ends a sink after so many batches of the change."""
    sink = sink_of(kind, bank, at, SMALL)
    batch, left = sink._source.batch, iter(range(batches))

    def ended(*arguments: object) -> Batch:
        if next(left, None) is None:
            raise Killed
        return batch(*arguments)  # type: ignore[arg-type]

    sink._source.batch = ended  # type: ignore[method-assign, assignment]
    with pytest.raises(Killed):
        sink.run(once=True)


def test_killed_at_random_moments_of_the_change(kind: Kind, own_bank: Bank, place: PlaceOf, tmp_path: Path) -> None:
    old, at, dice, log = first(own_bank), place(kind), random.Random(kind.name), tmp_path / "log"
    sink_of(kind, own_bank, at).run(once=True)
    new = second(own_bank)
    change_over(own_bank)
    for _ in range(3):
        process = start(kind, own_bank, at, log)
        eventually(lambda: "another generation" in log.read_text() or kind.rows(at) == new, "the change")
        time.sleep(dice.random() * 0.2)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert is_of_one(kind, kind.rows(at), (old, new))
    assert start(kind, own_bank, at, log, "--once").wait(60) == 0, log.read_text()
    assert kind.rows(at) == new
    assert "Traceback" not in log.read_text()


def test_a_target_of_another_view_is_never_replaced(kind: Kind, own_bank: Bank, place: PlaceOf) -> None:
    old, at = first(own_bank), place(kind)
    sink_of(kind, own_bank, at).run(once=True)
    second(own_bank)
    change_over(own_bank)
    sink = sink_of(kind, own_bank, at)
    sink._source.is_generation = lambda topic: False  # of a view of another context, for example
    with pytest.raises(SinkError, match=r"filled from another .* add --rebuild"):
        sink.run(once=True)
    assert kind.rows(at) == old
