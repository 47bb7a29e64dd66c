"""From rounds to figures: medians, and ratios of medians."""

import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from foldlog.bench.rounds import Round

# The key of each ratio in the result, and the system that foldlog is compared with.
RATIOS = {
    "kafka_streams_eos_v2": ("foldlog", "kafka_streams_eos_v2"),
    "kafka_streams_eos_v2_2_threads": ("foldlog_2_processes", "kafka_streams_eos_v2_2_threads"),
    "quix_eos": ("foldlog", "quix_eos"),
    "faust": ("foldlog", "faust"),
    "two_processes": ("foldlog_2_processes", "foldlog"),
}
CPU_RATIOS = {"kafka_streams": ("foldlog", "kafka_streams_eos_v2")}


def throughput(rounds: Iterable[Round]) -> dict[str, Any]:
    """The throughput part of the result: per system medians and all rounds, ratios of rates, ratios of CPU.

    Rates are commands/s, CPU is seconds per 100,000 commands, memory MB. A ratio is there where both systems are.
    """
    by_name: dict[str, list[Round]] = {}
    for each in rounds:
        by_name.setdefault(each.system, []).append(each)
    systems = {name: _system(found) for name, found in by_name.items()}
    rates = {name: system["rate"] for name, system in systems.items()}
    cpu = {name: system["cpu_s_per_100k"] for name, system in systems.items()}
    return {
        "systems": systems,
        "ratios": _ratios(RATIOS, rates),
        "cpu_ratio": _ratios(CPU_RATIOS, cpu),
        "problems": [
            f"{each.system}: {line}" for found in by_name.values() for each in found for line in each.problems
        ],
    }


def _system(rounds: Sequence[Round]) -> dict[str, Any]:
    measured = [each.measured for each in rounds]
    return {
        "rate": round(median(one.rate for one in measured)),
        "cpu_s_per_100k": round(median(one.cpu_per_100k for one in measured), 3),
        "rss_mb": round(max(one.rss_mb for one in measured)),
        "verified": not any(each.problems for each in rounds),
        "rounds": [
            {
                "commands": one.commands,
                "seconds": round(one.seconds, 3),
                "rate": round(one.rate),
                "cpu_s": round(one.cpu_s, 2),
                "rss_mb": round(one.rss_mb),
            }
            for one in measured
        ],
    }


def _ratios(wanted: dict[str, tuple[str, str]], values: dict[str, float]) -> dict[str, float]:
    return {
        key: round(values[one] / values[other], 3)
        for key, (one, other) in wanted.items()
        if one in values and values.get(other)
    }


def machine(kafka: str) -> dict[str, Any]:
    """The machine as it is now; `kafka` is how the broker describes itself."""
    load = os.getloadavg()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "python": platform.python_version(),
        "kafka": kafka,
        "load_before": [round(one, 2) for one in load],
    }


def _cpu() -> str:
    """The processor's name, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.processor())
