"""A local store whose files are damaged: it is emptied, or says so; its log has everything."""

from collections.abc import Callable
from pathlib import Path

import pytest

from foldlog.core.errors import StoreError
from foldlog.engine.store import Store

ROWS = {b"k%05d" % number: b"v" * 200 for number in range(2000)}


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "0", "log-1")


def in_a_table(store: Store) -> Path:
    """Writes many rows and gives the table that they stand in once the store is opened again."""
    store.apply(ROWS, 9, len(ROWS))
    store.close()
    Store(store.path, "log-1").close()
    [table] = store.path.glob("*.sst")
    return table


def spoil(file: Path, begin: float, end: float) -> None:
    """Overwrites a part of a file, given in parts of its length."""
    content = file.read_bytes()
    first, last = int(begin * len(content)), int(end * len(content))
    file.write_bytes(content[:first] + b"\x5a" * (last - first) + content[last:])


def delete(file: Path) -> None:
    file.unlink()


def cut(file: Path) -> None:
    file.write_bytes(b"")


HARM: dict[str, Callable[[Path], None]] = {
    "the first block": lambda table: spoil(table, 0, 0.1),
    "the index": lambda table: spoil(table, 0.9, 1),
    "the whole table": lambda table: spoil(table, 0, 1),
    "no table": delete,
    "an empty table": cut,
    "the manifest": lambda table: spoil(next(table.parent.glob("MANIFEST-*")), 0, 1),
    "no manifest": lambda table: delete(next(table.parent.glob("MANIFEST-*"))),
    "CURRENT": lambda table: spoil(table.parent / "CURRENT", 0, 1),
}


@pytest.mark.parametrize("harm", HARM)
def test_a_damaged_store_opens_empty(store: Store, harm: str) -> None:
    HARM[harm](in_a_table(store))
    again = Store(store.path, "log-1")
    assert (dict(again.rows()), again.position, again.count) == ({}, 0, 0)
    again.apply({b"a": b"1"}, 1, 1)
    assert again.get(b"a") == b"1"
    again.close()


def test_damage_in_the_middle_shows_when_its_rows_are_read(store: Store) -> None:
    spoil(in_a_table(store), 0.3, 0.6)
    again = Store(store.path, "log-1")
    assert (again.position, again.get(b"k00000")) == (9, ROWS[b"k00000"])
    with pytest.raises(StoreError, match="cannot be read: Corruption"):
        list(map(again.get, ROWS))
    with pytest.raises(StoreError, match="cannot be read: Corruption"):
        again.get_all([*ROWS])
    for read in (lambda: dict(again.rows()), lambda: again.keys(None, len(ROWS))):
        with pytest.raises(StoreError, match="cannot be read: it ends in the middle"):
            read()
    again.close()


def test_damaged_marks_are_no_fewer_marks(store: Store) -> None:
    """A store that cannot tell what changed is folded again: a sweep would leave rows out."""
    for position in range(300):
        store.apply(dict.fromkeys(list(ROWS)[:100], b"v"), position, 100, marked=True)
    store.close()
    Store(store.path, "log-1").close()
    [table] = store.path.glob("*.sst")
    spoil(table, 0.3, 0.6)
    again = Store(store.path, "log-1")
    assert (again.position, again.take_marks()) == (0, ([], False))
    again.close()
