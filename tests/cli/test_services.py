"""Who publishes what and who consumes it, contracts between them, and the AsyncAPI documents.

`asyncapi-3.0.0.json` is the JSON Schema of AsyncAPI 3.0.0 as the npm package @asyncapi/specs 6.11.1 has it
(schemas/3.0.0-without-$id.json, Apache-2.0), unchanged.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from foldlog.cli import loading
from foldlog.cluster import Cluster
from foldlog.contracts.registry import Registry
from foldlog.contracts.subjects import push
from foldlog.core.topics import topics
from foldlog.kafka.admin import apply
from tests.cli.conftest import Cli, commit

ENGINE = Path(__file__).parents[1] / "engine"
SHOP, LOYALTY = "tests.engine.shop", "tests.engine.loyalty"
CONTEXTS = ["topologies.banking", "topologies.orders", "topologies.risk", "tests.engine.bank"]


@cache
def validator() -> Draft7Validator:
    return Draft7Validator(json.loads(Path(__file__).with_name("asyncapi-3.0.0.json").read_text(encoding="utf-8")))


def faults(document: Any) -> list[str]:
    """What the public schema finds wrong."""
    return [f"{list(error.absolute_path)}: {error.message}" for error in validator().iter_errors(document)]


@dataclass
class Market:
    """The shop and the loyalty programme under names of their own, as modules."""

    shop: str
    loyalty: str
    home: Path

    def module(self, name: str, changed: tuple[str, str] = ("", "")) -> str:
        """A module with one of the contexts, its text changed."""
        text = (ENGINE / f"{name}.py").read_text(encoding="utf-8").replace(*changed)
        for known, fresh in (("SHOP", self.shop), ("LOYALTY", self.loyalty)):
            text = text.replace(f'os.environ.get("{known}", "{known.lower()}")', repr(fresh))
            text = text.replace(f"{{os.environ.get('{known}', '{known.lower()}')}}", fresh)
        module = f"{name}_{uuid.uuid4().hex[:8]}"
        (self.home / f"{module}.py").write_text(text, encoding="utf-8")
        return module


@pytest.fixture
def market(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Market:
    monkeypatch.syspath_prepend(tmp_path)
    token = uuid.uuid4().hex[:8]
    return Market(f"shop_{token}", f"loyalty_{token}", tmp_path)


@pytest.fixture
def running(market: Market, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Market:
    """The market with its topics and schemas on the cluster."""
    monkeypatch.setenv("FOLDLOG_BOOTSTRAP", cluster.bootstrap)
    monkeypatch.setenv("FOLDLOG_REGISTRY", cluster.registry)
    with closing(Registry(cluster.registry)) as registry:
        for name in ("shop", "loyalty"):
            topology = loading.topology(market.module(name))
            apply(cluster.bootstrap, topics(topology), 1)
            push(topology, registry)
    return market


def listed(cli: Cli, *arguments: str) -> dict[str, Any]:
    """The registry's events by name."""
    return {event["name"]: event for event in json.loads(cli("services", *arguments, "--json").out)}


