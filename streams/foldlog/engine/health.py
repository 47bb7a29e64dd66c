"""Whether a worker lives, and whether it is ready: what is missing, in words.

Liveness asks for a new process, so it looks only at what one would mend: threads that no longer move. It never waits
for a broker, and a processor that does (restoring, or waiting for the registry) is alive.
"""

from collections.abc import Iterable

from foldlog.engine.stats import ProcessorStats

LOOP_S = 10.0  # the event loop turns once a second
POLL_S = 90.0  # the poll thread turns at least once a second, but for a revocation: that waits up to 60 s for a batch
BATCH_S = 300.0  # a batch in its process thread; a reactor's effects have bounds of their own


def stuck(stats: Iterable[ProcessorStats], loop_s: float) -> list[str]:
    """What has stopped moving; nothing where the worker lives. `loop_s` is how long ago the event loop turned."""
    found = [f"the event loop has not turned for {loop_s:.0f} s"] if loop_s > LOOP_S else []
    for one in stats:
        if one.state == "stopped":
            continue
        if one.turned_s > POLL_S:
            found.append(f"{one.processor}: its poll thread has not turned for {one.turned_s:.0f} s")
        if one.state == "running" and one.kind != "reactor" and one.working_s > BATCH_S:
            found.append(f"{one.processor}: has worked on one batch for {one.working_s:.0f} s")
    return found


def missing(stats: Iterable[ProcessorStats], most_lag: int) -> list[str]:
    """What keeps the worker from being ready; nothing where every processor runs and no lag exceeds the bound."""
    found = []
    for one in stats:
        if one.state == "restoring":
            found.append(f"{one.processor}: restoring, {one.restored} of {one.to_restore} records")
        elif one.state != "running":
            found.append(f"{one.processor}: {one.state}")
        elif one.lag > most_lag:
            found.append(f"{one.processor}: {one.lag} records behind, ready at {most_lag}")
    return found
