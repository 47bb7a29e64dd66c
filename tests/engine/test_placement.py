"""Who owns which partition, and what a standby must keep warm: laws, and what the client's own assignor does."""

import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain, combinations

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from hypothesis import given
from hypothesis import strategies as st

from foldlog.cluster import Cluster
from foldlog.engine import clients
from foldlog.engine.placement import owned, shadowed
from foldlog.settings import Settings
from tests.engine.running import eventually

_LONGEST_CLOSE = 25.0  # s, as a worker gives it

groups = st.sets(st.text(max_size=3), min_size=1, max_size=6)
counts = st.integers(1, 20)
aways = st.integers(0, 3)


@given(groups, counts)
def test_every_partition_has_one_owner_and_shares_differ_by_one(members: set[str], count: int) -> None:
    shares = owned(members, count)
    assert sorted(chain.from_iterable(shares.values())) == list(range(count))
    assert max(map(len, shares.values())) - min(map(len, shares.values())) <= 1


@given(groups, counts, aways)
def test_whoever_takes_over_has_kept_it_warm(members: set[str], count: int, away: int) -> None:
    before = owned(members, count)
    for gone in chain.from_iterable(combinations(sorted(members), size) for size in range(away + 1)):
        for member, share in owned(members - set(gone), count).items():
            assert set(share) <= {*before[member], *shadowed(member, members, count, away)}


@given(groups, counts, aways)
def test_nothing_is_kept_warm_in_vain(members: set[str], count: int, away: int) -> None:
    before = owned(members, count)
    for member in members:
        others = members - {member}
        gains: set[int] = set()
        for gone in chain.from_iterable(combinations(sorted(others), size) for size in range(away + 1)):
            gains.update(owned(members - set(gone), count)[member])
        assert shadowed(member, members, count, away) == gains - set(before[member])


def test_a_stranger_keeps_nothing_warm() -> None:
    assert shadowed("d", {"a", "b", "c"}, 6, 2) == frozenset()


@contextmanager
def joined(cluster: Cluster, topic: str, names: list[str]) -> Iterator[dict[str, Consumer]]:
    """One member of each name, configured as a worker's."""
    members = {name: Consumer(clients.member(cluster.bootstrap, topic, name, Settings())) for name in names}
    try:
        for member in members.values():
            member.subscribe([topic])
        yield members
    finally:
        # Side by side, and not for ever: a client that is told of partitions while it closes may wait for itself.
        closing = [threading.Thread(target=member.close, daemon=True) for member in members.values()]
        for thread in closing:
            thread.start()
        for thread in closing:
            thread.join(_LONGEST_CLOSE)


@pytest.mark.parametrize("count", [7, 3])
def test_the_client_assigns_as_was_worked_out(cluster: Cluster, count: int) -> None:
    """Names that sort otherwise by their length, their letters' case, or their numbers."""
    names = ["w-10", "w-9", "W-2", "w", "z.a", "Z_9"]
    topic = f"placement-{uuid.uuid4().hex[:8]}"
    admin = AdminClient({"bootstrap.servers": cluster.bootstrap})
    admin.create_topics([NewTopic(topic, count, 1)])[topic].result(30)
    wanted = {name: list(share) for name, share in owned(names, count).items()}
    with joined(cluster, topic, names) as members:

        def as_wanted() -> bool:
            found = {}
            for name, member in members.items():
                member.poll(0.01)
                found[name] = sorted(place.partition for place in member.assignment())
            return found == wanted

        eventually(as_wanted, f"{wanted}")
