"""Reading one's own writes from the command line: waiting until a view's topic contains an event."""

import time
from contextlib import closing
from typing import Any

from foldlog.core.errors import ConfigError, DeadlineError
from foldlog.core.topology import Topology
from foldlog.core.view import View

_LOOK_EVERY = 0.02  # s


def contained(
    bootstrap: str, context: Topology, view: View[Any, Any], topic: str, *, token: str, seconds: float
) -> None:
    """Returns once committed readers of a view's topic see what the view made of the event at a place.

    Raises ConfigError where the view does not read there, DeadlineError where the time is over.
    """
    from foldlog.client.positions import parse
    from foldlog.kafka.connection import admin, reaching
    from foldlog.kafka.marks import end_offsets
    from foldlog.query.causation import folding
    from foldlog.query.frontier import Frontier

    at, until = parse(token), time.monotonic() + seconds
    fold = folding(context, view, topic)
    if at.place not in fold.inputs:
        logs = dict.fromkeys(log for log, _ in fold.inputs)
        raise ConfigError(f"{context.name}.{view.name} never comes to {token}: it reads {', '.join(logs)}")
    late = DeadlineError(f"{topic} is not at {token} after {seconds:g} s: is `foldlog run` running?")
    with closing(Frontier(bootstrap)) as frontier:
        try:
            wanted = frontier.beyond_event(fold, at).result(seconds)
        except TimeoutError:
            raise late from None
    client = admin(bootstrap)
    while True:
        with reaching(bootstrap):
            found = end_offsets(client, wanted, committed=True)
        if all(found[place] >= end for place, end in wanted.items()):
            return
        if time.monotonic() > until:
            raise late
        time.sleep(_LOOK_EVERY)
