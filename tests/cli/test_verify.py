"""`foldlog verify` says whether a view is the fold of its log, and which rows are not."""

import json
from collections import Counter
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from confluent_kafka import Consumer, TopicPartition

from foldlog.core import Meta, topics
from foldlog.core.partitioning import partition_of
from tests.cli.bank import Balance, Posted
from tests.cli.conftest import Cli, Context, Ran
from tests.cli.conftest import commit as commit_offsets

RIGHT, WRONG = Balance(Decimal("1.50"), 1), Balance(Decimal("2.50"), 1)


@pytest.fixture(scope="module", autouse=True)
def written(context: Context) -> None:
    """Three accounts with a posting each, and their rows, as a worker leaves them."""
    encode, name, now = context.codec.encode, context.name, datetime(2026, 1, 2, tzinfo=UTC)
    events = [
        (f"{id}@1", encode(Posted(id, Decimal("1.50")), Meta(f"account:{id}@1", id, 1, now, "c", "c")))
        for id in ("ada", "bob", "eve")
    ]
    context.write(topics.events(name, "account"), *events, key_of=lambda key: key.partition("@")[0])
    context.write(topics.table(name, "balances"), *((id, encode(RIGHT)) for id in ("ada", "bob", "eve")))
    ends = Counter(partition_of(id.encode(), 3) for id in ("ada", "bob", "eve"))
    marks = [TopicPartition(topics.events(name, "account"), number, ends[number]) for number in range(3)]
    commit(context, marks)


def commit(context: Context, marks: list[TopicPartition]) -> None:
    """Says that the view has all events below these."""
    client = {"bootstrap.servers": context.cluster.bootstrap, "group.id": f"{context.name}.balances"}
    with closing(Consumer(client)) as consumer:
        commit_offsets(consumer, marks)


def verify(cli: Cli, context: Context, *arguments: str) -> Ran:
    return cli("verify", f"{context.name}.balances", "--topology", context.module, *arguments)


def test_a_view_that_is_right(cli: Cli, context: Context) -> None:
    ran = verify(cli, context)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == f"{context.name}.balances: 3 rows, 3 events: all are the fold of the log\n"
    assert json.loads(verify(cli, context, "--json").out) == {"rows": 3, "events": 3, "rounds": 1, "differences": []}


def test_a_wrong_row_is_shown_beside_the_right_one(cli: Cli, context: Context) -> None:
    table = topics.table(context.name, "balances")
    context.write(table, ("bob", context.codec.encode(WRONG)), ("eve", None))
    try:
        ran, as_json = verify(cli, context), verify(cli, context, "--json")
    finally:
        context.write(table, *((id, context.codec.encode(RIGHT)) for id in ("bob", "eve")))
    assert (ran.code, as_json.code) == (1, 1)
    assert ran.err == f"{context.name}.balances: 3 rows, 3 events: 2 differ\n"
    header, bob, eve = ran.out.splitlines()
    assert header.split() == ["key", "row", "at", "last", "event", "version", "live", "folded", "why"]
    assert bob.startswith(f"bob  {table}:{partition_of(b'bob', 3)}:")
    assert "amount=2.50 postings=1 owners=[]  amount=1.50 postings=1 owners=[]" in bob
    assert "no row" in eve
    first = json.loads(as_json.out)["differences"][0]
    assert (first["key"], first["version"], first["live"]["amount"], first["folded"]["amount"]) == (
        "bob", 1, "2.50", "1.50",
    )  # fmt: skip
    assert first["last_event"].startswith(f"{topics.events(context.name, 'account')}:{partition_of(b'bob', 3)}:")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("{}.account", "{}.account is a decider, not a view; only views can be verified"),
        ("{}.credits", "{} has no processor `credits`"),
        ("balances", "`balances` is not CONTEXT.NAME, for example orders.order"),
    ],
)
def test_what_is_no_view(target: str, reason: str, cli: Cli, context: Context) -> None:
    ran = cli("verify", target.format(context.name), "--topology", context.module)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {reason.format(context.name)}")


def test_missing_topics(cli: Cli, empty: Context) -> None:
    ran = cli("verify", f"{empty.name}.balances", "--topology", empty.module)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: there is no topic {empty.name}.balances: run `foldlog topics apply")


def test_a_log_that_was_made_anew_is_told(cli: Cli, context: Context) -> None:
    log, home = topics.events(context.name, "account"), partition_of(b"ada", 3)
    with closing(Consumer({"bootstrap.servers": context.cluster.bootstrap, "group.id": "any"})) as consumer:
        _, end = consumer.get_watermark_offsets(TopicPartition(log, home), timeout=10)
    commit(context, [TopicPartition(log, home, end + 1)])
    ran = verify(cli, context)
    commit(context, [TopicPartition(log, home, end)])
    where = f"{context.name}.balances stands at {end + 1} of {log}:{home}, which ends at {end}"
    assert (ran.code, ran.err) == (1, f"error: {where}: the log was made anew\n")
