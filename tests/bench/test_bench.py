"""`foldlog bench` on a real cluster: small, whole, and without a trace left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from foldlog.bench.peers import Peer, decoded, encoded, found_in
from foldlog.bench.plot import plot
from foldlog.bench.workload import Order
from foldlog.cluster import Cluster
from foldlog.core.errors import ConfigError
from foldlog.kafka.connection import partition_counts

pytestmark = pytest.mark.timeout(600)  # the first of them waits for a whole run of it

BENCH = (sys.executable, "-m", "foldlog.cli.main", "bench")
PATIENCE_S = 60.0


def environment(cluster: Cluster) -> dict[str, str]:
    """The cluster for a process."""
    return {**os.environ, "FOLDLOG_BOOTSTRAP": cluster.bootstrap, "FOLDLOG_REGISTRY": cluster.registry}


def bench(directory: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs it to its end."""
    command = [*BENCH, *arguments]
    return subprocess.run(
        command, cwd=directory, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )


def own_topics(cluster: Cluster) -> list[str]:
    """The bench's topics in the cluster."""
    return [name for name in partition_counts(cluster.bootstrap) if name.startswith("bench_")]


def own_topics_go(cluster: Cluster) -> bool:
    """True once none is left: deleting is asynchronous."""
    deadline = time.monotonic() + PATIENCE_S
    while own_topics(cluster) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not own_topics(cluster)


