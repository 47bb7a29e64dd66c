"""A declared processor put together: its kind, its feed, its transactions, its stores."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from confluent_kafka.admin import AdminClient

from foldlog.cluster import Cluster
from foldlog.contracts.codec import Codec
from foldlog.contracts.registry import Registry
from foldlog.core.errors import ConfigError
from foldlog.core.topology import Processor as Declared
from foldlog.core.topology import Topology
from foldlog.core.view import View
from foldlog.engine import clients
from foldlog.engine.feed import Feed
from foldlog.engine.identity import Identity
from foldlog.engine.kind import Folding, Kind
from foldlog.engine.kinds import kind_of
from foldlog.engine.line import Line
from foldlog.engine.metered import Metered
from foldlog.engine.parking import ParkedRows, Parking
from foldlog.engine.partitions import Partitions
from foldlog.engine.processor import Processor
from foldlog.engine.recovery import Parts
from foldlog.engine.restoring import Group, LogReader, topic_ids
from foldlog.engine.shadows import Shadows, WarmPartitions
from foldlog.engine.snapshots import Snapshots
from foldlog.engine.standby import Standbys
from foldlog.engine.stats import Counters
from foldlog.settings import Settings

if TYPE_CHECKING:
    from foldlog.engine.tracing import Tracing

_SHADOW_CACHE = 4 << 20  # room for the cached rows of a processor's shadows


@dataclass(frozen=True)
class Assembly:
    """What all processors of a worker share."""

    topology: Topology
    cluster: Cluster
    settings: Settings
    identity: Identity
    codec: Codec
    admin: AdminClient
    standbys: Standbys
    tracing: "Tracing | None"

    def line(self, declared: Declared, deliver: Callable[[Any], None]) -> Line:
        """A processor with its threads, not begun; `deliver` is called with each batch of its feed."""
        settings, bootstrap = self.settings, self.cluster.bootstrap
        kind = kind_of(self.topology, declared, self.codec, settings, bootstrap)
        group, instance = self.group(kind), self.identity.instance
        transactional_id = f"{group}.{instance}"
        counters = Counters()
        shadows = self._shadows(group, declared) if settings.standbys else None
        partitions = _partitions(kind, self._state(group), _cached(declared, settings), counters, shadows)
        hand_over = deliver if partitions is None else lambda item: deliver(partitions.prepared(item))
        feed = Feed(clients.member(bootstrap, group, instance, settings), kind.inputs, settings, hand_over)
        parts = Parts(
            self.topology.name,
            kind,
            self.codec,
            feed,
            Metered(clients.transactional(bootstrap, settings), transactional_id, settings.socket_timeout_ms, counters),
            Group(bootstrap, group, transactional_id, settings),
            LogReader(bootstrap, settings),
            partitions,
            Snapshots.of(kind, self.codec, settings.snapshot_events),
            lambda names: topic_ids(self.admin, names),
            self._parking(kind, group),
        )
        line = Line(Processor(parts, counters), kind, feed)
        line.shadows = shadows
        line.traces = self.tracing.trace(kind) if self.tracing is not None else None
        return line

    def group(self, kind: Kind) -> str:
        """The name of a processor's consumer group."""
        return f"{self.topology.name}.{kind.name}"

    def _state(self, group: str) -> Path:
        return self.identity.directory / "state" / group

    def _parking(self, kind: Kind, group: str) -> Parking | None:
        if kind.name not in self.topology.parking:
            return None
        return Parking(ParkedRows(self.topology, kind.name, self.codec), self._state(f"{group}.parked"))

    def _shadows(self, group: str, declared: Declared) -> Shadows | None:
        """Warm copies of what others own of a processor: they fold in a thread of their own, so with a codec too."""
        codec = Codec(self.topology, Registry(self.cluster.registry))
        codec.prepare()
        kind = kind_of(self.topology, declared, codec, self.settings, self.cluster.bootstrap)
        if not isinstance(kind, Folding):
            return None
        return self.standbys.shadow(group, kind, Partitions(kind, self._state(group), _SHADOW_CACHE, Counters()))


def tracing(url: str | None, context: str, instance: str) -> "Tracing | None":
    """Spans to an OTLP endpoint, None without one; ConfigError where the extra is not installed."""
    if url is None:
        return None
    try:
        from foldlog.engine.tracing import Tracing, exporting

        return Tracing(context, instance, exporting(url))
    except ImportError as error:
        raise ConfigError(f"FOLDLOG_OTLP needs the extra `trace` (pip install 'foldlog[trace]'): {error}") from error


def _cached(declared: Declared, settings: Settings) -> int:
    """Memory for a processor's decoded rows, in bytes."""
    own = declared.serving.cache_mb if isinstance(declared, View) else None
    return (settings.cache_mb if own is None else own) << 20


def _partitions(
    kind: Kind, directory: Path, cached: int, counters: Counters, shadows: Shadows | None
) -> Partitions | None:
    if not isinstance(kind, Folding):
        return None
    if shadows is None:
        return Partitions(kind, directory, cached, counters)
    return WarmPartitions(kind, directory, cached, counters, shadows)
