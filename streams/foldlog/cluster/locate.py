"""Which cluster: the one that settings or environment name, else Docker's if asked for, else the embedded one."""

import os
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from foldlog.cluster import docker as compose
from foldlog.cluster import embedded
from foldlog.cluster.disk import translated
from foldlog.cluster.model import Cluster, Progress, Server, Status, quiet
from foldlog.cluster.ports import answers
from foldlog.core.errors import ClusterError, ConfigError

DEFAULT_PORT = {"http": 80, "https": 443}


def external(bootstrap: str | None = None, registry: str | None = None) -> Cluster | None:
    """The existing cluster named by the arguments, else by FOLDLOG_BOOTSTRAP and FOLDLOG_REGISTRY, if any.

    Raises ConfigError if only one of the two is given, or if one is not an address.
    """
    kafka = bootstrap or os.environ.get("FOLDLOG_BOOTSTRAP") or ""
    url = registry or os.environ.get("FOLDLOG_REGISTRY") or ""
    if not kafka and not url:
        return None
    if not kafka or not url:
        given, missing = ("FOLDLOG_BOOTSTRAP", "FOLDLOG_REGISTRY")[:: 1 if kafka else -1]
        raise ConfigError(f"{given} is set but {missing} is not: set both, or neither for the embedded cluster")
    _addresses(kafka)
    _host(url)
    return Cluster(kafka, url.rstrip("/"), "external")


def _addresses(bootstrap: str) -> list[tuple[str, int]]:
    pairs = [entry.strip().rpartition(":") for entry in bootstrap.split(",")]
    if not all(host and port.isdecimal() and 0 < int(port) < 65536 for host, _, port in pairs):
        raise ConfigError(f"FOLDLOG_BOOTSTRAP is {bootstrap!r}: write host:port, several with commas between")
    return [(host.strip("[]"), int(port)) for host, _, port in pairs]


def _host(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        port = parts.port or DEFAULT_PORT[parts.scheme]
    except (ValueError, KeyError):
        raise ConfigError(f"FOLDLOG_REGISTRY is {url!r}: write http://host:port or https://host:port") from None
    if not parts.hostname:
        raise ConfigError(f"FOLDLOG_REGISTRY is {url!r}: it names no host")
    return parts.hostname, port


def up(
    home: Path,
    *,
    docker: bool = False,
    progress: Progress = quiet,
    bootstrap: str | None = None,
    registry: str | None = None,
) -> Cluster:
    """Make sure that a cluster runs, and say where; idempotent.

    An existing cluster (arguments or environment) is only checked. Raises ClusterError if it does not answer, or
    if Docker's or the embedded one cannot be started; the message says what to do.
    """
    existing = external(bootstrap, registry)
    if existing:
        return _checked(existing)
    if docker:
        return compose.up(home, progress)
    return embedded.up(home, progress=progress)


def _checked(cluster: Cluster) -> Cluster:
    if not _kafka_answers(cluster):
        raise ClusterError(f"no Kafka answers at {cluster.bootstrap} (FOLDLOG_BOOTSTRAP): start it, or unset both")
    if not _registry_answers(cluster):
        raise ClusterError(f"no registry answers at {cluster.registry} (FOLDLOG_REGISTRY): start it, or unset both")
    return cluster


def _kafka_answers(cluster: Cluster) -> bool:
    return any(answers(host, port, 3) for host, port in _addresses(cluster.bootstrap))


def _registry_answers(cluster: Cluster) -> bool:
    """Any answer in HTTP will do: whether we may read is for the client to say."""
    secure = urlsplit(cluster.registry).scheme == "https"
    connection = (HTTPSConnection if secure else HTTPConnection)(*_host(cluster.registry), timeout=3)
    try:
        connection.request("GET", f"{urlsplit(cluster.registry).path}/subjects")
        connection.getresponse()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
    return True


def find(settings_bootstrap: str | None, settings_registry: str | None, home: Path) -> Cluster:
    """The cluster to work with: the existing one, else the running embedded one, else Docker's.

    Starts nothing. Raises ClusterError if there is none.
    """
    found = external(settings_bootstrap, settings_registry) or embedded.find(home) or compose.find(home)
    if found is None:
        raise ClusterError("no cluster: run `foldlog up`, or set FOLDLOG_BOOTSTRAP and FOLDLOG_REGISTRY")
    return found


def down(home: Path, *, wipe: bool = False) -> bool:
    """Stop the embedded cluster and Docker's, if they run; False if neither did.

    `wipe` deletes their data, Kafka's and the registry's together. An existing cluster is never touched.
    """
    with translated(f"cannot use {home}"):
        stopped = embedded.down(home, wipe_data=wipe)
    return compose.down(home, wipe=wipe) or stopped


def status(home: Path, *, bootstrap: str | None = None, registry: str | None = None) -> Status:
    """The state of the cluster that `find` would give, or of the embedded one if there is none."""
    existing = external(bootstrap, registry)
    if existing is None:
        own = embedded.status(home)
        existing = None if any(server.alive for server in own.servers) else compose.find(home)
        if existing is None:
            return own
    kafka, schemas = _kafka_answers(existing), _registry_answers(existing)
    servers = (
        Server("kafka", existing.bootstrap, None, alive=kafka, responding=kafka),
        Server("registry", existing.registry, None, alive=schemas, responding=schemas),
    )
    return Status(existing.kind, kafka and schemas, existing.bootstrap, existing.registry, str(home), servers)
