"""Live changes: what is applied is told, and whoever was away hears what was missed."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, NamedTuple

import httpx
import pytest

from foldlog.kafka.generations import point
from tests.engine.bank import Balance
from tests.engine.running import PATIENCE, Bank, eventually
from tests.query.conftest import Serve
from tests.query.filling import Rows, balance, second_generation
from tests.query.processes import Served


class Event(NamedTuple):
    """A server-sent event."""

    id: str
    kind: str
    data: Any


@pytest.fixture(scope="module")
def rows(bank: Bank) -> Rows:
    return Rows(bank)


@contextmanager
def listening(http: httpx.Client, last: str = "", **query: str) -> Iterator[Iterator[Event]]:
    """The events of `balances` from when it is listened to."""
    headers = {"last-event-id": last} if last else {}
    with http.stream("GET", "/views/balances/changes", headers=headers, params=query) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if line:
            fields[name or "comment"] = value
        elif fields.get("comment", "").startswith("ping"):  # every 15 s
            fields = {}
        elif fields:
            yield Event(fields.get("id", ""), fields.get("event", "comment"), json.loads(fields.get("data", "null")))
            fields = {}


def changes(events: Iterator[Event], count: int) -> dict[str, Any]:
    """The next so many changes, by key."""
    found = [next(events) for _ in range(count)]
    assert {event.kind for event in found} == {"change"}
    return {event.data["key"]: event.data["row"] for event in found}


def shown(key: str, row: Balance) -> dict[str, Any]:
    return {"key": key, "owner": row.owner, "amount": f"{row.amount:.2f}", "postings": row.postings}


def test_changes_are_told_as_they_are_applied(served: Served, rows: Rows) -> None:
    with listening(served.http) as events:
        assert next(events).kind == "comment"
        written = {f"live-{number}": balance(number) for number in range(20)}
        rows.write(written)
        assert changes(events, 20) == {key: shown(key, row) for key, row in written.items()}
        rows.write({"live-3": None})
        assert changes(events, 1) == {"live-3": None}


def test_of_one_row_only(served: Served, rows: Rows) -> None:
    with listening(served.http, key="wanted") as events:
        next(events)
        rows.write({"other": balance(1), "wanted": balance(2), "another": balance(3)})
        assert changes(events, 1) == {"wanted": shown("wanted", balance(2))}
    # Otherwise the next test hears of it.
    eventually(lambda: served.get("/views/balances/another").status_code == 200, "the row beside it")


def test_who_comes_again_hears_what_was_missed_and_nothing_twice(served: Served, rows: Rows) -> None:
    with listening(served.http) as events:
        next(events)
        rows.write({f"first-{number}": balance(number) for number in range(10)})
        heard = [next(events) for _ in range(4)]
    rows.write({"missed": balance(1), "first-0": None})
    rows.write({"missed": balance(2)})
    with listening(served.http, heard[-1].id) as events:
        next(events)
        rows.write({"live": balance(3)})
        found: dict[str, Any] = {}
        while "live" not in found:
            event = next(events)
            found[event.data["key"]] = event.data["row"]
    known = {event.data["key"]: event.data["row"] for event in heard} | found
    wanted = {f"first-{n}": shown(f"first-{n}", balance(n)) for n in range(1, 10)} | {"first-0": None}
    assert known == {**wanted, "missed": shown("missed", balance(2)), "live": shown("live", balance(3))}
    assert found.keys() - {"missed", "first-0", "live"} == wanted.keys() - {e.data["key"] for e in heard} - {"first-0"}


def test_a_rebuilt_view_is_told(served: Served, rows: Rows, bank: Bank) -> None:
    with listening(served.http) as events:
        first = next(events)
        Rows(bank, second_generation(bank)).write({"new": balance(1)})
        point(bank.cluster.bootstrap, bank.name, "balances", "balances.g2")
        assert [event.kind for event in events] == ["comment"], "it ends, and says so"
    with listening(served.http, first.id) as events:
        assert [next(events).kind for _ in range(2)] == ["comment", "rebuilt"]
    point(bank.cluster.bootstrap, bank.name, "balances", "balances")


@pytest.mark.parametrize("last", ["garbage", "0:1,1:1,2:1", "t@0:1", "t@0:1,1:1,2:x", "t@0:1,1:1,2:1,3:1", "t@0:-1"])
def test_an_id_that_no_event_had(last: str, served: Served) -> None:
    answer = served.http.get("/views/balances/changes", headers={"last-event-id": last})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "Last-Event-ID" in answer.json()["detail"]


def test_who_reads_slowly_still_hears_the_end(rows: Rows, serve: Serve) -> None:
    served = serve()
    large = {f"large-{number}": Balance("x" * 200_000, Decimal(number), number) for number in range(60)}
    small_buffer = httpx.HTTPTransport(socket_options=[(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)])
    try:
        with (
            httpx.Client(base_url=served.ready().url, timeout=PATIENCE, transport=small_buffer) as http,
            listening(http) as events,
        ):
            next(events)
            rows.write(large)
            eventually(lambda: all(served.get(f"/views/balances/{key}").status_code == 200 for key in large))
            served.process.terminate()
            time.sleep(1)  # the service cannot send more meanwhile
            assert [event.kind for event in events] == ["change"] * len(large) + ["comment"]
            assert served.process.wait(30) == 0, served.output
    finally:
        rows.write(dict.fromkeys(large))


def test_the_service_ends_though_somebody_listens(serve: Serve) -> None:
    served = serve()
    with listening(served.ready().http) as events:
        next(events)
        served.process.terminate()
        list(events)
        assert served.process.wait(30) == 0, served.output
