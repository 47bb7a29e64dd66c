"""The cluster of `docker-compose.yml`, where a Docker engine answers.

`up` notes the compose file's path below the data directory, and only what is noted is found or stopped again: a
compose project that somebody else runs from the same directory is none of ours.
"""

import os
import socket
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from foldlog.cluster.disk import write_whole
from foldlog.cluster.model import Cluster, Progress
from foldlog.cluster.place import Place
from foldlog.cluster.registry import API
from foldlog.core.errors import ClusterError

# Service and the container port that the compose file publishes for clients on the host.
KAFKA, REGISTRY = ("kafka", 9092), ("registry", 8080)
COMPOSE = Path("docker-compose.yml")


def answers(timeout: float = 1.0) -> bool:
    """Whether an engine answers at `$DOCKER_HOST` or the default socket; a binary on PATH proves nothing."""
    target = urlsplit(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock")
    try:
        with _connect(target.scheme, target.path, target.hostname, target.port, timeout) as connection:
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            status = connection.recv(64).split(b" ")
    except OSError:
        return False
    return status[0].startswith(b"HTTP/") and status[1:2] == [b"200"]


def _connect(scheme: str, path: str, host: str | None, port: int | None, timeout: float) -> socket.socket:
    if scheme != "unix":
        return socket.create_connection((host or "127.0.0.1", port or 2375), timeout)
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(timeout)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        raise
    return connection


def up(home: Path, progress: Progress, compose: Path = COMPOSE) -> Cluster:
    """Start the compose file's Kafka and registry and wait until they are healthy.

    Raises ClusterError if no engine answers, the file is missing, or compose fails.
    """
    if not compose.is_file():
        raise ClusterError(f"--docker needs {compose.absolute()}: run it where that file is")
    if not answers():
        raise ClusterError("no Docker engine answers: start it, or leave out --docker for the embedded cluster")
    note = Place.of(home).docker
    note.parent.mkdir(parents=True, exist_ok=True)
    write_whole(note, str(compose.absolute()))
    progress("starting Docker's Kafka and registry", 0, 0)
    _compose(compose, "up", "--detach", "--wait", KAFKA[0], REGISTRY[0])
    found = find(home)
    if found is None:
        raise ClusterError(f"{compose} publishes no port of {KAFKA[0]} or {REGISTRY[0]}: see `docker compose ps`")
    return found


def find(home: Path) -> Cluster | None:
    """The cluster that `up` started, None if it did not or if a service is not up any more."""
    compose = _noted(home)
    if compose is None or not answers():
        return None
    try:
        kafka, registry = (_published(compose, *service) for service in (KAFKA, REGISTRY))
    except ClusterError:
        return None
    return Cluster(kafka, f"http://{registry}{API}", "docker")


def down(home: Path, *, wipe: bool = False) -> bool:
    """Stop what `up` started; `wipe` deletes its volumes. False if it did not run.

    Raises ClusterError if the engine that runs it does not answer.
    """
    compose = _noted(home)
    if compose is None:
        return False
    if not answers():
        raise ClusterError("the cluster was started by Docker, whose engine does not answer: start it, then try again")
    ran = find(home) is not None
    _compose(compose, "down", *(["--volumes"] if wipe else []))
    Place.of(home).docker.unlink()
    return ran


def _noted(home: Path) -> Path | None:
    note = Place.of(home).docker
    return Path(note.read_text("utf-8")) if note.is_file() else None


def _published(compose: Path, service: str, port: int) -> str:
    address = _compose(compose, "port", service, str(port)).strip()
    if not address or address.endswith(":0"):
        raise ClusterError(f"{service} does not run")
    return address.replace("0.0.0.0", "127.0.0.1")  # noqa: S104 — read, not bound


def _compose(compose: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(
            ["docker", "compose", "--file", str(compose), *arguments], capture_output=True, text=True, check=False
        )
    except FileNotFoundError as error:
        raise ClusterError("--docker needs the `docker` command with its compose plugin on PATH") from error
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise ClusterError(f"docker compose {arguments[0]} failed: {last[0]}")
    return done.stdout