def test_declared_services_need_no_cluster(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOLDLOG_BOOTSTRAP", "127.0.0.1:1")
    ran = cli("services", SHOP, LOYALTY, "--offline")
    assert ran.code == 0
    assert [line.split() for line in ran.out.splitlines()] == [
        ["event", "version", "consumer", "reads", "status"],
        ["shop.sales.GiftMade", "-", "orphaned"],
        ["shop.sales.SaleMade", "-", "loyalty.purchases", "-", "consumed"],
    ]


def test_what_nobody_publishes_is_unknown(cli: Cli) -> None:
    [event] = listed(cli, LOYALTY, "--offline").values()
    assert (event["name"], event["status"]) == ("shop.sales.SaleMade", "unknown")


def test_the_running_cluster_knows_versions_and_consumers_that_no_topology_declares(
    cli: Cli, running: Market, cluster: Cluster
) -> None:
    made, gift = (f"{running.shop}.sales.{name}" for name in ("SaleMade", "GiftMade"))
    found = listed(cli)
    assert (found[made]["version"], found[made]["status"]) == (1, "orphaned")
    found = listed(cli, running.module("loyalty"))
    assert found[made]["consumers"] == [{"name": f"{running.loyalty}.purchases", "reads": [1]}]
    assert (found[made]["status"], found[gift]["status"]) == ("consumed", "orphaned")
    read(cluster, f"crm_{running.shop}.sales", f"{running.shop}.sales")
    found = listed(cli)
    assert found[gift]["consumers"] == [{"name": f"crm_{running.shop}.sales", "reads": None}]
    assert not [name for name in found if name.startswith((running.loyalty, f"{running.shop}.sale."))]


def test_a_new_version_of_an_event_shows_who_can_read_it(cli: Cli, running: Market, cluster: Cluster) -> None:
    more = running.module(
        "shop", ("    sale: str\n\n\nclass GiftMade", '    sale: str\n    till: str = ""\n\n\nclass GiftMade')
    )
    with closing(Registry(cluster.registry)) as registry:
        push(loading.topology(more), registry)
    event = listed(cli, running.module("loyalty"))[f"{running.shop}.sales.SaleMade"]
    assert (event["version"], event["consumers"][0]["reads"]) == (2, [1, 2])


def read(cluster: Cluster, group: str, topic: str) -> None:
    """Commits an offset, as a service written in any language does."""
    consumer = Consumer({"bootstrap.servers": cluster.bootstrap, "group.id": group, "log_level": 0})
    commit(consumer, [TopicPartition(topic, 0, 0)])
    consumer.close()


def test_contracts_hold(cli: Cli) -> None:
    ran = cli("contracts", SHOP, LOYALTY)
    assert (ran.code, ran.out, ran.err) == (0, "", "every consumer can read what it subscribes to\n")


def test_a_breaking_change_of_a_public_event_fails_and_names_the_consumer(cli: Cli, market: Market) -> None:
    broken = market.module("shop", ("    amount: Money\n    sale: str\n", "    total: Money\n    sale: str\n"))
    ran = cli("contracts", broken, market.module("loyalty"))
    event = f"{market.shop}.sales.SaleMade"
    assert ran.code == 1
    assert ran.out == (
        f"{market.loyalty}.purchases cannot read {event}: {event} was written without `amount`, which has no default\n"
    )
    assert json.loads(cli("contracts", broken, market.module("loyalty"), "--json").out) == [ran.out.rstrip()]


def test_a_publisher_that_is_not_at_hand_is_what_its_files_say(cli: Cli, market: Market) -> None:
    loyalty, root = market.module("loyalty"), market.home / "schemas"
    assert cli("contracts", loyalty, "--root", str(root)).code == 1
    cli("schemas", "write", market.module("shop"), "--root", str(root))
    assert cli("contracts", loyalty, "--root", str(root)).code == 0


def test_what_is_registered_must_be_readable_too(cli: Cli, running: Market) -> None:
    strict = running.module("loyalty", ("\n\n\ndef award", "\n    till: str\n\n\ndef award"))
    ran = cli("contracts", strict, "--registry")
    assert ran.code == 1
    assert f"{running.loyalty}.purchases cannot read {running.shop}.sales.SaleMade" in ran.out
    assert cli("contracts", running.module("loyalty"), "--registry").code == 0


@pytest.mark.parametrize("module", [SHOP, LOYALTY, *CONTEXTS])
def test_the_asyncapi_document_is_valid(cli: Cli, module: str) -> None:
    document = json.loads(cli("asyncapi", module, "--version", "1.2.3").out)
    assert faults(document) == []
    assert document["info"]["version"] == "1.2.3"
    assert dangling(document) == []


def dangling(document: Any) -> list[str]:
    """References that lead to nothing, which the schema does not look at."""
    found = []
    for reference in references(document):
        node = document
        for step in reference.removeprefix("#/").split("/"):
            node = node.get(step, {})
        if not node:
            found.append(reference)
    return found


def references(node: Any) -> Iterator[str]:
    match node:
        case {"$ref": str(reference)}:
            yield reference
        case dict():
            for inner in node.values():
                yield from references(inner)
        case list():
            for inner in node:
                yield from references(inner)
        case _:
            pass


def test_the_document_says_what_comes_in_and_what_goes_out(cli: Cli) -> None:
    shop, loyalty = (json.loads(cli("asyncapi", module).out) for module in (SHOP, LOYALTY))
    actions = {name: operation["action"] for name, operation in {**shop, **loyalty}["operations"].items()}
    assert actions == {
        "receive.loyalty.member.commands": "receive",
        "send.loyalty.replies": "send",
        "receive.shop.sales": "receive",
    }
    assert shop["operations"]["send.shop.sales"]["action"] == "send"
    kafka = shop["channels"]["shop.sales"]["bindings"]["kafka"]
    assert (kafka["partitions"], kafka["topicConfiguration"]["retention.ms"]) == (3, -1)
    message = shop["components"]["messages"]["shop.sales.SaleMade"]
    assert [field["name"] for field in message["payload"]["schema"]["fields"]] == ["customer", "amount", "sale", "meta"]
    group = loyalty["operations"]["receive.shop.sales"]["bindings"]["kafka"]["groupId"]
    assert group["enum"] == ["loyalty.purchases"]
    assert "shop.sale.events" not in json.dumps(shop)  # the log is nobody's business


def test_the_document_names_the_cluster_where_it_is_asked_to(cli: Cli, running: Market, cluster: Cluster) -> None:
    document = json.loads(cli("asyncapi", running.module("shop"), "--server").out)
    assert document["servers"]["kafka"]["host"] == cluster.bootstrap
    assert faults(document) == []


@pytest.mark.parametrize(
    "wrong", [("asyncapi", "2.0.0"), ("channels", {"a": {"address": 1}}), ("operations", {"o": {}})]
)
def test_the_validator_would_find_a_wrong_document(cli: Cli, wrong: tuple[str, Any]) -> None:
    document = json.loads(cli("asyncapi", SHOP).out)
    assert faults({**document, wrong[0]: wrong[1]}) != []


def test_garbage_gets_an_error(cli: Cli, tmp_path: Path) -> None:
    for command in ("services", "contracts", "asyncapi"):
        ran = cli(command, "no.such.module")
        assert (ran.code, ran.out) == (1, "")
        assert ran.err.startswith("error: there is no module no.such.module")
    assert cli("contracts").err.startswith("error: give at least one context")
    (tmp_path / "x.avsc").write_text("{")
    assert "is no Avro record with name and namespace" in cli("contracts", SHOP, "--root", str(tmp_path)).err
