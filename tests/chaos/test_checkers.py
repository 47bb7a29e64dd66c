"""Each checker is quiet about a sound bank, and speaks up about the one thing that is wrong."""

from collections import Counter
from dataclasses import replace

import pytest

from tests.chaos import checkers
from tests.chaos.bank import Audited, Deposited, Holding, Withdrawn
from tests.chaos.checkers import CHECKERS, Checker
from tests.chaos.collected import Collected, Kept, Letter, Step, plain
from tests.chaos.history import Told
from tests.chaos.sound import ADA, ARRIVED, EVENTS, KEPT, OWNER, SOUND, TOLD, changed, kept, log, state, told, without


@pytest.mark.parametrize("checker", CHECKERS, ids=lambda checker: checker.__name__)
def test_nothing_is_said_about_a_sound_bank(checker: Checker) -> None:
    assert list(checker(SOUND)) == []


BROKEN = {
    "a transfer whose deposit is missing": (checkers.conserved, replace(SOUND, events=without(4)), "loses 200 cents"),
    "a refund that is there twice": (
        checkers.conserved,
        replace(SOUND, events=(*EVENTS, EVENTS[7])),
        "transfer t2 makes 50 cents",
    ),
    "more paid out than there was": (
        checkers.conserved,
        replace(SOUND, events=log(("w", Withdrawn("ada", OWNER, 5)))),
        "ada has -5 cents",
    ),
    "a command that is lost": (
        checkers.once,
        replace(SOUND, events=without(2)),
        "d1 arrived 3 times and is in the log 0",
    ),
    "one that was acknowledged and never arrived": (
        checkers.once,
        replace(SOUND, events=without(1), arrived=ARRIVED - Counter(o2=1)),
        "o2 was acknowledged (c:0:2) and never arrived",
    ),
    "a command that is there twice": (checkers.once, replace(SOUND, events=(*EVENTS, EVENTS[2])), "the log 2 times"),
    "one that is there and never arrived": (
        checkers.once,
        replace(SOUND, events=(*EVENTS, EVENTS[2]._replace(command="lost", cause="lost"))),
        "lost arrived 0 times and is in the log 1 times",
    ),
    "an unknown one that arrived and is lost": (
        checkers.once,
        replace(SOUND, arrived=ARRIVED + Counter(lost=1)),
        "lost arrived 1 times and is in the log 0 times",
    ),
    "a nameless one that is there twice": (
        checkers.once,
        replace(SOUND, events=(*EVENTS, EVENTS[10])),
        "told1 arrived 1 times and is in the log 2 times",
    ),
    "one of two nameless ones that is there twice": (
        checkers.once,
        replace(SOUND, events=(*EVENTS, EVENTS[10]), arrived=ARRIVED + Counter(told1=1)),
        "one told1 is in the log 2 times",
    ),
    "one that never left": (
        checkers.once,
        replace(SOUND, arrived=ARRIVED + Counter(never=1)),
        "never arrived though it never left",
    ),
    "a senseless one": (
        checkers.once,
        changed(2, command="zero", cause="zero"),
        "zero arrived 2 times and is in the log 1 times",
    ),
    "a reply with another version": (
        checkers.once,
        told(o1=Told("open", 1, 0, [], [("accepted", 7, False)])),
        "o1 was told version 7, its event has 1",
    ),
    "a reply that says failed": (checkers.once, told(o1=Told("open", 1, 0, [], [("failed", 1, False)])), "was failed"),
    "two first replies": (
        checkers.once,
        told(d1=Told("deposit", 2, 0, [], [("accepted", 2, False)] * 2)),
        "2 replies, 2 of them first ones",
    ),
    "more replies than commands": (
        checkers.once,
        told(o1=Told("open", 1, 0, [], [("accepted", 1, False), ("accepted", 1, True)])),
        "o1 arrived 1 times and has 2 replies",
    ),
    "an event id that is there twice": (checkers.unique, replace(SOUND, events=(*EVENTS, EVENTS[0])), "2 times"),
    "an event under another's key": (checkers.unique, changed(0, key="ada@9"), "has key ada@9"),
    "a version that is missing": (checkers.contiguous, replace(SOUND, events=without(2)), "ada: version 3 follows 1"),
    "a version that is used again": (
        checkers.contiguous,
        changed(2, version=1, key="ada@1"),
        "ada: version 1 follows 1",
    ),
    "an event on another partition": (checkers.contiguous, changed(0, partition=7), "ada@1 is on partition 7"),
    "an event that nobody asked for": (checkers.caused, changed(2, command="who"), "was caused by who"),
    "one of a transfer that nobody asked for": (checkers.caused, changed(3, command="transfer:t9:1.0"), "nobody sent"),
    "one of a transfer that is none": (checkers.caused, changed(3, command="transfer:o1:1.0"), "nobody sent"),
    "one of garbage": (checkers.caused, changed(2, command="g1"), "was caused by g1"),
    "a transfer that does not end": (
        checkers.settled,
        replace(SOUND, transfers=SOUND.transfers | {"t1": Step("pending", False)}),
        "t1 is pending for ever",
    ),
    "one that ended in another way than it says": (
        checkers.settled,
        replace(SOUND, transfers=SOUND.transfers | {"t1": Step("refunded", True)}),
        "t1 is refunded after withdrawn, deposited",
    ),
    "one that nobody sent": (
        checkers.settled,
        replace(SOUND, transfers=SOUND.transfers | {"t9": Step("refused", True)}),
        "t9 was never sent",
    ),
    "one that never began": (
        checkers.settled,
        told(t5=Told("transfer", 1, 0, ["s:0:5"])),
        "t5 was acknowledged and never began",
    ),
    "a row that is another": (
        checkers.folded,
        replace(SOUND, tables=SOUND.tables | {"holdings": {OWNER: plain(Holding(501, 5))}}),
        "holdings owner",
    ),
    "a row that is missing": (checkers.folded, replace(SOUND, tables=SOUND.tables | {"balances": {}}), "balances ada"),
    "a row too many": (
        checkers.folded,
        replace(SOUND, tables=SOUND.tables | {"holdings": SOUND.tables["holdings"] | {"x": b"{}"}}),
        "holdings x",
    ),
    "a state with the right balance and another past": (
        checkers.audited,
        changed(9, record=Audited("ada", TOLD.owner, TOLD.cents, TOLD.entries, "another")),
        "account:ada@4: the worker had",
    ),
    "a snapshot that is another state": (
        checkers.restorable,
        kept(EVENTS[1], KEPT._replace(version=1)),
        "the snapshot of bob at version 1 is",
    ),
    "a snapshot of a version that is not there": (
        checkers.restorable,
        kept(EVENTS[1], KEPT._replace(version=9)),
        "the snapshot of bob at version 9 is",
    ),
    "a snapshot that is too old for its checkpoint": (
        checkers.restorable,
        kept(EVENTS[0], Kept(1, state(ADA[0]))),
        "ada has 2 events before the checkpoint, its snapshot is of version 1",
    ),
    "a snapshot that is missing": (
        checkers.restorable,
        replace(SOUND, snapshots={}),
        "bob has 1 events before the checkpoint, its snapshot is of version 0",
    ),
    "a long log without a checkpoint": (
        checkers.restorable,
        replace(SOUND, events=log(*[("d", Deposited("ada", OWNER, 1))] * 501), snapshots={}, checkpoints={}),
        "has 501 events and no checkpoint",
    ),
    "garbage that became no letter": (checkers.set_aside, replace(SOUND, letters=()), "g1 at c:0:9 is a dead letter 0"),
    "garbage that became two": (
        checkers.set_aside,
        replace(SOUND, letters=(*SOUND.letters, Letter("c:0:9", None))),
        "g1 at c:0:9 is a dead letter 2 times",
    ),
    "a sound record among the letters": (
        checkers.set_aside,
        replace(SOUND, letters=(*SOUND.letters, Letter("c:0:1", "o1"))),
        "1 dead letters of c:0:1 (o1)",
    ),
    "nameless letters that nothing explains": (
        checkers.set_aside,
        replace(SOUND, letters=(*SOUND.letters, Letter("c:0:77", None))),
        "2 dead letters are of records that only 1 sent ones can be",
    ),
}


@pytest.mark.parametrize("case", BROKEN.values(), ids=BROKEN.keys())
def test_is_caught(case: tuple[Checker, Collected, str]) -> None:
    checker, found, said = case
    assert said in "\n".join(checker(found))


def test_every_checker_is_known_to_catch_something() -> None:
    assert {case[0] for case in BROKEN.values()} == set(CHECKERS)
