"""Promises: a saga whose definition changes while promises are open; `PROMISES` says which release this is."""

import os
from decimal import Decimal
from typing import Any

from foldlog.core import Migration, Money, Record, Saga, Topology, replace
from tests.engine.bank import Post, account

one = Decimal("1.00")


class Promise(Record):
    transfer: str
    target: str


class Keep(Record):
    transfer: str


class Promised(Record):
    """The state of the first version: whatever is promised is 1."""

    target: str = ""
    kept: bool = False


class Vowed(Record):
    """The state of the second version: what is promised is 2, but for what was promised before."""

    target: str = ""
    amount: Money = 2 * one
    kept: bool = False


Step = Promise | Keep


def keep_one(promised: Promised, step: Step) -> list[Post]:
    return [Post(promised.target, one, step.transfer)] if isinstance(step, Keep) else []


def promise(promised: Promised, step: Step) -> Promised:
    return Promised(step.target) if isinstance(step, Promise) else replace(promised, kept=True)


def keep_all(vowed: Vowed, step: Step) -> list[Post]:
    return [Post(vowed.target, vowed.amount, step.transfer)] if isinstance(step, Keep) else []


def vow(vowed: Vowed, step: Step) -> Vowed:
    return Vowed(step.target) if isinstance(step, Promise) else replace(vowed, kept=True)


def migrate(promised: Promised) -> Vowed:
    return Vowed(promised.target, Decimal("1.50"), promised.kept)


def id_of(step: Step) -> str:
    return step.transfer


first = Saga("promises", account, Promised(), id_of, keep_one, promise, ended=lambda promised: promised.kept)


def second(*earlier: Saga[Step, Post, Promised] | Migration) -> Saga[Step, Post, Vowed]:
    return Saga(
        "promises", account, Vowed(), id_of, keep_all, vow, lambda vowed: vowed.kept, version=2, earlier=earlier
    )


SAGAS: dict[str, Saga[Any, Any, Any]] = {
    "first": first,
    "pinned": second(first),
    "migrated": second(Migration(1, migrate)),
}
RELEASES = {
    name: Topology(os.environ.get("BANK", "promising"), deciders=(account,), sagas=(saga,), partitions=3)
    for name, saga in SAGAS.items()
}
promising = RELEASES[os.environ.get("PROMISES", "first")]
