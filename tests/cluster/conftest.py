"""What the tests of the embedded cluster share."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from foldlog.cluster import artifacts, embedded
from foldlog.cluster.artifacts import Software
from foldlog.cluster.model import quiet


@pytest.fixture(scope="session")
def programs() -> Software:
    """The servers' software, in the machine's cache."""
    return artifacts.software(quiet)


@pytest.fixture
def own_cache(programs: Software, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Software:
    """The same software in a cache of its own, which has no ahead-of-time caches."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "maven").symlink_to(programs.cache / "maven")
    (cache / programs.registry.name).symlink_to(programs.registry)
    monkeypatch.setenv("FOLDLOG_CACHE", str(cache))
    return artifacts.software(quiet)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose name no configuration format likes; whatever runs in it is stopped."""
    directory = tmp_path / "dätä, dir;x"
    yield directory
    embedded.down(directory, wipe_data=True)
    shutil.rmtree(directory, ignore_errors=True)
