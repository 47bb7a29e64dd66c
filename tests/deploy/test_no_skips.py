"""`-p tests.no_skips`: a test that did not run fails the run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.manifests import ROOT


def run(directory: Path, source: str, *arguments: str) -> tuple[int, str]:
    (directory / "test_it.py").write_text(f"import pytest\n{source}")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "tests.no_skips",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            *arguments,
        ],
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


DID_NOT_RUN = {
    "skipped": "@pytest.mark.skip('no server')\ndef test_it(): pass",
    "skipped in its body": "def test_it(): pytest.skip('no server')",
    "skipped in a fixture": "@pytest.fixture\ndef it(): pytest.skip('no server')\ndef test_it(it): pass",
    "a module that is skipped": "pytest.skip('no server', allow_module_level=True)",
    "a missing import": "pytest.importorskip('no_server')\ndef test_it(): pass",
    "expected to fail": "@pytest.mark.xfail(reason='no server')\ndef test_it(): assert False",
}


@pytest.mark.parametrize("source", DID_NOT_RUN.values(), ids=DID_NOT_RUN.keys())
def test_a_test_that_did_not_run_fails_the_run_and_says_why(tmp_path: Path, source: str) -> None:
    code, output = run(tmp_path, source)
    assert code != 0
    assert "did not run: " in output
    assert "no server" in output or "no_server" in output
    assert " skipped" not in output.splitlines()[-1]


def test_tests_that_ran_pass(tmp_path: Path) -> None:
    code, output = run(tmp_path, "def test_it(): pass")
    assert (code, "1 passed" in output) == (0, True)


def test_tests_that_were_not_asked_for_are_not_skipped(tmp_path: Path) -> None:
    source = "def test_it(): pass\ndef test_other(): pass"
    code, output = run(tmp_path, source, "-k", "other")
    assert (code, "1 passed, 1 deselected" in output) == (0, True)