@pytest.fixture(scope="module")
def result(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a small run found."""
    directory = tmp_path_factory.mktemp("bench")
    parts = ("--part", "throughput", "--part", "processes", "--part", "view", "--part", "restore")
    sizes = ("--commands", "2000", "--rounds", "1", "--keys", "300", "--accounts", "50", "--scale", "40,60")
    done = bench(directory, *parts, *sizes, "--set", "batch_records=200", "--json", **environment(cluster))
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert found == json.loads((directory / "build/bench.json").read_text())
    return found


def test_every_result_is_verified(result: dict[str, Any]) -> None:
    assert result["verified"]
    assert result["problems"] == []
    assert all(system["verified"] for system in result["systems"].values())


def test_throughput_is_told_for_one_process_and_for_two(result: dict[str, Any]) -> None:
    assert result["systems"].keys() == {"foldlog", "foldlog_2_processes"}
    for system in result["systems"].values():
        [one] = system["rounds"]
        assert one["commands"] == 2000
        assert one["seconds"] > 0
        assert system["rate"] == one["rate"]
        assert system["cpu_s_per_100k"] > 0
        assert system["rss_mb"] > 10
    assert result["ratios"].keys() == {"two_processes"}


def test_the_other_parts_have_their_figures(result: dict[str, Any]) -> None:
    assert result["view"]["verified"]
    assert result["view"]["rate"] > 0
    assert result["restore_keys"] == 300
    own = result["recovery"]["foldlog"]
    [start] = own["starts"]
    assert all(start[kind] > 0 for kind in ("blank_s", "empty_disk_s", "warm_s"))
    assert result["warm_restart_s"] == own["warm_s"] == start["warm_s"]
    assert own["empty_disk_s"] == start["empty_disk_s"]
    assert result["restore_s"] == own["restore_s"] >= 0
    assert "told_s" not in own  # foldlog is seen from outside


def test_sizes_are_compared_round_by_round(result: dict[str, Any]) -> None:
    assert result["scale"].keys() == {"40", "60"}
    small, large = result["scale"].values()
    assert small["ratio"] == 1
    assert large["ratio"] == pytest.approx(large["rate"] / small["rate"], abs=0.01)
    assert all(each["rounds"] == [each["rate"]] and each["rss_mb"] > 10 for each in (small, large))


def test_machine_and_settings_are_told(result: dict[str, Any]) -> None:
    assert result["machine"]["cores"] == os.cpu_count()
    assert result["settings"] == {"FOLDLOG_BATCH_RECORDS": "200"}


def test_the_result_can_be_drawn(result: dict[str, Any], tmp_path: Path) -> None:
    plot(result, tmp_path / "bench.png")
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("found", "panels"),
    [
        ({"systems": {"foldlog": {"rate": 9, "cpu_s_per_100k": 0.7}}}, 2),
        ({"recovery": {"foldlog": {"empty_disk_s": 3.3, "warm_s": 1.2}}}, 2),
        ({"view": {"rate": 9}}, 1),
        ({"features": {"foldlog": {"us": 7.1}}}, 1),
        ({"scale": {"10000": {"rate": 9}, "1000000": {"rate": 8}}}, 1),
        (
            {
                "latency_ms": {"p99": 47},
                "latency_view_ms": {"p99": 83},
                "latency_peers_ms": {"quix_eos": {"p99": 1822}},
            },
            1,
        ),
    ],
)
def test_each_part_alone_can_be_drawn(found: dict[str, Any], panels: int, tmp_path: Path) -> None:
    plot(found, tmp_path / "bench.png")
    assert width(tmp_path / "bench.png") == pytest.approx(675 * panels, abs=1)


def width(png: Path) -> int:
    """Pixels, as the file's header says."""
    return int.from_bytes(png.read_bytes()[16:20], "big")


@pytest.mark.usefixtures("result")
def test_nothing_is_left_in_the_cluster(cluster: Cluster) -> None:
    assert own_topics_go(cluster)


def test_an_interrupted_run_leaves_nothing_either(cluster: Cluster, tmp_path: Path) -> None:
    command = [*BENCH, "--part", "throughput", "--commands", "500000"]
    run = subprocess.Popen(command, cwd=tmp_path, env=environment(cluster), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + PATIENCE_S
    while not own_topics(cluster):
        assert run.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)
    run.send_signal(signal.SIGINT)
    _, errors = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == 130
    assert "Traceback" not in errors
    assert own_topics_go(cluster)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ("--part", "speed"),
            "error: --part speed: there are throughput, processes, latency, restore, view, features, scale",
        ),
        (("--set", "batch_records"), "error: --set batch_records: write NAME=VALUE"),
        (("--scale", "many"), "error: --scale many: write numbers of accounts"),
        (("--peers", "nowhere"), "error: nowhere/peers.json: No such file or directory; `make bench` makes the peers"),
    ],
)
def test_wrong_usage_is_one_clear_line(arguments: tuple[str, ...], told: str, tmp_path: Path) -> None:
    done = bench(tmp_path, *arguments, FOLDLOG_BOOTSTRAP="", FOLDLOG_REGISTRY="")
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert done.stderr.count("\n") == 1


def test_a_manifest_names_the_peers(tmp_path: Path) -> None:
    (tmp_path / "peers.json").write_text('[{"name": "other", "command": ["run", "it"], "commands": 20, "rounds": 2}]')
    assert found_in(tmp_path) == [Peer("other", ("run", "it"), commands=20, rounds=2)]


def test_a_broken_manifest_is_told(tmp_path: Path) -> None:
    (tmp_path / "peers.json").write_text('[{"name": "other"}]')
    with pytest.raises(ConfigError, match=r"peers.json: .*missing required field `command`"):
        found_in(tmp_path)


def test_peers_get_avro_in_confluents_framing() -> None:
    value = encoded(Order("id-1", "acct-7", True, 5), 9)
    assert value == b"\0\0\0\0\1" + b"\x08id-1" + b"\x0cacct-7" + b"\x02" + b"\x0a" + b"\x12"


def test_events_of_peers_are_read() -> None:
    value = b"\0\0\0\0\2" + b"\x04e1" + b"\x04c1" + b"\x04a1" + b"\x02" + b"\x04" + b"\x0a" + b"\x14" + b"\x00"
    found = decoded(value)
    assert found == {
        "event_id": "e1",
        "command_id": "c1",
        "account_id": "a1",
        "version": 1,
        "type": "Refused",
        "amount": 5,
        "balance": 10,
        "sent": 0,
    }
