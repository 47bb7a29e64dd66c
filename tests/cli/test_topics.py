"""Topics are created as declared, compared, and brought back; a log's partitions are never changed."""

import dataclasses
import json

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from foldlog.core.errors import ClusterError, ConfigError
from foldlog.core.topics import Topic, topics
from foldlog.kafka.admin import apply, differences, require
from tests.cli.conftest import Cli, Context
from tests.engine.running import eventually


def test_from_nothing_to_as_declared(empty: Context, cli: Cli) -> None:
    missing = cli("topics", "diff", empty.module, "--json")
    assert missing.code == 1
    declared = {topic.name for topic in topics(empty.topology)}
    assert {row["topic"] for row in json.loads(missing.out) if row["setting"] == "topic"} == declared

    applied = cli("topics", "apply", empty.module)
    assert applied.code == 0
    assert all(f"{name} " in applied.out for name in declared)
    assert applied.out.count("created") == len(declared)

    again = cli("topics", "apply", empty.module)
    assert (again.code, again.out, again.err) == (0, "", f"all {len(declared)} topics are as declared\n")
    same = cli("topics", "diff", empty.module)
    assert (same.code, same.out) == (0, "")


def bootstrap_and_topic(context: Context, name: str, **config: str) -> tuple[str, Topic]:
    """A topic of this test alone."""
    return context.cluster.bootstrap, Topic(f"{context.name}.{name}", 2, {"cleanup.policy": "compact", **config})


def test_a_changed_setting_is_told_and_set_back(empty: Context) -> None:
    bootstrap, topic = bootstrap_and_topic(empty, "changed", **{"segment.bytes": "1048576"})
    apply(bootstrap, [topic], 1)
    wanted = dataclasses.replace(topic, config={"cleanup.policy": "delete", "segment.bytes": "2097152"})
    found = [str(difference) for difference in differences(bootstrap, [wanted], 1)]
    assert found == [
        f"{topic.name}: cleanup.policy is compact, declared is delete",
        f"{topic.name}: segment.bytes is 1048576, declared is 2097152",
    ]
    assert [change.done for change in apply(bootstrap, [wanted], 1)] == ["changed", "changed"]
    # A broker hears of what the controller has written a moment later.
    eventually(lambda: differences(bootstrap, [wanted], 1) == (), "the settings as declared")


def test_settings_that_are_not_declared_are_left_alone(empty: Context) -> None:
    bootstrap, topic = bootstrap_and_topic(empty, "more", **{"min.compaction.lag.ms": "1000"})
    apply(bootstrap, [topic], 1)
    fewer = dataclasses.replace(topic, config={"cleanup.policy": "delete"})
    apply(bootstrap, [fewer], 1)
    left = dataclasses.replace(topic, config={"min.compaction.lag.ms": "1000"})
    assert differences(bootstrap, [left], 1) == ()


def test_another_partition_count_is_refused_before_anything_is_changed(empty: Context) -> None:
    bootstrap, topic = bootstrap_and_topic(empty, "counted")
    client = AdminClient({"bootstrap.servers": bootstrap})
    client.create_topics([NewTopic(topic.name, 5, 1)])[topic.name].result()
    eventually(lambda: topic.name in client.list_topics(timeout=10).topics, "the topic")
    other = dataclasses.replace(topic, name=f"{topic.name}.other")
    with pytest.raises(ConfigError) as raised:
        apply(bootstrap, [other, topic], 1)
    assert str(raised.value).startswith(f"{topic.name}: partitions is 5, declared is 2: the count is fixed")
    assert [d.setting for d in differences(bootstrap, [other], 1)] == ["topic"]


def test_replication_is_told_but_kept(empty: Context) -> None:
    bootstrap, topic = bootstrap_and_topic(empty, "copied")
    apply(bootstrap, [topic], 1)
    (change,) = apply(bootstrap, [topic], 3)
    assert (change.difference.setting, change.difference.actual, change.done) == ("replication", "1", "kept")


def test_more_copies_than_brokers_is_one_clear_error(empty: Context) -> None:
    bootstrap, topic = bootstrap_and_topic(empty, "toomany")
    with pytest.raises(ClusterError, match=rf"^{topic.name} cannot be created: .*replication"):
        apply(bootstrap, [topic], 30)


def test_a_setting_that_kafka_refuses_is_one_clear_error(empty: Context) -> None:
    bootstrap, topic = bootstrap_and_topic(empty, "refused", **{"retention.ms": "soon"})
    with pytest.raises(ClusterError, match=r"retention\.ms"):
        apply(bootstrap, [topic], 1)


def test_what_must_be_there_names_the_first_difference_and_the_remedy(empty: Context) -> None:
    bootstrap, topic = bootstrap_and_topic(empty, "required")
    with pytest.raises(ConfigError, match=rf"^{topic.name} is missing: do this$"):
        require(bootstrap, [topic], "do this")
    apply(bootstrap, [topic], 1)
    require(bootstrap, [topic], "do this")
