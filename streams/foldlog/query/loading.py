"""Progress of a replica's load."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Loading:
    """How far the first load of a replica is, in offsets of its topics."""

    done: int
    total: int
    seconds: float

    @property
    def rate(self) -> float:
        """Offsets a second."""
        return self.done / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds that it still takes, as far as one can tell."""
        return (self.total - self.done) / self.rate if self.rate else None
