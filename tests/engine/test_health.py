"""What makes a worker unhealthy or not ready, and what it says about it."""

import re
import uuid
from dataclasses import replace

import pytest

from foldlog.engine import health
from foldlog.engine.stats import ProcessorStats
from tests.engine.bank import Misbehave
from tests.engine.conftest import Start
from tests.engine.outside import webhook
from tests.engine.running import Bank, eventually
from tests.engine.scraping import FREE_PORT, asked, scrape, url_of

RUNNING = ProcessorStats("order", "decider", (0, 1), "running", 10, 1.0, 5, 3, 0, 0, 0)


def test_a_worker_whose_threads_move_lives() -> None:
    assert health.stuck([RUNNING, replace(RUNNING, turned_s=61, working_s=299)], 1.0) == []


@pytest.mark.parametrize(
    ("stats", "loop_s", "said"),
    [
        (RUNNING, 11.0, "the event loop has not turned for 11 s"),
        (replace(RUNNING, turned_s=91.0), 1.0, "order: its poll thread has not turned for 91 s"),
        (replace(RUNNING, working_s=301.0), 1.0, "order: has worked on one batch for 301 s"),
    ],
)
def test_whatever_has_stopped_moving_is_named(stats: ProcessorStats, loop_s: float, said: str) -> None:
    assert health.stuck([stats], loop_s) == [said]


@pytest.mark.parametrize("state", ["restoring", "waiting"])
def test_waiting_for_a_broker_or_a_registry_is_life(state: str) -> None:
    assert health.stuck([replace(RUNNING, state=state, working_s=10_000)], 1.0) == []  # type: ignore[arg-type]


def test_a_reactors_effects_may_take_long() -> None:
    assert health.stuck([replace(RUNNING, kind="reactor", working_s=10_000)], 1.0) == []


def test_a_worker_is_ready_when_every_processor_runs_and_none_is_far_behind() -> None:
    assert health.missing([RUNNING, replace(RUNNING, lag=100)], most_lag=100) == []
    assert health.missing([replace(RUNNING, partitions=())], most_lag=0) == ["order: 5 records behind, ready at 0"]


@pytest.mark.parametrize(
    ("stats", "said"),
    [
        (replace(RUNNING, state="starting"), "order: starting"),
        (replace(RUNNING, state="waiting"), "order: waiting"),
        (replace(RUNNING, state="restoring", restored=20, to_restore=90), "order: restoring, 20 of 90 records"),
        (replace(RUNNING, lag=101), "order: 101 records behind, ready at 100"),
    ],
)
def test_what_is_missing_is_said(stats: ProcessorStats, said: str) -> None:
    assert health.missing([stats, RUNNING], most_lag=100) == [said]


def behind(url: str) -> int | None:
    """How many records the reactor lacks, if that is why the worker is not ready."""
    status, body = asked(f"{url}/readyz")
    assert (status == 200) == body["ready"] == (not body["missing"])
    told = (re.fullmatch(r"tellers: (\d+) records behind, ready at 0", said) for said in body["missing"])
    return next((int(found[1]) for found in told if found), None)


def test_a_worker_behind_its_bound_is_alive_and_not_ready_until_it_has_caught_up(own_bank: Bank, start: Start) -> None:
    accounts = [uuid.uuid4().hex for _ in range(60)]
    with webhook() as hook:
        settings = {"FOLDLOG_READY_LAG": "0", "FOLDLOG_BATCH_RECORDS": "1", "FOLDLOG_NOTIFY": hook.url}
        settings["FOLDLOG_SESSION_TIMEOUT_MS"] = "60000"  # a session that is lost repeats effects
        url = url_of(start("account", "tellers", **FREE_PORT, **settings))
        eventually(lambda: asked(f"{url}/readyz") == (200, {"ready": True, "missing": []}), "readiness")
        hook.pauses = dict.fromkeys(accounts, 2.0)  # each batch waits half a second for its effect
        own_bank.send(*(Misbehave(account, "a") for account in accounts))
        assert eventually(lambda: behind(url), "the lag") > 0
        assert asked(f"{url}/healthz") == (200, {"live": True, "missing": []})
        eventually(lambda: scrape(url)["foldlog_lag_seconds", "tellers"] > 0, "the age of what it lacks")
        hook.pauses.clear()
        eventually(lambda: sorted(sent.to for sent in hook.sent) == sorted(accounts), "every effect")
        eventually(lambda: asked(f"{url}/readyz")[0] == 200, "readiness")
