"""The schemas of a topology, and the registry's subjects by TopicRecordNameStrategy: `<topic>-<full name>`.

https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#subject-name-strategy
"""

from collections.abc import Callable, Mapping

from foldlog.contracts.registry import Registry
from foldlog.contracts.schema import ENGINE, Schema, engine_contract_schema, schema_of
from foldlog.core import topics
from foldlog.core.contract import Checkpoint, Contract, contracts
from foldlog.core.errors import ContractError
from foldlog.core.outcome import DeadLetter, Reply
from foldlog.core.record import Record
from foldlog.core.repair import Parked, ParkedKey, Repair
from foldlog.core.topology import Topology

ENGINE_RECORDS: tuple[type[Record], ...] = (Reply, DeadLetter, Checkpoint, Parked, ParkedKey, Repair)


def engine_name(record: type[Record]) -> str:
    """The Avro full name of a record that the engine owns."""
    return f"{ENGINE}.{record.__name__}"


def schemas(topology: Topology) -> dict[str, Schema]:
    """Every schema of a context by full name; ContractError where two records share a name."""
    found: dict[str, Schema] = {engine_name(record): engine_contract_schema(record) for record in ENGINE_RECORDS}
    for contract in contracts(topology):
        if contract.name in found:
            raise ContractError(f"{contract.name} names two records; rename one")
        found[contract.name] = schema_of(contract)
    return found


def names(topology: Topology) -> dict[str, str]:
    """The full name of the record of each subject: what is written to which topic.

    Events that are moved to another key keep their bytes, so the topics they pass have no subjects of their own.
    """
    context = topology.name
    found = {f"{_topic(contract)}-{contract.name}": contract.name for contract in contracts(topology)}
    written: list[tuple[str, type[Record]]] = [
        *((topics.snapshots(context, decider.name), Checkpoint) for decider in topology.deciders),
        *((topics.parked(context, name), kind) for name in topology.parking for kind in (Parked, ParkedKey)),
        *((topics.repairs(context, subscription.name), Repair) for subscription in topology.consumes),
        (topics.repairs(context), Repair),
        (topics.replies(context), Reply),
        (topics.dead_letters(context), DeadLetter),
    ]
    for topic, record in written:
        found[f"{topic}-{engine_name(record)}"] = engine_name(record)
    return found


def subjects(topology: Topology) -> dict[str, Schema]:
    """The schema of each subject."""
    known = schemas(topology)
    return {subject: known[name] for subject, name in names(topology).items()}


def push(
    topology: Topology, registry: Registry, progress: Callable[[str, int], None] = lambda _subject, _id: None
) -> dict[str, int]:
    """Register every schema of a context, each subject FULL_TRANSITIVE; the ids by subject.

    What is registered already is left alone. `progress` is called with each subject and id. Raises ContractError
    with subject, field and reason where a schema is incompatible; those before it stay registered.
    """
    return publish(subjects(topology), registry, progress)


def publish(
    schemas: Mapping[str, Schema],
    registry: Registry,
    progress: Callable[[str, int], None] = lambda _subject, _id: None,
) -> dict[str, int]:
    """As `push`, for schemas by subject, for example those of an earlier commit."""
    ids: dict[str, int] = {}
    known = frozenset(registry.subjects())
    for subject, schema in schemas.items():
        registry.guard(subject)
        ids[subject] = registry.register(subject, schema, first=subject not in known)
        progress(subject, ids[subject])
    return ids


def compatibility(topology: Topology, registry: Registry) -> list[str]:
    """Why schemas of a context may not follow the registered versions: `subject: record.field: reason` each."""
    return [
        f"{subject}: {reason}"
        for subject, schema in subjects(topology).items()
        for reason in registry.compatible(subject, schema)
    ]


def _topic(contract: Contract) -> str:
    match contract.part:
        case "command":
            return topics.commands(contract.context, contract.owner)
        case "event":
            return topics.events(contract.context, contract.owner)
        case "state":
            return topics.snapshots(contract.context, contract.owner)
        case "public":
            return topics.public(contract.context, contract.owner)
        case "row" | "process":
            return topics.table(contract.context, contract.owner)
