"""The local store: rows and the position of their log in one write, healed by deletion."""

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from rocksdict import DBCompressionType, Options, Rdict

from foldlog.core.errors import StoreError
from foldlog.engine import store as module
from foldlog.engine.store import Store

ROWS = {b"k%05d" % number: b"v" * 200 for number in range(2000)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "0", "log-1")


def test_rows_position_and_count_last_together(store: Store) -> None:
    store.apply({b"a": b"1", b"b": b"2"}, 7, 2)
    store.close()
    again = Store(store.path, "log-1")
    assert (dict(again.rows()), again.position, again.count) == ({b"a": b"1", b"b": b"2"}, 7, 2)
    again.close()


def test_a_row_of_nothing_is_deleted(store: Store) -> None:
    store.apply({b"a": b"1", b"b": b"2"}, 1, 2)
    store.apply({b"a": None, b"never": None}, 2, 1)
    assert (store.get(b"a"), store.get(b"b"), store.get(b"never")) == (None, b"2", None)
    store.close()


def test_many_rows_are_written_as_a_table(store: Store) -> None:
    store.apply({b"a": b"1", b"b": b"2", b"c": b"3"}, 1, 3)
    (store.path / "adding.sst").write_bytes(b"what a process that was killed left behind")
    store.since = 4
    store.load({b"b": None, b"c": b"4", **ROWS}, 7, 2 + len(ROWS))
    store.apply({b"a": b"5"}, 8, 2 + len(ROWS))
    store.close()
    again = Store(store.path, "log-1")
    assert dict(again.rows()) == {b"a": b"5", b"c": b"4", **ROWS}
    assert (again.position, again.count, again.since) == (8, 2 + len(ROWS), 4)
    assert again.get(b"b") is None
    assert not (again.path / "adding.sst").exists()
    again.close()


