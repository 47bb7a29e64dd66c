"""What a worker serves, asked for as Prometheus and Kubernetes do."""

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.engine.processes import Worker
from tests.engine.running import eventually

FREE_PORT = {"FOLDLOG_HTTP": "127.0.0.1:0"}


class Scrape:
    """The samples of one scrape."""

    def __init__(self, text: str) -> None:
        self.families = {family.name: family for family in text_string_to_metric_families(text)}
        self._samples = [sample for family in self.families.values() for sample in family.samples]

    def __getitem__(self, wanted: tuple[str, str]) -> float:
        """The value of `(name, processor)`; there must be one."""
        name, processor = wanted
        (found,) = (s.value for s in self._samples if s.name == name and s.labels["processor"] == processor)
        return float(found)

    def labels(self, name: str) -> list[Mapping[str, str]]:
        """The labels of each sample of a name."""
        return [sample.labels for sample in self._samples if sample.name == name]

    def state(self, processor: str) -> str:
        """The state that is 1."""
        (found,) = (
            sample.labels["state"]
            for sample in self._samples
            if sample.name == "foldlog_state" and sample.labels["processor"] == processor and sample.value
        )
        return found


def url_of(worker: Worker) -> str:
    """Where a worker started with `FREE_PORT` serves; its log says so."""
    found = eventually(lambda: re.search(r"url=(http://127\.0\.0\.1:\d+)", worker.output), "the worker's address")
    return found[1]


def get(url: str, method: str = "GET", accept: str = "") -> tuple[int, Mapping[str, str], str]:
    """Status, headers and body of an answer, whatever the status."""
    request = urllib.request.Request(url, headers={"Accept": accept}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, dict(error.headers), error.read().decode()


def asked(url: str) -> tuple[int, Any]:
    """Status and JSON of an answer."""
    status, _, body = get(url)
    return status, json.loads(body)


def scrape(url: str) -> Scrape:
    """The metrics of now."""
    return Scrape(get(f"{url}/metrics")[2])
