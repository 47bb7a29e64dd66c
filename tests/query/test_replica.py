"""The replica's file: equal to the topic however it ends, and built anew only where it must be."""

import base64
import random
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from foldlog.core import Serving
from foldlog.core.topics import table
from foldlog.kafka.generations import point
from foldlog.kafka.marks import end_offsets
from foldlog.query.replica import Replica
from foldlog.query.storage import Storage
from tests.engine.bank import Balance
from tests.engine.running import PATIENCE, Bank, eventually
from tests.query.conftest import Serve
from tests.query.filling import Rows, balance, second_generation

Follow = Callable[[], Replica]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the test's replicas have their rows."""
    return tmp_path / "replica.duckdb"


@pytest.fixture
def follow(bank: Bank, file: Path) -> Iterator[Follow]:
    """Starts a replica on the file, once the one before has ended."""
    started: list[Replica] = []

    def follow() -> Replica:
        if started:
            started.pop().close()
        replica = Replica(bank.cluster.bootstrap, bank.topology, bank.topology.views, bank.codec, Storage(file, 256, 2))
        started.append(replica)
        replica.start()
        eventually(replica.loaded.is_set, "the load")
        return replica

    yield follow
    for replica in started:
        replica.close()


def select(replica: Replica, sql: str) -> list[tuple[object, ...]]:
    with replica.storage.snapshot() as cursor:
        return cursor.execute(sql).fetchall()


def topic_rows(bank: Bank) -> list[tuple[object, ...]]:
    """The rows of the view as its topic has them."""
    rows = bank.rows("balances").items()
    return sorted((key, row.owner, row.amount, row.postings) for key, row in rows if isinstance(row, Balance))


def assert_equal(replica: Replica, bank: Bank) -> None:
    wanted = topic_rows(bank)
    eventually(lambda: select(replica, "FROM balances ORDER BY key") == wanted, "the topic's rows")


def test_killed_at_random_moments_it_is_equal_in_the_end(bank: Bank, serve: Serve) -> None:
    rows, chance = Rows(bank), random.Random(7)
    keys = [f"account-{number:03}" for number in range(300)]
    served = serve()
    for turn in range(8):
        changed = chance.sample(keys, 100)
        rows.write({key: balance(turn * 1000 + n) if n % 5 else None for n, key in enumerate(changed)})
        time.sleep(chance.random() * 2)
        if turn % 2:
            served.stop(signal.SIGKILL)
            served = serve()
    wanted = [[key, owner, f"{amount:.2f}", postings] for key, owner, amount, postings in topic_rows(bank)]
    served.ready()
    eventually(lambda: served.select("FROM balances ORDER BY key") == wanted, "the topic's rows")


def test_a_restart_reads_only_what_is_new(bank: Bank, serve: Serve) -> None:
    said = "the replica is loaded"

    def loaded() -> int:
        # It is loaded before it says so.
        [line] = eventually(lambda: [line for line in served.output.splitlines() if said in line], said)
        return int(line.partition("applied=")[2].split()[0])

    rows = Rows(bank)
    rows.write({f"old-{number:04}": balance(number) for number in range(2000)})
    served = serve().ready()
    assert loaded() >= 2000
    served.stop(signal.SIGKILL)
    rows.write({f"new-{number:02}": balance(number) for number in range(10)} | {"old-0001": None})
    served = serve().ready()
    assert loaded() == 11
    assert served.select("SELECT count(*) FROM balances WHERE key[:3] IN ('old', 'new')") == [[2009]]
    assert served.stop(signal.SIGINT) == 0
    served = serve().ready()
    assert loaded() == 0
    assert served.stop(signal.SIGTERM) == 0


