"""What the query service answers with: a replica, its reader, and the waiting for one's own writes."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, TypeVar

from foldlog.client.positions import Position, parse
from foldlog.contracts.codec import Codec
from foldlog.core.errors import ConfigError, QueryError
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.query.answers import Answers
from foldlog.query.arrow import arrow_schema
from foldlog.query.causation import FollowUps, Step, folding, follow_up
from foldlog.query.children import Children
from foldlog.query.copies import Copies
from foldlog.query.desk import Desk
from foldlog.query.formats import Format
from foldlog.query.frontier import Ends, Frontier
from foldlog.query.protocol import Ask, Setup
from foldlog.query.reader import Found, Parameters, Reader
from foldlog.query.replica import Replica
from foldlog.query.results import Answer, Limits
from foldlog.query.state import State
from foldlog.query.statements import Statement
from foldlog.query.storage import Storage
from foldlog.settings import Settings

T = TypeVar("T")
_STATEMENTS = 2  # statements of SQL at once, so that rows and lists are answered beside them
_DUCKDB_THREADS = 2
_LOOK_EVERY = 0.2  # s between two looks, of who waits, at which topics are shown


class Question(NamedTuple):
    """SQL that may be run, ours or a reader's statement, and the views that its answer is about."""

    sql: str
    parameters: Parameters
    views: Sequence[str]
    rows: int

    @property
    def text(self) -> tuple[str, str]:
        """What tells it from others."""
        return self.sql, repr(self.parameters)


class After(NamedTuple):
    """What an answer must contain: places of events with commas between, and how long to wait for them."""

    tokens: str = ""
    wait_ms: int | None = None
    follow: bool = False  # also what sagas sent upon the events, and what came of that


class Way(NamedTuple):
    """How an event comes to the rows of a view: where the fold reads it, and by what sagas send upon it."""

    at: Position
    fold: Step
    follow_ups: FollowUps | None


