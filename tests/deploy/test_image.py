"""The container image: what its Dockerfile promises, and how its health check behaves."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from foldlog.engine.identity import Identity
from foldlog.settings import Settings
from tests.deploy.manifests import ROOT, dockerfile

CONTAINER = ROOT / "deploy" / "container"
INSTRUCTIONS = dockerfile()


def last(name: str) -> str:
    return [argument for instruction, argument in INSTRUCTIONS if instruction == name][-1]


def final_stage() -> list[tuple[str, str]]:
    start = max(i for i, (name, _) in enumerate(INSTRUCTIONS) if name == "FROM")
    return INSTRUCTIONS[start:]


def test_it_builds_on_pinned_images() -> None:
    images = [argument.split()[0] for name, argument in INSTRUCTIONS if name == "FROM"]
    assert all(image.startswith("python:3.") and image.endswith("-slim") for image in images), images


def test_it_runs_as_a_numbered_user_that_is_not_root() -> None:
    assert last("USER") == "10001:10001"
    after = final_stage()[[name for name, _ in final_stage()].index("USER") + 1 :]
    assert not [name for name, _ in after if name in {"RUN", "COPY", "ADD", "USER"}]


def test_it_starts_without_a_shell_in_between() -> None:
    assert json.loads(last("ENTRYPOINT")) == ["foldlog"]
    assert json.loads(last("CMD")) == ["--help"]
    assert json.loads(last("HEALTHCHECK").partition("CMD ")[2]) == ["health", "alive"]


def test_it_keeps_no_build_tool_and_no_cache() -> None:
    for name, argument in INSTRUCTIONS:
        assert name != "ADD"
        if "pip" in argument and name == "RUN":
            assert argument.count("--no-cache-dir") == argument.count(" -m pip ")
    assert not [argument for name, argument in final_stage() if name == "RUN" and "pip" in argument]


def test_the_build_sees_every_file_that_it_copies() -> None:
    seen = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    for name, argument in INSTRUCTIONS:
        if name == "COPY" and "--from=" not in argument:
            for source in [part for part in argument.split() if not part.startswith("--")][:-1]:
                assert (ROOT / source).exists(), source
                assert any(source == entry or source.startswith(f"{entry}/") for entry in seen), source


@pytest.fixture
def worker(tmp_path: Path) -> Path:
    directory = tmp_path / "workers" / "worker-0"
    directory.mkdir(parents=True)
    return directory


def health(home: Path, file: str, instance: str = "worker-0") -> int:
    environment = {**os.environ, "FOLDLOG_HOME": str(home), "FOLDLOG_INSTANCE": instance}
    return subprocess.run([CONTAINER / "health", file], env=environment, check=False).returncode


def test_a_worker_that_has_not_started_is_not_alive(worker: Path) -> None:
    assert health(worker.parents[1], "alive") == 1
    assert health(worker.parents[1], "alive", "no-such-worker") == 1


def test_a_restoring_worker_is_alive_and_not_ready(worker: Path) -> None:
    (worker / "alive").touch()
    assert health(worker.parents[1], "alive") == 0
    assert health(worker.parents[1], "ready") == 1


def test_a_restored_worker_is_ready(worker: Path) -> None:
    (worker / "alive").touch()
    (worker / "ready").touch()
    assert health(worker.parents[1], "ready") == 0


def test_a_worker_that_hangs_is_neither(worker: Path) -> None:
    (worker / "ready").touch()
    (worker / "alive").touch()
    then = (worker / "alive").stat().st_mtime - 30
    os.utime(worker / "alive", (then, then))
    assert health(worker.parents[1], "alive") == 1
    assert health(worker.parents[1], "ready") == 1


def test_an_unnamed_worker_is_found_by_the_name_that_it_takes(tmp_path: Path) -> None:
    identity = Identity(Settings(home=tmp_path, instance=None))
    try:
        (identity.directory / "alive").touch()
        environment = {key: value for key, value in os.environ.items() if key != "FOLDLOG_INSTANCE"}
        environment["FOLDLOG_HOME"] = str(tmp_path)
        assert subprocess.run([CONTAINER / "health", "alive"], env=environment, check=False).returncode == 0
    finally:
        identity.release()
