"""`foldlog bench`: how fast, how soon and how large, with every result verified."""

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, examples
from foldlog.core.errors import ConfigError, EngineError

if TYPE_CHECKING:
    from foldlog.bench.peers import Peer
    from foldlog.bench.rounds import Round, Stage

RESULT = Path("build/bench.json")
_SETTING = re.compile(r"([A-Za-z_]+)=(.*)")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog bench",
            "foldlog bench --commands 200000 --rounds 3 --set batch_records=5000",
            "foldlog bench --json | jq .systems.foldlog.rate",
        )
    )(bench)


def bench(
    *,
    commands: Annotated[int, typer.Option("--commands", min=100, metavar="N", help="Commands in a round.")] = 1_000_000,
    rounds: Annotated[int, typer.Option("--rounds", min=1, metavar="N", help="Rounds of each system.")] = 5,
    accounts: Annotated[int, typer.Option("--accounts", min=1, metavar="N", help="Accounts they go to.")] = 10_000,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A setting of foldlog's worker; may be repeated."),
    ] = None,
    peers: Annotated[
        Path | None, typer.Option("--peers", metavar="DIR", help="Also measure the systems that DIR/peers.json names.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure foldlog on this machine: bank accounts, one event a command, every event verified.

    A round fills a topic with commands, starts a worker before that backlog and takes the time from the first command
    processed to the last event that committed readers see. The figures go to build/bench.json; exit 1 where a result
    is not what plain arithmetic says.
    """
    from foldlog.bench.peers import found_in
    from foldlog.cli.demo.interrupts import Interrupts

    environment = _environment(settings or [])
    others = found_in(peers) if peers else []
    with (
        Interrupts().heard(),
        loading.connect() as connection,
        _stage(connection, commands, accounts, environment) as stage,
    ):
        found = _measure(stage, rounds, others)
    _write(found)
    if as_json:
        output.write_json(found)
    else:
        show(found)
    _conclude(found)


def _environment(settings: list[str]) -> dict[str, str]:
    matches = [_SETTING.fullmatch(each) for each in settings]
    for given, match in zip(settings, matches, strict=True):
        if match is None:
            raise ConfigError(f"--set {given}: write NAME=VALUE, for example --set batch_records=5000")
    return {f"FOLDLOG_{match[1].upper().removeprefix('FOLDLOG_')}": match[2] for match in matches if match}


@contextmanager
def _stage(connection: loading.Connection, commands: int, accounts: int, settings: dict[str, str]) -> Iterator["Stage"]:
    """The stage of a run, with a directory and topics that go when it ends; a failed run's logs stay."""
    from foldlog.bench.kafka import Kafka
    from foldlog.bench.rounds import Stage

    kafka = Kafka(connection.bootstrap)
    directory = Path(tempfile.mkdtemp(prefix="foldlog-bench-"))
    try:
        yield Stage(kafka, connection.cluster, connection.registry, directory, commands, accounts, settings)
    except EngineError:
        raise
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    else:
        shutil.rmtree(directory, ignore_errors=True)
    finally:
        kafka.remove(kafka.run)


def _measure(stage: "Stage", rounds: int, others: "list[Peer]") -> dict[str, Any]:
    from foldlog.bench import figures
    from foldlog.bench.rounds import Foldlog

    machine = figures.machine(stage.cluster.kind)
    done = list(_alternated(stage, [Foldlog(), *others], rounds))
    found = {"machine": machine, **figures.throughput(done)}
    found["verified"] = not found["problems"]
    return found


def _alternated(stage: "Stage", systems: list[Any], rounds: int) -> Iterator["Round"]:
    for number in range(1, rounds + 1):
        for system in systems:
            if number > (getattr(system, "rounds", None) or rounds):
                continue
            with output.bar(f"round {number}/{rounds}: {system.name}") as report:
                done = system.round(stage, report)
            measured, right = done.measured, "verified" if not done.problems else "WRONG"
            output.note(
                f"round {number}/{rounds}: {system.name}: {measured.rate:,.0f} commands/s, "
                f"{measured.cpu_per_100k:.2f} CPU s per 100k, {measured.rss_mb:.0f} MB, {right}"
            )
            yield done


def show(found: dict[str, Any]) -> None:
    """The figures as a table."""
    header = ("system", "commands/s", "CPU s/100k", "MB", "rounds", "verified")
    rows = [
        (
            name,
            f"{system['rate']:,}",
            f"{system['cpu_s_per_100k']:.2f}",
            f"{system['rss_mb']:,}",
            f"{len(system['rounds'])}",
            "yes" if system["verified"] else "NO",
        )
        for name, system in found["systems"].items()
    ]
    output.write_table(header, rows, frozenset(header[1:5]))


def _write(found: dict[str, Any]) -> None:
    try:
        RESULT.parent.mkdir(parents=True, exist_ok=True)
        RESULT.write_text(json.dumps(found, indent=2) + "\n", "utf-8")
    except OSError as error:
        raise ConfigError(f"{RESULT} cannot be written: {error.strerror}") from error


def _conclude(found: dict[str, Any]) -> None:
    if found["verified"]:
        output.note(f"every result is verified; the figures are in {RESULT}")
        return
    for line in found["problems"]:
        output.err().print(output.readable(line))
    output.fail(f"{len(found['problems'])} things are not what the commands come to")
    raise typer.Exit(1)
