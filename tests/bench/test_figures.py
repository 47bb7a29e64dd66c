"""From rounds to figures, by numbers that can be checked by hand."""

from statistics import median

import pytest

from foldlog.bench import figures
from foldlog.bench.latency import percentiles
from foldlog.bench.parts import prices
from foldlog.bench.recovery import Recovered, Start
from foldlog.bench.rounds import Round
from foldlog.bench.throughput import Measured
from foldlog.core.errors import EngineError


def a_round(system: str, seconds: float, cpu_s: float, rss_mb: float = 100, *problems: str) -> Round:
    """A round of 100,000 commands."""
    return Round(system, Measured(100_000, seconds, cpu_s, rss_mb), problems)


ROUNDS = [
    a_round("foldlog", 1.0, 0.5, 90),
    a_round("kafka_streams_eos_v2", 2.0, 1.0),
    a_round("faust", 50.0, 40.0),
    a_round("foldlog", 2.0, 0.6, 110),
    a_round("kafka_streams_eos_v2", 4.0, 1.2),
    a_round("foldlog", 1.25, 0.7, 100),
    a_round("kafka_streams_eos_v2", 2.5, 3.0),
]


def test_a_system_is_the_median_of_its_rounds() -> None:
    own = figures.throughput(ROUNDS)["systems"]["foldlog"]
    assert (own["rate"], own["cpu_s_per_100k"], own["rss_mb"]) == (80_000, 0.6, 110)
    assert [one["rate"] for one in own["rounds"]] == [100_000, 50_000, 80_000]


def test_ratios_are_of_medians() -> None:
    found = figures.throughput(ROUNDS)
    assert found["ratios"] == {"kafka_streams_eos_v2": 2.0, "faust": 40.0}
    assert found["cpu_ratio"] == {"kafka_streams": 0.5}


def test_two_processes_are_compared_with_two_threads_and_with_one_process() -> None:
    more = [a_round("foldlog_2_processes", 0.5, 0.6), a_round("kafka_streams_eos_v2_2_threads", 1.0, 0.6)]
    found = figures.throughput([*ROUNDS, *more])["ratios"]
    assert (found["kafka_streams_eos_v2_2_threads"], found["two_processes"]) == (2.0, 2.5)


def test_a_wrong_round_makes_its_system_unverified() -> None:
    found = figures.throughput([*ROUNDS, a_round("faust", 1, 1, 1, "events: 1 where 2 must be")])
    assert not found["systems"]["faust"]["verified"]
    assert found["systems"]["foldlog"]["verified"]
    assert found["problems"] == ["faust: events: 1 where 2 must be"]


def test_a_feature_costs_the_difference_to_plain_foldlog() -> None:
    found = prices([a_round("foldlog", 1.0, 0.5), a_round("replies", 1.25, 0.7)], median)["features"]
    assert found["foldlog"] == {"us": 10.0, "us_more": 0.0, "cpu_us": 5.0, "cpu_us_more": 0.0}
    assert found["replies"] == {"us": 12.5, "us_more": 2.5, "cpu_us": 7.0, "cpu_us_more": 2.0}


def test_percentiles_are_of_the_nearest_rank_and_leave_the_warm_up_out() -> None:
    latencies = [(0, 9999.0), *((10 + number, float(number)) for number in range(1, 201))]
    assert percentiles(latencies, since=10) == {"p50": 100.0, "p99": 198.0, "max": 200.0, "records": 200}


def test_no_record_at_all_is_an_error() -> None:
    with pytest.raises(EngineError, match="no record became visible"):
        percentiles([(0, 1.0)], since=10)


def test_restoring_is_what_the_state_adds_to_a_start() -> None:
    starts = [Start(1.5, 4.0, 2.0), Start(9.5, 13.0, 2.5), Start(1.0, 2.0, 9.0)]
    assert Recovered(1_000_000, starts).restore_s == 2.5
    assert Recovered(1_000_000, starts).warm_s == 2.5
    assert Recovered(1_000_000, [Start(1.5, 1.4, 2.0)]).restore_s == 0.0
