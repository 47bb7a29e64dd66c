"""SQL over the views: it reads everything, and does nothing else."""

import asyncio
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from foldlog.core.errors import QueryError
from foldlog.query.desk import Desk
from tests.engine.running import Bank, eventually
from tests.query.filling import Rows, balance
from tests.query.processes import Served


@pytest.fixture(scope="module")
def filled(bank: Bank, served: Served) -> Served:
    """The service, with some rows."""
    Rows(bank).write({f"account-{number:04}": balance(number) for number in range(500)})
    eventually(lambda: served.select("SELECT count(*) FROM balances") == [[500]], "the rows")
    return served


def test_an_answer_has_columns_and_rows(filled: Served, bank: Bank) -> None:
    answer = filled.sql(f"SELECT owner, sum(amount) AS total FROM {bank.name}.balances GROUP BY ALL ORDER BY 1 LIMIT 2")
    assert answer.json() == {
        "columns": [{"name": "owner", "type": "string"}, {"name": "total", "type": "decimal128(38, 2)"}],
        "rows": [["owner-00", "10.00"], ["owner-01", "10.05"]],
    }
    assert answer.headers["foldlog-position"].startswith(f"{bank.name}.balances:0:")


@pytest.mark.parametrize(
    ("sql", "parameters", "rows"),
    [
        ("SELECT key FROM balances WHERE postings = ?", [7], [["account-0007"]]),
        ("SELECT key FROM balances WHERE postings = $n", {"n": 7}, [["account-0007"]]),
        ("SELECT ?", ["'; DROP TABLE balances; --"], [["'; DROP TABLE balances; --"]]),
        ("FROM balances SELECT count(*);", [], [[500]]),
        ("WITH b AS (FROM balances) SELECT count(*) FROM b, range(2)", [], [[1000]]),
        ("VALUES (1, 2)", [], [[1, 2]]),
        ("SELECT 1 AS a, 2 AS a", [], [[1, 2]]),
        ("SELECT NULL, true, 1.50, 'nan'::double, DATE '1997-01-02', [1, NULL], {'a': 1.5}, MAP {'k': 2}", [],
         [[None, True, "1.50", "nan", "1997-01-02", [1, None], {"a": "1.5"}, {"k": 2}]]),
        ("SELECT 170141183460469231731687303715884105727, 0::decimal(38, 10)", [],
         [["170141183460469231731687303715884105727", "0.0000000000"]]),
        ("SELECT 'é\u0301😀'", [], [["é\u0301😀"]]),
    ],
)  # fmt: skip
def test_what_can_be_asked(sql: str, parameters: Any, rows: list[Any], filled: Served) -> None:
    answer = filled.sql(sql, parameters)
    assert answer.status_code == 200, answer.text
    assert answer.json()["rows"] == rows


@pytest.mark.parametrize("sql", ["EXPLAIN SELECT * FROM balances", "EXPLAIN ANALYZE FROM balances", "DESCRIBE balances",
                                 "SUMMARIZE balances", "SHOW TABLES"])  # fmt: skip
def test_what_helps_with_asking(sql: str, filled: Served) -> None:
    assert filled.select(sql)


