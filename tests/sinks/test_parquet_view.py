"""Files of a view: what counts is in the manifest, whatever else a kill has left."""

import json
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from foldlog.core.errors import AwayError, FencedError, SinkError
from foldlog.core.record import Record
from foldlog.sinks import parquet_view
from foldlog.sinks.parquet_view import MANIFEST, ParquetView, read_rows
from foldlog.sinks.target import Applied, Change
from tests.sinks.rows import Retyped, Row, Wider

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture
def view(tmp_path: Path) -> Iterator[ParquetView]:
    with closing(ParquetView(tmp_path / "files", "bank.rows", Row, file_rows=4)) as view:
        view.open()
        yield view


def put(view: ParquetView, offset: int, *rows: tuple[str, Record | None]) -> None:
    changes = [Change(key, row, 1, offset + number) for number, (key, row) in enumerate(rows)]
    view.apply(changes, Applied({1: offset + len(rows)}, "id", NOW))


def rows(directory: Path) -> dict[str, Any]:
    return {row.pop("key"): row for row in read_rows(directory).to_pylist()}


def files(directory: Path) -> list[str]:
    return sorted(file.name for file in directory.glob("*.parquet"))


def test_the_last_change_of_a_key_is_its_row(view: ParquetView, tmp_path: Path) -> None:
    put(view, 0, ("ada", Row(Decimal("1.50"), ("a",))), ("bob", Row(Decimal(2))))
    put(view, 2, ("ada", Row(Decimal(3))), ("bob", None), ("eve", None))
    assert rows(tmp_path / "files") == {"ada": {"amount": Decimal("3.00"), "tags": []}}
    assert view.open() == Applied({1: 5}, "id", NOW)


def test_small_files_are_merged_and_what_they_replace_goes_later(view: ParquetView, tmp_path: Path) -> None:
    for number in range(6):
        put(view, number, (f"k{number}", Row(Decimal(number))))
    directory = tmp_path / "files"
    manifest = json.loads((directory / MANIFEST).read_bytes())
    assert [part["rows"] for part in manifest["files"]] == [4, 2]
    assert set(files(directory)) == {*(part["file"] for part in manifest["files"]), *manifest["replaced"]}
    assert len(manifest["replaced"]) == 1
    assert set(rows(directory)) == {f"k{number}" for number in range(6)}
    put(view, 6)  # offsets alone
    assert len(files(directory)) == 2
    offsets = [row["_offset"] for file in files(directory) for row in pq.read_table(directory / file).to_pylist()]
    assert offsets == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("step", ["after the file", "before the manifest"])
def test_what_a_kill_leaves_does_not_count(
    view: ParquetView, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    directory = tmp_path / "files"
    put(view, 0, ("ada", Row(Decimal(1))))

    def killed(*_: object) -> None:
        if step == "before the manifest":
            (directory / f"{MANIFEST}.new").write_bytes(b'{"sink": "half')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(parquet_view, "_replace", killed)
        with pytest.raises(KeyboardInterrupt):
            put(view, 1, ("ada", Row(Decimal(2))))
    assert rows(directory)["ada"]["amount"] == Decimal("1.00")
    view.close()
    assert view.open().offsets == {1: 1}
    assert files(directory) == ["000000001.parquet"]
    put(view, 1, ("ada", Row(Decimal(2))))
    assert rows(directory)["ada"]["amount"] == Decimal("2.00")


def test_new_columns_are_null_in_what_was_there_and_other_types_are_an_error(view: ParquetView, tmp_path: Path) -> None:
    directory = tmp_path / "files"
    put(view, 0, ("ada", Row(Decimal(1))))
    view.close()
    with closing(ParquetView(directory, "bank.rows", Wider)) as wider:
        wider.open()
        put(wider, 1, ("bob", Wider(Decimal(2))))
    assert {key: row["label"] for key, row in rows(directory).items()} == {"ada": None, "bob": "new"}
    with closing(ParquetView(directory, "bank.rows", Retyped)) as retyped:
        with pytest.raises(SinkError, match=r"column amount is decimal128\(18, 2\), the row's field needs string"):
            retyped.open()
        retyped.clear()
        assert retyped.open().offsets == {}
    assert files(directory) == []


def test_a_directory_has_one_view_and_one_process(view: ParquetView, tmp_path: Path) -> None:
    directory = tmp_path / "files"
    put(view, 0, ("ada", Row(Decimal(1))))
    with closing(ParquetView(directory, "bank.rows", Row)) as second, pytest.raises(FencedError, match="another"):
        second.open()
    view.close()
    with (
        closing(ParquetView(directory, "bank.others", Row)) as other,
        pytest.raises(SinkError, match=r"holds bank\.rows, not bank\.others: choose another directory"),
    ):
        other.open()


@pytest.mark.parametrize("garbage", [b"", b"{}", b"[1]", b'{"sink": 7}', b"\xff\x00"])
def test_a_manifest_that_is_none_is_an_error(tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / MANIFEST).write_bytes(garbage)
    with closing(ParquetView(tmp_path, "bank.rows", Row)) as view, pytest.raises(SinkError, match="cannot be read"):
        view.open()
    with pytest.raises(SinkError, match="cannot be read"):
        read_rows(tmp_path)


def test_places_where_nothing_is_or_can_be(tmp_path: Path, view: ParquetView) -> None:
    with pytest.raises(SinkError, match="no sink has written there"):
        read_rows(tmp_path)
    (tmp_path / "file").touch()
    with closing(ParquetView(tmp_path / "file", "bank.rows", Row)) as wrong, pytest.raises(SinkError, match="written"):
        wrong.open()
    (tmp_path / "files").rename(tmp_path / "gone")
    with pytest.raises(AwayError, match="files: No such file or directory"):
        put(view, 0, ("ada", Row(Decimal(1))))
