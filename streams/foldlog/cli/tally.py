"""What came of the commands that were sent."""

from collections import Counter
from dataclasses import dataclass, field

from foldlog.core.outcome import Reply


@dataclass
class Tally:
    """What came of the commands: how many of each status, how many were duplicates, and why some were refused."""

    statuses: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, reply: Reply) -> None:
        """Counts one reply."""
        self.statuses[reply.status] += 1
        self.duplicates += reply.duplicate
        if reply.status != "accepted":
            self.reasons[reply.status, reply.reason or "no reason given"] += 1

    @property
    def all_accepted(self) -> bool:
        """True where no command was rejected and none failed."""
        return self.statuses.total() == self.statuses["accepted"]
