"""A worker's log lines on stderr: text for people, or one JSON object a line for programs.

Each line has the context, and what is known of processor and epoch where it was written.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from structlog.contextvars import get_contextvars
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor

FORMATS = ("text", "json")


@contextmanager
def on_stderr(context: str, level: str, form: str, colors: bool = False) -> Iterator[None]:
    """Writes lines of at least this level until the end of the block, those of libraries among them."""
    before, root = structlog.get_config(), logging.getLogger()
    shared, renderer = _processors(context, form), _renderer(form, colors)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ExtraAdder(), ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    handler.addFilter(_is_news)
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        structlog.configure(**before)


def _is_news(record: logging.LogRecord) -> bool:
    """False for Faust's own account of an agent's end, a page of traceback: the worker tells it in one line."""
    return not (record.exc_info and record.name.partition(".")[0] in ("faust", "mode"))


def _processors(context: str, form: str) -> list[Processor]:
    def with_context(_: object, __: str, event: EventDict) -> EventDict:
        """After the line's own values, always in the same order."""
        known = {**get_contextvars(), "context": context}
        for name in sorted(known):
            event.setdefault(name, known[name])
        return event

    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    if form == "text":
        stamp = structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S")
    shared: list[Processor] = [with_context, structlog.processors.add_log_level, stamp]
    return [*shared, structlog.processors.format_exc_info] if form == "json" else shared


def _renderer(form: str, colors: bool) -> Processor:
    if form == "json":
        return structlog.processors.JSONRenderer()
    return structlog.dev.ConsoleRenderer(colors=colors, pad_event_to=0, pad_level=False, sort_keys=False)
