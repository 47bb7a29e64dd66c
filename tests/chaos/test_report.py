"""The last line of a run says whether a promise was broken, or only what the suite itself could not do."""

from pathlib import Path

import pytest
from rich.console import Console

from tests.chaos.nemesis import Done
from tests.chaos.report import show
from tests.chaos.run import Outcome
from tests.chaos.schedule import Fault

SEEN = Done(Fault(1, "worker-kill", "a", 2, 0.5), 1, 3, "pid 7 ended by SIGKILL")
UNHEALED = Done(Fault(1, "broker-kill", "1", 2, 0.5), 1, 181, "", failed="it did not come back")


@pytest.mark.parametrize(
    ("done", "lost", "said"),
    [
        ([SEEN], [], "seed 7: 1 faults, no violation"),
        ([SEEN], ["a cent"], "seed 7 FAILED (violated: conserved); histories"),
        ([SEEN, UNHEALED], ["a cent"], "seed 7 FAILED (violated: conserved); histories"),
        ([SEEN, UNHEALED], [], "seed 7 FAILED (nothing is violated, but not every fault could be brought about and"),
    ],
)
def test_a_run_that_failed_says_why(done: list[Done], lost: list[str], said: str) -> None:
    console = Console(record=True, width=200)
    show(console, Outcome(7, 180, done, {"conserved": lost, "once": []}), Path("kept"), ())
    told = console.export_text()
    assert said in told
    assert ("replay: python -m tests.chaos --seconds 180 --seed 7" in told) == ("FAILED" in told)
