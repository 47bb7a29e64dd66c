"""Generations of a view: readers follow one record."""

from dataclasses import replace

import pytest

from foldlog.core import topics
from foldlog.core.errors import ConfigError
from foldlog.core.topics import Topic
from foldlog.kafka import generations
from foldlog.kafka.admin import apply
from foldlog.kafka.generations import Generations, resolve
from tests.engine.bank import bank as declared
from tests.engine.bank import wealth
from tests.engine.running import Bank


def applied(bank: Bank, version: int) -> None:
    """Makes the topics of a version of `wealth`."""
    changed = replace(declared, name=bank.name, views=(replace(wealth, version=version),))
    apply(bank.cluster.bootstrap, topics.topics(changed), 1)


def test_readers_follow_the_alias_and_nothing_else(own_bank: Bank) -> None:
    kafka, context = own_bank.cluster.bootstrap, own_bank.name
    assert resolve(kafka, context, "wealth") == f"{context}.wealth"
    applied(own_bank, 2)
    assert resolve(kafka, context, "wealth") == f"{context}.wealth"
    assert generations.point(kafka, context, "wealth", "wealth.g2") == Generations("wealth.g2", "wealth")
    assert resolve(kafka, context, "wealth") == f"{context}.wealth.g2"
    assert generations.point(kafka, context, "wealth", "wealth.g2") == Generations("wealth.g2", "wealth")
    assert resolve(kafka, context, "balances") == f"{context}.balances"
    assert generations.point(kafka, context, "wealth", "wealth") == Generations("wealth", "wealth.g2")
    assert resolve(kafka, context, "wealth") == f"{context}.wealth"


def test_where_nobody_has_said_the_oldest_generation_is_live(own_bank: Bank) -> None:
    kafka, context = own_bank.cluster.bootstrap, own_bank.name
    names = [f"{context}.new.g10", f"{context}.new.g9", f"{context}.new.g9.rekeyed", f"{context}.new.green"]
    apply(kafka, [Topic(name, 1) for name in names], 1)
    assert resolve(kafka, context, "new") == f"{context}.new.g9"


def test_a_view_without_topics_is_told_how_to_get_them(own_bank: Bank) -> None:
    with pytest.raises(ConfigError, match=r"no topic .*unknown: run `foldlog topics apply"):
        resolve(own_bank.cluster.bootstrap, own_bank.name, "unknown")
