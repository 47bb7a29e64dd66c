"""The query service over HTTP."""

from collections.abc import Sequence
from functools import partial
from typing import IO, Annotated, Any, NamedTuple

import msgspec
from fastapi import Depends, FastAPI, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel, ConfigDict, Field

from foldlog import __version__
from foldlog.core.errors import QueryError
from foldlog.query import problems
from foldlog.query.arrow import arrow_schema, key_column
from foldlog.query.formats import MEDIA, Format, chunks, negotiated, page, row, values_of, written
from foldlog.query.lists import Listing, listed
from foldlog.query.service import After, Question, Service
from foldlog.query.statements import quoted
from foldlog.query.streams import stream

JSON_ROWS = 10_000  # most rows of a JSON answer; other formats have the service's limit
RESERVED = frozenset({"after", "columns", "cursor", "follow", "format", "limit", "offset", "sort", "wait_ms"})

View = Annotated[str, Path(description="The name of a view.")]
Form = Annotated[Format | None, Query(alias="format", description="How the answer is written; else Accept says.")]
Accept = Annotated[str, Header()]


class Statement(BaseModel):
    """A statement of SQL that reads; `parameters` are a list for `?`, an object for `$name`."""

    model_config = ConfigDict(extra="forbid")

    sql: str = Field(min_length=1)
    parameters: list[str | int | float | bool | None] | dict[str, str | int | float | bool | None] = []


async def _after(  # a coroutine, since others are given to a thread
    after: Annotated[str, Query(description="Places of events, `topic:partition:offset`, that it contains.")] = "",
    wait_ms: Annotated[int | None, Query(ge=0, le=60_000, description="How long to wait for them.")] = None,
    follow: Annotated[bool, Query(description="Also what sagas sent upon them, and what came of that.")] = False,
    foldlog_after: Annotated[str, Header(description="As `after`.")] = "",
) -> After:
    """What the answer must contain."""
    return After(f"{after},{foldlog_after}", wait_ms, follow)


class Wanted(NamedTuple):
    """Which rows of a view, in which order and form."""

    form: Format
    sort: str
    columns: str
    limit: int | None
    offset: int
    cursor: str

    @property
    def is_page(self) -> bool:
        """JSON comes in pages, files are whole."""
        return self.form is Format.JSON

    def listing(self, filters: list[tuple[str, str]], most: int) -> Listing:
        """The list; with one row more than there may be, which tells that there are more."""
        limit = (self.limit or most) + (self.is_page or self.limit is None)
        return Listing(filters, self.sort, self.columns, limit, self.offset, self.cursor)


async def _wanted(
    *,
    sort: Annotated[str, Query(description="Columns with commas between; `-` before one that descends.")] = "",
    columns: Annotated[str, Query(description="Only these columns, and those that are sorted by.")] = "",
    limit: Annotated[int | None, Query(ge=1, le=10_000_000, description="Rows; JSON: 100, most 10,000.")] = None,
    offset: Annotated[int, Query(ge=0, le=1 << 40, description="Rows to leave out; `cursor` is faster.")] = 0,
    cursor: Annotated[str, Query(max_length=10_000, description="`next` of the page before.")] = "",
    form: Form = None,
    accept: Accept = "",
) -> Wanted:
    """Which rows are wanted."""
    chosen = negotiated(form, accept)
    most = min(limit or 100, JSON_ROWS) if chosen is Format.JSON else limit
    return Wanted(chosen, sort, columns, most, offset, cursor)


Waiting = Annotated[After, Depends(_after)]


def application(service: Service, *, sql: bool) -> FastAPI:
    """The service's HTTP application; with statements of SQL or without."""
    app = FastAPIOffline(  # its pages need nothing of the internet
        title=f"foldlog: {service.topology.name}",
        version=__version__,
        redoc_url=None,
        description="The views of a context: rows, lists, SQL, downloads and live changes.",
        responses={status: {"description": "A problem (RFC 9457)."} for status in (400, 422, 429, 503, 504)},
    )
    problems.install(app)
    api = _Api(service)
    app.add_api_route("/views", api.views, summary="Which views there are, and how fresh they are")
    app.add_api_route("/views/{view}", api.rows, summary="Rows of a view: filtered, sorted, in pages, or all of them")
    app.add_api_route("/views/{view}/changes", api.changes, summary="Changes of rows as they happen (SSE)")
    app.add_api_route("/views/{view}/{key:path}", api.row, summary="The row of a key")
    if sql:
        app.add_api_route("/sql", api.sql, methods=["POST"], summary="A SELECT over all views")
    app.add_api_route("/healthz", api.healthz, summary="Whether the service lives")
    app.add_api_route("/readyz", api.readyz, summary="Whether the service can answer")
    _describe(app.openapi(), sorted(service.views))
    return app


def _describe(document: dict[str, Any], views: list[str]) -> None:
    """Adds to the OpenAPI document what only a running service knows, and the filters, whose names are columns'."""
    for methods in document["paths"].values():
        for operation in methods.values():
            for parameter in operation.get("parameters", ()):
                if parameter["name"] == "view":
                    parameter["schema"]["enum"] = views
    filters = {"type": "object", "additionalProperties": {"type": "string"}}
    document["paths"]["/views/{view}"]["get"]["parameters"].append(
        {
            "name": "filters",
            "in": "query",
            "style": "form",
            "explode": True,
            "schema": filters,
            "description": "Filters: a column's name, and OPERATOR:VALUE.",
            "example": {},
        }
    )


