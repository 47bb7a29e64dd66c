"""The Makefile chooses an interpreter that works, and says what is wrong where there is none."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.manifests import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def interpreter(directory: Path, body: str) -> Path:
    file = directory / "some python"
    file.write_text(f"#!/bin/sh\n{body}\n")
    file.chmod(0o755)
    return file


def make(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_help_is_the_default_and_lists_every_target(project: Path) -> None:
    done = make(project)
    assert done.returncode == 0
    for target in ("demo", "test", "test-adapters", "up", "down", "clean"):
        assert f"make {target} " in done.stdout


def test_a_python_that_is_too_old_is_refused(project: Path) -> None:
    done = make(project, "setup", f"PYTHON={interpreter(project, 'exit 1')}")
    assert done.returncode != 0
    assert "error: foldlog needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (project / ".venv").exists()


def test_a_python_without_venv_is_named(project: Path) -> None:
    bare = interpreter(project, f'case "$2" in *ensurepip*) exit 1;; *) exec {sys.executable} "$@";; esac')
    done = make(project, "setup", f"PYTHON={bare}")
    assert done.returncode != 0
    assert f"error: {bare} cannot make environments: install venv" in done.stderr
    assert not (project / ".venv").exists()


def test_a_working_python_makes_the_environment(project: Path) -> None:
    done = make(project, ".venv/bin/python", f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    assert subprocess.run([project / ".venv/bin/python", "-m", "pip", "--version"], check=False).returncode == 0


def test_a_new_requirement_installs_again(project: Path) -> None:
    stamps = project / ".venv"
    (stamps / "bin").mkdir(parents=True)
    (stamps / "bin" / "python").touch()
    (stamps / ".dev").touch()
    assert "pip" not in make(project, "--dry-run", "setup").stdout
    later = (stamps / ".dev").stat().st_mtime + 10
    os.utime(project / "pyproject.toml", (later, later))
    assert "--editable '.[dev]'" in make(project, "--dry-run", "setup").stdout
