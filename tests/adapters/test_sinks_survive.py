"""Sinks under fire, killed at random moments, their servers too: the target is the view, and nothing came twice."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from foldlog.sinks.parquet_view import MANIFEST
from tests.adapters.conftest import PlaceOf
from tests.adapters.kept import KINDS, Bank, Kind, Place, following, sink_of
from tests.adapters.programs import Redis
from tests.adapters.servers import own
from tests.cli.bank import Balance
from tests.engine.running import eventually

pytestmark = pytest.mark.adapters
ROOT = Path(__file__).parents[2]
SERVED = tuple(kind for kind in KINDS if kind.product)


@contextmanager
def writing(bank: Bank) -> Iterator[None]:
    """Changes rows all the time: new ones, changed ones, deleted ones, and some that are never committed."""
    stop, dice = threading.Event(), random.Random(7)

    def write() -> None:
        for number in range(1, 1 << 30):
            if stop.is_set():
                return
            keys = dice.sample(range(200), 20)
            bank.change(*((f"k{key}", None if dice.random() < 0.2 else Balance(Decimal(number), key)) for key in keys))

    thread = threading.Thread(target=write, name="writer")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)


def start(kind: Kind, bank: Bank, at: Place, log: Path, *options: str) -> subprocess.Popen[bytes]:
    """A process of `foldlog sink`, as its users start it."""
    line = [sys.executable, "-m", "foldlog.cli.main", "sink", kind.name, bank.view, *kind.arguments(at)]
    line += ["--topology", bank.module, "--sync-ms", "20", *options]
    paths = os.pathsep.join(path for path in sys.path if path)
    with log.open("ab") as output:
        return subprocess.Popen(line, cwd=ROOT, stdout=output, stderr=output, env={**os.environ, "PYTHONPATH": paths})


def audited(at: Place) -> None:
    """From now on PostgreSQL keeps what is written to the rows, in the transaction that writes it."""
    with psycopg.connect(at.url) as connection:
        connection.execute(
            f"CREATE TABLE {at.name}.audit (key text, at bigint);"
            f"CREATE FUNCTION {at.name}.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            f" INSERT INTO {at.name}.audit VALUES (new.key, new._offset); RETURN new; END $$;"
            f"CREATE TRIGGER note BEFORE INSERT OR UPDATE ON {at.name}.balances"
            f" FOR EACH ROW EXECUTE FUNCTION {at.name}.note()"
        )


def applied(kind: Kind, at: Place) -> list[tuple[str, int]]:
    """Every change that was ever applied, as key and offset, where the target can tell."""
    if kind.name == "postgres":
        with psycopg.connect(at.url) as connection:
            # An upsert that finds a row runs the trigger for the insertion that it tries, then for the update.
            return connection.execute(f"SELECT key, at FROM {at.name}.audit GROUP BY key, at, xmin").fetchall()
    if kind.name == "parquet":
        files = json.loads((Path(at.url) / MANIFEST).read_bytes())["files"]
        tables = [pq.read_table(Path(at.url) / part["file"], columns=["key", "_offset"]) for part in files]
        return [(row["key"], row["_offset"]) for table in tables for row in table.to_pylist()]
    return []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_killed_at_random_moments(kind: Kind, own_bank: Bank, place: PlaceOf, tmp_path: Path) -> None:
    at, log, dice = place(kind), tmp_path / "log", random.Random(kind.name)
    sink_of(kind, own_bank, at).run(once=True)
    if kind.name == "postgres":
        audited(at)
    with writing(own_bank):
        for _ in range(3):
            before = kind.rows(at)
            process = start(kind, own_bank, at, log)
            eventually(lambda before=before: kind.rows(at) != before, f"a change\n{log.read_text()}")  # type: ignore[misc]
            time.sleep(dice.random() * 0.5)
            process.send_signal(signal.SIGKILL)
            process.wait()
    assert start(kind, own_bank, at, log, "--once").wait(60) == 0, log.read_text()
    assert kind.rows(at) == own_bank.rows()
    changes = applied(kind, at)
    assert len(changes) == len(set(changes))
    assert kind.name in ("redis", "iceberg") or len(changes) > 50
    assert "Traceback" not in log.read_text()


def test_sigterm_ends_it_after_the_transaction_in_hand(own_bank: Bank, place: PlaceOf, tmp_path: Path) -> None:
    kind, log = KINDS[0], tmp_path / "log"
    at = place(kind)
    own_bank.change(("ada", Balance()))
    sink_of(kind, own_bank, at).run(once=True)
    own_bank.change(("bob", Balance()))
    process = start(kind, own_bank, at, log)
    eventually(lambda: kind.rows(at) == own_bank.rows(), "the target")
    process.terminate()
    assert process.wait(60) == 0
    assert f"1 records of {own_bank.view} in 1 transactions" in log.read_text()


@pytest.mark.parametrize("kind", SERVED, ids=lambda kind: kind.name)
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_server_goes_away_and_comes_back(kind: Kind, end: str, bank: Bank) -> None:
    assert kind.product is not None
    with own(kind.product) as server:
        at = Place.at(server.url)
        sink = sink_of(kind, bank, at)
        with following(sink) as raised, writing(bank):
            for _ in range(2):
                count = sink.transactions
                eventually(lambda count=count: sink.transactions > count + 1, "transactions")  # type: ignore[misc]
                getattr(server, end)()
                eventually(lambda: sink._failures > 1, "failures")
                server.start()
                eventually(lambda: sink._failures == 0, "the sink's return")
        assert not raised
        sink_of(kind, bank, at).run(once=True)
        assert kind.rows(at) == bank.rows()


def test_a_redis_that_has_lost_everything_is_filled_anew(bank: Bank) -> None:
    (kind,) = (kind for kind in KINDS if kind.name == "redis")
    assert kind.product is not None
    bank.change(("ada", Balance()), ("bob", Balance()))
    with own(kind.product) as server:
        at, view = Place.at(server.url), bank.rows()
        with following(sink_of(kind, bank, at)) as raised:
            eventually(lambda: kind.rows(at) == view, "the target")
            server.stop()
            if isinstance(server, Redis):
                server.wipe()
            server.start()
            bank.change(("eve", Balance()))
            view = bank.rows()
            eventually(lambda: kind.rows(at) == view, "the target again")
        assert not raised
