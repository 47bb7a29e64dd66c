"""Configurations of the Kafka clients; every value here was measured or prevents a known hazard."""

from typing import Any

import structlog

from foldlog.settings import Settings

log = structlog.get_logger()

Config = dict[str, Any]


def member(bootstrap: str, group: str, instance: str, settings: Settings) -> Config:
    """A group member: static, eager, and told by the engine alone where to read."""
    return {
        **_common(bootstrap),
        **_reading(settings),
        # Half the requests of a worker that has nothing to do. With 200 each start would take 0.3 s longer: the first
        # request names but some of the partitions, and while it waits there is no other.
        "fetch.wait.max.ms": 100,
        "group.id": group,
        "group.instance.id": instance,
        "group.protocol": "classic",  # static membership of KIP-848 is not finished in librdkafka
        "partition.assignment.strategy": "range",  # eager: every partition of one number goes to one member
        "session.timeout.ms": settings.session_timeout_ms,
        # By its next heartbeat a member learns that another has left or was lost.
        "heartbeat.interval.ms": max(300, settings.session_timeout_ms // 20),
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,  # the only sure sign of no lag: control records look like unread ones
    }


def offsets_reader(bootstrap: str, group: str) -> Config:
    """Reads a group's committed offsets without joining it; waits for open transactions to end."""
    return {**_common(bootstrap), "group.id": group, "isolation.level": "read_committed"}


def reader(bootstrap: str, isolation: str, settings: Settings) -> Config:
    """Reads partitions from given offsets, without a group; reports the end of each partition."""
    return {
        **_common(bootstrap),
        **_reading(settings),
        "group.id": "foldlog",  # required by the client; no member joins and nothing is committed
        "isolation.level": isolation,
        "enable.partition.eof": True,
        "auto.offset.reset": "error",
    }


def follower(bootstrap: str, settings: Settings) -> Config:
    """Reads partitions as they grow, for warm copies: as it comes, in small portions, with few requests."""
    return {
        **reader(bootstrap, "read_committed", settings),
        "queued.min.messages": 2000,
        "queued.max.messages.kbytes": 4096,
        "fetch.wait.max.ms": 500,
    }


def transactional(bootstrap: str, settings: Settings) -> Config:
    """An idempotent producer; `transactional.id` is added by its owner."""
    return {
        **_common(bootstrap),
        "enable.idempotence": True,
        "transaction.timeout.ms": settings.transaction_timeout_ms,
        "compression.type": settings.compression,
        "linger.ms": 2,
        "batch.size": 1 << 20,
        "batch.num.messages": 10_000,
        "queue.buffering.max.messages": 1_000_000,
        "message.max.bytes": 4 << 20,  # the topics' own limits decide, with a clear error before it comes to that
    }


def _common(bootstrap: str) -> Config:
    return {
        "bootstrap.servers": bootstrap,
        "allow.auto.create.topics": False,
        "logger": _Quiet(),
        "reconnect.backoff.max.ms": 1000,
        "topic.metadata.refresh.interval.ms": 30_000,
    }


def _reading(settings: Settings) -> Config:
    return {
        "enable.auto.commit": False,
        "fetch.queue.backoff.ms": 5,  # 912k records/s against 260k at the default of 1000
        "queued.min.messages": max(10_000, settings.batch_records * 4),
        "queued.max.messages.kbytes": 16_384,
        "fetch.wait.max.ms": 50,  # so late comes the notice of a partition's end, for which a reader waits
    }


class _Quiet:
    """Passes librdkafka's log lines on as structured ones, at debug level."""

    def log(self, level: int, message: str, *args: object) -> None:
        """The one method of `logging.Logger` that the client calls."""
        log.debug("librdkafka", level=level, message=message % args if args else message)
