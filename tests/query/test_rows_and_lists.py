"""Rows by key and lists: what the topic has, filtered, sorted, page by page."""

import re
from decimal import Decimal
from typing import Any

import pytest

from tests.engine.bank import Balance
from tests.engine.running import Bank, eventually
from tests.query.filling import Rows, balance
from tests.query.processes import Served

ROWS = {f"account-{number:04}": balance(number) for number in range(500)}


@pytest.fixture(scope="module")
def filled(bank: Bank, served: Served) -> Served:
    """The service, with the rows above; one of them was deleted and one changed in the end."""
    rows = Rows(bank)
    rows.write({**ROWS, "account-gone": balance(1), "account-0007": balance(1)})
    rows.write({"account-gone": None, "account-0007": ROWS["account-0007"]})
    eventually(lambda: served.select("SELECT count(*), sum(postings) FROM balances") == [[500, "124750"]], "the rows")
    return served


def as_json(key: str, row: Balance) -> dict[str, Any]:
    return {"key": key, "owner": row.owner, "amount": f"{row.amount:.2f}", "postings": row.postings}


def found(served: Served, **query: Any) -> list[dict[str, Any]]:
    answer = served.get("/views/balances", **{"limit": 10_000, **query})
    assert answer.status_code == 200, answer.text
    rows: list[dict[str, Any]] = answer.json()["rows"]
    return rows


def test_rows_are_those_of_the_topic(filled: Served, bank: Bank) -> None:
    topic = {key: row for key, row in bank.rows("balances").items() if isinstance(row, Balance)}
    assert topic == ROWS
    assert found(filled) == [as_json(key, topic[key]) for key in sorted(topic)]


def test_a_row_by_its_key(filled: Served) -> None:
    assert filled.get("/views/balances/account-0042").json() == as_json("account-0042", ROWS["account-0042"])


@pytest.mark.parametrize("key", ["account-gone", "nobody", "a'; drop table balances; --", "ä/ö%00", " ", "%", "a//b"])
def test_a_row_that_is_not_there(key: str, filled: Served) -> None:
    answer = filled.http.get("/views/balances/" + key.replace("%", "%25"))
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
    assert answer.json()["detail"] == f"balances has no row `{key}`"


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({"owner": "eq:owner-07"}, lambda row: row.owner == "owner-07"),
        ({"owner": "ne:owner-07"}, lambda row: row.owner != "owner-07"),
        ({"owner": "in:owner-07,owner-08,x"}, lambda row: row.owner in ("owner-07", "owner-08")),
        ({"owner": "like:owner-_7"}, lambda row: row.owner.endswith("7")),
        ({"owner": "ilike:OWNER-_7"}, lambda row: row.owner.endswith("7")),
        ({"amount": "gte:4.90"}, lambda row: row.amount >= Decimal("4.90")),
        ({"amount": "gt:4.905"}, lambda row: row.amount > Decimal("4.905")),
        ({"amount": "lt:0.03", "postings": "ne:1"}, lambda row: row.amount < Decimal("0.03") and row.postings != 1),
        ({"postings": ["gte:10", "lt:20"]}, lambda row: 10 <= row.postings < 20),
        ({"owner": "null:true"}, lambda row: False),
        ({"owner": "null:false"}, lambda row: True),
    ],
)
def test_filters(query: dict[str, Any], wanted: Any, filled: Served) -> None:
    assert found(filled, **query) == [as_json(key, row) for key, row in ROWS.items() if wanted(row)]


def test_sorting_and_columns(filled: Served) -> None:
    rows = found(filled, sort="owner,-postings", columns="amount")
    order = sorted(ROWS.items(), key=lambda each: (each[1].owner, -each[1].postings))
    assert [row["key"] for row in rows] == [key for key, _ in order]
    assert rows[0].keys() == {"amount", "owner", "postings", "key"}, "a page goes on from what it is sorted by"


@pytest.mark.parametrize("sort", ["", "key", "-key", "owner", "-amount", "owner,-postings"])
def test_pages_are_the_list(sort: str, filled: Served) -> None:
    whole, pages = found(filled, sort=sort), []
    query: dict[str, Any] = {"limit": 73, "sort": sort}
    while True:
        page = filled.get("/views/balances", **query).json()
        pages += page["rows"]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert pages == whole
    assert found(filled, sort=sort, limit=10, offset=25) == whole[25:35]


