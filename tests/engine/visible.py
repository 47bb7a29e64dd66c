"""Waiting until a commit shows: Kafka answers it before it writes the markers that end its transaction."""

from functools import cache

from foldlog.kafka.connection import admin
from foldlog.kafka.marks import end_offsets
from tests.engine.running import eventually

_admin = cache(admin)


def visible(bootstrap: str, topic: str, partitions: int) -> None:
    """Returns once committed readers see all that is in a topic by now."""
    client, places = _admin(bootstrap), [(topic, number) for number in range(partitions)]
    ends = end_offsets(client, places, committed=False)

    def are_there() -> bool:
        found = end_offsets(client, places, committed=True)
        return all(found[place] >= end for place, end in ends.items())

    eventually(are_there, f"the end of the transactions in {topic}")
