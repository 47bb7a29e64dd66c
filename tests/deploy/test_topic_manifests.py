"""deploy/topics: the topics of each topology as resources of the Strimzi topic operator."""

import re
import subprocess
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import pytest
import yaml

from deploy.generate import DIRECTORY, TOPOLOGIES, manifest, resource, stale, write
from foldlog.core.topics import Topic, topics
from foldlog.core.topology import Topology
from tests.deploy.manifests import ROOT, kustomization

# What kafka.strimzi.io/v1 declares for a KafkaTopic's `spec`.
SPEC = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "topicName": {"type": "string", "pattern": r"^[a-zA-Z0-9._-]{1,249}$"},
        "partitions": {"type": "integer", "minimum": 1},
        "replicas": {"type": "integer", "minimum": 1, "maximum": 32767},
        "config": {"type": "object", "additionalProperties": {"type": ["string", "integer", "number", "boolean"]}},
    },
}
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")


def test_the_committed_files_are_current() -> None:
    assert stale(TOPOLOGIES, DIRECTORY) == [], "run `make manifests`"


def test_a_changed_topology_is_noticed_and_written(tmp_path: Path) -> None:
    before, after = Topology("shop"), Topology("shop", partitions=8)
    write([before], tmp_path)
    assert stale([before], tmp_path) == []
    assert stale([after], tmp_path) == [tmp_path / "shop.yaml"]
    assert write([after], tmp_path) == [tmp_path / "shop.yaml"]
    assert stale([after], tmp_path) == []


def test_a_missing_file_is_stale(tmp_path: Path) -> None:
    assert stale([Topology("shop")], tmp_path) == [tmp_path / "shop.yaml"]


def test_every_context_is_listed_once() -> None:
    assert kustomization(DIRECTORY)["resources"] == [f"{topology.name}.yaml" for topology in TOPOLOGIES]
    assert {topology.name for topology in TOPOLOGIES} == {
        file.parent.name for file in (ROOT / "topologies").glob("*/__init__.py")
    }


@pytest.mark.parametrize("topology", TOPOLOGIES, ids=lambda topology: str(topology.name))
def test_every_topic_has_a_valid_resource(topology: Topology) -> None:
    documents = list(yaml.safe_load_all(manifest(topology)))
    assert {document["spec"]["topicName"] for document in documents} == {t.name for t in topics(topology)}
    for document in documents:
        assert (document["apiVersion"], document["kind"]) == ("kafka.strimzi.io/v1", "KafkaTopic")
        assert SUBDOMAIN.fullmatch(document["metadata"]["name"])
        jsonschema.validate(document["spec"], SPEC)
    assert len({document["metadata"]["name"] for document in documents}) == len(documents)


def test_a_name_that_kubernetes_refuses_is_kept_as_the_topics_name() -> None:
    made = resource(Topic("orders.stock_levels", 4, {"cleanup.policy": "compact"}), "orders")
    assert made["metadata"]["name"] == "orders.stock-levels"
    assert made["spec"]["topicName"] == "orders.stock_levels"


def test_the_command_checks_without_writing() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.generate", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
