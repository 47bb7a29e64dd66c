"""Which partitions a member of a group has, and which it would have if others went away."""

from collections.abc import Collection


def owned(members: Collection[str], count: int) -> dict[str, range]:
    """The partitions of each member as the range assignor gives them out.

    Members stand in the order of their instance ids' bytes; each gets `count // members` neighbours, and the first
    `count % members` of them one more. Source: librdkafka's rd_kafka_range_assignor.c, Kafka's RangeAssignor.
    """
    ranked = sorted(set(members), key=str.encode)
    return {member: _range(rank, len(ranked), count) for rank, member in enumerate(ranked)}


def shadowed(me: str, members: Collection[str], count: int, away: int) -> frozenset[int]:
    """The partitions that `me` has not, and would have if some of the others went away, at most `away` of them.

    Empty where `me` is no member. Who goes does not matter, only how many before `me` in the order and how many
    behind: so this takes `away`² steps, not one for each choice of members.
    """
    ranked = sorted(set(members), key=str.encode)
    if me not in ranked:
        return frozenset()
    before = ranked.index(me)
    behind = len(ranked) - 1 - before
    gained: set[int] = set()
    for first in range(min(away, before) + 1):
        for last in range(min(away - first, behind) + 1):
            gained.update(_range(before - first, len(ranked) - first - last, count))
    return frozenset(gained.difference(_range(before, len(ranked), count)))


def _range(rank: int, members: int, count: int) -> range:
    each, more = divmod(count, members)
    start = each * rank + min(rank, more)
    return range(start, start + each + (rank < more))
