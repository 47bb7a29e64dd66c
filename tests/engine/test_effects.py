"""What a batch makes of the effects that it waited for."""

from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.core import Meta
from foldlog.core.repair import Parked
from foldlog.engine.effects import Chain, Effect, Effects
from foldlog.engine.parking import ParkedRows, Parking
from foldlog.engine.reacting import Reacting
from foldlog.engine.replayed import Replayed
from foldlog.engine.work import Work
from foldlog.settings import Settings
from tests.engine.bank import Opened, bank, tellers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NO_CODEC, NO_SENDER, NO_PARKING = (cast(Any, object()) for _ in range(3))  # nothing may be asked of these


def effect(number: int) -> Effect:
    """What is to be done about an event of Ada's."""
    id_ = f"ada@{number}"
    message = Replayed(Parked("bank.account.events", 0, number, NOW, id_.encode(), b"", ()))
    return Effect(message, Opened("ada", "Ada"), Meta(f"account:{id_}", "ada", number, NOW, "c", "c"))


def test_nothing_is_parked_of_a_chain_whose_effects_are_done_and_which_is_about_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def about_to_end(_: Effects, chains: Sequence[Chain], __: float) -> None:
        for chain in chains:
            chain.future, chain.done = Future(), len(chain.effects)

    monkeypatch.setattr(Effects, "run", about_to_end)
    work = Work(bank.name, tellers.name, NO_CODEC, parking=NO_PARKING)
    work.effects.append(effect(1))
    Reacting(bank, tellers, NO_CODEC, Settings(), NO_SENDER).finish(work)
    assert (work.outputs, work.letters) == ([], 0)


@pytest.mark.parametrize(
    ("done", "away", "tries"),
    [(0, False, 3), (0, True, 2), (1, False, 1), (1, True, 0)],
    ids=["fails again", "is away", "the next fails", "the next is away"],
)
def test_a_try_counts_for_the_effect_that_failed_and_not_where_its_target_was_away(
    tmp_path: Path, done: int, away: bool, tries: int
) -> None:
    codec = Codec(bank, Registry("http://127.0.0.1:9"))  # asked for nothing: no row is packed
    parking = Parking(ParkedRows(bank, tellers.name, codec), tmp_path)
    with closing(parking.partitions):
        parking.partitions.open([0], "a log")
        effects = [effect(1), effect(2)]
        parking.park(b"ada", effects[0].message, "handle-failed", "503", due=NOW, tries=2)
        work = Work(bank.name, tellers.name, NO_CODEC, parking=parking)
        assert parking.takes(b"ada", effects[1].message, work)
        reactor, chain = Reacting(bank, tellers, NO_CODEC, Settings(), NO_SENDER), Chain(b"ada", 0, effects, [1, 2])
        chain.done, chain.away, chain.failure = done, away, "it was not taken"
        head = parking.head(0, b"ada")
        assert head is not None
        chain.since = head.since
        reactor._effects.under_way[b"ada"] = chain
        reactor.ring({}, work)
        after = parking.head(0, b"ada")
        assert after is not None
        assert (after.first, after.tries, after.reason) == (1 + done, tries, "it was not taken")
