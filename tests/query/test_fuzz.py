"""Whatever is asked along the OpenAPI description gets an answer or a clear refusal; the service stays up."""

from collections.abc import Iterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from schemathesis import GenerationMode

from tests.engine.running import Bank, eventually
from tests.query.filling import Rows, balance
from tests.query.processes import Served

OPERATIONS = [
    ("GET", "/views"),
    ("GET", "/views/{view}"),
    ("GET", "/views/{view}/{key}"),
    ("POST", "/sql"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
]
ENDLESS = ("GET", "/views/{view}/changes")


@pytest.fixture(scope="module")
def api(bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description of a service that has some rows and little patience."""
    served = Served(bank, tmp_path_factory.mktemp("fuzz"), "f", FOLDLOG_QUERY_WAIT_MS="50", FOLDLOG_QUERY_SECONDS="2")
    try:
        Rows(bank).write({f"account-{number:03}": balance(number) for number in range(100)})
        served.ready()
        eventually(lambda: served.select("SELECT count(*) FROM balances") == [[100]], "the rows")
        yield schemathesis.openapi.from_url(f"{served.url}/openapi.json")
        assert served.is_ready()
        assert served.select("SELECT count(*), sum(postings) FROM balances") == [[100, "4950"]]
    finally:
        served.close()


def test_every_operation_is_tried(api: Any) -> None:
    found = {(method.upper(), path) for path, methods in api.raw_schema["paths"].items() for method in methods}
    assert found == {*OPERATIONS, ENDLESS}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_every_question_has_an_answer_or_a_problem(method: str, path: str, mode: GenerationMode, api: Any) -> None:
    operation = api[path][method]
    if mode is GenerationMode.NEGATIVE and not operation.body and not operation.query:
        mode = GenerationMode.POSITIVE  # there is nothing to get wrong

    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    @hypothesis.settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    def ask(case: Any) -> None:
        case.query = {**(case.query or {}), "wait_ms": 20} if "wait_ms" not in (case.query or {}) else case.query
        answer = case.call()
        kind = answer.headers.get("content-type", [""])[0]
        assert answer.status_code in (200, 504) or 400 <= answer.status_code < 500, answer.text
        assert answer.status_code == 200 or kind == "application/problem+json", (answer.status_code, answer.text)

    ask()
