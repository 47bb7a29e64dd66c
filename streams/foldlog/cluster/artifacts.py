"""The servers' software: pinned Maven artifacts, downloaded once, verified, shared by all projects.

The cache is `$FOLDLOG_CACHE` or `~/.cache/foldlog`. A file gets its final name only after its SHA-256 sum was
right, so whatever has a final name is whole. Downloads go through `requests`, which honours the usual proxy and
certificate variables; `$FOLDLOG_MAVEN` names another Maven repository than Central.
"""

import hashlib
import os
import shutil
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from threading import Event, Lock
from typing import Any

from foldlog.cluster.disk import ensure_space, locked, translated
from foldlog.cluster.extra import embedded
from foldlog.cluster.model import Progress
from foldlog.core.errors import ClusterError

CENTRAL = "https://repo.maven.apache.org/maven2"
TIMEOUT = (10, 20)  # seconds to connect, seconds between two reads
_PAUSES = (0.5, 2.0)  # seconds before another try, where a server is busy or breaks off
_BUSY = frozenset({429, 500, 502, 503, 504})
_UNTRUSTED = "name a file with the certificates to trust in REQUESTS_CA_BUNDLE"


@dataclass(frozen=True)
class Artifact:
    """One pinned file of a Maven repository; `path` is relative to the repository."""

    name: str
    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Software:
    """What the two servers run from: Kafka's class path, the registry's unpacked directory, and the cache."""

    cache: Path
    kafka: tuple[Path, ...]
    registry: Path
    key: str


def cache_directory() -> Path:
    """Where downloads are kept."""
    return Path(os.environ.get("FOLDLOG_CACHE") or Path.home() / ".cache" / "foldlog").absolute()


def pinned() -> tuple[Artifact, ...]:
    """The artifacts of `artifacts.txt`, in its order."""
    lines = files("foldlog.cluster").joinpath("artifacts.txt").read_text("utf-8").splitlines()
    return tuple(_artifact(*line.split()) for line in lines if line and not line.startswith("#"))


def _artifact(sha256: str, size: str, coordinate: str) -> Artifact:
    group, name, version, *rest = coordinate.split(":")
    classifier, extension = rest or ("", "jar")
    file = f"{name}-{version}{'-' if classifier else ''}{classifier}.{extension}"
    return Artifact(name, f"{group.replace('.', '/')}/{name}/{version}/{file}", sha256, int(size))


def software(progress: Progress) -> Software:
    """Kafka and the registry, downloaded where the cache lacks them.

    Raises ClusterError without network, space or write access, or if a file is not the pinned one.
    """
    *jars, registry = pinned()
    cache = cache_directory()
    key = hashlib.sha256("".join(jar.sha256 for jar in (*jars, registry)).encode()).hexdigest()[:16]
    found = Software(
        cache, tuple(cache / "maven" / jar.path for jar in jars), cache / f"registry-{registry.sha256[:16]}", key
    )
    if found.registry.is_dir() and all(map(_cached, found.kafka, jars)):
        return found
    with translated(f"cannot write the cache {cache}"), locked(cache / "lock", "another download", progress):
        ensure_space(cache)
        with _workshop(cache) as shop:
            missing = [jar for jar, path in zip(jars, found.kafka, strict=True) if not _cached(path, jar)]
            download("downloading Kafka", missing, shop, cache / "maven", progress)
            if not found.registry.is_dir():
                download("downloading the registry", [registry], shop, shop, progress)
                _unpack(shop / registry.path, found.registry, shop, progress)
    return found


def _cached(path: Path, artifact: Artifact) -> bool:
    return path.is_file() and path.stat().st_size == artifact.size


@contextmanager
def _workshop(cache: Path) -> Iterator[Path]:
    """A directory for half-done work beside the cache's files; the one a killed download left goes first."""
    for abandoned in cache.glob("tmp-*"):
        shutil.rmtree(abandoned, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix="tmp-", dir=cache) as shop:
        yield Path(shop)


