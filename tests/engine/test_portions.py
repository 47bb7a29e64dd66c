"""A batch becomes as many transactions as memory wants: it is bounded by what it holds, not by its records alone."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from foldlog.cluster import Cluster
from foldlog.cluster.extra import embedded
from foldlog.core import topics
from foldlog.engine.batch import Batch, Received
from foldlog.engine.portions import Portions
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh
from tests.engine.scrolls import Write, scrolls


class Numbered:
    """A record of which its place alone is asked."""

    def __init__(self, number: int) -> None:
        self.number = number

    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return self.number % 3

    def offset(self) -> int:
        return self.number // 3

    def error(self) -> None:
        return None


def batch_of(count: int) -> Batch:
    messages: list[Any] = [Numbered(number) for number in range(count)]
    offsets = {("t", number % 3): number // 3 + 1 for number in range(count)}
    return Batch(7, messages, offsets, "the group")


def numbers(messages: list[Received]) -> list[int]:
    return [message.number for message in messages]  # type: ignore[attr-defined]


@given(st.integers(0, 5000), st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 1 << 30)), max_size=4))
def test_portions_are_the_batch_in_its_order_with_the_offsets_that_each_reaches(
    count: int, taken: list[tuple[int, int]]
) -> None:
    portions, batch = Portions(), batch_of(count)
    for records, size in taken:
        portions.taken(records, size)
    parts = list(portions.of(batch))
    assert [number for part in parts for number in numbers(part.messages)] == list(range(count))
    assert {(part.epoch, part.group) for part in parts} == {(7, "the group")}
    reached: dict[tuple[str, int], int] = {}
    for part in parts:
        reached |= {(m.topic(), m.partition()): m.offset() + 1 for m in part.messages}
        assert {**reached, **part.offsets} == reached
    assert reached == batch.offsets


def sizes(portions: Portions, count: int, row: int) -> list[int]:
    """How many records each portion of a batch has, where every record changes a row of so many bytes."""
    found = []
    for part in portions.of(batch_of(count)):
        found.append(len(part.messages))
        portions.taken(found[-1], found[-1] * row)
    return found


def test_while_nothing_is_known_of_the_rows_a_portion_is_small() -> None:
    portions = Portions()
    assert sizes(portions, 30_000, 100) == [1000, 8000, 21_000]
    assert sizes(portions, 30_000, 100) == [30_000]
    portions = Portions()
    assert sizes(portions, 900, 100) == [900]
    assert sizes(portions, 8000, 100) == [7200, 800]


def test_the_rows_of_a_portion_are_at_most_48_mib() -> None:
    portions = Portions()
    assert sizes(portions, 5000, 100_000) == [1000, *[503] * 7, 479]
    assert sizes(portions, 100, 1 << 20) == [100]
    assert sizes(portions, 100, 1 << 20) == [48, 48, 4]
    assert sizes(portions, 50, 1 << 30) == [48, 2]
    assert sizes(portions, 50, 1 << 30) == [20, 20, 10]


def test_rows_that_rang_without_a_record_say_nothing() -> None:
    portions = Portions()
    portions.taken(0, 1 << 30)
    assert sizes(portions, 1500, 100) == [1000, 500]


@pytest.fixture
def library(cluster: Cluster) -> Iterator[Bank]:
    with fresh(cluster, scrolls) as made:
        yield made


@pytest.mark.timeout(600)
def test_large_rows_do_not_fill_the_memory(library: Bank, tmp_path: Path) -> None:
    """8,000 states of 100 kB behind 16,000 commands that are there at once."""
    names = [f"scroll-{number}" for number in range(8000)]
    library.send(*[Write(name, number) for number in (1, 2) for name in names])
    commands = topics.commands(library.name, "scroll")
    most = 0.0
    worker = Worker(library, tmp_path, "w", module="tests.engine.scrolls")
    with closing(worker):
        process = embedded("psutil").Process(worker.process.pid)

        def all_done() -> bool:
            nonlocal most
            most = max(most, process.memory_info().rss / (1 << 20))
            return sum(library.passed("scroll", commands, number) for number in (0, 1)) >= 16_000

        eventually(all_done, "the last command", 240)
        assert worker.stop() == 0
    versions = defaultdict(list)
    for event, meta in library.log("scroll"):
        versions[meta.aggregate_id].append((meta.version, event))
    assert sorted(versions) == sorted(names)
    assert {tuple(version for version, _ in each) for each in versions.values()} == {(1, 2)}
    assert most < 1024
