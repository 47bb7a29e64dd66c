"""The embedded cluster: Kafka and the registry as one thing that starts, heals and stops."""

import shutil
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from foldlog.cluster import aot, kafka, registry
from foldlog.cluster.artifacts import Software, software
from foldlog.cluster.disk import ensure_space, locked, size_mb, translated
from foldlog.cluster.java import Ports, Server, aot_file
from foldlog.cluster.kafka import KAFKA
from foldlog.cluster.model import Cluster, Progress, Status, quiet
from foldlog.cluster.model import Server as ServerStatus
from foldlog.cluster.place import Place
from foldlog.cluster.ports import HOST, choose, is_free, remember, remembered
from foldlog.cluster.processes import Process, processes, stop
from foldlog.cluster.registry import REGISTRY
from foldlog.core.errors import ClusterError

SERVERS = (REGISTRY, KAFKA)  # the registry boots while Kafka's directory is being formatted
BOOT, GRACE, ATTEMPTS = 120.0, 30.0, 4  # seconds to respond, seconds to end by SIGTERM, starts


def up(home: Path, *, progress: Progress = quiet, train: bool = True) -> Cluster:
    """Start what does not run yet and wait until both servers respond; idempotent.

    `train` builds the ahead-of-time caches in the background for faster starts from then on. Raises ClusterError
    without packages, network (for the first download), disk space, or if a server does not start; whatever the
    call started is then stopped again, and data that were never complete are removed.
    """
    place = Place.of(home)
    with translated(f"cannot use {home}"), locked(place.lock, "another `foldlog up` or `down`", progress):
        running = _responding(place, progress)
        if len(running) < len(SERVERS):
            programs = software(progress)
            ensure_space(place.root)
            _heal(place)
            _boot(place, programs, progress)
            running = processes(place)
            if train:
                aot.train_in_background(programs)
    return _cluster(running)


def _cluster(running: dict[str, Process]) -> Cluster:
    address = f"{HOST}:{running['kafka'].ports['kafka']}"
    return Cluster(address, registry.url(running["registry"].ports["registry"]), "embedded")


def _responding(place: Place, progress: Progress) -> dict[str, Process]:
    """The servers that run and respond; one that hangs is stopped, for it holds its data directory."""
    running = processes(place)
    for server in SERVERS:
        process = running.get(server.name)
        if process and not _await([(server, process)], 15, progress):
            stop([process], grace=5)
            del running[server.name]
    return running


def _await(pairs: Sequence[tuple[Server, Process]], seconds: float, progress: Progress) -> bool:
    """Wait until all respond; False if one ends or the time is over."""
    deadline = time.monotonic() + seconds
    waiting = list(pairs)
    while waiting and time.monotonic() < deadline:
        waiting = [pair for pair in waiting if not pair[0].responds(pair[1].ports)]
        if not all(process.alive for _, process in waiting):
            return False
        if waiting:
            progress(f"waiting for {' and '.join(server.name for server, _ in waiting)}", 0, 0)
            time.sleep(0.03)
    return not waiting


def _heal(place: Place) -> None:
    """Remove the remains of a first start that was cut short; never touch data that were once complete."""
    if not place.complete.exists():
        stop(list(processes(place).values()), grace=0)
        wipe(place)
    elif not (kafka.is_formatted(place) and registry.is_created(place)):
        lost = place.registry if kafka.is_formatted(place) else place.kafka
        raise ClusterError(
            f"the data in {lost} are gone but their other half is there: put them back, or "
            "run `foldlog down --wipe` to delete both and start afresh"
        )


def wipe(place: Place) -> None:
    """Delete Kafka's and the registry's data, always both; `complete` first, so that a cut leaves no claim."""
    place.complete.unlink(missing_ok=True)
    for directory in (place.kafka, place.registry):
        if directory.exists():
            shutil.rmtree(directory)


