"""`foldlog bench`: how fast, how soon and how large, with every result verified."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, examples
from foldlog.core.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from foldlog.bench.rounds import Stage

RESULT = Path("build/bench.json")
_SETTING = re.compile(r"([A-Za-z_]+)=(.*)")
_SIZES = re.compile(r"[1-9]\d*(,[1-9]\d*)*")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog bench",
            "foldlog bench --part throughput --commands 200000 --rounds 3 --set batch_records=5000",
            "foldlog bench --peers build/peers --plot build/bench.png",
            "foldlog bench --part scale --scale 10000,1000000,10000000 --rounds 3",
            "foldlog bench --json | jq .systems.foldlog.rate",
        )
    )(bench)


def bench(
    *,
    part: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PART",
            help="Only throughput, processes, latency, restore, view, features or scale; may be repeated. "
            "Default: all but the last two.",
        ),
    ] = None,
    commands: Annotated[int, typer.Option(min=100, metavar="N", help="Commands in a round.")] = 1_000_000,
    rounds: Annotated[int, typer.Option(min=1, metavar="N", help="Rounds of each system.")] = 5,
    accounts: Annotated[int, typer.Option(min=1, metavar="N", help="Accounts they go to.")] = 10_000,
    keys: Annotated[int, typer.Option(min=1, metavar="N", help="Accounts to restore.")] = 1_000_000,
    scale: Annotated[
        str, typer.Option(metavar="N,N…", help="Also, in turns, with so many accounts filled first.")
    ] = "",
    peers: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also measure the systems that DIR/peers.json names.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of foldlog's worker; may be repeated."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw the figures to this PNG.")] = None,
    as_json: Json = False,
) -> None:
    """Measure foldlog on this machine: bank accounts, one event a command, every event verified.

    A round fills a topic with commands, starts a worker before that backlog and takes the time from the first command
    processed to the last event that committed readers see. Systems take turns. The figures go to build/bench.json;
    exit 1 where a result is not what plain arithmetic says.
    """
    from foldlog.bench import suite
    from foldlog.bench.peers import found_in
    from foldlog.cli.demo.interrupts import Interrupts

    parts = _parts(part or [])
    sizes = _sizes(scale) or (suite.SIZES if "scale" in parts else ())
    chosen = suite.Plan(parts, rounds, keys, sizes, found_in(peers) if peers else [])
    environment = _environment(settings or [])
    output.keep(RESULT, None)
    with Interrupts().heard(), _stage(commands, accounts, environment) as stage:
        found = suite.run(stage, chosen, output.bar, output.note)
    output.keep(RESULT, json.dumps(found, indent=2) + "\n")
    _draw(found, plot)
    if as_json:
        output.write_json(found)
    else:
        show(found)
    _conclude(found)


def _parts(chosen: Sequence[str]) -> frozenset[str]:
    from foldlog.bench.suite import PARTS, USUAL

    for name in chosen:
        if name not in PARTS:
            raise ConfigError(f"--part {name}: there are {', '.join(PARTS)}")
    return frozenset(chosen) or USUAL


def _sizes(scale: str) -> list[int]:
    if scale and not _SIZES.fullmatch(scale):
        raise ConfigError(f"--scale {scale}: write numbers of accounts, for example --scale 10000,1000000")
    return [int(size) for size in scale.split(",") if size]


def _environment(settings: Sequence[str]) -> dict[str, str]:
    """Settings as the variables of a worker."""
    found = {}
    for given in settings:
        match = _SETTING.fullmatch(given)
        if match is None:
            raise ConfigError(f"--set {given}: write NAME=VALUE, for example --set batch_records=5000")
        found[f"FOLDLOG_{match[1].upper().removeprefix('FOLDLOG_')}"] = match[2]
    return found


@contextmanager
def _stage(commands: int, accounts: int, settings: Mapping[str, str]) -> Iterator["Stage"]:
    """The stage of a run; its topics go when it ends, and so does its directory, but for the logs of a failed run."""
    from foldlog.bench.kafka import Kafka
    from foldlog.bench.rounds import Stage

    with loading.connect() as connection:
        directory, failed = Path(tempfile.mkdtemp(prefix="foldlog-bench-")), False
        kafka = Kafka(connection.bootstrap)
        try:
            yield Stage(kafka, connection.cluster, connection.registry, directory, commands, accounts, settings)
        except EngineError:
            failed = True
            raise
        finally:
            kafka.remove(kafka.run)
            if not failed:
                shutil.rmtree(directory, ignore_errors=True)


def show(found: Mapping[str, Any]) -> None:
    """The figures as tables: systems first, then every single figure."""
    if "systems" in found:
        _table(
            ("system", "commands/s", "CPU s/100k", "MB", "rounds", "verified"),
            [(name, *_cells(system)) for name, system in found["systems"].items()],
        )
    if "features" in found:
        _table(
            ("variant", "µs", "more", "CPU µs", "more CPU"),
            [(name, *(f"{value:.2f}" for value in price.values())) for name, price in found["features"].items()],
        )
    lines = [(name, f"{value:,.6g}") for name, value in _flat(found)]
    if lines:
        _table(("figure", "value"), lines)


def _cells(system: Mapping[str, Any]) -> tuple[str, ...]:
    rate, cpu, memory = f"{system['rate']:,}", f"{system['cpu_s_per_100k']:.2f}", f"{system['rss_mb']:,}"
    return rate, cpu, memory, f"{len(system['rounds'])}", "yes" if system["verified"] else "NO"


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, float]]:
    """Every number of the result with its path, but for what the tables have and the machine's own."""
    for name, inner in value.items():
        if before or name not in {"systems", "features", "machine", "settings"}:
            if isinstance(inner, Mapping):
                yield from _flat(inner, f"{before}{name}.")
            elif isinstance(inner, int | float) and not isinstance(inner, bool):
                yield f"{before}{name}", inner


def _table(header: tuple[str, ...], rows: Sequence[Sequence[str]]) -> None:
    output.write_table(header, rows, frozenset(header[1:]))
    output.write("\n")


def _draw(found: Mapping[str, Any], file: Path | None) -> None:
    if file is not None:
        from foldlog.bench.plot import plot

        plot(found, file)


def _conclude(found: Mapping[str, Any]) -> None:
    if found["verified"]:
        output.note(f"every result is verified; the figures are in {RESULT}")
        return
    for line in found["problems"]:
        output.err().print(output.readable(line))
    output.fail(f"{len(found['problems'])} things are not what the commands come to")
    raise typer.Exit(1)
