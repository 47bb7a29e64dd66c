"""The parts of the bench beside throughput, each as figures."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any

from foldlog.bench import latency
from foldlog.bench.latency import Paced
from foldlog.bench.peers import Peer, Place
from foldlog.bench.recovery import Recovered, recover
from foldlog.bench.rounds import Foldlog, Round, Stage
from foldlog.bench.throughput import Measured, Report, measure
from foldlog.bench.workload import orders, reference
from foldlog.kafka.progress import Group

STREAMS = "kafka_streams_eos_v2"

# What can be had or left: each is measured beside plain foldlog, and the difference is its price.
FEATURES = (
    Foldlog(),
    Foldlog("without command ids", ids=False),
    Foldlog("replies", replies=True),
    Foldlog("a view beside", view=True),
    Foldlog("without compression", settings={"FOLDLOG_COMPRESSION": "none"}),
)


def latencies(stage: Stage, peers: Iterable[Peer], report: Report) -> dict[str, Any]:
    """Latency in ms at 1,000 commands/s: of foldlog's events, of its view's rows, and of each exactly-once peer."""
    with closing(stage.own(Foldlog(view=True))) as own:
        events, rows = latency.measure(stage.kafka, Paced(own.launch(), own.send, own.watched()), report)
    found: dict[str, Any] = {"latency_ms": events, "latency_view_ms": rows, "latency_peers_ms": {}}
    for peer in peers:
        with closing(Place(stage.kafka, peer, stage.directory)) as there:
            paced = Paced(there.launch(), there.send, there.watched())
            [found["latency_peers_ms"][peer.name]] = latency.measure(stage.kafka, paced, report)
    return found


def recoveries(stage: Stage, peers: Iterable[Peer], keys: int, starts: int, report: Report) -> dict[str, Any]:
    """Seconds to start with so many accounts, from an empty disk and an intact one, by so many starts of each kind."""
    systems = {"foldlog": recover(stage.kafka, stage.own, keys, starts, report)}
    for peer in peers:
        if peer.name == STREAMS:
            new = partial(Place, stage.kafka, peer, stage.directory)
            systems[peer.name] = recover(stage.kafka, new, keys, starts, report)
    own = systems["foldlog"]
    return {
        "restore_keys": keys,
        "restore_s": round(own.restore_s, 3),
        "warm_restart_s": round(own.warm_s, 3),
        "recovery": {name: _recovered(found) for name, found in systems.items()},
    }


def _recovered(found: Recovered) -> dict[str, Any]:
    told = {} if found.told_s is None else {"told_s": round(found.told_s, 3)}
    return {
        "empty_disk_s": round(found.empty_disk_s, 3),
        "restore_s": round(found.restore_s, 3),
        "warm_s": round(found.warm_s, 3),
        **told,
        "starts": _starts(found),
    }


def _starts(found: Recovered) -> list[dict[str, float | None]]:
    return [
        {name: None if value is None else round(value, 3) for name, value in asdict(start).items()}
        for start in found.starts
    ]


def view(stage: Stage, report: Report) -> dict[str, Any]:
    """An events → view fold: its rate in events/s, the rows against the reference."""
    with closing(stage.own(Foldlog(view=True))) as own:
        own.load(orders(stage.commands, stage.accounts))
        measure(stage.kafka, [own.launch("bench", "account")], own.events, stage.commands, report)
        # Rows are coalesced, so their number says nothing: the fold is over when its group has taken every event.
        taken = Group(stage.kafka.bootstrap, own.rows, [[own.events]])
        launch = own.launch("bench", "balances")
        folded = measure(stage.kafka, [launch], own.rows, 1, report, over=lambda: not taken.behind())
        expected = reference(orders(stage.commands, stage.accounts)).accounts
        rows = own.balances()
    right = rows == {account: balance for account, (_, balance, _) in expected.items()}
    measured = Measured(stage.commands, folded.seconds, folded.cpu_s, folded.rss_mb)
    figures = {"rate": round(measured.rate), "cpu_s_per_100k": round(measured.cpu_per_100k, 3), "verified": right}
    return {"view": figures, "problems": [] if right else ["view: its rows are not the accounts' balances"]}


def faults(rounds: Iterable[Round]) -> list[str]:
    """What is wrong in each round, with the system's name before it."""
    return [f"{each.system}: {line}" for each in rounds for line in each.problems]


def prices(rounds: Sequence[Round], median: Callable[[Iterable[float]], float]) -> dict[str, Any]:
    """What each feature costs in µs a command, of time and of CPU: medians beside plain foldlog's."""
    by_name: dict[str, list[Measured]] = {}
    for each in rounds:
        by_name.setdefault(each.system, []).append(each.measured)
    time_ = {name: median([1e6 / one.rate for one in found]) for name, found in by_name.items()}
    cpu = {name: median([10 * one.cpu_per_100k for one in found]) for name, found in by_name.items()}
    prices_ = {
        name: {"us": round(time_[name], 2), "us_more": round(time_[name] - time_["foldlog"], 2)}
        | {"cpu_us": round(cpu[name], 2), "cpu_us_more": round(cpu[name] - cpu["foldlog"], 2)}
        for name in by_name
    }
    return {"features": prices_, "problems": faults(rounds)}
