"""The schedule is a pure function, and asks nothing that three nodes cannot bear."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.chaos.faults import FAULTS
from tests.chaos.schedule import KINDS, NAMES, Fault, schedule

SEEDS = st.integers(0, 10_000)
HOLDS = {kind.name: kind.holds for kind in KINDS}


def test_every_fault_that_can_be_scheduled_can_be_done() -> None:
    assert set(FAULTS) == set(NAMES)


@given(SEEDS, st.floats(10, 600))
def test_the_same_seed_gives_the_same_faults(seed: int, seconds: float) -> None:
    assert schedule(seed, seconds) == schedule(seed, seconds)


def test_another_seed_gives_others() -> None:
    assert len({schedule(seed, 60) for seed in range(20)}) == 20


@given(SEEDS)
def test_three_minutes_see_every_kind_of_fault(seed: int) -> None:
    assert {fault.name for fault in schedule(seed, 180)} == set(NAMES)


@given(SEEDS)
def test_faults_that_would_be_too_much_together_never_overlap(seed: int) -> None:
    for one, other in combinations(schedule(seed, 180), 2):
        if HOLDS[one.name] & HOLDS[other.name]:
            first, second = sorted((one, other))
            assert first.at + first.seconds <= second.at


@given(SEEDS)
def test_every_fault_begins_while_there_is_time(seed: int) -> None:
    assert all(0 < fault.at < 180 for fault in schedule(seed, 180))


def test_what_is_left_out_does_not_come() -> None:
    assert "clock-moved" not in {fault.name for fault in schedule(7, 180, without=("clock-moved",))}


def test_one_kind_alone_can_be_asked_for() -> None:
    assert {fault.name for fault in schedule(7, 60, only=("net-hole",))} == {"net-hole"}


def test_a_kind_that_there_is_none_of_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no fault `clok`; there are worker-kill"):
        schedule(7, 60, without=("clok",))


def test_a_fault_reads_as_a_line() -> None:
    assert str(Fault(3.25, "net-cut", "2", 1.5, 0.1)) == "   3.2 s  net-cut 2 for 1.5 s"
