"""Lists and answers as files: CSV, Arrow and Parquet, by `format` or by Accept."""

import csv
import io
from decimal import Decimal
from typing import Any

import httpx
import polars
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from foldlog.query.arrow import arrow_schema
from tests.engine.bank import Balance
from tests.engine.running import Bank, eventually
from tests.query.filling import Rows, balance
from tests.query.processes import Served

ROWS = {f"account-{number:05}": balance(number) for number in range(12_000)}


@pytest.fixture(scope="module")
def filled(bank: Bank, served: Served) -> Served:
    """The service, with more rows than a page of JSON may have."""
    Rows(bank).write(ROWS)
    eventually(lambda: served.select("SELECT count(*) FROM balances") == [[len(ROWS)]], "the rows")
    return served


def table_of(answer: httpx.Response) -> pa.Table:
    """What an Arrow or Parquet answer holds."""
    if answer.headers["content-type"] == "application/vnd.apache.parquet":
        return pq.read_table(pa.BufferReader(answer.content))
    with pa.ipc.open_stream(answer.content) as reader:
        return reader.read_all()


WANTED = [{"key": key, "owner": row.owner, "amount": row.amount, "postings": row.postings} for key, row in ROWS.items()]


@pytest.mark.parametrize("form", ["arrow", "parquet"])
def test_a_whole_view(form: str, filled: Served) -> None:
    answer = filled.get("/views/balances", format=form)
    table = table_of(answer)
    assert table.to_pylist() == WANTED
    assert [field.type for field in table.schema] == [field.type for field in arrow_schema(Balance)]
    assert answer.headers["content-disposition"] == f'attachment; filename="balances.{form}"'
    assert answer.headers["foldlog-position"]


def test_csv(filled: Served) -> None:
    text = filled.get("/views/balances", format="csv").text
    assert text.startswith("key,owner,amount,postings\naccount-00000,owner-00,0.00,0\n")
    assert [{**row, "amount": Decimal(row["amount"]), "postings": int(row["postings"])}
            for row in csv.DictReader(io.StringIO(text))] == WANTED  # fmt: skip


def test_a_statement_may_have_more_rows_than_json(filled: Served) -> None:
    answer = filled.sql("SELECT key, amount FROM balances ORDER BY amount DESC", format="parquet")
    assert polars.read_parquet(io.BytesIO(answer.content)).height == len(ROWS)


def test_nested_values_are_json_in_csv(filled: Served) -> None:
    answer = filled.sql("SELECT [1, NULL] AS a, {'b': 1.50} AS s, 'x,\"y' AS t, NULL AS n, true AS f", format="csv")
    assert answer.text == 'a,s,t,n,f\n"[1,null]","{""b"":""1.50""}","x,""y",,true\n'


def test_filters_and_limits_hold_for_files(filled: Served) -> None:
    rows = table_of(filled.get("/views/balances", format="arrow", owner="eq:owner-07", sort="-postings", limit=3))
    assert rows.column("postings").to_pylist() == [11907, 11807, 11707]


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ("text/csv", "text/csv; charset=utf-8"),
        ("application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.stream"),
        ("application/vnd.apache.parquet;q=0.5, text/csv;q=0.9", "text/csv; charset=utf-8"),
        ("text/html, application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("text/csv;q=much", "text/csv; charset=utf-8"),
    ],
)
def test_the_accept_header_chooses(accept: str, media: str, filled: Served) -> None:
    for answer in (
        filled.http.get("/views/balances", headers={"accept": accept}),
        filled.http.post("/sql", headers={"accept": accept}, json={"sql": "SELECT 1"}),
    ):
        assert (answer.status_code, answer.headers["content-type"]) == (200, media)


def test_what_cannot_be_written_is_told(filled: Served) -> None:
    answer = filled.http.get("/views/balances", headers={"accept": "image/png"})
    assert answer.status_code == 406
    assert answer.json()["detail"].startswith("Accept: there are application/json, text/csv")
    answer = filled.sql("SELECT INTERVAL 1 DAY", format="parquet")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_a_file_that_is_too_large_is_an_error_and_not_half_a_file(
    bank: Bank, filled: Served, tmp_path_factory: Any
) -> None:
    small = Served(bank, tmp_path_factory.mktemp("small"), "s", FOLDLOG_QUERY_ROWS="11999")
    try:
        answer = small.ready().get("/views/balances", format="arrow")
        assert answer.status_code == 422
        assert answer.json()["detail"] == "the answer has more than 11,999 rows: ask for fewer with LIMIT"
        assert len(table_of(small.get("/views/balances", format="arrow", limit=11_999))) == 11_999
    finally:
        small.close()
