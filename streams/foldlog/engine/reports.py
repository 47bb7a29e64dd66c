"""What worker processes tell the parent that started them: their stats, a line of JSON each second."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from foldlog.engine.stats import ProcessorStats, State

_LONGEST_END = 60.0  # s
_SUMMED = ("records", "rate", "lag", "rows", "dead_letters", "restored", "to_restore", "standby_lag", "parked")
_WORST = ("lag_s", "epoch", "turned_s", "working_s")
_JOINED = ("partitions", "standby")
_FIRST: tuple[State, ...] = ("restoring", "starting", "waiting", "running", "stopped")


def reporting(descriptor: int) -> Callable[[Sequence[ProcessorStats]], None]:
    """Gives the function that sends stats to the parent, at the other end of this socket.

    Where the parent is gone the process ends as by SIGTERM: nobody would stop it any more.
    """
    channel = socket.socket(fileno=descriptor)
    threading.Thread(target=_end_with_parent, args=(channel,), name="parent", daemon=True).start()

    def report(stats: Sequence[ProcessorStats]) -> None:
        line = b"\n" + msgspec.json.encode(stats) + b"\n"  # begins anew behind a line that was cut off
        with suppress(OSError):  # a parent that was stopped reads nothing; work must not wait for it
            channel.send(line, socket.MSG_DONTWAIT)

    return report


def received(line: bytes) -> list[ProcessorStats] | None:
    """The stats of a line; None where it is not one, or not all of one."""
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(line, type=list[ProcessorStats])
    return None


def merged(processes: Iterable[Sequence[ProcessorStats]]) -> list[ProcessorStats]:
    """One entry a processor: figures summed, ages the worst, partitions together, the state of who is behind most."""
    found: dict[str, list[ProcessorStats]] = {}
    for stats in processes:
        for one in stats:
            found.setdefault(one.processor, []).append(one)
    return [_merged(each) for each in found.values()]


def _merged(stats: list[ProcessorStats]) -> ProcessorStats:
    values: dict[str, object] = {name: sum(getattr(one, name) for one in stats) for name in _SUMMED}
    values |= {name: max(getattr(one, name) for one in stats) for name in _WORST}
    values |= {name: tuple(sorted({n for one in stats for n in getattr(one, name)})) for name in _JOINED}
    state = min((one.state for one in stats), key=_FIRST.index)
    return replace(stats[0], state=state, **values)  # type: ignore[arg-type]


def _end_with_parent(channel: socket.socket) -> None:
    with suppress(OSError):
        channel.recv(1)  # returns when the other end closes; nothing is ever sent there
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_LONGEST_END)
    os._exit(1)
