"""A first start that is disturbed leaves nothing half, and the next one begins afresh."""

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import foldlog
from foldlog.cluster import aot, embedded
from foldlog.cluster.artifacts import Software
from foldlog.cluster.disk import ensure_space
from foldlog.cluster.java import aot_file
from foldlog.cluster.kafka import KAFKA
from foldlog.cluster.place import Place
from foldlog.cluster.ports import HOST, choose
from foldlog.cluster.processes import processes
from foldlog.core.errors import ClusterError

UP = """
import sys, time
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from foldlog.cluster import embedded
def progress(step, *_):
    print(step, flush=True)
    if step.startswith("waiting for ") and "kafka" in step:  # the registry may be there already
        time.sleep(60)  # however fast they start, it waits when it is interrupted
embedded.up(Path(sys.argv[1]), progress=progress, train=False)
"""


def test_ctrl_c_stops_what_was_started_and_removes_what_was_written(home: Path, programs: Software) -> None:
    source = str(Path(foldlog.__path__[0]).parent)
    command = [sys.executable, "-c", UP, str(home), source]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as starting:
        assert starting.stdout
        for step in starting.stdout:
            if step.startswith("waiting for ") and "kafka" in step:
                break
        assert set(processes(Place.of(home))) == {"kafka", "registry"}
        starting.send_signal(signal.SIGINT)
        starting.communicate(timeout=120)
    assert starting.returncode != 0
    assert processes(Place.of(home)) == {}
    assert sorted(path.name for path in (home / "cluster").iterdir()) == ["logs", "run"]


def test_remains_of_a_killed_start_a_stolen_port_and_a_broken_cache_are_healed(home: Path, own_cache: Software) -> None:
    place = Place.of(home)
    place.kafka.mkdir(parents=True)
    (place.kafka / "meta.properties").write_text("half a li")
    place.registry.mkdir()
    (place.registry / "registry.mv.db").write_bytes(b"H:2,block:")
    aot_file(own_cache, "kafka").parent.mkdir(parents=True)
    aot_file(own_cache, "kafka").write_bytes(b"not a cache")
    stolen: list[socket.socket] = []

    def steal(step: str, _done: int, _total: int) -> None:
        if step.startswith("starting") and not stolen:
            port = json.loads(place.ports.read_text())["ports"]["kafka"]
            stolen.append(socket.create_server((HOST, port)))

    with_luck = embedded.up(home, progress=steal, train=False)
    with stolen[0] as thief:
        assert with_luck.bootstrap != f"{HOST}:{thief.getsockname()[1]}"
    assert embedded.status(home).running


def test_a_trained_cache_is_one_that_the_jvm_accepts(home: Path, own_cache: Software) -> None:
    aot_file(own_cache, "registry").parent.mkdir(parents=True)
    aot_file(own_cache, "registry").touch()  # Kafka's alone is built, for the sake of time
    aot.train(own_cache)
    place, ports = Place.of(home), choose({}, {})
    place.run.mkdir(parents=True)
    KAFKA.start(place, own_cache, ports, "-XX:AOTMode=on")  # ends the JVM if the cache does not fit
    deadline = time.monotonic() + 60
    while not KAFKA.responds(ports) and time.monotonic() < deadline:
        assert "kafka" in processes(place), place.log("kafka").read_text()
        time.sleep(0.1)
    assert f"-XX:AOTCache={aot_file(own_cache, 'kafka')}" in processes(place)["kafka"].handle.cmdline()


def test_a_file_where_the_directory_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(ClusterError, match=r"cannot use .*/home: (Not a directory|File exists)"):
        embedded.up(tmp_path / "home")


def test_a_full_disk_is_named_with_what_is_needed(tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"MB free and the cluster needs 1099511627776 MB: make room"):
        ensure_space(tmp_path, 1 << 60)
