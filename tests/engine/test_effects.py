"""What a batch makes of the effects that it waited for."""

from collections.abc import Sequence
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from foldlog.core import Meta
from foldlog.core.repair import Parked
from foldlog.engine.effects import Chain, Effect, Effects
from foldlog.engine.reacting import Reacting
from foldlog.engine.replayed import Replayed
from foldlog.engine.work import Work
from foldlog.settings import Settings
from tests.engine.bank import Opened, bank, tellers

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NO_CODEC, NO_SENDER, NO_PARKING = (cast(Any, object()) for _ in range(3))  # nothing may be asked of these


def test_nothing_is_parked_of_a_chain_whose_effects_are_done_and_which_is_about_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def about_to_end(_: Effects, chains: Sequence[Chain], __: float) -> None:
        for chain in chains:
            chain.future, chain.done = Future(), len(chain.effects)

    monkeypatch.setattr(Effects, "run", about_to_end)
    work = Work(bank.name, tellers.name, NO_CODEC, parking=NO_PARKING)
    message = Replayed(Parked("bank.account.events", 0, 0, NOW, b"ada@1", b"", ()))
    work.effects.append(Effect(message, Opened("ada", "Ada"), Meta("account:ada@1", "ada", 1, NOW, "c", "c")))
    Reacting(bank, tellers, NO_CODEC, Settings(), NO_SENDER).finish(work)
    assert (work.outputs, work.letters) == ([], 0)
