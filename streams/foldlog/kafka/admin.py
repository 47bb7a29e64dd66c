"""Topics as they are declared: what differs in the cluster, and making it so."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public, but not re-exported by its stub
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    TopicMetadata,
)

from foldlog.core.errors import ClusterError, ConfigError
from foldlog.core.topics import Topic
from foldlog.kafka.connection import METADATA_S, admin, reaching

VISIBLE_S = 15.0


@dataclass(frozen=True)
class Difference:
    """One thing that is not as declared.

    `setting` is `topic` (it is missing), `partitions`, `replication` or the name of a configuration entry.
    """

    topic: str
    setting: str
    declared: str
    actual: str | None = None

    def __str__(self) -> str:
        if self.setting == "topic":
            return f"{self.topic} is missing"
        return f"{self.topic}: {self.setting} is {self.actual}, declared is {self.declared}"


@dataclass(frozen=True)
class Change:
    """What `apply` did about a difference; the replication of an existing topic is kept as it is."""

    difference: Difference
    done: Literal["created", "changed", "kept"]


def differences(bootstrap: str, declared: Sequence[Topic], replication: int) -> tuple[Difference, ...]:
    """What differs between the declared topics and the cluster; `replication` is the number of copies wanted.

    Entries that are not declared are not looked at. Raises ClusterError where Kafka does not answer.
    """
    client = admin(bootstrap)
    with reaching(bootstrap):
        found = client.list_topics(timeout=METADATA_S).topics
        configs = _configs(client, [topic.name for topic in declared if topic.name in found])
    return tuple(
        difference
        for topic in declared
        for difference in _compare(topic, found.get(topic.name), configs.get(topic.name, {}), replication)
    )


def apply(bootstrap: str, declared: Sequence[Topic], replication: int) -> tuple[Change, ...]:
    """Creates what is missing and sets what differs; does nothing the second time.

    Raises ConfigError, before anything is changed, where a partition count differs: moving a log's keys to other
    partitions would give an aggregate two histories.
    """
    found = differences(bootstrap, declared, replication)
    _refuse_repartitioning(found)
    client, by_name = admin(bootstrap), {topic.name: topic for topic in declared}
    missing = [by_name[difference.topic] for difference in found if difference.setting == "topic"]
    with reaching(bootstrap):
        _create(client, missing, replication)
        _alter(client, [d for d in found if d.setting not in {"topic", "replication"}])
    _await_visible(client, bootstrap, missing)
    done: dict[str, Literal["created", "kept"]] = {"topic": "created", "replication": "kept"}
    return tuple(Change(difference, done.get(difference.setting, "changed")) for difference in found)


def delete(bootstrap: str, names: Sequence[str], groups: Sequence[str]) -> None:
    """Deletes topics and consumer groups; those that do not exist are gone already."""
    client = admin(bootstrap)
    gone = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.GROUP_ID_NOT_FOUND)
    asked = {**(client.delete_topics(list(names)) if names else {})}
    asked |= client.delete_consumer_groups(list(groups)) if groups else {}
    with reaching(bootstrap):
        for answer in asked.values():
            try:
                answer.result(METADATA_S)
            except KafkaException as error:
                if error.args[0].code() not in gone:
                    raise


def require(bootstrap: str, declared: Sequence[Topic], remedy: str) -> None:
    """Every declared topic exists with its partitions and configuration; else a ConfigError ending in `remedy`."""
    found = [d for d in differences(bootstrap, declared, 0) if d.setting != "replication"]
    if found:
        more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        raise ConfigError(f"{found[0]}{more}: {remedy}")


def _compare(
    topic: Topic, found: TopicMetadata | None, config: dict[str, str], replication: int
) -> Iterator[Difference]:
    if found is None:
        yield Difference(topic.name, "topic", f"partitions={topic.partitions}")
        return
    if len(found.partitions) != topic.partitions:
        yield Difference(topic.name, "partitions", str(topic.partitions), str(len(found.partitions)))
    copies = {len(partition.replicas) for partition in found.partitions.values()}
    if copies != {replication}:
        actual = "/".join(str(count) for count in sorted(copies))
        yield Difference(topic.name, "replication", str(replication), actual)
    for name, value in topic.config.items():
        if config.get(name) != value:
            yield Difference(topic.name, name, value, config.get(name))


def _configs(client: AdminClient, names: Iterable[str]) -> dict[str, dict[str, str]]:
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
    if not resources:
        return {}
    answers = client.describe_configs(resources, request_timeout=METADATA_S)
    return {
        resource.name: {name: entry.value for name, entry in answer.result().items()}
        for resource, answer in answers.items()
    }


def _refuse_repartitioning(found: Iterable[Difference]) -> None:
    for difference in found:
        if difference.setting == "partitions":
            raise ConfigError(
                f"{difference}: the count is fixed once records are written; declare "
                f"{difference.actual}, or copy the topic to a new one"
            )


def _create(client: AdminClient, missing: Sequence[Topic], replication: int) -> None:
    if not missing:
        return
    wanted = [NewTopic(t.name, t.partitions, replication, config=t.config) for t in missing]
    for name, answer in client.create_topics(wanted, request_timeout=METADATA_S).items():
        try:
            answer.result()
        except KafkaException as error:
            reason = error.args[0]
            if reason.name() != "TOPIC_ALREADY_EXISTS":  # somebody else applies at the same time
                raise ClusterError(f"{name} cannot be created: {reason.str()}") from error


def _alter(client: AdminClient, found: Iterable[Difference]) -> None:
    wanted: dict[str, list[ConfigEntry]] = {}
    for difference in found:
        entry = ConfigEntry(difference.setting, difference.declared, incremental_operation=AlterConfigOpType.SET)
        wanted.setdefault(difference.topic, []).append(entry)
    if not wanted:
        return
    resources = [
        ConfigResource(ConfigResource.Type.TOPIC, name, incremental_configs=entries) for name, entries in wanted.items()
    ]
    for answer in client.incremental_alter_configs(resources, request_timeout=METADATA_S).values():
        answer.result()


def _await_visible(client: AdminClient, bootstrap: str, created: Sequence[Topic]) -> None:
    """A created topic is usable once each of its partitions has a leader."""
    deadline = time.monotonic() + VISIBLE_S
    waiting = {topic.name: topic.partitions for topic in created}
    while waiting:
        with reaching(bootstrap):
            found = client.list_topics(timeout=METADATA_S).topics
        waiting = {name: count for name, count in waiting.items() if _leaders(found.get(name)) < count}
        if waiting and time.monotonic() > deadline:
            raise ClusterError(f"{', '.join(waiting)}: created, but no leader after {VISIBLE_S:.0f} s")
        time.sleep(0.05 if waiting else 0)


def _leaders(topic: TopicMetadata | None) -> int:
    return 0 if topic is None else sum(p.leader >= 0 for p in topic.partitions.values())
