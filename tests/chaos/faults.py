"""The faults: each is done, lasts, is undone, and gives what was observed of it; nothing observed, nothing claimed."""

import signal
import time
from collections.abc import Callable
from random import Random

from tests.chaos.corrupting import corrupt
from tests.chaos.schedule import CLOCKED, NODES, Fault
from tests.chaos.stage import Stage
from tests.chaos.waiting import eventually
from tests.chaos.wire import END_TXN, Proxy
from tests.chaos.workers import SOCKET_MS

Act = Callable[[Stage, Fault], str]

LONGEST_S = 60.0  # what must be observed may take so long while other faults last

CLOCK_MOVES = (-54_000, -7200, -20, 20, 7200, 54_000)  # s; a table's store that slept 12 hours is not trusted


def worker_kill(stage: Stage, fault: Fault) -> str:
    """A worker is killed and comes back."""
    worker = stage.fleet.all[fault.target]
    pid = worker.kill()
    time.sleep(fault.seconds)
    worker.start()
    return f"pid {pid} ended by SIGKILL"


def worker_freeze(stage: Stage, fault: Fault) -> str:
    """A worker stands still, perhaps longer than its session, and goes on as if nothing had happened."""
    worker = stage.fleet.all[fault.target]
    pid = worker.signal(signal.SIGSTOP)
    try:
        eventually(lambda: _state(pid) == "T", f"the stop of {pid}", 5)
        time.sleep(fault.seconds)
    finally:
        worker.signal(signal.SIGCONT)
    return f"pid {pid} stood still"


def broker_kill(stage: Stage, fault: Fault) -> str:
    """A broker is killed and comes back."""
    node = stage.ground.nodes.node(int(fault.target))
    pid = node.kill()
    time.sleep(fault.seconds)
    node.start()
    stage.ground.nodes.await_(stage.ground.nodes.in_sync, f"node {fault.target} in sync again")
    return f"pid {pid} ended by SIGKILL"


def controller_freeze(stage: Stage, fault: Fault) -> str:
    """The active controller, a broker too, stands still until another one is elected, and wakes up as a zombie."""
    nodes = stage.ground.nodes
    epoch, leader = nodes.leader()
    nodes.node(leader).freeze()
    try:
        time.sleep(fault.seconds)
        after = nodes.leader()
    finally:
        nodes.node(leader).thaw()
    nodes.await_(nodes.in_sync, f"node {leader} in sync again")
    return f"controller {leader} of epoch {epoch} gave way to {after[1]}" if after[1] != leader else ""


def controller_kill(stage: Stage, fault: Fault) -> str:
    """The active controller is killed and comes back."""
    nodes = stage.ground.nodes
    epoch, leader = nodes.leader()
    nodes.node(leader).kill()
    time.sleep(fault.seconds)
    after = nodes.leader()
    nodes.node(leader).start()
    nodes.await_(nodes.in_sync, f"node {leader} in sync again")
    return f"controller {leader} of epoch {epoch} gave way to {after[1]}" if after[1] != leader else ""


def net_cut(stage: Stage, fault: Fault) -> str:
    """Every connection to a broker ends, and none can be made."""
    proxy = _proxy(stage, fault)
    before = proxy.cut_connections
    proxy.cut()
    time.sleep(fault.seconds)
    proxy.heal()
    return f"{cut} connections cut" if (cut := proxy.cut_connections - before) else ""


def net_slow(stage: Stage, fault: Fault) -> str:
    """Everything to and from a broker takes up to half a second longer."""
    proxy = _proxy(stage, fault)
    before = proxy.slowed
    proxy.slow(0.05 + 0.45 * fault.amount)
    time.sleep(fault.seconds)
    proxy.heal()
    return f"{slowed} requests slowed" if (slowed := proxy.slowed - before) else ""


def net_hole(stage: Stage, fault: Fault) -> str:
    """Nothing to or from a broker arrives; afterwards what was sent does, late."""
    proxy = _proxy(stage, fault)
    before = proxy.held
    proxy.hold()
    time.sleep(fault.seconds)
    held = proxy.held - before
    proxy.heal()
    return f"{held} requests held back" if held else ""


def late_commit(stage: Stage, fault: Fault) -> str:
    """One EndTxn arrives when its client has given it up and asked again."""
    late = SOCKET_MS / 1000 + 0.5 + fault.amount
    until = time.monotonic() + LONGEST_S  # while everything else stands still, nothing is committed either
    while time.monotonic() < until:
        for number in NODES:
            proxy = stage.ground.nodes.node(number).proxy
            proxy.late(END_TXN, late)
            time.sleep(0.5)
            if not proxy.on_time(END_TXN):
                proxy.delivered.wait(late + 30)
                return f"an EndTxn to node {number} came {late:.1f} s late" if proxy.delivered.is_set() else ""
    return ""