HOSTILE = [
    "INSERT INTO balances VALUES ('x', 'y', 1, 1)",
    "UPDATE _foldlog.positions SET next = 0",
    "DELETE FROM balances",
    "WITH gone AS (DELETE FROM _foldlog.positions RETURNING *) SELECT * FROM gone",
    "WITH gone AS (UPDATE _foldlog.positions SET next = 0 RETURNING *) SELECT * FROM gone",
    "MERGE INTO balances USING balances b ON true WHEN MATCHED THEN DELETE",
    "TRUNCATE _foldlog.positions",
    "DROP VIEW balances",
    "DROP SCHEMA _rows CASCADE",
    "ALTER VIEW balances RENAME TO gone",
    "CREATE TABLE t AS SELECT 1",
    "CREATE TEMP TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW balances AS SELECT 1",
    "CREATE MACRO m() AS 1",
    "SELECT 1; DROP VIEW balances",
    "SELECT 1; SELECT 2",
    "COMMIT; DELETE FROM balances",
    "COMMIT",
    "ROLLBACK",
    "BEGIN",
    "ATTACH '/tmp/other.duckdb'",
    "ATTACH ':memory:' AS m",
    "DETACH memory",
    "USE memory",
    "EXPLAIN ANALYZE DELETE FROM _foldlog.positions",
    "EXPLAIN DELETE FROM balances",
    "EXPLAIN COPY balances TO '/tmp/out.csv'",
    "COPY balances TO '/tmp/out.csv'",
    "COPY balances FROM '/etc/passwd'",
    "EXPORT DATABASE '/tmp/exported'",
    "IMPORT DATABASE '/tmp/exported'",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM '/etc/*.csv'",
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM read_csv_auto('http://127.0.0.1:1/x.csv')",
    "SELECT * FROM read_text('/etc/passwd')",
    "SELECT * FROM read_blob('/proc/self/environ')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM glob('/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM query('DELETE FROM balances')",
    "SELECT * FROM query_table('balances')",
    "SELECT * FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))",
    "SELECT * FROM arrow_scan(1, 2, 3)",
    "SELECT * FROM enable_logging(storage = 'file', storage_path = '/tmp/log')",
    "SELECT * FROM checkpoint()",
    "SELECT * FROM force_checkpoint()",
    "WITH x AS (SELECT * FROM truncate_duckdb_logs()) SELECT * FROM x",
    "SELECT (SELECT count(*) FROM duckdb_secrets())",
    "SELECT write_log('x')",
    "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
    "SELECT string_agg(repeat('x', 100000), '') FROM range(1000000)",
    "SELECT repeat('x', 4000000000)",
    "SELECT repeat('x', 10000000) FROM range(2048)",
    "SELECT max(length(repeat('x' || range, 3000000))) FROM range(100000)",
    "SELECT sha256(repeat('x', 2000000000) || range) FROM range(100)",
    "SELECT lpad('x', 1000000000, 'x')",
    "SELECT printf('%1000000000d', 1)",
    "SELECT format('{:1000000000}', 1)",
    "SELECT list_resize([1], 1000000000)",
    "SET memory_limit = '100GB'",
    "SET GLOBAL enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:1'",
    "UPDATE EXTENSIONS",
    "CALL checkpoint()",
    "CHECKPOINT",
    "VACUUM",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "CREATE SECRET s (TYPE http)",
    "COMMENT ON VIEW balances IS 'x'",
    "ANALYZE",
    "",
    ";",
    "-- nothing",
    "garbage",
    "SELECT",
    "SELECT * FROM nothing",
    "SELECT nothing FROM balances",
    "SELECT 'half",
    "SELECT \0 1",
    "SELECT ?",
    "SELECT $a, ?",
    "SELECT 1/'x'",
    "SELECT error('boom')",
    "SELECT 'infinity'::date",
    "SELECT '290000-01-01'::date",
    "SELECT MAP {[1]: 2}",
    "SELECT " + "(" * 5000 + "1" + ")" * 5000,
    "SELECT " + "-" * 99_000 + "1",
    "SELECT " + "1+" * 49_000 + "1",
    "SELECT '" + "x" * 100_001 + "'",
]  # fmt: skip


