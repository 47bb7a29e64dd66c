"""Answers are asked for once a version of the rows, and each says exactly what it was read from."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from foldlog.core.errors import QueryError
from foldlog.query.answers import Answers
from foldlog.query.formats import values_of
from foldlog.query.reader import Reader
from foldlog.query.results import Limits
from foldlog.query.storage import Source, Storage
from tests.engine.bank import Balance
from tests.query.filling import balance

TURNS = 200


def test_who_asks_the_same_gets_the_same_until_the_rows_change() -> None:
    asked = 0

    async def ask() -> int:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return asked

    async def several() -> None:
        answers = Answers()
        assert await asyncio.gather(*(answers.of(1, "how many", ask) for _ in range(5))) == [1] * 5
        assert await answers.of(1, "how many", ask) == 1
        assert await answers.of(1, "which", ask) == 2
        assert await answers.of(2, "how many", ask) == 3

    asyncio.run(several())


def test_a_failure_is_told_to_all_who_wait_and_not_kept() -> None:
    async def fail() -> None:
        await asyncio.sleep(0)
        raise QueryError("too many")

    async def succeed() -> str:
        return "enough"

    async def several() -> None:
        answers = Answers()
        found = await asyncio.gather(*(answers.of(1, "how", fail) for _ in range(3)), return_exceptions=True)
        assert [str(each) for each in found] == ["too many"] * 3
        assert await answers.of(1, "how", succeed) == "enough"

    asyncio.run(several())


def test_who_goes_away_takes_the_answer_from_nobody() -> None:
    async def several() -> None:
        answers, may_answer = Answers(), asyncio.Event()

        async def ask() -> str:
            await may_answer.wait()
            return "here"

        first, second = (asyncio.ensure_future(answers.of(1, "where", ask)) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        may_answer.set()
        assert await second == "here"

    asyncio.run(several())


@pytest.fixture
def storage(tmp_path: Path) -> Iterator[Storage]:
    """A storage of one view, without rows."""
    with closing(Storage(tmp_path / "rows.duckdb", 256, 2)) as storage:
        source = Source("balances", "bank.balances", "id", 1, Balance)
        storage.prepare([source], dict.fromkeys(source.places, TURNS))
        storage.show("balances", "bank.balances")
        yield storage


def test_the_state_is_that_of_the_rows_though_they_change(storage: Storage) -> None:
    """Each commit adds a row and an offset, so that they are equal in every snapshot."""
    done = threading.Event()
    topic = "bank.balances"

    def change() -> None:
        for turn in range(1, TURNS + 1):
            storage.apply({topic: {f"account-{turn:03}": balance(turn)}}, {(topic, 0): turn})
        done.set()

    with closing(Reader(storage, Limits(30, 1 << 20))) as reader, ThreadPoolExecutor(3) as threads:

        def look() -> int:
            looks = 0
            while not done.is_set() or not looks:
                count, state = reader.ask("SELECT count(*) FROM balances", (), 1, values_of)
                assert count == [[state.positions.get((topic, 0), 0)]]
                looks += 1
            return looks

        looking = [threads.submit(look) for _ in range(2)]
        threads.submit(change).result()
        assert all(each.result() for each in looking)
        count, state = reader.ask("SELECT count(*) FROM balances", (), 1, values_of)
        assert (count, state.positions[topic, 0]) == ([[TURNS]], TURNS)
    assert storage.version == TURNS + 2


def test_an_error_that_ends_the_database_is_kept_whoever_met_it(storage: Storage) -> None:
    with pytest.raises(duckdb.FatalException), storage.snapshot():
        raise duckdb.FatalException("FATAL Error: the database has been invalidated\nand more")
    assert storage.failure == "FATAL Error: the database has been invalidated"
