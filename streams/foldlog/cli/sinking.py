"""What all of `foldlog sink` do: the view or log that is meant, the work, and how it is shown."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from foldlog.cli import loading, logs, output
from foldlog.cli.run import LogFormat
from foldlog.core.decider import Decider
from foldlog.core.errors import ConfigError
from foldlog.core.topology import Topology
from foldlog.core.view import View

if TYPE_CHECKING:
    from foldlog.sinks.running import Progress
    from foldlog.sinks.target import Consistency, Target

LOG_S = 10.0


class How(NamedTuple):
    """How a sink works: to the end of now only, with its target emptied first, telling it in this form."""

    once: bool
    rebuild: bool
    form: LogFormat


def view(target: str, topology: str | None) -> tuple[Topology, View[Any, Any]]:
    """The view that `context.view` names; ConfigError where it names something else."""
    context, processor = loading.place(target, topology)
    if not isinstance(processor, View):
        raise ConfigError(f"{target} is a {loading.kind(processor)}, not a view")
    return context, processor


def refresh_ms(of: View[Any, Any], wanted: int | None, usual: int = 100) -> int:
    """How often a view is to be taken over, in ms: as the option says, else the view, else as usual."""
    return wanted or of.serving.refresh_ms or usual


def in_files(of: View[Any, Any], wanted: int | None) -> "Consistency":
    """When a view is taken over where each transaction makes files: seldom, and much at once."""
    from foldlog.sinks.target import Consistency

    return Consistency(refresh_ms(of, wanted, 10_000), batch_records=100_000)


def aggregate(target: str, topology: str | None) -> tuple[Topology, Decider[Any, Any, Any]]:
    """The decider that `context.aggregate` names; ConfigError where it names something else."""
    context, processor = loading.place(target, topology)
    if not isinstance(processor, Decider):
        raise ConfigError(f"{target} is a {loading.kind(processor)}, not an aggregate: it has no events of its own")
    return context, processor


def run(
    context: Topology,
    of: View[Any, Any] | Decider[Any, Any, Any],
    target: "Target",
    consistency: "Consistency",
    how: How,
) -> None:
    """Follows until SIGINT or SIGTERM, and then ends after the transaction in hand."""
    from foldlog.sinks.running import Sink
    from foldlog.sinks.source import source_of

    place = f"{context.name}.{of.name}"
    with loading.connect() as connection, _shown(context.name, place, target.name, how.form) as on_progress:
        source = source_of(connection.bootstrap, connection.codec(context), context, of)
        sink = Sink(source, target, consistency, on_progress)
        with _stopping(sink.stop.set):
            if how.rebuild:
                target.clear()
            sink.run(once=how.once)
    output.note(f"{sink.records:,} records of {source.topic} in {sink.transactions:,} transactions to {target.name}")


@contextmanager
def _stopping(stop: Callable[[], None]) -> Iterator[None]:
    """SIGINT and SIGTERM tell it to stop, until the end of the block."""
    before = {number: signal.signal(number, lambda *_: stop()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _shown(context: str, place: str, target: str, form: LogFormat) -> Iterator[Callable[["Progress"], None]]:
    """A bar on a terminal, a line every ten seconds elsewhere; the bar first, since it redirects what is logged."""
    said = float("-inf")
    with output.bar(f"{place} to {target}") as report, logs.on_stderr(context, "info", form):

        def on_progress(progress: "Progress") -> None:
            nonlocal said
            report(progress.records, progress.records + progress.lag)
            if time.monotonic() - said > LOG_S and not output.err().is_terminal:
                said = time.monotonic()
                structlog.get_logger().info(place, target=target, **progress._asdict())

        yield on_progress
