"""From a name on the command line to the topology, the cluster and the codec it means."""

import importlib
import re
import sys
import traceback
from pathlib import Path
from types import ModuleType

from foldlog.client.connection import Connection, connect
from foldlog.core.errors import ConfigError, FoldlogError
from foldlog.core.topology import Processor, Topology

__all__ = ["Connection", "connect", "context_of", "kind", "place", "topology"]

_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PLACE = re.compile(r"([a-z][a-z0-9_]*)\.([a-z][a-z0-9_]*)")


def topology(module: str) -> Topology:
    """The one Topology that a module exports; the working directory is searched first.

    Raises ConfigError where the name is no module, importing fails, or there is not exactly one Topology.
    """
    if not _MODULE.fullmatch(module):
        raise ConfigError(f"`{module}` is not a module: write it with dots, for example topologies.orders")
    found = {id(value): value for value in vars(_imported(module)).values() if isinstance(value, Topology)}
    if len(found) != 1:
        names = ", ".join(value.name for value in found.values()) or "none"
        raise ConfigError(f"{module} must export exactly one Topology; it has {names}")
    return next(iter(found.values()))


def place(name: str, module: str | None) -> tuple[Topology, Processor]:
    """The context and the processor that `context.processor` names; ConfigError or TopologyError otherwise."""
    match = _PLACE.fullmatch(name)
    if match is None:
        raise ConfigError(f"`{name}` is not CONTEXT.NAME, for example orders.order")
    context = context_of(match[1], module)
    return context, context.processor(match[2])


def context_of(name: str, module: str | None) -> Topology:
    """The topology of a context: of `module`, else of `topologies.NAME`; ConfigError where its name differs."""
    found = topology(module or f"topologies.{name}")
    if found.name != name:
        raise ConfigError(f"{module or f'topologies.{name}'} is the context `{found.name}`, not `{name}`")
    return found


def kind(processor: Processor) -> str:
    """What a processor is called in messages: decider, saga, view or reactor."""
    return type(processor).__name__.lower()


def _imported(module: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(module)
    except FoldlogError:
        raise
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(error.name + ".")):
            raise ConfigError(f"there is no module {module} in {here} or among the installed packages") from error
        raise ConfigError(_failure(module, error)) from error
    except Exception as error:  # whatever the module's own code raises
        raise ConfigError(_failure(module, error)) from error


def _failure(module: str, error: Exception) -> str:
    """What went wrong, and the line of the module's code where it did."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    if isinstance(error, SyntaxError):
        where, what = f"{error.filename}:{error.lineno}", error.msg
    else:
        where = f"{frames[-1].filename}:{frames[-1].lineno}" if len(frames) > 1 else module
        what = str(error)
    return f"{module} cannot be imported: {where}: {type(error).__name__}: {what}"
