"""Dead letters are retried, edited and dropped: each order is kept, with who gave it and why."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from foldlog.cluster import Cluster
from foldlog.contracts.subjects import push
from foldlog.core import topics
from foldlog.core.outcome import TOO_LARGE, DeadLetter, Header
from foldlog.core.repair import Repair
from foldlog.kafka.admin import apply
from foldlog.kafka.reading import Entry, read
from tests.cli.bank import Open, Post
from tests.cli.conftest import Cli, Context, of_fresh_name

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def context(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A context with one dead letter of each kind."""
    with of_fresh_name(cluster, tmp_path_factory.mktemp("repair")) as context:
        apply(cluster.bootstrap, topics.topics(context.topology), 1)
        push(context.topology, context.registry)
        commands, events = f"{context.name}.account.commands", f"{context.name}.account.events"
        found = [
            letter(1, commands, "account", "decide-failed", context.codec.encode(Post("ada", Decimal("1.00")))),
            letter(2, commands, "account", "malformed", b"garbage"),
            letter(3, events, "balances", "unknown-schema", b"\0\x7f\xff\xff\xffabc"),
            letter(4, events, "nobody", "malformed", b"garbage"),
            letter(5, commands, "account", "malformed", None),
            letter(6, f"{context.name}.transfer.commands", "transfer", "malformed", b"garbage"),
        ]
        pairs = [(f"{one.topic}:1:{one.offset}", context.codec.encode(one)) for one in found]
        context.write(topics.dead_letters(context.name), *pairs)
        yield context


def letter(offset: int, topic: str, processor: str, cause: str, value: bytes | None) -> DeadLetter:
    headers, time = (Header("actor", b"joe"), Header("odd", None)), TIME + timedelta(minutes=offset)
    reason = "why" if value is not None else f"{TOO_LARGE}: why"
    return DeadLetter(topic, 1, offset, processor, cause, reason, time, b"ada", value, headers)


def at(context: Context, offset: int, topic: str = "account.commands") -> str:
    return f"{context.name}.{topic}:1:{offset}"


def orders(context: Context) -> list[Repair]:
    """Every order so far, the latest last."""
    context.visible(topics.repairs(context.name))
    entries = read(context.cluster.bootstrap, topics.repairs(context.name))
    found = [context.codec.decode(entry.value or b"") for entry in entries]
    return sorted((each for each in found if isinstance(each, Repair)), key=lambda each: each.time)


def commands(context: Context) -> list[Entry]:
    context.visible(f"{context.name}.account.commands")
    return list(read(context.cluster.bootstrap, f"{context.name}.account.commands"))


def listed(cli: Cli, context: Context, *options: str) -> dict[int, str]:
    """Status by offset."""
    context.visible(topics.repairs(context.name))
    ran = cli("dead-letters", "list", context.name, "--json", *options)
    return {int(row["place"].rpartition(":")[2]): row["status"] for row in json.loads(ran.out)}


def test_a_dry_run_shows_and_does_nothing(cli: Cli, context: Context) -> None:
    for action in ("retry", "drop"):
        ran = cli("dead-letters", action, context.name, at(context, 1), "--dry-run")
        assert at(context, 1) in ran.out
        assert ran.err == f"would {action} 1 dead letters\n"
    assert (orders(context), commands(context)) == ([], [])


def test_a_command_is_sent_again_once_as_it_was_with_its_id(cli: Cli, context: Context) -> None:
    ran = cli("dead-letters", "retry", context.name, at(context, 1), "--actor", "ops", "--why", "decide is mended")
    assert (ran.code, ran.err) == (0, "1 dead letters retried\n")
    (sent,) = commands(context)
    assert (sent.partition, sent.key, sent.value) == (1, b"ada", context.codec.encode(Post("ada", Decimal("1.00"))))
    assert sent.headers == [("actor", b"joe"), ("odd", None), ("forwarded-from", at(context, 1).encode())]
    assert [(each.action, each.letter, each.actor, each.why) for each in orders(context)] == [
        ("retry", 0, "ops", "decide is mended")
    ]
    again = cli("dead-letters", "retry", context.name, at(context, 1))
    assert again.code == 1
    assert again.err.startswith(f"error: {at(context, 1)} was retried at 2")
    assert "by ops" in again.err
    assert len(commands(context)) == 1


