"""One run: clients and faults for so many seconds, then healing, audits, checks."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from foldlog.core.errors import FoldlogError
from tests.chaos.checkers import violations
from tests.chaos.clients import Client, Pace
from tests.chaos.collected import Collected, collect
from tests.chaos.ground import Ground
from tests.chaos.healing import audit, drain, from_scratch, heal, stop_clients
from tests.chaos.history import told
from tests.chaos.nemesis import Done, carry_out
from tests.chaos.schedule import Fault
from tests.chaos.sending import Replies, Sender
from tests.chaos.stage import Stage, stage
from tests.chaos.waiting import eventually

CLIENTS, RATE = 3, 14.0  # commands a second of each client

Tell = Callable[[str], None]


@dataclass
class Outcome:
    """What a run came to; it is good where nothing was violated and everything healed."""

    seed: int
    seconds: float
    done: list[Done] = field(default_factory=list)
    violations: dict[str, list[str]] = field(default_factory=dict)
    figures: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def seen(self) -> Counter[str]:
        """How often each kind of fault was observed."""
        return Counter(one.fault.name for one in self.done if one.observed)

    @property
    def good(self) -> bool:
        """Whether nothing is wrong."""
        return not any(self.violations.values()) and not any(one.failed for one in self.done)


@dataclass(frozen=True)
class Plan:
    """What a run is to do; `without` are the kinds of faults that are left out."""

    seed: int
    seconds: float
    faults: tuple[Fault, ...]
    without: tuple[str, ...] = ()


def run(ground: Ground, directory: Path, plan: Plan, tell: Tell) -> Outcome:
    """One run in a context of its own; histories and logs are in `directory`."""
    outcome, name = Outcome(plan.seed, plan.seconds), f"chaos_{plan.seed}"
    with ExitStack() as stack:
        tell("starting three workers")
        scene = stack.enter_context(stage(ground, directory, name, plan.seed, plan.without))
        outcome.notes.append(f"the small disk is {scene.disk.described}")
        replies = Replies(scene.topology, ground.proxied, scene.codec, scene.history)
        stack.callback(replies.close)
        _act(scene, replies, outcome, plan.faults, tell)
    return outcome


def _act(scene: Stage, replies: Replies, outcome: Outcome, faults: tuple[Fault, ...], tell: Tell) -> None:
    counts, pace = Counter[str](), Pace(RATE)
    clients = [Client(n, outcome.seed, (_sender(scene), replies), pace, counts) for n in range(CLIENTS)]
    for client in clients:
        client.start()
    eventually(lambda: all(client.busy for client in clients), "the first commands of each client", 30)
    tell(f"{len(faults)} faults in {outcome.seconds:.0f} s")
    outcome.done = carry_out(scene, faults, lambda one: tell(_line(one)), outcome.seconds)
    accounts = stop_clients(clients, counts)
    try:
        _heal(scene, replies, accounts, tell)
    except FoldlogError as error:
        outcome.violations["healing"] = [str(error)]
    scene.vandal.flush(20)
    found = _collected(scene)
    outcome.violations |= violations(found)
    outcome.figures = _figures(found, scene, sum(client.repeated for client in clients))


def _heal(scene: Stage, replies: Replies, accounts: list[str], tell: Tell) -> None:
    sender = _sender(scene)
    tell("healing")
    heal(scene)
    tell(f"auditing {len(accounts)} accounts")
    audit(sender, replies, accounts, "live")
    drain(scene)
    tell("auditing them again, by a worker without a past")
    from_scratch(scene)
    audit(sender, replies, accounts, "scratch")
    drain(scene)


def _sender(scene: Stage) -> Sender:
    return Sender(scene.topology, scene.ground.proxied, scene.codec, scene.history)


def _collected(scene: Stage) -> Collected:
    lines = (scene.directory / "history.jsonl").read_text("utf-8").splitlines()
    return collect(scene.topology, scene.ground.direct, scene.codec, told(lines))


def _figures(found: Collected, scene: Stage, repeated: int) -> dict[str, int]:
    unsure = [t for t in found.told.values() if not t.replies and not t.never_left and t.kind not in _SILENT]
    lines = [line for worker in scene.fleet.all.values() for line in worker.lines()]
    return {
        "commands": sum(t.invoked for t in found.told.values()),
        "repeated": repeated,
        "sent again by librdkafka": sum(max(0, n - found.told[i].invoked) for i, n in found.arrived.items()),
        "without a reply": len(unsure),
        "events": len(found.events),
        "transfers": len(found.transfers),
        "dead letters": len(found.letters),
        "aborted batches": sum("aborted" in line and "because=" in line for line in lines),
        "tainted producers": sum("tainted=True" in line for line in lines),
        "stores rebuilt": sum("it is folded again from its log" in line for line in lines),
        "workers that ended by themselves": sum(len(worker.exits) for worker in scene.fleet.all.values()),
    }


_SILENT = frozenset({"transfer", "garbage"})


def _line(one: Done) -> str:
    told = f"FAILED: {one.failed}" if one.failed else one.observed or f"not observed {one.missed}"
    where = "" if one.fault.target == "-" else f" {one.fault.target}"
    return f"{one.began:6.1f} to {one.ended:5.1f} s  {one.fault.name}{where}: {told}"
