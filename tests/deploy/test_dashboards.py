"""Dashboard and alerts ask for metrics that a worker has."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, ProcessCollector

from foldlog.engine.metrics import LABELS, Metrics
from tests.deploy.manifests import ROOT, documents

DASHBOARDS = ROOT / "deploy" / "dashboards"
DASHBOARD: dict[str, Any] = json.loads((DASHBOARDS / "foldlog.json").read_text(encoding="utf-8"))
RULES = [rule for group in documents(DASHBOARDS / "alerts.yaml")[0]["groups"] for rule in group["rules"]]


def expressions() -> Iterator[tuple[str, str]]:
    for panel in DASHBOARD["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel["targets"])
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]
    yield from ((rule.get("alert") or rule["record"], rule["expr"]) for rule in RULES)


EXPRESSIONS = [pytest.param(expression, id=name) for name, expression in expressions()]


def exported() -> set[str]:
    """The names of every series of a worker."""
    process = ProcessCollector(registry=CollectorRegistry())
    families = [*Metrics("orders", []).collect(), *process.collect()]
    endings = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}
    return {family.name + ending for family in families for ending in endings[family.type]}


def unknown(expression: str) -> set[str]:
    """The metrics of an expression that no worker has."""
    return set(re.findall(r"\b(?:foldlog|process)_\w+", expression)) - exported()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_names_metrics_that_there_are(expression: str) -> None:
    assert re.search(r"\bfoldlog_\w+", expression)
    assert unknown(expression) == set()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_groups_by_labels_that_there_are(expression: str) -> None:
    grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
    assert grouped <= {*LABELS, "state", "instance", "le"}
    assert expression.count("(") == expression.count(")")


def test_a_misspelt_metric_would_be_found() -> None:
    assert unknown("rate(foldlog_record_total[1m]) + foldlog_rows") == {"foldlog_record_total"}


def test_the_dashboard_shows_every_metric_but_what_alerts_watch() -> None:
    asked = {name for _, expression in expressions() for name in re.findall(r"\bfoldlog_\w+", expression)}
    families = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    known = {family.name for family in Metrics("orders", []).collect()}
    assert known - families == {"foldlog_records_per_second", "foldlog_epoch", "foldlog_batch_in_work_seconds"}


def test_panels_have_a_place_of_their_own() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(places)


def test_every_alert_says_what_and_where_to_look() -> None:
    for rule in RULES:
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert {"summary", "description"} == set(rule["annotations"])


def test_the_guide_lists_every_metric() -> None:
    guide = (ROOT / "docs" / "observe.md").read_text(encoding="utf-8").partition("## The metrics")[2]
    listed = {re.sub(r"_total$", "", name) for name in re.findall(r"`(foldlog_\w+)`", guide.partition("\n\nTwo")[0])}
    assert listed == {family.name for family in Metrics("orders", []).collect()}
