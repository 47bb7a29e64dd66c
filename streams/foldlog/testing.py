"""The pure kit for tests of a context."""

from foldlog.core.specification import fold, given

__all__ = ["fold", "given"]
