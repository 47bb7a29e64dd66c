"""The context that a measured worker runs: the workload, with the moment of its first record written down.

The name comes from FOLDLOG_BENCH_CONTEXT; FOLDLOG_BENCH_VIEW adds the view. The clock of a measurement starts where
the domain's function gets its first record, as it does in the peers: everything before (start, assignment, restoring)
is not throughput, and everything of the first batch's work is.
"""

import os
import time
from collections.abc import Callable
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

from foldlog.bench import workload
from foldlog.core.topology import Topology


def _stamped(function: Callable[[Any, Any], Any], processor: str) -> Callable[[Any, Any], Any]:
    """The function; its first call leaves `<processor>-<pid>`: the time and the CPU seconds used until then."""
    waiting = True

    @wraps(function)
    def stamped(first: Any, second: Any) -> Any:
        nonlocal waiting
        if waiting:
            waiting = False
            stamp = f"{time.time()} {time.process_time()}"
            (Path(os.environ["FOLDLOG_BENCH_STAMPS"]) / f"{processor}-{os.getpid()}").write_text(stamp)
        return function(first, second)

    return stamped


def _topology(name: str, view: bool) -> Topology:
    plain = workload.topology(name, view)
    account = replace(plain.deciders[0], decide=_stamped(workload.decide, "account"))
    evolve = _stamped(workload.show, "balances")
    views = tuple(replace(each, source=account, evolve=evolve) for each in plain.views)
    return replace(plain, deciders=(account,), views=views)


bench = _topology(os.environ.get("FOLDLOG_BENCH_CONTEXT", "bench"), bool(os.environ.get("FOLDLOG_BENCH_VIEW")))
