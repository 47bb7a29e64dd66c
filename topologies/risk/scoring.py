"""Scores of an account: what is on its way out of it (exposure), and how many transfers a day (velocity)."""

from decimal import Decimal
from enum import StrEnum

from foldlog.core import Money, Record

MOST_EXPOSED = Decimal("50000.00")
MOST_A_DAY = 50
WATCHED = Decimal("0.8")  # of a limit


class Level(StrEnum):
    """UNKNOWN is how an older reader sees what was added after it; nothing writes it."""

    UNKNOWN = "unknown"
    CLEAR = "clear"
    WATCH = "watch"
    OVER = "over"


class Score(Record):
    exposure: Money = Decimal("0.00")
    velocity: int = 0


def level(score: Score) -> Level:
    """How near a score is to the limits."""
    share = max(score.exposure / MOST_EXPOSED, Decimal(score.velocity) / MOST_A_DAY)
    return Level.OVER if share > 1 else Level.WATCH if share >= WATCHED else Level.CLEAR


def reason(score: Score) -> str:
    """Which limit a score is over."""
    if score.velocity > MOST_A_DAY:
        return f"{score.velocity} transfers a day are more than {MOST_A_DAY}"
    return f"an exposure of {score.exposure} is more than {MOST_EXPOSED}"
