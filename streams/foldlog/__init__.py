"""foldlog: event sourcing and CQRS, native to Kafka, in Python."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foldlog.client.asynchronous import AsyncClient
    from foldlog.client.client import Client
    from foldlog.client.commands import Command

__version__ = "0.1.0"
__all__ = ["AsyncClient", "Client", "Command"]


def __getattr__(name: str) -> Any:
    """The client, imported when it is asked for: contexts and the command line start without it."""
    places = {"AsyncClient": "asynchronous", "Client": "client", "Command": "commands"}
    if name not in places:
        raise AttributeError(f"module foldlog has no attribute {name}")
    from importlib import import_module

    return getattr(import_module(f"foldlog.client.{places[name]}"), name)
