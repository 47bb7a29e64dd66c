"""`python -m tests.chaos.taint`: does anything of an aborted transaction become visible after a late commit?

Each run commits once with an EndTxn that comes later than its client waits, then aborts a transaction that is open
when it comes. With the engine as it is nothing aborted may ever be read; with the rule switched off it must be.
"""

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any

import structlog
import typer
from confluent_kafka import Consumer
from rich.console import Console

from foldlog.core.errors import AbortError, FoldlogError, TaintError
from foldlog.core.topics import Topic
from foldlog.engine import clients
from foldlog.engine.batch import Output, Place
from foldlog.engine.transactions import Transactions
from foldlog.kafka import reading
from foldlog.kafka.admin import apply
from foldlog.settings import Settings
from tests.chaos.broken import producer_kept
from tests.chaos.ground import Ground, ground
from tests.chaos.nodes import COUNT
from tests.chaos.waiting import eventually
from tests.chaos.wire import END_TXN

SOCKET_MS, LATE_S = 1000, 2.5


def visible(made: Ground, name: str) -> list[bytes | None]:
    """What a transaction whose commit is late and an aborted one after it leave in a log."""
    log, source = f"{name}-log", f"{name}-commands"
    apply(made.direct.bootstrap, (Topic(log, 1), Topic(source, 1)), COUNT)
    offsets, group = {(source, 0): 1}, _nobody(made, name)
    transactions = Transactions(clients.transactional(made.proxied.bootstrap, Settings()), name, SOCKET_MS)
    transactions.open()
    proxies = [node.proxy for node in made.nodes.all]
    for proxy in proxies:
        proxy.late(END_TXN, LATE_S)
    try:
        transactions.write([Output(log, 0, b"key", b"first")], offsets, group)
    except TaintError:
        transactions.discard()
    taken = [proxy for proxy in proxies if not proxy.on_time(END_TXN)]

    def aborted_after_the_late_one(_: Mapping[Place, int]) -> Iterable[Output]:
        eventually(lambda: all(proxy.delivered.is_set() for proxy in taken), "the late EndTxn", LATE_S + 20)
        time.sleep(0.5)  # the broker ends what it takes for the open transaction
        raise AbortError("made by the suite")

    # A client that knows of the late commit may refuse to abort; what counts is what can be read.
    with suppress(AbortError):
        transactions.write([Output(log, 0, b"key", b"aborted")], offsets, group, aborted_after_the_late_one)
    with suppress(TaintError):
        transactions.abort()
    transactions.discard()
    if not taken:
        raise FoldlogError("no EndTxn came by a proxy: nothing was late")
    return [entry.value for entry in reading.read(made.direct.bootstrap, log)]


def _nobody(made: Ground, name: str) -> Any:
    """The membership of a group without members."""
    consumer = Consumer({"bootstrap.servers": made.direct.bootstrap, "group.id": name, "log_level": 0})
    try:
        return consumer.consumer_group_metadata()
    finally:
        consumer.close()


def main(
    runs: Annotated[int, typer.Option(min=1, help="Runs with the engine as it is.")] = 20,
    broken: Annotated[int, typer.Option(min=1, help="Runs with the rule switched off, afterwards.")] = 5,
) -> None:
    """Exit code 0 where nothing aborted was read in any of the runs, and where it was read without the rule."""
    console = Console()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    with ground() as made:
        kept = [_told(console, made, f"kept-{number}") for number in range(runs)]
        producer_kept()
        off = [_told(console, made, f"off-{number}") for number in range(broken)]
    console.print(f"the rule kept: an aborted record was read in {sum(kept)} of {runs} runs")
    console.print(f"the rule switched off: an aborted record was read in {sum(off)} of {broken} runs")
    raise typer.Exit(any(kept) or not any(off))


def _told(console: Console, made: Ground, name: str) -> bool:
    values = visible(made, name)
    seen = b"aborted" in values
    console.print(f"{name}: visible {[value.decode() for value in values if value]}{' ABORTED READ' if seen else ''}")
    return seen


if __name__ == "__main__":
    typer.run(main)
