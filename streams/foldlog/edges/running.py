"""The edges to RabbitMQ and webhooks as processes: they go on until SIGINT or SIGTERM."""

import asyncio
from collections.abc import Callable

from foldlog.client.client import Client
from foldlog.client.connection import Connection, connect
from foldlog.contracts.subjects import publish, subjects
from foldlog.core import topics
from foldlog.core.reactor import Reactor
from foldlog.core.record import Record
from foldlog.core.topology import Topology
from foldlog.edges.outgoing import Target, Wishes, with_edge
from foldlog.edges.rabbitmq_in import Queue
from foldlog.edges.waiting import until_told
from foldlog.engine import worker
from foldlog.kafka import admin, groups


def take(topology: Topology, url: str, queue: str, prefetch: int) -> None:
    """Commands in from a queue of RabbitMQ."""

    async def run(client: Client) -> None:
        with until_told() as stopping:
            await Queue(url, queue, client, prefetch).run(stopping)

    with Client(topology) as client:
        client.prepare()
        asyncio.run(run(client))


def tell(topology: Topology, made: Callable[[], Target], wishes: Wishes) -> None:
    """Events out to whatever `made` makes: the edge runs as a worker with one reactor."""
    whole, edge = with_edge(topology, wishes, made)
    with connect() as connection:
        _prepare(topology, whole, edge, connection)
        if wishes.start == "end":
            heard = [topics.heard(topology.name, source) for source in edge.sources]
            groups.begin_at_end(connection.bootstrap, f"{topology.name}.{edge.name}", heard)
        settings = connection.settings
        # A home of its own: the slots of the workers beside it keep what is theirs.
        own = settings.model_copy(update={"home": settings.home / "edges", "batch_records": wishes.most})
        cluster = connection.cluster
    worker.run(whole, cluster, own, frozenset({edge.name}))


def _prepare(topology: Topology, whole: Topology, edge: Reactor[Record], connection: Connection) -> None:
    """Makes what the edge needs beyond its context: the topic and schemas of what it parks."""
    context, bootstrap = topology.name, connection.bootstrap
    heard = {topics.heard(context, source) for source in edge.sources}
    needed = {*heard, topics.repairs(context), topics.dead_letters(context)}
    remedy = f"run `foldlog topics apply topologies.{context}`"
    admin.require(bootstrap, [each for each in topics.topics(topology) if each.name in needed], remedy)
    own = [each for each in topics.topics(whole) if each.name == topics.parked(context, edge.name)]
    admin.apply(bootstrap, own, connection.settings.replication_factor)
    known = subjects(topology)
    publish({name: schema for name, schema in subjects(whole).items() if name not in known}, connection.registry)