def test_rows_are_walked_through_in_order_wherever_they_lie(store: Store) -> None:
    rows = [*ROWS.items()]
    store.load(dict(rows[::2]), 1, 1000)
    for number in range(1, 2000, 200):
        store.apply(dict(rows[number : number + 200 : 2]), number, 1000, marked=True)
        marks, whole = store.take_marks()
        assert (len(marks), whole) == (number // 200 + 1, False)
    assert [key for key, _ in store.rows()] == [key for key, _ in rows]
    assert store.keys(rows[999][0], 500) == [key for key, _ in rows[1000:1500]]
    assert [key for mark in marks for key in store.marked(mark)] == [key for key, _ in rows[1::2]]
    store.close()
    again = Store(store.path, "log-1")
    assert again.take_marks() == (marks, False)
    again.apply({}, 2000, 2000, settled=set(marks[:4]))
    assert again.take_marks() == (marks[4:], False)
    again.close()


@pytest.mark.parametrize("write", ["apply", "load"])
def test_keys_and_rows_are_any_bytes(store: Store, write: str) -> None:
    strange = {b"": b"", b"\0": b"\xff", b"p": b"not the position", b"t": b"", b"\xff" * 3: b"r"}
    getattr(store, write)(strange, 5, len(strange))
    assert dict(store.rows()) == strange
    assert store.position == 5
    store.close()


def test_a_write_that_fails_changes_nothing(store: Store) -> None:
    store.apply({b"a": b"1"}, 1, 1)
    store.close()
    for marked in (False, True):
        with pytest.raises(StoreError, match="cannot be written"):
            store.apply({b"a": b"2", b"b": b"2"}, 2, 2, marked=marked)
    with pytest.raises(StoreError, match="cannot be written"):
        store.load({b"a": b"2", b"b": b"2"}, 2, 2)
    again = Store(store.path, "log-1")
    assert (dict(again.rows()), again.position, again.count) == ({b"a": b"1"}, 1, 1)
    again.close()


def test_a_store_whose_disk_is_full_is_cleared_once_there_is_room(tmp_path: Path) -> None:
    """In a process of its own: a limit on files' sizes stands in for the disk."""
    script = """
        import resource, signal, sys
        from pathlib import Path
        from foldlog.core.errors import StoreError
        from foldlog.engine.store import Store

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        store = Store(Path(sys.argv[1]), "log")
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, most))
        rows = {b"k": b"x" * (1 << 20)}
        for act in (lambda: store.load(rows, 1, 1), lambda: store.apply(rows, 1, 1), lambda: store.clear("it is full")):
            try:
                act()
            except StoreError as error:
                print("refused:", error)
        store.close()
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        store = Store(Path(sys.argv[1]), "log")
        store.apply({b"k": b"v"}, 2, 1)
        print("row:", store.get(b"k"), store.position)
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(script), str(tmp_path / "s")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("refused: store") >= 2
    assert done.stdout.endswith("row: b'v' 2\n")


def test_many_rows_are_read_in_the_order_of_their_keys(store: Store) -> None:
    store.apply({b"a": b"1", b"b": b"2"}, 1, 2)
    assert store.get_all([b"b", b"x", b"a", b"b"]) == [b"2", None, b"1", b"2"]
    assert store.get_all([]) == []
    store.close()


def test_what_changes_is_marked_until_it_is_settled(store: Store) -> None:
    store.apply({b"unmarked": b"0"}, 1, 1)
    store.apply({b"a": b"1", b"\xff": None}, 2, 2, marked=True)
    store.apply({}, 3, 2, marked=True)
    store.close()
    again = Store(store.path, "log-1")
    again.apply({b"a": b"2"}, 4, 2, marked=True)
    (first, second), whole = again.take_marks()
    assert (again.marked(first), again.marked(second), whole) == ([b"a", b"\xff"], [b"a"], False)
    again.apply({b"b": b"3"}, 5, 3, marked=True, settled=[first])
    assert [again.marked(mark) for mark in again.take_marks()[0]] == [[b"a"], [b"b"]]
    again.close()


def test_one_mark_stands_for_every_row_where_more_would_be_named(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FEW", 3)
    for position in range(9):
        store.apply({b"a": b"1", b"b": b"2"}, position, 2, marked=True)
    store.close()
    again = Store(store.path, "log-1")
    again.apply({b"a": b"1"}, 9, 2, marked=True)
    marks, whole = again.take_marks()
    assert (len(marks), whole) == (2, True), "the first two names, then all"
    again.apply({b"b": b"3"}, 10, 2, marked=True, settled=marks)
    [mark], whole = again.take_marks()
    assert (again.marked(mark), whole) == ([b"b"], False), "what changes while all are written"
    again.close()


def test_keys_come_in_turns(store: Store) -> None:
    store.apply({b"": b"0", b"a": b"1", b"a\0": b"2", b"b": b"3"}, 1, 4)
    assert store.keys(None, 2) == [b"", b"a"]
    assert store.keys(b"a", 2) == [b"a\0", b"b"]
    assert store.keys(b"b", 2) == []
    store.close()


def test_a_store_that_is_there_is_opened_with_the_options_of_today(tmp_path: Path) -> None:
    options = Options(raw_mode=True)
    options.set_compression_type(DBCompressionType.snappy())
    Rdict(str(tmp_path / "0"), options).close()
    store = Store(tmp_path / "0", "log-1")
    newest = max(store.path.glob("OPTIONS-*"), key=lambda path: int(path.name.partition("-")[2]))
    assert "\n  compression=kNoCompression\n" in newest.read_text()
    store.close()


def test_a_store_of_another_log_is_emptied(store: Store) -> None:
    store.apply({b"a": b"1"}, 7, 1)
    store.close()
    other = Store(store.path, "log-2")
    assert (dict(other.rows()), other.position, other.count) == ({}, 0, 0)
    other.close()


def test_a_cleared_store_is_that_of_the_same_log(store: Store) -> None:
    store.apply({b"a": b"1"}, 7, 1)
    store.clear("a test wants it")
    assert (dict(store.rows()), store.position, store.count) == ({}, 0, 0)
    store.apply({b"b": b"2"}, 3, 1)
    store.close()
    again = Store(store.path, "log-1")
    assert (dict(again.rows()), again.position) == ({b"b": b"2"}, 3)
    again.close()


def test_a_store_that_is_open_elsewhere_is_not_deleted(store: Store) -> None:
    store.apply({b"a": b"1"}, 1, 1)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(store.path, "log-1")
    assert store.get(b"a") == b"1"
    store.close()