def test_changes_are_gathered_as_long_as_the_view_declares_unless_somebody_waits(bank: Bank, file: Path) -> None:
    views = [replace(view, serving=Serving(refresh_ms=3_600_000)) for view in bank.topology.views]
    places, rows = [(table(bank.name, "balances"), number) for number in range(bank.topology.partitions)], Rows(bank)
    with closing(Replica(bank.cluster.bootstrap, bank.topology, views, bank.codec, Storage(file, 256, 2))) as replica:

        def come() -> None:
            ends = end_offsets(bank.admin, places, committed=False)
            replica.positions.wait(ends).result(PATIENCE)

        def has(key: str) -> bool:
            return bool(select(replica, f"FROM balances WHERE key = '{key}'"))

        replica.start()
        eventually(replica.loaded.is_set, "the load")
        rows.write({"first": balance(1)})
        come()
        rows.write({"second": balance(2)})
        assert (has("first"), has("second")) == (True, False)
        come()
        assert has("second")
        assert replica.alive


def test_a_topic_that_was_made_anew_is_read_anew(bank: Bank, follow: Follow) -> None:
    Rows(bank).write({f"old-{number:04}": balance(number) for number in range(50)})
    assert_equal(follow(), bank)
    bank.remake([table(bank.name, "balances")])
    Rows(bank).write({"only": balance(1)})
    assert select(follow(), "SELECT key FROM balances") == [("only",)]


def test_a_topic_that_is_made_anew_meanwhile_is_read_anew(bank: Bank, follow: Follow) -> None:
    Rows(bank).write({f"old-{number:04}": balance(number) for number in range(50)})
    replica = follow()
    assert_equal(replica, bank)
    bank.remake([table(bank.name, "balances")])
    Rows(bank).write({"only": balance(1)})
    eventually(lambda: select(replica, "SELECT key FROM balances") == [("only",)], "the new topic")
    eventually(replica.loaded.is_set, "the load")


def test_another_generation_is_shown_once_it_is_loaded_and_without_a_gap(bank: Bank, follow: Follow) -> None:
    """The view's name means the old rows until it means the new ones, all at once; and back."""
    second = second_generation(bank)
    Rows(bank).write({"account": balance(1)})
    replica, before = follow(), topic_rows(bank)
    assert_equal(replica, bank)
    new = Rows(bank, second)
    new.write({f"account-{number:03}": balance(number) for number in range(500)})
    point(bank.cluster.bootstrap, bank.name, "balances", "balances.g2")
    assert set(_counted(replica, until=500)) <= {len(before), 500}
    eventually(lambda: replica.topic("balances") == second)
    new.write({"account-000": None})
    eventually(lambda: select(replica, "SELECT count(*) FROM balances") == [(499,)], "the new topic's changes")
    point(bank.cluster.bootstrap, bank.name, "balances", "balances")
    assert_equal(replica, bank)
    eventually(lambda: select(replica, "SELECT count(*) FROM _foldlog.topics") == [(2,)], "only what is shown is kept")