def test_a_list_is_a_hundred_rows_unless_told_otherwise(filled: Served) -> None:
    page = filled.get("/views/balances").json()
    assert len(page["rows"]) == 100
    assert page["next"]


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"nothing": "eq:1"}, "there is no column `nothing`; there are key, owner, amount, postings"),
        ({"amount": "about:1"}, "amount=about:1: write OPERATOR:VALUE with one of eq, ne, lt"),
        ({"amount": "1"}, "amount=1: write OPERATOR:VALUE"),
        ({"amount": "gt:much"}, "Could not convert string"),
        ({"amount": "like:1%"}, "column `amount` is not text"),
        ({"postings": "gt:99999999999999999999"}, "Could not convert string"),
        ({"owner": "null:perhaps"}, "write null:true or null:false"),
        ({"sort": "nothing"}, "there is no column `nothing`"),
        ({"sort": "owner,-owner"}, "a column is named twice"),
        ({"columns": "owner,,"}, "there is no column ``"),
        ({"limit": "0"}, "limit: Input should be greater than or equal to 1"),
        ({"limit": "all"}, "limit: Input should be a valid integer"),
        ({"offset": "-1"}, "offset: Input should be greater"),
        ({"cursor": "???"}, "cursor: is none that an answer gave"),
        ({"cursor": "W10"}, "cursor: is of another order"),
        ({"cursor": "WyJ4Il0", "sort": "amount"}, "cursor: is of another order"),
        ({"cursor": "WyJ4IiwieCJd", "sort": "amount"}, "Could not convert string"),
        ({"format": "xml"}, "format: Input should be"),
        ({"amount": ["gt:1"] * 33}, "at most 32 filters"),
        ({"wait_ms": "-1"}, "wait_ms: Input should be greater"),
    ],
)
def test_what_makes_no_sense_is_told(query: dict[str, Any], detail: str, filled: Served) -> None:
    answer = filled.get("/views/balances", **query)
    assert (answer.status_code // 100, answer.headers["content-type"]) == (4, "application/problem+json")
    assert detail in answer.json()["detail"]
    assert answer.json()["status"] == answer.status_code


def test_what_is_not_there_is_told(filled: Served) -> None:
    answer = filled.get("/views/orders")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "there is no view `orders`; there are balances, wealth"
    assert filled.get("/nothing").json()["detail"] == "there is no /nothing"
    answer = filled.http.post("/views")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


def test_the_views_and_how_fresh_they_are(filled: Served, bank: Bank) -> None:
    answer = filled.get("/views").json()
    assert answer["context"] == bank.name
    balances, wealth = answer["views"]
    assert (balances["name"], balances["rows"], balances["key"]) == ("balances", 500, "key")
    assert [column["name"] for column in balances["columns"]] == ["key", "owner", "amount", "postings"]
    assert wealth["rows"] == 0
    ends = {str(number): bank.tail(f"{bank.name}.balances").bounds(number)[1] for number in range(3)}
    eventually(lambda: filled.get("/views").json()["views"][0]["position"] == ends, "the ends")


def test_an_answer_says_how_far_and_how_fresh_it_is(filled: Served, bank: Bank) -> None:
    headers = filled.get("/views/balances/account-0042").headers
    places = headers["foldlog-position"].split(",")
    assert [place.rpartition(":")[0] for place in places] == [f"{bank.name}.balances:{number}" for number in range(3)]
    eventually(lambda: int(filled.get("/views/balances").headers["foldlog-age-ms"]) < 2000, "an age of a second")
    assert "foldlog-age-ms" in filled.sql("SELECT 1 FROM balances, wealth").headers


def test_health(filled: Served) -> None:
    assert filled.get("/healthz").json() == {"live": True, "missing": []}
    assert filled.get("/readyz").json() == {"ready": True, "trouble": None, "loading": None}


def test_its_page_of_documentation_needs_no_internet(filled: Served) -> None:
    page = filled.get("/docs").text
    needed = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(needed) == 3
    assert all(filled.get(path).status_code == 200 for path in needed)