def download(step: str, missing: Sequence[Artifact], shop: Path, to: Path, progress: Progress) -> None:
    """Download artifacts to their paths below `to`, working in `shop`, four at a time.

    Raises ClusterError, and leaves nothing half, if one cannot be had or is not the pinned one.
    """
    if not missing:
        return
    tally = _Tally(step, sum(artifact.size for artifact in missing), progress)
    pool = ThreadPoolExecutor(4, "download")
    try:
        for done in [pool.submit(_download, artifact, shop, to, tally) for artifact in missing]:
            done.result()
    finally:
        tally.cancelled.set()
        pool.shutdown(cancel_futures=True)


class _Tally:
    """Bytes of a set of downloads, counted from several threads; `cancelled` ends them all."""

    def __init__(self, step: str, total: int, progress: Progress) -> None:
        self.cancelled = Event()
        self._lock = Lock()
        self._step, self._done, self._total, self._progress = step, 0, total, progress

    def go_on(self) -> None:
        """Raises ClusterError where the downloads are to end."""
        if self.cancelled.is_set():
            raise ClusterError("the download was cancelled")

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            self._progress(self._step, self._done, self._total)


def _download(artifact: Artifact, shop: Path, to: Path, tally: _Tally) -> None:
    requests = embedded("requests")
    repository = os.environ.get("FOLDLOG_MAVEN", CENTRAL).rstrip("/")
    part, final = shop / f"{artifact.sha256}.part", to / artifact.path
    for pause in (*_PAUSES, None):
        try:
            with requests.get(f"{repository}/{artifact.path}", stream=True, timeout=TIMEOUT) as response:
                response.raise_for_status()
                digest = _save(response.iter_content(1 << 18), part, tally)
            break
        except requests.RequestException as error:
            if pause is None or not _passes(error, requests.exceptions):
                raise ClusterError(_advice(artifact, repository, error, requests.exceptions)) from error
            tally.cancelled.wait(pause)
    if digest != artifact.sha256:
        raise ClusterError(f"{artifact.path} from {repository} is not the pinned file (SHA-256 {digest}); try again")
    final.parent.mkdir(parents=True, exist_ok=True)
    part.replace(final)


def _passes(error: Any, kinds: Any) -> bool:
    """Whether another try may do: there was a connection, and the server is busy or broke off."""
    if error.response is not None:
        return error.response.status_code in _BUSY
    return isinstance(error, (kinds.ReadTimeout, kinds.ChunkedEncodingError))


def _advice(artifact: Artifact, repository: str, error: Any, kinds: Any) -> str:
    first = _UNTRUSTED if isinstance(error, kinds.SSLError) else "connect to a network"
    return (
        f"cannot download {artifact.name} from {repository}: {_reason(error)}; {first}, "
        "or set FOLDLOG_MAVEN to a reachable Maven repository, or FOLDLOG_BOOTSTRAP to an existing cluster"
    )


def _reason(error: Any) -> str:
    """The cause in few words: requests wraps the operating system's message in four layers."""
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    return str(error).rsplit(": ", 1)[-1].partition(" (_ssl")[0].strip("'\")> ") or type(error).__name__


def _save(chunks: Iterator[bytes], part: Path, tally: _Tally) -> str:
    digest, saved = hashlib.sha256(), 0
    try:
        with part.open("wb") as file:
            for chunk in chunks:
                tally.go_on()
                file.write(chunk)
                digest.update(chunk)
                saved += len(chunk)
                tally.add(len(chunk))
    except BaseException:
        tally.add(-saved)  # another try begins anew
        raise
    return digest.hexdigest()


def _unpack(archive: Path, final: Path, shop: Path, progress: Progress) -> None:
    progress("unpacking the registry", 0, 0)
    with tarfile.open(archive) as tar:
        tar.extractall(shop / "unpacked", filter="data")
    (shop / "unpacked").replace(final)
