"""docker-compose.yml is valid, scales, and runs the same broker as the embedded cluster.

compose-spec.json beside this file is the schema of the Compose Specification, unchanged (Apache-2.0).
"""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest

from foldlog.cluster import kafka
from tests.deploy.manifests import ROOT, compose

# What differs by nature: addresses, directories, and threads for a broker that shares a small machine.
PLACE = {
    "listeners",
    "advertised.listeners",
    "controller.quorum.voters",
    "log.dirs",
    "num.network.threads",
    "num.io.threads",
}
SERVICES: dict[str, Any] = compose()["services"]


def test_it_follows_the_compose_specification() -> None:
    schema = json.loads((ROOT / "tests/deploy/compose-spec.json").read_text(encoding="utf-8"))
    jsonschema.validate(compose(), schema)


def test_a_misspelt_key_would_be_found() -> None:
    schema = json.loads((ROOT / "tests/deploy/compose-spec.json").read_text(encoding="utf-8"))
    broken = {**compose(), "services": {"worker": {"image": "foldlog", "depend_on": ["kafka"]}}}
    with pytest.raises(jsonschema.ValidationError, match="depend_on"):
        jsonschema.validate(broken, schema)


def test_its_broker_is_set_as_the_embedded_one() -> None:
    embedded = dict(line.split("=", 1) for line in kafka.PROPERTIES.splitlines())
    environment = SERVICES["kafka"]["environment"]
    ours = {name.removeprefix("KAFKA_").lower().replace("_", "."): str(value) for name, value in environment.items()}
    assert {name: ours.get(name) for name in embedded.keys() - PLACE} == {
        name: value for name, value in embedded.items() if name not in PLACE
    }


def test_a_worker_can_be_scaled() -> None:
    worker = SERVICES["worker"]
    assert not worker.keys() & {"container_name", "hostname", "ports"}
    assert worker["volumes"] == ["/var/lib/foldlog"], "an anonymous volume, so that no two workers share a store"
    assert "FOLDLOG_INSTANCE" not in worker["environment"]


def test_only_this_machine_reaches_the_published_ports() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published == ["127.0.0.1:9092:9092", "127.0.0.1:8080:8080"]


def test_clients_inside_and_outside_get_an_address_that_they_can_reach() -> None:
    advertised = SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert advertised == [
        f"INTERNAL://{SERVICES['worker']['environment']['FOLDLOG_BOOTSTRAP']}",
        "EXTERNAL://localhost:9092",
    ]


def test_every_dependency_waits_for_a_condition_that_can_come() -> None:
    for name, service in SERVICES.items():
        for needed, wait in service.get("depends_on", {}).items():
            if wait["condition"] == "service_healthy":
                assert SERVICES[needed]["healthcheck"]["test"], f"{name} waits for the health of {needed}"
            else:
                assert wait["condition"] == "service_completed_successfully"
                assert "restart" not in SERVICES[needed], f"{name} waits for the end of {needed}"


def test_images_are_pinned() -> None:
    tags = [service["image"].rpartition(":")[2] for service in SERVICES.values()]
    assert all(tag[0].isdigit() for tag in tags), tags


def test_a_service_may_write_only_where_it_must() -> None:
    for name in ("setup", "worker"):
        assert SERVICES[name]["read_only"] is True
        assert SERVICES[name]["cap_drop"] == ["ALL"]
