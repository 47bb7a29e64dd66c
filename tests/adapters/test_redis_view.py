"""Rows in Redis: exact JSON, a time to live where it is wanted, and nobody else's keys touched."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime

import pytest
import redis as redis_client

from foldlog.contracts.exact_json import from_json
from foldlog.core.errors import AwayError, ConfigError, FencedError, SinkError
from foldlog.core.record import Record
from foldlog.sinks.redis_view import RedisView
from foldlog.sinks.target import Applied, Change
from tests.adapters.kept import Place

pytestmark = pytest.mark.adapters
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Note(Record):
    text: str = ""
    ratio: float = 0.0


@pytest.fixture
def place(redis: str) -> Place:
    return Place.at(redis)


@pytest.fixture
def client(redis: str) -> Iterator[redis_client.Redis]:
    with redis_client.Redis.from_url(redis, decode_responses=True) as client:
        yield client


@pytest.fixture
def view(place: Place) -> Iterator[RedisView]:
    with closing(RedisView(place.url, place.name, f"{place.name}:")) as view:
        view.open()
        yield view


def put(view: RedisView, *rows: tuple[str, Note | None]) -> None:
    changes = [Change(key, row, 0, number) for number, (key, row) in enumerate(rows)]
    view.apply(changes, Applied({0: len(rows), 7: 3}, "id", NOW))


def test_rows_and_offsets_are_there_together(view: RedisView, place: Place, client: redis_client.Redis) -> None:
    odd = Note("\0\r\n'\"\\u0000\U0001f600", -0.5)
    put(view, ("a b\n", odd), ("gone", None), ("x" * 5000, Note("y" * 1_000_000)))
    assert from_json(Note, json.loads(str(client.get(f"{place.name}:a b\n")))) == odd
    assert view.open() == Applied({0: 3, 7: 3}, "id", NOW)
    assert client.ttl(f"{place.name}:a b\n") == -1


def test_a_row_lives_as_long_as_is_wanted(place: Place, client: redis_client.Redis) -> None:
    with closing(RedisView(place.url, place.name, f"{place.name}:", ttl_s=60)) as view:
        view.open()
        put(view, ("ada", Note()))
        assert 0 < int(str(client.ttl(f"{place.name}:ada"))) <= 60
        assert client.ttl(f"foldlog:{place.name}") == -1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_json_cannot_say_is_named_and_nothing_is_written(
    view: RedisView, place: Place, client: redis_client.Redis, value: float
) -> None:
    with pytest.raises(SinkError, match=r"^key 'bob' \(partition 0, offset 1\), column ratio: .* is no number"):
        put(view, ("ada", Note()), ("bob", Note(ratio=value)))
    assert client.get(f"{place.name}:ada") is None
    assert view.open().offsets == {}


def test_clearing_takes_the_keys_with_the_prefix_alone(redis: str, place: Place, client: redis_client.Redis) -> None:
    prefix = f"{place.name}*[a]?:"
    client.set(f"{place.name}-others", "1")
    client.set(f"{place.name}xxaz:k", "1")
    with closing(RedisView(redis, place.name, prefix)) as view:
        view.open()
        put(view, *((f"k{number}", Note()) for number in range(2500)))
        view.clear()
        assert [key for key in client.scan_iter(count=5000) if str(key).startswith(prefix)] == []
        assert view.open() == Applied()
    assert client.mget(f"{place.name}-others", f"{place.name}xxaz:k") == ["1", "1"]


def test_a_transaction_of_one_that_was_fenced_changes_nothing(
    view: RedisView, place: Place, client: redis_client.Redis
) -> None:
    with closing(RedisView(place.url, place.name, f"{place.name}:")) as younger:
        younger.open()
        with pytest.raises(FencedError, match="another process fills it now"):
            put(view, ("ada", Note("old")))
        put(younger, ("ada", Note("young")))
    assert json.loads(str(client.get(f"{place.name}:ada")))["text"] == "young"


def test_one_that_was_emptied_is_opened_anew(view: RedisView, place: Place, client: redis_client.Redis) -> None:
    put(view, ("ada", Note()))
    client.delete(f"foldlog:{place.name}")
    with pytest.raises(AwayError, match="has lost what it had"):
        put(view, ("bob", Note()))
    assert view.open().offsets == {}


@pytest.mark.parametrize("prefix", ["", "foldlog:", "foldlog:x"])
def test_a_prefix_that_would_take_others_keys_is_refused(place: Place, prefix: str) -> None:
    with pytest.raises(ConfigError, match="must not be empty, nor begin with foldlog:"):
        RedisView(place.url, place.name, prefix)


def test_a_url_that_is_none_and_a_server_that_is_not_there() -> None:
    with pytest.raises(ConfigError, match=r"Redis's URL: .*write redis://"):
        RedisView("http://127.0.0.1", "x", "x:")
    with (
        closing(RedisView("redis://:secret@127.0.0.1:1/0", "x", "x:")) as view,
        pytest.raises(AwayError, match=r"^127\.0\.0\.1:1/0 x:\*: ") as raised,
    ):
        view.open()
    assert "secret" not in str(raised.value)
