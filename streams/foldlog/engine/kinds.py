"""From what a context declares to how the engine runs it."""

from typing import Any

from foldlog.contracts.codec import Codec
from foldlog.core import topics
from foldlog.core.decider import Decider
from foldlog.core.publication import Publication
from foldlog.core.reactor import Reactor
from foldlog.core.saga import Saga
from foldlog.core.subscription import Subscription
from foldlog.core.topology import Processor, Topology
from foldlog.core.view import View
from foldlog.engine import clients
from foldlog.engine.beside import Beside
from foldlog.engine.coordinating import Coordinating
from foldlog.engine.deciding import Deciding
from foldlog.engine.kind import Kind
from foldlog.engine.publishing import Publishing
from foldlog.engine.reacting import Reacting
from foldlog.engine.senders import sender
from foldlog.engine.subscribing import Subscribing
from foldlog.engine.viewing import Viewing
from foldlog.engine.windows import WindowedViewing
from foldlog.settings import Settings


def kind_of(topology: Topology, declared: Processor, codec: Codec, settings: Settings, bootstrap: str) -> Kind:
    """The kind that runs a declared processor; `bootstrap` is Kafka's address."""
    match declared:
        case Decider():
            return Deciding(topology, declared, codec, compiled=settings.compiled)
        case View(window=window, lookup=lookup):
            config = clients.reader(bootstrap, "read_committed", settings)
            beside = None if lookup is None else _beside(topology, lookup.view, codec, config)
            return (WindowedViewing if window else Viewing)(topology, declared, codec, beside)
        case Saga():
            return Coordinating(topology, declared, codec)
        case Reactor():
            return Reacting(topology, declared, codec, settings, sender(settings.notify))
        case Publication():
            return Publishing(topology, declared, codec)
        case Subscription():
            return Subscribing(topology, declared, codec)


def _beside(topology: Topology, other: View[Any, Any], codec: Codec, config: clients.Config) -> Beside:
    return Beside(config, topics.table(topology.name, other.generation), topology.partitions, codec.decode)
