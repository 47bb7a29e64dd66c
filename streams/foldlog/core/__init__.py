"""The core: five pure values (Decider, View, Saga, Reactor, Topology) over frozen records."""

from msgspec import field

from foldlog.core.decider import Decider
from foldlog.core.errors import Rejected
from foldlog.core.meta import Meta
from foldlog.core.reactor import Message, Reactor, Sender
from foldlog.core.record import Money, Record, Scale, replace
from foldlog.core.saga import Saga
from foldlog.core.topology import Topology
from foldlog.core.view import View

__all__ = [
    "Decider",
    "Message",
    "Meta",
    "Money",
    "Reactor",
    "Record",
    "Rejected",
    "Saga",
    "Scale",
    "Sender",
    "Topology",
    "View",
    "field",
    "replace",
]
