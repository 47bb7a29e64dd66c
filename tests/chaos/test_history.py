"""A history is append-only, and says of each id what is known of it."""

import threading
from pathlib import Path

import pytest

from tests.chaos.history import History, Told, told


def _lines(path: Path) -> list[str]:
    return path.read_text("utf-8").splitlines()


def test_what_happened_to_an_id_is_put_together(tmp_path: Path) -> None:
    history = History(tmp_path / "h")
    history.write("invoke", "c1", kind="deposit")
    history.write("delivered", "c1", place="t:0:5")
    history.write("unknown", "c1", why="no reply")
    history.write("ok", "c1", status="accepted", version=3, duplicate=False)
    history.close()
    assert told(_lines(tmp_path / "h")) == {"c1": Told("deposit", 1, 0, ["t:0:5"], [("accepted", 3, False)])}


def test_what_only_failed_never_left(tmp_path: Path) -> None:
    history = History(tmp_path / "h")
    history.write("invoke", "c1", kind="garbage")
    history.write("fail", "c1", why="MSG_SIZE_TOO_LARGE")
    history.write("invoke", "c2", kind="garbage")
    history.write("unknown", "c2", why="_MSG_TIMED_OUT")
    history.close()
    found = told(_lines(tmp_path / "h"))
    assert (found["c1"].never_left, found["c2"].never_left) == (True, False)
    assert not found["c2"].acknowledged


def test_a_second_history_in_the_same_file_is_appended(tmp_path: Path) -> None:
    for id_ in ("c1", "c2"):
        history = History(tmp_path / "h")
        history.write("invoke", id_, kind="open")
        history.close()
    assert list(told(_lines(tmp_path / "h"))) == ["c1", "c2"]


def test_lines_of_several_threads_are_whole(tmp_path: Path) -> None:
    history = History(tmp_path / "h")

    def write(number: int) -> None:
        for step in range(200):
            history.write("invoke", f"c{number}-{step}", kind="deposit")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history.close()
    assert len(told(_lines(tmp_path / "h"))) == 800


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json", "line 1 of the history is no JSON"),
        ('{"what": "ok", "id": "c1", "status": "accepted", "version": 1, "duplicate": false}', "never invoked"),
    ],
)
def test_a_broken_history_is_refused(line: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        told([line])