@pytest.mark.parametrize("sql", [pytest.param(sql, id=f"{number}-{sql[:40]}") for number, sql in enumerate(HOSTILE)])
def test_hostile_sql_is_refused(sql: str, filled: Served) -> None:
    answer = filled.sql(sql)
    assert (answer.status_code // 100, answer.headers["content-type"]) == (4, "application/problem+json"), answer.text
    assert answer.json()["detail"]


def test_hostile_sql_changed_nothing(filled: Served) -> None:
    for sql in HOSTILE:
        filled.sql(sql)
    assert filled.select("SELECT count(*), sum(postings) FROM balances") == [[500, "124750"]]
    assert not [name for name in ("out.csv", "exported", "other.duckdb", "log") if Path("/tmp", name).exists()]
    for view in ("_foldlog.positions", "_rows.balances"):
        assert filled.sql(f"SELECT * FROM {view}").status_code == 400
    assert filled.get("/readyz").status_code == 200


EXPLODING = [
    "SELECT count(*) FROM range(10000000) a, range(10000000) b",
    "SELECT a.range FROM range(1000000) a, range(1000000) b ORDER BY random()",
    "SELECT * FROM balances a, balances b, balances c, balances d",
    "WITH RECURSIVE r AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM r) SELECT max(i) FROM r",
    "SELECT list(range) FROM range(1000000000)",
    "SELECT range(2000000000)",
    "SELECT * FROM range(100000000) ORDER BY random()",
    "SELECT DISTINCT md5(range::varchar) FROM range(1000000000)",
    "SELECT * FROM range(100000000)",
    # Texts that DuckDB does not count, and what is deaf to interruption.
    "SELECT max(length(repeat('x' || range, 3000000))) FROM range(100000)",
    "SELECT sha256(repeat('x', 2000000000) || range) FROM range(100)",
    "SELECT repeat('x', 10000000) FROM range(2048)",
    "SELECT max(length(regexp_replace(repeat(key, 100000), '.', repeat('y', 1000), 'g'))) FROM balances",
    "SELECT max(length(replace(repeat('x', 100000), 'x', repeat(key, 10000)))) FROM balances",
    "SELECT length(to_json(list(key || repeat('a', 1000000)))) FROM balances, range(10)",
    "SELECT list_resize([1], 1000000000)",
    "SELECT printf('%1000000000d', 1)",
    "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
]


@pytest.fixture(scope="module")
def bounded(bank: Bank, filled: Served, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service that has little of everything."""
    limits = {"FOLDLOG_QUERY_SECONDS": "2", "FOLDLOG_QUERY_ROWS": "100000", "FOLDLOG_QUERY_MEMORY_MB": "256"}
    served = Served(bank, tmp_path_factory.mktemp("bounded"), "b", **limits)
    try:
        yield served.ready()
    finally:
        served.close()


@pytest.mark.parametrize("sql", EXPLODING)
def test_what_explodes_is_ended(sql: str, bounded: Served) -> None:
    answer = bounded.sql(sql, format="arrow")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text
    assert "more than" in answer.text or "more memory" in answer.text or "longer than 2 s" in answer.text
    assert bounded.select("SELECT count(*) FROM balances") == [[500]]


def test_the_view_is_followed_while_queries_explode(bounded: Served, bank: Bank) -> None:
    for sql in EXPLODING[:2]:
        bounded.sql(sql)
    Rows(bank).write({"late": balance(9)})
    eventually(lambda: bounded.get("/views/balances/late").status_code == 200, "the row")
    assert bounded.get("/readyz").status_code == 200


def test_more_rows_than_json_should_have(filled: Served) -> None:
    answer = filled.sql("SELECT * FROM range(10001)")
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the answer has more than 10,000 rows: ask for fewer with LIMIT"


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        (b"", "body: Field required"),
        (b"garbage", "JSON decode error"),
        (b"[]", "Input should be"),
        (b"{}", "sql: Field required"),
        (b'{"sql": 1}', "sql: Input should be a valid string"),
        (b'{"sql": ""}', "sql: String should have at least 1 character"),
        (b'{"sql": "SELECT 1", "more": 1}', "more: Extra inputs are not permitted"),
        (b'{"sql": "SELECT ?", "parameters": [[1]]}', "parameters"),
        (b'{"sql": "SELECT 1", "parameters": [1]}', "Parameter"),
        (b'{"sql": "SELECT \\ud800"}', ""),
        (b"\xff\xfe", ""),
    ],
)
def test_a_body_that_is_no_statement(body: bytes, detail: str, filled: Served) -> None:
    answer = filled.http.post("/sql", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code // 100, answer.headers["content-type"]) == (4, "application/problem+json"), answer.text
    assert detail in answer.json()["detail"]


def test_too_many_at_once_are_told_to_come_again() -> None:
    """One is worked on, 64 wait, the next hears of it at once."""
    go_on = threading.Event()

    async def ask() -> list[bool | QueryError]:
        desk = Desk("test", 1)
        asked = [asyncio.ensure_future(desk.run(lambda: go_on.wait(30))) for _ in range(65)]
        await asyncio.sleep(0)
        with pytest.raises(QueryError, match="too many queries at once") as refused:
            await desk.run(lambda: True)
        assert refused.value.status == 429
        go_on.set()
        done = await asyncio.gather(*asked)
        assert await desk.run(lambda: "again") == "again"
        desk.close()
        return list(done)

    assert asyncio.run(ask()) == [True] * 65


def test_an_instance_without_sql_has_rows_and_lists(filled: Served, bank: Bank, tmp_path: Path) -> None:
    with closing(Served(bank, tmp_path, "lists", "--no-sql")) as served:
        served.ready()
        refused = served.sql("SELECT 1")
        assert (refused.status_code, refused.json()["detail"]) == (404, "there is no /sql")
        assert served.get("/views/balances/account-0007").json() == filled.get("/views/balances/account-0007").json()
        assert len(served.get("/views/balances").json()["rows"]) == 100
        assert "/sql" not in served.get("/openapi.json").json()["paths"]