def test_an_edit_is_kept_with_what_it_was_and_a_retry_takes_it(cli: Cli, context: Context) -> None:
    line = '{"type": "Open", "data": {"account": "bob"}}'
    named = ("--topology", context.module, "--actor", "ops")
    ran = cli("dead-letters", "edit", context.name, at(context, 2), line, *named, "--dry-run")
    assert (
        ran.out
        == f"was  cannot be decoded: it is not framed: byte 0, schema id of 4 bytes, Avro\nis   {opened(context)}\n"
    )
    assert listed(cli, context)[2] == "open"
    ran = cli("dead-letters", "edit", context.name, at(context, 2), line, *named, "--why", "a typo")
    assert (ran.code, ran.err) == (0, f"edited; now `foldlog dead-letters retry {context.name} {at(context, 2)}`\n")
    assert listed(cli, context)[2] == "edited"
    shown = cli("dead-letters", "show", context.name, at(context, 2)).out
    assert "status     edited\nrepair     edit by ops at " in shown
    assert f"UTC: a typo\n           key bob, content {opened(context)}\n" in shown
    assert "content    cannot be decoded: it is not framed" in shown, "what it was"
    assert cli("dead-letters", "retry", context.name, at(context, 2)).code == 0
    sent = commands(context)[-1]
    assert (sent.key, sent.value) == (b"bob", context.codec.encode(Open("bob")))


def opened(context: Context) -> str:
    return f"{context.name}.account.Open account=bob owners=[] labels={{}}"


@pytest.mark.parametrize(
    "line",
    ["", "{", "[]", "3", '{"type": "Nope", "data": {}}', '{"type": "Open", "data": {"account": 3}}', "\udcff"],
)
def test_an_edit_that_is_no_command_is_refused(cli: Cli, context: Context, line: str) -> None:
    before = orders(context)
    ran = cli(
        "dead-letters", "edit", context.name, at(context, 6, "transfer.commands"), line, "--topology", context.module
    )
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: ")
    assert orders(context) == before


def test_an_event_cannot_be_edited(cli: Cli, context: Context) -> None:
    place = at(context, 3, "account.events")
    ran = cli("dead-letters", "edit", context.name, place, "{}", "--topology", context.module)
    assert ran.err == f"error: {place} is no command: an event is history; mend the balances instead\n"


def test_what_a_view_put_aside_is_given_to_its_worker(cli: Cli, context: Context) -> None:
    assert cli("dead-letters", "retry", context.name, "--cause", "unknown-schema").code == 0
    asked = orders(context)[-1]
    assert (asked.action, asked.processor, asked.letter) == ("retry", "balances", 2)
    assert asked.record is not None
    assert (asked.record.topic, asked.record.partition, asked.record.offset) == (f"{context.name}.account.events", 1, 3)
    assert asked.record.value == b"\0\x7f\xff\xff\xffabc"


@pytest.mark.parametrize(
    ("offset", "topic", "why"), [(4, "account.events", "has no nobody"), (5, "account.commands", "too large")]
)
def test_what_cannot_be_handled_again_is_refused(cli: Cli, context: Context, offset: int, topic: str, why: str) -> None:
    ran = cli("dead-letters", "retry", context.name, at(context, offset, topic))
    assert ran.code == 1
    assert why in ran.err


def test_what_is_dropped_is_listed_no_more(cli: Cli, context: Context) -> None:
    assert listed(cli, context) == {4: "open", 5: "open", 6: "open"}
    ran = cli("dead-letters", "drop", context.name, "--cause", "malformed", "--processor", "account")
    assert ran.err == "1 dead letters dropped\n"
    assert listed(cli, context) == {4: "open", 6: "open"}
    everything = listed(cli, context, "--all")
    assert everything == {1: "retried", 2: "retried", 3: "retried", 4: "open", 5: "dropped", 6: "open"}
    assert cli("dead-letters", "drop", context.name, "--cause", "oversized").err == "nothing to drop\n"


@pytest.mark.parametrize("garbage", [b"", b"garbage", b"\0\0\0\0\1"])
def test_garbage_among_the_orders_hides_nothing(cli: Cli, context: Context, garbage: bytes) -> None:
    before = listed(cli, context, "--all")
    context.write(topics.repairs(context.name), ("x", garbage))
    assert listed(cli, context, "--all") == before


def test_a_place_without_a_dead_letter_is_told(cli: Cli, context: Context) -> None:
    for action in (("retry",), ("drop",)):
        ran = cli("dead-letters", *action, context.name, "a:1:2")
        assert ran.err.startswith(f"error: {context.name} has no dead letter at `a:1:2`")