def _counted(replica: Replica, until: int) -> Iterator[object]:
    """How many rows there are, again and again until they are so many."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        [(count,)] = select(replica, "SELECT count(*) FROM balances")
        yield count
        if count == until:
            return


@pytest.fixture
def ended(bank: Bank, follow: Follow, file: Path) -> Path:
    """The file of a replica that was loaded and ended."""
    Rows(bank).write({f"account-{number:04}": balance(number) for number in range(20)})
    replica = follow()
    assert_equal(replica, bank)
    replica.close()
    return file


def again(bank: Bank, follow: Follow) -> int:
    """Starts on the file that is there; how many rows were applied until it was equal."""
    replica = follow()
    assert_equal(replica, bank)
    return replica.applied


@pytest.mark.parametrize("damaged", [lambda _: b"", lambda _: b"garbage" * 1000, lambda data: data[:5000]])
def test_a_damaged_file_is_built_anew(
    damaged: Callable[[bytes], bytes], bank: Bank, follow: Follow, ended: Path
) -> None:
    ended.write_bytes(damaged(ended.read_bytes()))
    assert again(bank, follow) >= 20


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE _foldlog.topics SET fingerprint = 'of another row type'",
        "UPDATE _foldlog.positions SET next = next + 1000000",
        "UPDATE _foldlog.positions SET next = 0, applied = 0",
    ],
    ids=["another schema", "ahead of the log", "too old for tombstones"],
)
def test_a_file_that_cannot_be_gone_on_with_is_built_anew(change: str, bank: Bank, follow: Follow, ended: Path) -> None:
    with duckdb.connect(str(ended)) as connection:
        connection.execute(change)
        connection.execute(f"INSERT INTO _rows.\"{bank.name}.balances\" VALUES ('ghost', 'x', 1, 1)")
    assert again(bank, follow) >= 20


def test_a_file_that_can_be_gone_on_with_is_kept(bank: Bank, follow: Follow, ended: Path) -> None:
    assert again(bank, follow) == 0


def test_a_second_service_of_the_same_name_is_refused(serve: Serve) -> None:
    first = serve("r", "--view", "wealth").ready()
    second = serve()
    assert second.process.wait(60) == 1
    assert [line for line in second.output.splitlines() if "instance r is in use by another process" in line]
    assert [view["name"] for view in first.get("/views").json()["views"]] == ["wealth"]
    assert first.get("/views/balances").status_code == 404


def test_a_record_that_is_no_row_is_told_and_left_out(
    bank: Bank, follow: Follow, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = Rows(bank)
    rows.write([("good", balance(1)), ("bad", b"garbage"), ("worse", b"\0\xff\xff\xff\xff"), ("better", balance(2))])
    replica = follow()
    found = {key for (key,) in select(replica, "SELECT key FROM balances")}
    rows.write({"bad": None, "worse": None})
    assert {"good", "better"} <= found
    assert not {"bad", "worse"} & found
    assert replica.unreadable.total() == 2
    assert f"{rows.topic}:{bank.home(b'bad')}:" in capsys.readouterr().out


def test_it_waits_for_topics_and_for_kafka(bank: Bank, file: Path) -> None:
    absent = Replica("127.0.0.1:1", bank.topology, bank.topology.views, bank.codec, Storage(file, 256, 2))
    with closing(absent):
        absent.start()
        eventually(lambda: absent.trouble != "starting", "the trouble")
        assert absent.trouble
        assert "127.0.0.1:1" in absent.trouble
        assert absent.alive
        assert not absent.loaded.is_set()


def test_a_database_that_answers_no_more_shows_in_its_health(bank: Bank, serve: Serve) -> None:
    """The disk is full in the middle of a checkpoint: after that DuckDB wants a new process."""
    served = serve().ready()
    assert served.get("/healthz").json() == {"live": True, "missing": []}
    limit = 24 << 20  # bytes of a file; a checkpoint is made after 16 MiB of the write-ahead log
    resource.prlimit(served.process.pid, resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    rows, chance = Rows(bank), random.Random(7)
    for turn in range(50):
        texts = [base64.b85encode(chance.randbytes(64_000)).decode() for _ in range(50)]
        rows.write({f"large-{turn}-{number}": Balance(text) for number, text in enumerate(texts)})
        written = [f"/views/balances/large-{turn}-{number}" for number in range(50)]
        eventually(
            lambda: (
                all(served.get(row).status_code == 200 for row in written)  # noqa: B023
                or served.get("/healthz").status_code == 503
            ),
            "the rows, or the end of the database",
        )
        assert served.sql("SELECT count(*) FROM balances").status_code in (200, 503)  # a copy has no room sooner
        if served.get("/healthz").status_code == 503:
            break
    assert served.get("/healthz").json() == {"live": False, "missing": ["replica"]}
    assert "checkpoint" in served.get("/readyz").json()["trouble"]
    refused = served.get("/views/balances/large-0-0")
    assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json")
