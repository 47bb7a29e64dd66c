"""The pure kit for tests of a context."""

from foldlog.core.specification import fold, given, rows
from foldlog.core.stepwise import intervention, retry_due, timed_out

__all__ = ["fold", "given", "intervention", "retry_due", "rows", "timed_out"]
