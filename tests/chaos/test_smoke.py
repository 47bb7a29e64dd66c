"""A short run of the whole suite: real nodes, real workers, real faults, every promise checked."""

from pathlib import Path

import pytest

from foldlog.core.errors import ConfigError
from tests.chaos.clocks import library
from tests.chaos.ground import ground
from tests.chaos.report import as_json
from tests.chaos.run import Plan, run
from tests.chaos.schedule import schedule

SECONDS, SEED = 35.0, 1


@pytest.fixture
def without() -> tuple[str, ...]:
    """What this machine cannot do: `make chaos` insists on a clock that can be moved, a test run does not."""
    try:
        library()
    except ConfigError:
        return ("clock-moved",)
    return ()


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_nothing_is_lost_made_twice_or_shown_that_was_aborted(tmp_path: Path, without: tuple[str, ...]) -> None:
    plan = Plan(SEED, SECONDS, schedule(SEED, SECONDS, without), without)
    with ground(directory=tmp_path) as made:
        outcome = run(made, tmp_path / "run", plan, lambda _: None)
    assert outcome.good, as_json([outcome]).decode()
    assert sum(outcome.seen.values()) >= len(plan.faults) // 2, as_json([outcome]).decode()