class _Api:
    """The routes."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def views(self) -> Response:
        """Name, topic, columns, number of rows, position and age of each view."""
        found = [await self._view(name) for name in self._service.views]
        return _json({"context": self._service.topology.name, "views": found})

    async def row(self, view: View, key: str, after: Waiting) -> Response:
        """One row as an object; 404 where there is none."""
        column, names = self._columns(view)
        sql = f"SELECT * FROM {quoted(view)} WHERE {quoted(column)} = ?"  # noqa: S608 — names that are known
        asked = Question(sql, [key], [view], 1)
        found, headers = await self._service.ask(asked, after, partial(row, names), kept=True)
        if found is None:
            raise QueryError(f"{view} has no row `{key}`", 404)
        return _encoded(found, headers)

    async def rows(
        self, request: Request, view: View, wanted: Annotated[Wanted, Depends(_wanted)], after: Waiting
    ) -> Response:
        """Any other parameter is a filter, `column=OPERATOR:VALUE`; all of them must hold.

        Operators: eq, ne, lt, lte, gt, gte, in (values with commas between), like, ilike, null (true or false). JSON
        is a page with `next`; CSV, Arrow and Parquet are the whole list where no limit is given.
        """
        key, _ = self._columns(view)
        most = self._service.settings.query_rows
        filters = [(name, text) for name, text in request.query_params.multi_items() if name not in RESERVED]
        asked = listed(view, arrow_schema(self._service.view(view).row), key, wanted.listing(filters, most))
        if not wanted.is_page:
            return await self._download(Question(asked.sql, asked.parameters, [view], most), after, wanted.form)
        limit = wanted.limit or 0
        question = Question(asked.sql, asked.parameters, [view], limit + 1)
        body, headers = await self._service.ask(question, after, partial(page, asked.order, limit), kept=True)
        return _encoded(body, headers)

    async def sql(self, statement: Statement, after: Waiting, form: Form = None, accept: Accept = "") -> Response:
        """One SELECT (or EXPLAIN) in DuckDB's SQL; the views are its tables, alone or as `context.view`.

        JSON has columns and rows, at most 10,000 of them; CSV, Arrow and Parquet may have more. With `after` it waits
        for the views that it names.
        """
        wanted, most = negotiated(form, accept), self._service.settings.query_rows
        found = await self._service.checked(statement.sql)
        views = self._service.views_of(found)
        rows = min(JSON_ROWS, most) if wanted is Format.JSON else most
        question = Question(found.sql, statement.parameters, views, rows)
        file, headers = await self._service.select(question, wanted, after)
        return _file(file, views, wanted, headers)

    async def changes(
        self,
        view: View,
        key: Annotated[str | None, Query(description="Only the row of this key.")] = None,
        last_event_id: Annotated[str, Header(description="Go on after this event.")] = "",
    ) -> Response:
        """Server-sent events: `change` with key and row, which is null where it was deleted.

        Of several changes in one batch the last is told. Who comes again with `Last-Event-ID` misses nothing; where
        the view was rebuilt meanwhile, `rebuilt` says that all of it is to be read again.
        """
        return stream(self._service, self._service.view(view), key, last_event_id)

    async def healthz(self) -> Response:
        """200 while the thread that follows the views moves; otherwise a new process is needed."""
        alive = self._service.replica.alive
        return _json({"live": alive, "missing": [] if alive else ["replica"]}, status=200 if alive else 503)

    async def readyz(self) -> Response:
        """200 once everything is loaded that was there at the start; else how far that is."""
        replica, loading = self._service.replica, self._service.replica.loading
        ready = replica.loaded.is_set()
        left = None if loading.left is None else round(loading.left, 1)
        progress = {"done": loading.done, "total": loading.total, "seconds_left": left}
        body = {"ready": ready, "trouble": replica.trouble, "loading": None if ready else progress}
        return _json(body, status=200 if ready else 503)

    async def _view(self, name: str) -> dict[str, Any]:
        counting = f"SELECT count(*) FROM {quoted(name)}"  # noqa: S608 — the name is known
        ((count,),), _ = await self._service.ask(Question(counting, (), [name], 1), After(), values_of)
        replica = self._service.replica
        topic, key = replica.topic(name), self._columns(name)[0]
        age, at = replica.positions.age([topic]), replica.positions.at([topic])
        return {
            "name": name,
            "topic": topic,
            "key": key,
            "columns": [{"name": f.name, "type": str(f.type)} for f in arrow_schema(self._service.view(name).row)],
            "rows": count,
            "position": {str(partition): offset for (_, partition), offset in sorted(at.items())},
            "age_ms": None if age is None else round(age * 1000),
            "unreadable": replica.unreadable[topic],
        }

    def _columns(self, view: str) -> tuple[str, list[str]]:
        """The column of a view's key, and all of its columns."""
        row = self._service.view(view).row
        return key_column(row), arrow_schema(row).names

    async def _download(self, question: Question, after: After, form: Format) -> Response:
        file, headers = await self._service.ask(question, after, partial(written, form=form))
        return _file(file, question.views, form, headers)


def _file(file: IO[bytes], views: Sequence[str], form: Format, headers: dict[str, str]) -> Response:
    """An answer that is a file; JSON is read where it is found, the others are kept."""
    if form is not Format.JSON:
        name = "-".join(views) or "answer"
        headers["Content-Disposition"] = f'attachment; filename="{name}.{form}"'
    return StreamingResponse(chunks(file), media_type=MEDIA[form], headers=headers)


def _json(body: Any, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    return _encoded(msgspec.json.encode(body), headers, status)


def _encoded(body: bytes, headers: dict[str, str] | None = None, status: int = 200) -> Response:
    return Response(body, status, headers, "application/json")
