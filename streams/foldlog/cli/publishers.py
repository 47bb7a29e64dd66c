"""The topics that a context subscribes to: they are others' to make, and theirs is the number of partitions."""

from foldlog.core.errors import ConfigError
from foldlog.core.topology import Topology


def check(context: Topology, bootstrap: str, *, needed: frozenset[str] = frozenset()) -> None:
    """ConfigError where a publisher's topic has other partitions than declared, or where one that is needed is missing.

    `needed` are names of subscriptions.
    """
    from foldlog.kafka.connection import partition_counts

    counts = partition_counts(bootstrap) if context.consumes else {}
    for each in context.consumes:
        declared, found = context.parking[each.name], counts.get(each.publisher)
        if found is None and each.name in needed:
            publisher = each.publisher.partition(".")[0]
            raise ConfigError(
                f"{context.name}.{each.name} subscribes to {each.publisher}, and there is no such topic: "
                f"run `foldlog topics apply topologies.{publisher}` first, or whatever makes the publisher's topics"
            )
        if found not in (None, declared):
            raise ConfigError(
                f"{context.name}.{each.name}: {each.publisher} has {found} partitions, declared are {declared}: "
                f"write Subscription(…, partitions={found})"
            )
