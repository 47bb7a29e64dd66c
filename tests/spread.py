"""A pytest plugin: which of the processes side by side runs which tests; those that take longest begin first.

`make test` loads it with `-p tests.spread`. A file's tests stay together, since they share what they start, but for
pages that are followed: each has a cluster of its own. What is begun last decides how long all of it takes.
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadFileScheduling

PAGES = "tests/docs/test_walkthroughs.py"
# Files that take more than half a minute, on a busy machine a whole one.
LONGEST = (
    PAGES,
    "tests/cli/test_demo.py",
    "tests/e2e/test_orders_survive.py",
    "tests/engine/test_rebuild.py",
    "tests/e2e/test_transfers_conserve_money.py",
    "tests/cluster/test_first_start.py",
    "tests/query/test_replica.py",
    "tests/query/test_read_your_writes.py",
    "tests/query/test_sql.py",
    "tests/engine/test_timers.py",
    "tests/query/test_rebuilt_while_asked.py",
    "tests/query/test_follow_ups.py",
    "tests/engine/test_workers.py",
    "tests/engine/test_processes.py",
    "tests/engine/test_between_contexts_disturbed.py",
    "tests/engine/test_repairs.py",
    "tests/engine/test_standby.py",
    "tests/edges/test_webhook.py",
    "tests/bench/test_bench.py",
    "tests/query/test_verifying.py",
    "tests/engine/test_parking.py",
)


class Spread(LoadFileScheduling):
    """Hands over one file after the other, and one page after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(PAGES) else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Spread:
    config.option.loadscopereorder = False  # it would begin with what has the most tests, which says nothing
    return Spread(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ranks = {name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: ranks.get(item.nodeid.partition("::")[0], len(ranks)))
