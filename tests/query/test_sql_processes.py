"""The processes that run readers' SQL: they end with their statement, or with the service, and never the other way."""

import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from os import kill
from pathlib import Path

import httpx
import pytest

from tests.engine.running import Bank, eventually
from tests.query.conftest import Serve
from tests.query.filling import Rows, balance
from tests.query.processes import Served

ENDLESS = "SELECT count(*) FROM range(10000000) a, range(10000000) b"
LARGE = "SELECT max(length(repeat('x' || range, 3000000))) FROM range(100000)"


def children(served: Served) -> list[int]:
    """The processes that a service has started, by the kernel's word."""
    found: list[int] = []
    for task in Path(f"/proc/{served.process.pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has ended meanwhile has none
            found += map(int, (task / "children").read_text().split())
    return sorted(found)


def lives(pid: int) -> bool:
    """Whether a thread of it runs; a dead process that nobody has waited for has one that does not."""
    try:
        stats = [(task / "stat").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except (FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").exists() and lives(pid)
    return any(stat.rpartition(")")[2].split()[0] not in "ZX" for stat in stats)


def busy(served: Served) -> int:
    """The child that works."""

    def ticks(pid: int) -> int:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])

    before = {pid: ticks(pid) for pid in children(served)}
    return eventually(lambda: next((pid for pid in before if ticks(pid) > before[pid] + 20), 0), "a child that works")


def has(served: Served, key: str) -> bool:
    """Whether the view has a row."""
    return served.get(f"/views/balances/{key}").status_code == 200


@pytest.fixture
def two(serve: Serve, bank: Bank) -> Served:
    """A service with rows and both of its processes."""
    served = serve(FOLDLOG_QUERY_MEMORY_MB="256").ready()
    Rows(bank).write({f"account-{number:04}": balance(number) for number in range(500)})
    eventually(lambda: served.select("SELECT count(*) FROM balances") == [[500]], "the rows")
    assert len(children(served)) == 2
    return served


def test_a_statement_whose_process_is_killed_is_told_so_and_the_next_one_works(two: Served) -> None:
    with ThreadPoolExecutor(1) as threads:
        asked = threads.submit(two.sql, ENDLESS)
        victim = busy(two)
        kill(victim, signal.SIGKILL)
        answer = asked.result()
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["detail"] == "the process that ran the statement was killed from outside: ask again"
    assert two.select("SELECT count(*) FROM balances") == [[500]]
    assert victim not in children(two)
    assert len(children(two)) == 2


def test_processes_that_die_while_nobody_asks_are_replaced(two: Served) -> None:
    before = children(two)
    for pid in before:
        kill(pid, signal.SIGKILL)
    eventually(lambda: not any(map(lives, before)), "their death")
    for _ in range(3):
        assert two.select("SELECT count(*) FROM balances") == [[500]]


def test_rows_and_lists_and_the_replica_go_on_while_sql_takes_all_it_may_have(two: Served, bank: Bank) -> None:
    over = threading.Event()

    def ask() -> set[int]:
        statuses = set()
        while not over.is_set():
            statuses.add(two.sql(LARGE).status_code)
        return statuses

    with ThreadPoolExecutor(2) as threads:
        asking = [threads.submit(ask) for _ in range(2)]
        for number in range(20):
            Rows(bank).write({f"late-{number}": balance(number)})
            eventually(partial(has, two, f"late-{number}"), "the row")
            assert two.get("/views/balances").status_code == 200
        time.sleep(1)
        over.set()
        assert [each.result() for each in asking] == [{422}] * 2
    assert two.process.poll() is None
    assert two.select("SELECT count(*) FROM balances") == [[520]]
    Rows(bank).write({f"late-{number}": None for number in range(20)})


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_none_is_left_whatever_ends_the_service(how: signal.Signals, two: Served) -> None:
    """One of them is at work, and deaf."""
    with ThreadPoolExecutor(1) as threads:
        pids = children(two)
        asked = threads.submit(two.sql, "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))")
        busy(two)
        assert two.stop(how) == (-how if how is signal.SIGKILL else 0), two.output
        with suppress(httpx.TransportError):  # its connection may end before an answer
            assert asked.result().status_code == 503
    eventually(lambda: not any(map(lives, pids)), "the end of all")
    assert "Traceback" not in two.output
