"""Bounded contexts: each a package of pure functions over foldlog.core."""
