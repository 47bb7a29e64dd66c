"""`python -m tests.chaos.rules`: is each of the engine's six rules needed, and would the checkers tell?

Each rule's scenario runs twice, with the engine as it is and with the rule switched off: the first must hold, the
second must be caught by a checker.
"""

import shutil
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from foldlog.contracts.registry import Registry
from foldlog.core.errors import FoldlogError
from tests.chaos.bank import bank
from tests.chaos.broken import HOOKS, RULES
from tests.chaos.checkers import OF_THE_LOG, violations
from tests.chaos.collected import collect
from tests.chaos.ground import Ground, ground
from tests.chaos.history import History, told
from tests.chaos.scenarios import SCENARIOS, Scene
from tests.chaos.sending import Sender
from tests.chaos.stage import prepared
from tests.chaos.workers import Fleet, Places


def found_with(made: Ground, directory: Path, scenario: str, rule: str) -> dict[str, list[str]]:
    """What the checkers find after a rule's scenario with this rule switched off ("0": none)."""
    directory.mkdir(parents=True)
    topology = replace(bank, name=f"rule{scenario}_{'on' if rule == '0' else 'off'}")
    hooks = directory / "hooks"
    hooks.mkdir()
    with ExitStack() as stack:
        registry = Registry(made.schemas.url)
        stack.callback(registry.close)
        codec = prepared(made, topology, registry)
        history = History(directory / "history.jsonl")
        stack.callback(history.close)
        module = ("tests.chaos.broken", rule, "run", "--only", "account")
        fleet = Fleet(made.proxied, Places(directory, directory), topology.name, module, {HOOKS: str(hooks)})
        stack.callback(fleet.close)
        SCENARIOS[scenario](Scene(made, topology, fleet, Sender(topology, made.direct, codec, history), hooks))
        fleet.close()
        lines = (directory / "history.jsonl").read_text("utf-8").splitlines()
        found = violations(collect(topology, made.direct, codec, told(lines)), OF_THE_LOG)
    return {name: lines for name, lines in found.items() if lines}


def main(rule: Annotated[list[str] | None, typer.Option(help="Only this one; may be repeated.")] = None) -> None:
    """Exit code 0 where every rule holds when it is kept and is caught when it is not."""
    console, chosen = Console(), tuple(rule or SCENARIOS)
    if unknown := sorted(set(chosen) - set(SCENARIOS)):
        raise typer.BadParameter(f"no rule {unknown[0]}; there are {', '.join(SCENARIOS)}")
    table = Table("rule", "scenario", "kept", "switched off", box=None)
    logs, good = Path(tempfile.mkdtemp(prefix="foldlog-rules-")), True
    try:
        with ground() as made:
            for one in chosen:
                console.print(f"rule {one}: {SCENARIOS[one].__name__}, {RULES[one].__doc__}", highlight=False)
                kept = found_with(made, logs / f"{one}-kept", one, "0")
                broken = found_with(made, logs / f"{one}-broken", one, one)
                _tell(console, "kept", kept)
                _tell(console, "switched off", broken)
                good = good and not kept and bool(broken)
                caught = f"caught by {', '.join(broken)}" if broken else "[red]NOT CAUGHT[/]"
                table.add_row(one, SCENARIOS[one].__name__, "[red]VIOLATED[/]" if kept else "holds", caught)
    except FoldlogError as error:
        console.print(f"[red]error:[/] {error}; see {logs}", soft_wrap=True)
        raise typer.Exit(2) from error
    console.print(table)
    if good:
        shutil.rmtree(logs)
    else:
        console.print(f"histories and logs: {logs}")
    raise typer.Exit(not good)


def _tell(console: Console, when: str, found: dict[str, list[str]]) -> None:
    for name, lines in found.items():
        console.print(f"  {when}: {name}: {lines[0]} ({len(lines)} in all)", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
