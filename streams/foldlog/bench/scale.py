"""Contexts of several sizes, filled first, then measured in turns: only rates of the same minutes can be compared."""

from collections.abc import Sequence
from contextlib import ExitStack, closing
from itertools import chain
from statistics import median
from typing import Any

from foldlog.bench.own import Own
from foldlog.bench.rounds import Bar, Note, Stage
from foldlog.bench.throughput import Measured, measure
from foldlog.bench.verify import problems
from foldlog.bench.workload import SEED, openings, orders, reference


def scale(stage: Stage, sizes: Sequence[int], rounds: int, bar: Bar, note: Note) -> dict[str, Any]:
    """Throughput and memory over contexts of so many accounts, each of which has an event before it is measured.

    `ratio` is the median of each round's rate by that of the first size in the same round.
    """
    with ExitStack() as stack:
        own = {accounts: stack.enter_context(closing(stage.own())) for accounts in dict.fromkeys(sizes)}
        for accounts, context in own.items():
            with bar(f"{accounts:,} accounts are opened") as report:
                context.load(openings(accounts))
                measure(stage.kafka, [context.launch()], context.events, accounts, report)
        found: dict[int, list[Measured]] = {accounts: [] for accounts in own}
        for number in range(1, rounds + 1):
            for accounts, context in own.items():
                with bar(f"round {number}/{rounds}: {accounts:,} accounts") as report:
                    context.load(orders(stage.commands, accounts, SEED + number))
                    one = measure(stage.kafka, [context.launch()], context.events, stage.commands, report)
                note(f"round {number}/{rounds}: {accounts:,} accounts: {one.rate:,.0f} commands/s, {one.rss_mb:.0f} MB")
                found[accounts].append(one)
        wrong = [line for accounts, context in own.items() for line in _wrong(stage, context, accounts, rounds)]
    first = next(iter(found.values()))
    return {"scale": {str(accounts): _figures(ones, first) for accounts, ones in found.items()}, "problems": wrong}


def _figures(ones: Sequence[Measured], first: Sequence[Measured]) -> dict[str, Any]:
    return {
        "rate": round(median(one.rate for one in ones)),
        "ratio": round(median(one.rate / beside.rate for one, beside in zip(ones, first, strict=True)), 3),
        "rss_mb": round(max(one.rss_mb for one in ones)),
        "rounds": [round(one.rate) for one in ones],
    }


def _wrong(stage: Stage, context: Own, accounts: int, rounds: int) -> list[str]:
    """What is wrong with all events of a context."""
    sent = (orders(stage.commands, accounts, SEED + number) for number in range(1, rounds + 1))
    expected = reference(chain(openings(accounts), *sent))
    return [f"{accounts:,} accounts: {line}" for line in problems(context.seen(), expected)]
