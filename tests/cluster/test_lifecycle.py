"""One embedded cluster from its first start to its end, as its user meets it. The tests run in this order."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

import foldlog
from foldlog.cluster import Cluster, Status, embedded
from foldlog.cluster.artifacts import Software
from foldlog.cluster.ports import HOST, is_free
from foldlog.core.errors import ClusterError
from foldlog.kafka.marks import GroupOffsets
from tests.engine.running import eventually

UP = """
import sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from foldlog.cluster import embedded
found = embedded.up(Path(sys.argv[1]), train=False)
print(found.bootstrap, found.registry)
"""


def up_elsewhere(home: Path) -> "subprocess.Popen[str]":
    source = str(Path(foldlog.__path__[0]).parent)
    return subprocess.Popen([sys.executable, "-c", UP, str(home), source], stdout=subprocess.PIPE, text=True)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("lifecycle") / "home"
    yield directory
    embedded.down(directory, wipe_data=True)


@pytest.fixture(scope="module")
def first(home: Path, programs: Software) -> Cluster:
    """The cluster as the first two `up`, run at once, found it."""
    both = [up_elsewhere(home) for _ in range(2)]
    answers = {process.communicate(timeout=120)[0] for process in both}
    assert [process.returncode for process in both] == [0, 0]
    assert len(answers) == 1
    bootstrap, registry = answers.pop().split()
    return Cluster(bootstrap, registry, "embedded")


def status(home: Path) -> Status:
    return embedded.status(home)


def pids(home: Path) -> list[int | None]:
    return [server.pid for server in status(home).servers]


def kill(home: Path, *victims: int | None) -> None:
    served = [server.address for server in status(home).servers if server.pid in victims]
    for pid in victims:
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    while set(victims) & set(pids(home)):
        time.sleep(0.01)
    # A killed server's sockets outlive its entry in the process table.
    ports = [int(port) for address in served for port in re.findall(rf"{HOST}:(\d+)", address or "")]
    assert len(ports) == len(victims)
    eventually(lambda: all(is_free(port) for port in ports), "free ports")


def test_down_before_any_up_stops_nothing_and_creates_nothing(tmp_path: Path) -> None:
    assert not embedded.down(tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_two_ups_at_once_start_one_cluster_which_outlives_them(first: Cluster, home: Path) -> None:
    assert status(home).running
    assert embedded.find(home) == first


def test_a_group_that_nobody_has_used_has_no_offsets(first: Cluster) -> None:
    """Its coordinator is not there yet, which is how one looks that has just moved."""
    offsets = GroupOffsets(first.bootstrap)
    assert offsets.of("nobody", [("none", 0), ("none", 1)]) == {
        ("none", 0): OFFSET_INVALID,
        ("none", 1): OFFSET_INVALID,
    }
    offsets.close()


def test_a_topic_and_a_schema_can_be_written(first: Cluster) -> None:
    admin = AdminClient({"bootstrap.servers": first.bootstrap})
    admin.create_topics([NewTopic("kept", num_partitions=2, replication_factor=1)])["kept"].result(60)
    producer = Producer({"bootstrap.servers": first.bootstrap, "transactional.id": "lifecycle"})
    producer.init_transactions(60)
    producer.begin_transaction()
    producer.produce("kept", b"value", b"key", partition=0)
    producer.commit_transaction(60)
    with SchemaRegistryClient({"url": first.registry}) as client:
        assert client.register_schema("kept", Schema('"string"', "AVRO")) > 0


def test_an_unknown_topic_is_not_created_by_asking_for_it(first: Cluster) -> None:
    admin = AdminClient({"bootstrap.servers": first.bootstrap})
    admin.list_topics("typo", timeout=60)
    assert "typo" not in admin.list_topics(timeout=60).topics


def test_up_on_a_running_cluster_changes_nothing(first: Cluster, home: Path) -> None:
    before = pids(home)
    assert embedded.up(home, train=False) == first
    assert pids(home) == before


def test_status_is_json_and_says_what_ops_ask(first: Cluster, home: Path) -> None:
    found = json.loads(json.dumps(asdict(status(home))))
    assert (found["kind"], found["running"], found["bootstrap"]) == ("embedded", True, first.bootstrap)
    for server in found["servers"]:
        assert server["alive"]
        assert server["responding"]
        assert server["memory_mb"] > 50
        assert server["data_mb"] >= 0
        assert Path(server["log"]).is_file()


@pytest.mark.parametrize("garbage", ["", "{", "[]", '{"ports": 3}', '{"ports": {"kafka": "x"}, "pid": 1}'])
def test_a_garbled_run_file_does_not_hide_a_running_cluster(first: Cluster, home: Path, garbage: str) -> None:
    (home / "cluster/run/cluster.json").write_text(garbage)
    assert embedded.up(home, train=False) == first


def test_a_killed_registry_comes_back_beside_the_running_kafka(first: Cluster, home: Path) -> None:
    kafka, registry = pids(home)
    kill(home, registry)
    assert not status(home).running
    assert embedded.find(home) is None
    assert embedded.up(home, train=False).bootstrap == first.bootstrap
    assert pids(home)[0] == kafka
    assert pids(home)[1] not in {None, registry}


def test_topic_record_and_schema_survive_a_kill(first: Cluster, home: Path) -> None:
    before = embedded.find(home)
    assert before is not None
    kill(home, *pids(home))
    assert not embedded.down(home)
    assert embedded.up(home, train=False) == before
    with SchemaRegistryClient({"url": before.registry}) as client:
        assert client.get_latest_version("kept").schema.schema_str == '"string"'
    settings = {"bootstrap.servers": before.bootstrap, "group.id": "g", "auto.offset.reset": "earliest"}
    consumer = Consumer(settings)
    consumer.subscribe(["kept"])
    # A broker that has just come back may not know its topics and groups yet, and a poll tells that as a message.
    message = eventually(lambda: found if (found := consumer.poll(1)) and not found.error() else None, "the record")
    consumer.close()
    assert (message.key(), message.value()) == (b"key", b"value")


def test_another_clusters_servers_are_not_touched(first: Cluster, home: Path, tmp_path: Path) -> None:
    mark = f"-Dfoldlog.server=kafka@{tmp_path}/cluster"
    script = "import sys; print(flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, mark, "-Dfoldlog.ports=kafka:1,controller:2"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as foreign:
        assert foreign.stdout
        foreign.stdout.readline()
        assert embedded.status(tmp_path).servers[0].pid == foreign.pid
        assert foreign.pid not in pids(home)
        assert embedded.down(home)
        assert foreign.poll() is None
        foreign.kill()


def test_after_down_nothing_runs_and_a_second_down_says_so(first: Cluster, home: Path) -> None:
    assert pids(home) == [None, None]
    assert not status(home).running
    assert not embedded.down(home)


def test_data_that_were_complete_and_do_not_boot_are_kept(first: Cluster, home: Path) -> None:
    identity = home / "cluster/kafka/meta.properties"
    right = identity.read_text()
    identity.write_text("version=99\n")
    with pytest.raises(ClusterError, match=r"kafka did not start: .*kafka\.log; .*`foldlog down --wipe`"):
        embedded.up(home, train=False)
    assert pids(home) == [None, None]
    assert (home / "cluster/kafka/kept-0").is_dir()
    identity.write_text(right)


def test_half_of_the_data_is_refused_and_nothing_is_made_up(first: Cluster, home: Path) -> None:
    database, aside = home / "cluster/registry", home / "aside"
    database.rename(aside)
    with pytest.raises(ClusterError, match=r"cluster/registry are gone .* `foldlog down --wipe`"):
        embedded.up(home, train=False)
    assert not database.exists()
    aside.rename(database)


def test_ports_stay_while_free_and_move_when_taken(first: Cluster, home: Path) -> None:
    remembered = json.loads((home / "cluster/run/cluster.json").read_text())["ports"]
    with socket.create_server((HOST, remembered["kafka"])):
        moved = embedded.up(home, train=False)
    assert moved.bootstrap != f"{HOST}:{remembered['kafka']}"
    assert moved.registry.startswith(f"http://{HOST}:{remembered['registry']}/")
    topics = AdminClient({"bootstrap.servers": moved.bootstrap}).list_topics(timeout=60).topics
    assert "kept" in topics


def test_down_with_wipe_frees_ports_and_deletes_both_halves(first: Cluster, home: Path) -> None:
    remembered = json.loads((home / "cluster/run/cluster.json").read_text())["ports"]
    assert embedded.down(home, wipe_data=True)
    # A killed server's sockets outlive its entry in the process table.
    eventually(lambda: all(is_free(port) for port in remembered.values()), "free ports")
    assert sorted(path.name for path in (home / "cluster").iterdir()) == ["logs", "run"]
