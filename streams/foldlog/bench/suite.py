"""A whole run of the bench: the chosen parts one after the other, put together to one result."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from foldlog.bench import figures, parts
from foldlog.bench.peers import Peer
from foldlog.bench.rounds import Bar, Foldlog, Note, Processes, Round, Stage, System
from foldlog.bench.scale import scale
from foldlog.cluster import Cluster
from foldlog.cluster.artifacts import pinned

PARTS = ("throughput", "processes", "latency", "restore", "view", "features", "scale")
USUAL = frozenset(PARTS[:-2])
SIZES = (10_000, 1_000_000)  # accounts, where only the part is named

STARTS = 3  # the most of each kind: a start takes seconds, and the rounds are many

# Whose guarantees are foldlog's; latency and recovery of others would compare unlike things.
EXACT = ("kafka_streams_eos_v2", "quix_eos")


@dataclass(frozen=True)
class Plan:
    """What is measured: parts of `PARTS`, rounds of each system, accounts to restore, sizes of contexts, peers."""

    parts: frozenset[str]
    rounds: int
    keys: int
    sizes: Sequence[int]
    peers: Sequence[Peer]


def run(stage: Stage, plan: Plan, bar: Bar, note: Note) -> dict[str, Any]:
    """The result as JSON types; `verified` is true where every log and every view is what plain arithmetic says."""
    found: dict[str, Any] = {"machine": figures.machine(_kafka(stage.cluster)), "settings": dict(stage.settings)}
    problems: list[str] = []
    for part in _measured(stage, plan, bar, note):
        problems += part.pop("problems", [])
        found |= part
    return found | {"problems": problems, "verified": not problems}


def _kafka(cluster: Cluster) -> str:
    """What kind of broker it is; the version of one that is not ours is for its owner to say."""
    if cluster.kind != "embedded":
        return cluster.kind
    broker = next(Path(each.path).stem for each in pinned() if each.name.startswith("kafka_"))
    return f"{broker}, embedded"


def _measured(stage: Stage, plan: Plan, bar: Bar, note: Note) -> Iterator[dict[str, Any]]:
    systems = _systems(plan)
    exact = [peer for peer in plan.peers if peer.name in EXACT]
    if systems:
        yield figures.throughput(alternated(stage, systems, plan.rounds, bar, note))
    if "features" in plan.parts:
        yield parts.prices(list(alternated(stage, parts.FEATURES, plan.rounds, bar, note)), median)
    if "view" in plan.parts:
        with bar("view") as report:
            yield parts.view(stage, report)
    if "latency" in plan.parts:
        with bar("latency at 1,000/s") as report:
            yield parts.latencies(stage, exact, report)
    if "restore" in plan.parts:
        with bar(f"restore of {plan.keys:,} accounts") as report:
            yield parts.recoveries(stage, exact, plan.keys, min(plan.rounds, STARTS), report)
    if plan.sizes:
        yield scale(stage, plan.sizes, plan.rounds, bar, note)


def _systems(plan: Plan) -> list[System]:
    systems: list[System] = []
    if "throughput" in plan.parts:
        systems += [Foldlog(), *plan.peers]
    if "processes" in plan.parts:
        systems.append(Processes(2))
    return systems


def alternated(stage: Stage, systems: Sequence[System], rounds: int, bar: Bar, note: Note) -> Iterator[Round]:
    """Each system once, then each again; a peer may have fewer rounds."""
    for number in range(1, rounds + 1):
        for system in systems:
            if isinstance(system, Peer) and system.rounds and number > system.rounds:
                continue
            with bar(f"round {number}/{rounds}: {system.name}") as report:
                done = system.round(stage, report)
            measured = done.measured
            note(
                f"round {number}/{rounds}: {system.name}: {measured.rate:,.0f} commands/s, "
                f"{measured.cpu_per_100k:.2f} CPU s per 100k, {measured.rss_mb:.0f} MB, "
                f"{'WRONG' if done.problems else 'verified'}"
            )
            yield done
