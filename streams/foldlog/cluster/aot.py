"""Ahead-of-time caches (JEP 483, 514): classes loaded and linked once, which halves the servers' start.

They are built by a run of their own, with data of its own and the lowest priority, after the first start: so
neither the first `up` nor the servers it started are slowed down. Run with `python -m foldlog.cluster.aot`.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from foldlog.cluster.artifacts import Software, software
from foldlog.cluster.disk import ensure_space, locked
from foldlog.cluster.java import Server, aot_file
from foldlog.cluster.kafka import KAFKA
from foldlog.cluster.model import quiet
from foldlog.cluster.place import Place
from foldlog.cluster.ports import choose
from foldlog.cluster.processes import detach, processes, stop
from foldlog.cluster.registry import REGISTRY

BOOT, DUMP = 180.0, 300.0  # seconds; at the lowest priority on a busy machine


def train_in_background(programs: Software) -> None:
    """Build the caches that are missing, in a process that nobody waits for."""
    if all(aot_file(programs, server.name).exists() for server in (KAFKA, REGISTRY)):
        return
    source = Path(__file__).parents[2]
    script = f"import sys; sys.path.insert(0, {str(source)!r}); from foldlog.cluster.aot import main; main()"
    detach([sys.executable, "-c", script, str(programs.cache)], programs.cache / "aot" / "train.log", programs.cache)


def train(programs: Software) -> None:
    """Build the caches that are missing; another process that is at it is left to it."""
    with locked(programs.cache / "aot" / "lock", "another training run", quiet):
        for abandoned in (programs.cache / "aot").glob("tmp-*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        for server in (KAFKA, REGISTRY):
            if not aot_file(programs, server.name).exists():
                with tempfile.TemporaryDirectory(prefix="tmp-", dir=programs.cache / "aot") as scratch:
                    _record(server, programs, Path(scratch))


def _record(server: Server, programs: Software, scratch: Path) -> None:
    """Boot, wait, stop: the JVM writes the cache while it ends, which takes longer than the boot."""
    ensure_space(scratch)
    place, made, final = Place.of(scratch), scratch / "made.aot", aot_file(programs, server.name)
    place.run.mkdir(parents=True)
    server.start(place, programs, choose({}, {}), f"-XX:AOTCacheOutput={made}")
    try:
        process = processes(place)[server.name]
        deadline = time.monotonic() + BOOT
        while process.alive and not server.responds(process.ports) and time.monotonic() < deadline:
            time.sleep(0.2)
        stop([process], grace=DUMP)
    finally:
        stop(list(processes(place).values()), grace=0)
    if made.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        made.replace(final)


def main() -> None:
    """Train for the cache named by the first argument, politely."""
    os.environ["FOLDLOG_CACHE"] = sys.argv[1]
    os.nice(19)
    train(software(quiet))


if __name__ == "__main__":
    main()
