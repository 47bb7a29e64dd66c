"""Settings: from the environment (`FOLDLOG_…`), with defaults that were measured."""

from pathlib import Path

from pydantic import AwareDatetime, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from foldlog.core.errors import ConfigError


class Settings(BaseSettings):
    """Everything that can be set; each field is read from `FOLDLOG_<FIELD>`."""

    model_config = SettingsConfigDict(env_prefix="FOLDLOG_", extra="ignore")

    bootstrap: str | None = Field(default=None, description="Kafka's host:port[,…]; unset: the cluster of `foldlog up`")
    registry: str | None = Field(default=None, description="the schema registry's URL")
    home: Path = Field(default=Path(".foldlog"), description="data directory of the embedded cluster and the workers")
    instance: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]{1,100}$",
        description="this process's stable name; default: a free slot",
    )
    batch_records: int = Field(default=10_000, ge=1, le=100_000, description="most records in one transaction")
    batch_ms: int = Field(default=20, ge=1, le=10_000, description="how long a batch waits to fill, in ms")
    snapshot_events: int = Field(
        default=100_000,
        ge=1,
        description="a partition's events without a checkpoint before its aggregates are snapshotted",
    )
    cache_mb: int = Field(default=128, ge=0, le=1 << 20, description="memory for rows per processor, in MiB")
    compiled: bool = Field(
        default=True, description="commands go the compiled short way, where foldlog was installed with a C compiler"
    )
    compression: str = Field(
        default="lz4", pattern=r"^(none|gzip|snappy|lz4|zstd)$", description="codec of what is produced"
    )
    session_timeout_ms: int = Field(
        default=10_000, ge=1000, description="a silent worker loses its partitions after this"
    )
    transaction_timeout_ms: int = Field(
        default=15_000, ge=1000, description="a silent worker's transaction ends after this"
    )
    socket_timeout_ms: int = Field(
        default=10_000, ge=1000, description="a broker's answer later than this taints a producer"
    )
    standbys: int = Field(
        default=0, ge=0, le=100, description="keep warm what would be ours if so many other workers went away"
    )
    replication_factor: int = Field(default=1, ge=1, le=32, description="copies of each topic that is created")
    log_level: str = Field(
        default="info", pattern=r"^(debug|info|warning|error)$", description="least log lines of a worker to show"
    )
    log_format: str = Field(
        default="text", pattern=r"^(text|json)$", description="how a worker's log lines are written"
    )
    http: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9._-]+:[0-9]{1,5}$",
        description="host:port for /metrics, /healthz and /readyz; unset: none",
    )
    ready_lag: int = Field(
        default=10_000, ge=0, description="a worker with a processor further behind, in records, is not ready"
    )
    otlp: str | None = Field(
        default=None, pattern=r"^https?://.+$", description="the OpenTelemetry collector that gets traces; unset: none"
    )
    notify: str = Field(
        default="log:", pattern=r"^(log:|smtp://[^/]+|https?://.+)$", description="where a reactor's messages go"
    )
    query_seconds: float = Field(default=10.0, gt=0, le=3600, description="a query that takes longer is ended")
    query_rows: int = Field(default=1_000_000, ge=1, description="most rows of a query's answer")
    query_memory_mb: int = Field(
        default=1024,
        ge=64,
        le=1 << 20,
        description="memory of a query service, and of each of two SQL statements, in MiB",
    )
    query_threads: int = Field(default=4, ge=1, le=256, description="queries that are answered at once; more wait")
    query_wait_ms: int = Field(
        default=5000, ge=0, le=60_000, description="how long a query waits for what `Foldlog-After` names"
    )
    muted: str = Field(
        default="",
        pattern=r"^([a-z][a-z0-9_]*(,[a-z][a-z0-9_]*)*)?$",
        description="reactors whose events pass without their effect, `all` for every one",
    )
    muted_before: AwareDatetime | None = Field(
        default=None, description="events before this time have no effects; for a log that is read again"
    )

    def is_muted(self, reactor: str) -> bool:
        """Whether the events of a reactor pass without their effect."""
        return not {reactor, "all"}.isdisjoint(self.muted.split(","))


def load() -> Settings:
    """The settings of this process; ConfigError names the variable that is wrong."""
    try:
        return Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = "FOLDLOG_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigError(f"{name}={first['input']!r}: {first['msg']}") from error
