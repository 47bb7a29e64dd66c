"""The topics of a context follow from its processors."""

from dataclasses import replace

from foldlog.core import Publication, Record, Subscription, Topology
from foldlog.core.contract import consumed, contracts
from foldlog.core.topics import MAX_MESSAGE_BYTES, topics
from tests.core.counter import Add, Added, counter, echo, totals

counting = Topology("counting", deciders=(counter,), sagas=(echo,), views=(totals,), partitions=3)


def test_each_processor_has_its_topics() -> None:
    assert [topic.name for topic in topics(counting)] == [
        "counting.counter.commands",
        "counting.counter.events",
        "counting.counter.snapshots",
        "counting.echo.inbox",
        "counting.echo",
        "counting.totals.rekeyed",
        "counting.totals",
        "counting.echo.parked",
        "counting.totals.parked",
        "counting.repairs",
        "counting.replies",
        "counting.generations",
        "counting.dead-letters",
    ]


def test_a_view_of_a_later_version_has_topics_of_its_own() -> None:
    changed = replace(counting, views=(replace(totals, version=2),))
    assert {topic.name for topic in topics(changed)} - {topic.name for topic in topics(counting)} == {
        "counting.totals.g2.rekeyed",
        "counting.totals.g2",
        "counting.totals.g2.parked",
    }


def test_keyed_topics_have_equal_partition_counts() -> None:
    assert {topic.partitions for topic in topics(counting)[:-2]} == {3}


def test_a_log_is_compacted_and_never_deleted_by_time() -> None:
    log = next(topic for topic in topics(counting) if topic.name == "counting.counter.events")
    assert log.config["cleanup.policy"] == "compact"
    assert "retention.ms" not in log.config


def test_what_is_put_aside_holds_the_largest_record_whole() -> None:
    sizes = {topic.name.rpartition(".")[2]: int(topic.config["max.message.bytes"]) for topic in topics(counting)}
    aside = {sizes.pop(name) for name in ("dead-letters", "parked", "repairs")}
    assert max(sizes.values()) == MAX_MESSAGE_BYTES < min(aside)


def test_contracts_are_named_after_context_and_owner() -> None:
    named = {contract.name: contract.part for contract in contracts(counting)}
    assert named == {
        "counting.counter.Add": "command",
        "counting.counter.Added": "event",
        "counting.counter.Total": "state",
        "counting.echo.Seen": "process",
        "counting.totals.Row": "row",
    }


def test_events_carry_meta_and_processes_their_course() -> None:
    envelopes = {contract.part: contract.envelope for contract in contracts(counting)}
    assert {part: envelope[0] for part, envelope in envelopes.items() if envelope} == {
        "event": "meta",
        "state": "snapshot",
        "process": "process",
    }


class Changed(Record):
    amount: int


class Elsewhere(Record):
    counter: str


def tell(event: Added) -> Changed:
    return Changed(event.amount)


def hear(event: Elsewhere) -> Add:
    return Add(event.counter, 1)


heard = Subscription("heard", "others.counts", hear)
public = Topology("public", deciders=(counter,), publishes=(Publication("told", counter, tell),), consumes=(heard,))


def test_what_was_published_stays() -> None:
    told = next(topic for topic in topics(public) if topic.name == "public.told")
    assert (told.partitions, told.config["cleanup.policy"], told.config["retention.ms"]) == (4, "delete", "-1")


def test_what_waits_of_another_context_has_the_publishers_partitions() -> None:
    other = replace(public, consumes=(replace(heard, partitions=7),))
    for context, count in ((public, 4), (other, 7)):
        found = {topic.name: topic.partitions for topic in topics(context)}
        assert (found["public.heard.parked"], found["public.heard.repairs"]) == (count, count)
        assert (found["public.told.parked"], found["public.repairs"]) == (4, 4)


def test_a_public_event_is_a_contract_of_its_publication_and_carries_meta() -> None:
    told = next(contract for contract in contracts(public) if contract.part == "public")
    assert (told.name, told.envelope and told.envelope[0]) == ("public.told.Changed", "meta")


def test_what_is_consumed_has_the_publishers_name_and_no_topic_here() -> None:
    assert [contract.name for contract in consumed(public)] == ["others.counts.Elsewhere"]
    assert not [topic for topic in topics(public) if topic.name.startswith("others")]
    assert not [contract for contract in contracts(public) if contract.record is Elsewhere]
