"""`foldlog rebuild`: a view of another version, folded beside the one that is read, and put in its place."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyOption, examples
from foldlog.core.errors import ConfigError
from foldlog.core.view import View

if TYPE_CHECKING:
    from foldlog.cli.comparing import Comparison
    from foldlog.cli.rebuilding import Rebuild
    from foldlog.kafka.generations import Generations


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog rebuild orders.customers",
            "foldlog rebuild orders.customers --changed spent",
            "foldlog rebuild orders.customers --rollback",
            "foldlog rebuild orders.customers --retire",
        )
    )(rebuild)


def rebuild(
    target: Annotated[str, typer.Argument(metavar="CONTEXT.VIEW", help="Which view, for example `orders.customers`.")],
    topology: TopologyOption = None,
    *,
    changed: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column that is different on purpose; may be repeated.")
    ] = None,
    accept: Annotated[bool, typer.Option("--accept", help="Change over whatever is different.")] = False,
    processes: Annotated[int, typer.Option(min=1, max=256, metavar="N", help="Fold in so many processes.")] = 1,
    rollback: Annotated[bool, typer.Option("--rollback", help="Have readers read the rows of before again.")] = False,
    retire: Annotated[bool, typer.Option("--retire", help="Delete the generations that are not read.")] = False,
    as_json: Json = False,
) -> None:
    """Fold a view of a new `version` from the whole log, compare it with the one that is read, and change over.

    Readers keep reading the rows of before until the new ones are complete, and then all change over at once. Rows
    must be the same in the columns that both versions have, but for those that are `--changed`; else nothing changes
    over, and the exit code is 1. Runs until workers of the new version run; started again, it goes on where it was.
    """
    context, view = loading.place(target, topology)
    if not isinstance(view, View):
        raise ConfigError(f"{target} is a {loading.kind(view)}, not a view")
    if unknown := set(changed or ()) - {*view.row.__struct_fields__}:
        raise ConfigError(f"{target} has no column {', '.join(sorted(unknown))}")
    if rollback and retire:
        raise ConfigError("--rollback and --retire are two tasks: choose one")
    with loading.connect() as connection:
        from foldlog.cli.rebuilding import Rebuild

        task = Rebuild(connection, context, view, topology or f"topologies.{context.name}")
        if rollback:
            _show(target, task.roll_back(), as_json)
        elif retire:
            _show(target, task.retire(), as_json)
        else:
            _run(target, task, frozenset(changed or ()), processes, accept=accept, as_json=as_json)


def _run(target: str, task: "Rebuild", changed: frozenset[str], processes: int, *, accept: bool, as_json: bool) -> None:
    live = task.is_live()
    with task.folding(processes) as folding:
        comparison = None if live else folding.compare(changed)
        if comparison is not None and not comparison.equal and not accept:
            _show(target, task.current(), as_json, comparison)
            output.note(f"the rows differ, so readers keep {task.current().live}: {_remedy(comparison)}")
            raise typer.Exit(1)
        _show(target, folding.change_over(), as_json, comparison)
        folding.hand_over()


def _remedy(comparison: "Comparison") -> str:
    wanted = " ".join(f"--changed {name}" for name in sorted(comparison.differing))
    looked = f"look at {', '.join(comparison.keys)}; where that is right"
    return f"{looked}, add {wanted}" if wanted and comparison.same_keys else f"{looked}, add --accept"


def _show(target: str, now: "Generations", as_json: bool, comparison: "Comparison | None" = None) -> None:
    if as_json:
        compared = {} if comparison is None else {"compared": asdict(comparison)}
        output.write_json({"view": target, "live": now.live, "before": now.before, **compared})
        return
    output.write_table(("view", "live", "before"), [(target, now.live, now.before or "")])
    if comparison is not None:
        figures = asdict(comparison)
        differing = ", ".join(f"{name} {count:,}" for name, count in sorted(comparison.differing.items()))
        names = ("rows_before", "rows_now", "only_before", "only_now", "moving")
        header = tuple(name.replace("_", " ") for name in names)
        cells = tuple(f"{figures[name]:,}" for name in names)
        output.write_table((*header, "different in"), [(*cells, differing)], frozenset(header))