def rebalance_storm(stage: Stage, fault: Fault) -> str:
    """Workers join and leave in quick succession, in order."""
    until, times = time.monotonic() + fault.seconds, 0
    guest = stage.fleet.worker("d")
    while time.monotonic() < until:
        guest.start()
        try:
            eventually(lambda: guest.ready, f"the fourth worker (see {guest.log})", LONGEST_S)
        finally:
            guest.tell()
            guest.ended()
        times += 1
    return f"a fourth worker joined and left {times} times"


def disk_full(stage: Stage, fault: Fault) -> str:
    """No room is left where a worker keeps its state; it is killed there too, and must start on the full disk."""
    worker = stage.fleet.all[fault.target]
    since, pid = worker.printed, worker.signal(signal.SIGCONT)
    stage.disk.fill(pid)
    try:
        time.sleep(fault.seconds / 2)
        if not _complained(stage, since, fault):
            worker.signal(signal.SIGKILL)
        time.sleep(fault.seconds / 2)
        eventually(lambda: _complained(stage, since, fault), "a complaint of the full disk", LONGEST_S)
    finally:
        if worker.process is not None:
            stage.disk.free(worker.process.pid)
    return _complained(stage, since, fault)


def _complained(stage: Stage, since: int, fault: Fault) -> str:
    signs = ("No space left", "File too large")
    lines = [line for line in stage.fleet.all[fault.target].lines(since) if any(sign in line for sign in signs)]
    return f"the worker met it {len(lines)} times" if lines else ""


def store_corrupt(stage: Stage, fault: Fault) -> str:
    """Files of a dead worker's stores are damaged before it comes back."""
    worker = stage.fleet.all[fault.target]
    worker.kill()
    damaged = corrupt(worker.directory / "state", Random(f"{fault.at}/{fault.amount}"))
    time.sleep(fault.seconds)
    worker.start()
    return f"{len(damaged)} files damaged: {', '.join(damaged[:4])} …" if damaged else ""


def registry_down(stage: Stage, fault: Fault) -> str:
    """The schema registry is away."""
    pid = stage.ground.schemas.stop()
    time.sleep(fault.seconds)
    away = not stage.ground.schemas.answers()
    stage.ground.schemas.start()
    return f"pid {pid} ended, no answer" if away else ""


def clock_moved(stage: Stage, fault: Fault) -> str:
    """A worker's wall clock jumps, and later jumps back."""
    assert stage.clock is not None
    worker, seconds = stage.fleet.all[CLOCKED], CLOCK_MOVES[int(fault.amount * len(CLOCK_MOVES))]
    since = worker.printed
    stage.clock.move(seconds)
    time.sleep(fault.seconds)
    lines = worker.lines(since)
    stage.clock.move(0)
    moved = [line for line in lines if abs(_age(line) + seconds) < 15]
    return f"{len(moved)} log lines from {seconds:+d} s" if moved else ""


def _age(line: str) -> float:
    """How long ago a log line says that it was written, in s; 0 where it does not say."""
    try:
        return time.time() - time.mktime(time.strptime(line[:19], "%Y-%m-%d %H:%M:%S"))
    except ValueError:
        return 0.0


def big_records(stage: Stage, fault: Fault) -> str:
    """Records of 10 MB."""
    sent = stage.vandal.big()
    return f"{sent} records of 10 MB" if not stage.vandal.flush(15) else f"{sent} records of 10 MB, some unsure"


def garbage(stage: Stage, fault: Fault) -> str:
    """Records that cannot be decoded or handled."""
    sent = stage.vandal.litter()
    return f"{sent} records" if not stage.vandal.flush(15) else f"{sent} records, some unsure"


FAULTS: dict[str, Act] = {
    act.__name__.replace("_", "-"): act
    for act in (
        worker_kill,
        worker_freeze,
        broker_kill,
        controller_freeze,
        controller_kill,
        net_cut,
        net_slow,
        net_hole,
        late_commit,
        rebalance_storm,
        disk_full,
        store_corrupt,
        registry_down,
        clock_moved,
        big_records,
        garbage,
    )
}


def _proxy(stage: Stage, fault: Fault) -> Proxy:
    return stage.ground.nodes.node(int(fault.target)).proxy


def _state(pid: int) -> str:
    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:  # noqa: PTH123 — a line of the kernel's
        return stat.read().rpartition(")")[2].split()[0]