class Service:
    """Answers questions about the views of a topology; QueryError says what is wrong with one."""

    def __init__(
        self,
        *,
        bootstrap: str,
        topology: Topology,
        views: Sequence[View[Any, Any]],
        codec: Codec,
        settings: Settings,
        path: Path,
    ) -> None:
        self.bootstrap, self.topology, self.settings = bootstrap, topology, settings
        self.views = {view.name: view for view in views}
        storage = Storage(path, settings.query_memory_mb, _DUCKDB_THREADS)
        self.replica = Replica(bootstrap, topology, views, codec, storage)
        self._frontier = Frontier(bootstrap)
        limits = Limits(settings.query_seconds, settings.query_memory_mb << 20)
        self._reader = Reader(storage, limits)
        self._copies = Copies(storage, self._reader)
        self._children = Children(_setup(topology, views, settings), _STATEMENTS, settings.query_seconds)
        self._answers = Answers()
        self._rows, self._sql = Desk("rows", settings.query_threads), Desk("sql", _STATEMENTS)

    def start(self, *, sql: bool = True) -> None:
        """Begins to follow the views, and the processes for SQL where there is to be any."""
        if sql:
            self._children.start()
        self.replica.start()

    def end_statements(self) -> None:
        """Ends what readers' statements are at work; they are answered with 503."""
        self._children.close()

    def close(self) -> None:
        """Ends all of its threads and processes."""
        for each in (self._children, self._rows, self._sql, self._copies, self._reader, self._frontier, self.replica):
            each.close()

    def view(self, name: str) -> View[Any, Any]:
        """A view by its name; QueryError 404 lists those that there are."""
        if name not in self.views:
            raise QueryError(f"there is no view `{name}`; there are {', '.join(sorted(self.views))}", 404)
        return self.views[name]

    async def ask(
        self, question: Question, after: After, take: Callable[[Answer], T], *, kept: bool = False
    ) -> tuple[T, dict[str, str]]:
        """What `take` makes of the answer, and what is said about it in headers.

        `kept`: while the rows do not change, who asks the same gets the same. Raises QueryError: 503 before the replica
        is loaded, 504 where what it must contain does not come in time.
        """
        asked = partial(self._reader.ask, question.sql, question.parameters, question.rows, take)

        async def asking() -> Found[T]:
            return await self._rows.run(asked)

        async def once() -> Found[T]:
            found: Found[T] = await self._answers.of(self.replica.storage.version, question.text, asking)
            return found

        return await self._current(question.views, after, once if kept else asking)

    async def select(self, question: Question, form: Format, after: After) -> tuple[IO[bytes], dict[str, str]]:
        """The answer to a reader's statement as a file, and what is said about it in headers; raises as `ask` does."""
        request = Ask(question.sql, question.parameters, question.rows, form, list(question.views))

        def asked() -> Found[IO[bytes]]:
            with self._copies.of(question.views) as copy:
                return Found(self._children.ask(request, copy.files), copy.state)

        return await self._current(question.views, after, partial(self._sql.run, asked))

    async def _current(
        self, views: Sequence[str], after: After, ask: Callable[[], Awaitable[Found[T]]]
    ) -> tuple[T, dict[str, str]]:
        """An answer that contains what it must, of the generations that were waited for; and what is said about it."""
        while True:
            self.require_loaded()
            topics = {view: self.replica.topic(view) for view in views}
            await self._contain(topics, after)
            age, began = self.replica.positions.age(topics.values()), time.monotonic()
            found = await ask()
            if all(found.state.topics.get(view) == topic for view, topic in topics.items()):
                age = None if age is None else age + time.monotonic() - began
                return found.value, _headers(found.state, topics.values(), age)
            # Another generation is shown since: how old it is, and whether it contains the event, is to be seen.

    async def checked(self, sql: str) -> Statement:
        """A reader's statement, which may be run."""
        self.require_loaded()
        return await self._sql.run(partial(self._children.check, sql))

    def views_of(self, statement: Statement) -> list[str]:
        """The views that a statement names."""
        return sorted(self.views.keys() & {name.lower() for name in statement.tables})

    def require_loaded(self) -> None:
        """QueryError 503 while the replica has not everything that was there when it began."""
        if not self.replica.loaded.is_set():
            now = self.replica.loading
            percent = 100 * now.done // now.total if now.total else 0
            raise QueryError(f"the replica is loading: {percent} %", 503)

    async def _contain(self, topics: Mapping[str, str], after: After) -> None:
        """Waits until these topics, by view, contain the events, or until other topics are shown.

        Raises QueryError: 400 for what is no place in a log that one of the views reads, 504 where the time is over.
        """
        words = _words(after.tokens)
        if not words:
            return
        ways = [way for at in map(_position, words) for way in self._ways(topics, at, after.follow)]
        wait_ms = self.settings.query_wait_ms if after.wait_ms is None else after.wait_ms
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._contained(topics, map(self._contains, ways))
        except TimeoutError as error:
            raise QueryError(
                f"{', '.join(topics)}: not yet at {', '.join(words)} after {wait_ms} ms: ask again, with "
                "a longer wait_ms, or without `after` for what there is; is `foldlog run` running?",
                504,
            ) from error

    async def _contained(self, topics: Mapping[str, str], asked: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Returns once all are done, or other topics are shown: nobody follows those of before any more."""
        containing = asyncio.gather(*asked)
        containing.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be left who asks
        try:
            while not (await asyncio.wait({containing}, timeout=_LOOK_EVERY))[0]:
                if any(self.replica.topic(view) != topic for view, topic in topics.items()):
                    return
            await containing
        finally:
            containing.cancel()

    async def _contains(self, way: Way) -> None:
        ends: Ends = {}
        if way.at.place in way.fold.inputs:
            ends = await asyncio.wrap_future(self._frontier.beyond_event(way.fold, way.at))
        if way.follow_ups is not None:
            sagas, aggregates = way.follow_ups
            sent = await self._all(self._frontier.beyond_event(saga, way.at) for saga in sagas)
            told = await self._all(self._frontier.beyond_ends(aggregate, sent) for aggregate in aggregates)
            ends = await asyncio.wrap_future(self._frontier.beyond_ends(way.fold, told))
        await asyncio.wrap_future(self.replica.positions.wait(ends))

    async def _all(self, asked: "Iterable[Future[Ends]]") -> Ends:
        found = await asyncio.gather(*map(asyncio.wrap_future, asked))
        return {place: max(ends[place] for ends in found if place in ends) for ends in found for place in ends}

    def _ways(self, topics: Mapping[str, str], at: Position, follow: bool) -> list[Way]:
        """How an event comes to those of the views that read its log, or what sagas bring about upon it."""
        found = []
        for view, topic in topics.items():
            declared = self.views[view]
            fold, there = folding(self.topology, declared, topic), at.partition in range(self.topology.partitions)
            follow_ups = follow_up(self.topology, declared, at.topic) if follow and there else None
            if at.place in fold.inputs or follow_ups is not None:
                found.append(Way(at, fold, follow_ups))
        if not found:
            raise QueryError(f"after: {', '.join(topics) or 'what reads no view'} never comes to {at}")
        return found


def _setup(topology: Topology, views: Iterable[View[Any, Any]], settings: Settings) -> Setup:
    """What the processes for SQL are to know."""
    schemas = {view.name: arrow_schema(view.row).serialize().to_pybytes() for view in views}
    return Setup(topology.name, schemas, settings.query_memory_mb, _DUCKDB_THREADS)


def _headers(state: State, topics: Collection[str], age: float | None) -> dict[str, str]:
    """The place up to which an answer has its views, and for how long it may have been older than the topics."""
    found = sorted((place, offset) for place, offset in state.positions.items() if place[0] in topics)
    headers = {"Foldlog-Position": ",".join(f"{topic}:{number}:{offset}" for (topic, number), offset in found)}
    return headers if age is None else {**headers, "Foldlog-Age-Ms": str(round(age * 1000))}


def _words(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _position(text: str) -> Position:
    try:
        return parse(text)
    except ConfigError as error:
        raise QueryError(f"after: {error}") from error