def _boot(place: Place, programs: Software, progress: Progress) -> None:
    """Start the missing servers; try again if a port was taken meanwhile or a start-up cache does not work."""
    for attempt in range(1, ATTEMPTS + 1):
        running = processes(place)
        missing = [server for server in SERVERS if server.name not in running]
        fixed = {name: port for process in running.values() for name, port in process.ports.items()}
        ports = choose(remembered(place.ports), fixed)
        remember(place.ports, ports)
        failed = _start(place, programs, missing, ports, progress)
        if failed is None:
            place.complete.touch()
            return
        if attempt == ATTEMPTS or not (_taken(missing, ports) or _drop_caches(programs)):
            raise ClusterError(_explanation(place, failed))


def _start(place: Place, programs: Software, missing: Sequence[Server], ports: Ports, progress: Progress) -> str | None:
    """Start servers and wait for them; the name of one that failed, after everything was rolled back."""
    names = [server.name for server in missing]
    progress(f"starting {' and '.join(names)}", 0, 0)
    try:
        for server in missing:
            server.start(place, programs, ports)
        started = processes(place)
        pairs = [(server, started[server.name]) for server in missing if server.name in started]
        if len(pairs) == len(missing) and _await(pairs, BOOT, progress):
            return None
        failed = [name for name in names if name not in processes(place)] or names
    except BaseException:  # Ctrl-C too leaves nothing half
        _roll_back(place, names)
        raise
    _roll_back(place, names)
    return failed[0]


def _roll_back(place: Place, names: Iterable[str]) -> None:
    running = processes(place)
    stop([running[name] for name in names if name in running], grace=0)
    if not place.complete.exists():
        wipe(place)


def _taken(missing: Sequence[Server], ports: Ports) -> bool:
    return not all(is_free(ports[name]) for server in missing for name in server.ports)


def _drop_caches(programs: Software) -> bool:
    """Delete the ahead-of-time caches; False if there were none to blame."""
    files = [file for server in SERVERS if (file := aot_file(programs, server.name)).exists()]
    for file in files:
        file.unlink(missing_ok=True)
    return bool(files)


def _explanation(place: Place, name: str) -> str:
    log = place.log(name)
    lines = log.read_text("utf-8", "replace").splitlines() if log.exists() else []
    telling = [line for line in lines if "ERROR" in line or "Exception" in line] or lines[-1:]
    reason = f": {telling[0].strip()[:200]}" if telling else ""
    kept = "; the data were kept, `foldlog down --wipe` deletes them" if place.complete.exists() else ""
    return f"{name} did not start{reason}; see {log}{kept}"


def down(home: Path, *, wipe_data: bool = False, grace: float = GRACE) -> bool:
    """Stop both servers, by SIGKILL after `grace` seconds; `wipe_data` deletes all data. False if none ran."""
    place = Place.of(home)
    if not place.root.exists():
        return False
    with translated(f"cannot use {home}"), locked(place.lock, "another `foldlog up` or `down`", quiet):
        running = list(processes(place).values())
        stop(running, 0 if wipe_data else grace)
        if wipe_data:
            wipe(place)
    return bool(running)


def find(home: Path) -> Cluster | None:
    """The cluster if both processes run."""
    running = processes(Place.of(home))
    return _cluster(running) if len(running) == len(SERVERS) else None


def status(home: Path) -> Status:
    """What runs here, found by looking, never by what a file claims."""
    place = Place.of(home)
    running = processes(place)
    kafka_state, registry_state = (_state(place, server, running.get(server.name)) for server in (KAFKA, REGISTRY))
    both = kafka_state.responding and registry_state.responding
    url = registry.url(running["registry"].ports["registry"]) if "registry" in running else None
    return Status("embedded", both, kafka_state.address, url, str(home), (kafka_state, registry_state))


def _state(place: Place, server: Server, process: Process | None) -> ServerStatus:
    log, data = place.log(server.name), {"kafka": place.kafka, "registry": place.registry}[server.name]
    return ServerStatus(
        name=server.name,
        address=f"{HOST}:{process.ports[server.name]}" if process else None,
        pid=process.pid if process else None,
        alive=process is not None,
        responding=process is not None and server.responds(process.ports),
        memory_mb=process.memory_mb if process else None,
        data_mb=size_mb(data) if data.exists() else None,
        log=str(log) if log.exists() else None,
    )
