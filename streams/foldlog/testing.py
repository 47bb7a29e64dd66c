"""The pure kit for tests of a context."""

from foldlog.core.specification import fold, given, rows

__all__ = ["fold", "given", "rows"]
