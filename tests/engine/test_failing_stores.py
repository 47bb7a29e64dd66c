"""A store that fails while a transaction is open: nothing of that is seen, and the store is made anew."""

from pathlib import Path

from foldlog.cluster import Cluster
from foldlog.core.errors import StoreError
from foldlog.engine.partitions import Partitions
from tests.engine.rig import Line, Made
from tests.engine.tally import Add, Context, eventually


class FailsAtFirst(Partitions):
    """Cannot write when the first events are on their way."""

    failures = 0
    cleared = 0

    def write_ripe(self) -> None:
        if not self.failures and any(rows.changed for rows in self.rows.values()):
            self.failures += 1
            raise StoreError("no space left on device")
        super().write_ripe()

    def clear(self, why: str) -> None:
        self.cleared += 1
        super().clear(why)


def test_its_transaction_is_aborted_and_its_commands_are_decided_once(cluster: Cluster, tmp_path: Path) -> None:
    with Context(cluster, tmp_path) as context:
        context.send(*(Add("t0", number) for number in range(20)))
        with Line(context, Made(partitions=FailsAtFirst)).running() as line:
            eventually(lambda: line.counters.records == 20)
            partitions = line.partitions
            assert isinstance(partitions, FailsAtFirst)
            assert (partitions.failures, partitions.cleared, line.transactions.taints) == (1, 1, 0)
        assert context.amounts() == list(range(20))
        assert len(line.rows) == 1
