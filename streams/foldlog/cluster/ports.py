"""Free loopback ports, kept between runs so that addresses written down elsewhere stay right."""

import json
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from random import SystemRandom

from foldlog.cluster.disk import write_whole
from foldlog.core.errors import ClusterError

HOST = "127.0.0.1"
NAMES = ("kafka", "controller", "registry", "management")
# Below the ports that systems hand out to outgoing connections: a port of ours cannot be lost to one while the
# cluster is down, and polling a port that nobody listens on cannot connect to itself.
RANGE = range(20000, 32000)

Ports = dict[str, int]


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def answers(host: str, port: int, timeout: float = 1.0) -> bool:
    """Whether somebody accepts TCP connections there."""
    try:
        socket.create_connection((host, port), timeout).close()
    except OSError:
        return False
    return True


def remembered(file: Path) -> Ports:
    """The ports of the last run; whatever in the file is not one is as if it were not there."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    known = content.get("ports") if isinstance(content, dict) else None
    pairs = known.items() if isinstance(known, dict) else ()
    return {name: port for name, port in pairs if name in NAMES and type(port) is int and 0 < port < 65536}


def remember(file: Path, ports: Mapping[str, int]) -> None:
    """Keep the ports for the next run."""
    write_whole(file, json.dumps({"ports": dict(ports)}, indent=2) + "\n")


def choose(wanted: Mapping[str, int], fixed: Mapping[str, int]) -> Ports:
    """A port for each name: `fixed` as it is, then `wanted` while free, then any free one."""
    chosen = dict(fixed)
    for name in NAMES:
        port = wanted.get(name)
        if name not in chosen:
            usable = port and port not in chosen.values() and _is_freed(port)
            chosen[name] = port if port and usable else _fresh(chosen)
    return chosen


def _is_freed(port: int, seconds: float = 1.0) -> bool:
    """Whether a port is or soon becomes free: a killed server's sockets outlive its entry in the process table."""
    deadline = time.monotonic() + seconds
    while not is_free(port):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _fresh(chosen: Mapping[str, int]) -> int:
    candidates = SystemRandom().sample(RANGE, 200)
    for port in candidates:
        if port not in chosen.values() and is_free(port):
            return port
    raise ClusterError(f"no free port between {RANGE.start} and {RANGE.stop} on {HOST}: stop what holds them")
