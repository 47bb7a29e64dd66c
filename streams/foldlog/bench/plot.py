"""The figures as a picture: a panel for each thing that was measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from foldlog.core.errors import ConfigError

OWN, OTHER = "#2a7f62", "#9aa5b1"


def plot(found: Mapping[str, Any], path: Path) -> None:
    """Draws the result to a PNG; ConfigError where matplotlib is not installed or the file cannot be written."""
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("a plot needs matplotlib: pip install 'foldlog[bench]', or leave --plot out") from error
    mpl.rcParams["font.size"] = 8
    panels = _panels(found)
    figure = Figure(figsize=(4.5 * len(panels), 3), layout="constrained")
    for axes, (title, values) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        names = [name.replace("_", " ") for name in values]
        colors = [OWN if name.startswith("foldlog") else OTHER for name in values]
        bars = axes.barh(names, list(values.values()), color=colors)
        axes.bar_label(bars, [f"{value:,.4g}" if value < 1000 else f"{value:,.0f}" for value in values.values()])
        axes.set_title(title)
        axes.invert_yaxis()
        axes.margins(x=0.2)
        axes.set_xticks([])  # each bar has its number
        axes.spines[["top", "right"]].set_visible(False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _panels(found: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The bars of each panel by system; a part that was not measured has no panel."""
    systems, recovery = found.get("systems", {}), found.get("recovery", {})
    panels = {
        "commands/s, median": {name: system["rate"] for name, system in systems.items()},
        "CPU s per 100,000 commands": {name: system["cpu_s_per_100k"] for name, system in systems.items()},
        "latency at 1,000/s, p99 in ms": _latencies(found) if "latency_ms" in found else {},
        "start from an empty disk in s": {name: each["empty_disk_s"] for name, each in recovery.items()},
        "start with the disk intact in s": {name: each["warm_s"] for name, each in recovery.items()},
        "events/s folded by a view": {"foldlog": found["view"]["rate"]} if "view" in found else {},
        "µs a command": {name: price["us"] for name, price in found.get("features", {}).items()},
        "commands/s by accounts": {f"{int(n):,}": each["rate"] for n, each in found.get("scale", {}).items()},
    }
    return {title: values for title, values in panels.items() if values}


def _latencies(found: Mapping[str, Any]) -> dict[str, float]:
    own = {"foldlog": found["latency_ms"]["p99"], "foldlog view": found["latency_view_ms"]["p99"]}
    return own | {name: latency["p99"] for name, latency in found["latency_peers_ms"].items()}
