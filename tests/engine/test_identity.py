"""Identity: a slot on this machine that two processes never share."""

import subprocess
import sys
from pathlib import Path

import pytest

from foldlog.core.errors import ConfigError
from foldlog.engine.identity import Identity
from foldlog.settings import Settings

HOLD = """
import sys
from pathlib import Path
from foldlog.engine.identity import Identity
from foldlog.settings import Settings
print(Identity(Settings(home=Path(sys.argv[1]), instance=sys.argv[2] or None)).instance, flush=True)
sys.stdin.read()
"""


def held_elsewhere(home: Path, instance: str = "") -> "subprocess.Popen[str]":
    """Another process that has taken a slot."""
    command = [sys.executable, "-c", HOLD, str(home), instance]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def name_of(process: "subprocess.Popen[str]") -> str:
    """The slot that the process says it has."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_process_takes_the_first_free_slot(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path) as other:
        first = name_of(other)
        own = Identity(Settings(home=tmp_path))
        assert first.endswith("-0")
        assert own.instance == first.removesuffix("0") + "1"
        assert own.directory == tmp_path / "workers" / own.instance
        other.communicate("")
    again = Identity(Settings(home=tmp_path))
    assert again.instance == first
    own.release()
    again.release()


def test_a_named_slot_in_use_is_refused(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path, "pod-1") as other:
        assert name_of(other) == "pod-1"
        with pytest.raises(ConfigError, match="instance pod-1 is in use by another process"):
            Identity(Settings(home=tmp_path, instance="pod-1"))
        other.communicate("")


def test_the_slot_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    with held_elsewhere(tmp_path, "pod-1") as other:
        name_of(other)
        other.kill()
        other.communicate()
    Identity(Settings(home=tmp_path, instance="pod-1")).release()


def test_a_slot_can_be_given_back_twice(tmp_path: Path) -> None:
    identity = Identity(Settings(home=tmp_path, instance="pod-1"))
    identity.release()
    identity.release()
    Identity(Settings(home=tmp_path, instance="pod-1")).release()


def test_a_home_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "workers").write_text("a file stands here")
    with pytest.raises(ConfigError, match=r"the state directory .*/workers/pod-1 cannot be used: "):
        Identity(Settings(home=tmp_path, instance="pod-1"))


@pytest.mark.parametrize("name", [".", ".."])
def test_a_name_that_leaves_the_directory_of_workers_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="FOLDLOG_INSTANCE"):
        Identity(Settings(home=tmp_path, instance=name))
