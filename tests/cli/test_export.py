"""An export is the view's rows, whole after each run, and whatever cuts a run off leaves the one before."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from foldlog import query
from foldlog.core import topics
from tests.cli.bank import Balance
from tests.cli.conftest import Cli, Context, Ran


def balance(number: int) -> Balance:
    return Balance(Decimal(number) / 100, number)


@pytest.fixture(scope="module", autouse=True)
def write(context: Context) -> Callable[..., None]:
    """Writes rows of the view; None deletes one."""

    def write(**rows: Balance | None) -> None:
        packed = ((key, None if row is None else context.codec.encode(row)) for key, row in rows.items())
        context.write(topics.table(context.name, "balances"), *packed)

    write(ada=balance(1), bob=balance(2), eve=balance(3))
    return write


def export(cli: Cli, context: Context, directory: Path, *arguments: str) -> Ran:
    target = f"{context.name}.balances"
    return cli("export", target, "--parquet", str(directory), "--topology", context.module, *arguments)


def done(cli: Cli, context: Context, directory: Path, *arguments: str) -> dict[str, Any]:
    ran = export(cli, context, directory, "--json", *arguments)
    assert ran.code == 0, ran.err
    found: dict[str, Any] = json.loads(ran.out)
    return found


def rows(directory: Path, names: Iterable[str] = ("*.parquet",)) -> list[tuple[Any, ...]]:
    """The rows of an export, as its page says that they are read."""
    files = [str(directory / name) for name in names]
    latest = f"from read_parquet({files}) qualify row_number() over (partition by key order by _offset desc) = 1"
    with closing(duckdb.connect()) as connection:
        found = connection.execute(
            f"select * exclude (_offset, _deleted) from ({latest}) where not _deleted order by key"
        )
        return found.fetchall()


def live(context: Context) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in query.table(context.topology, "balances").to_pylist()]


def test_all_rows_at_first_then_what_has_changed(
    cli: Cli, context: Context, write: Callable[..., None], tmp_path: Path
) -> None:
    first = export(cli, context, tmp_path / "new" / "export")
    assert first.out.split() == ["file", "rows", "deletions", "rows-000001.parquet", "3", "0"]
    assert first.err == f"{context.name}.balances: rows-000001.parquet has all rows: the first export\n"
    directory = tmp_path / "new" / "export"
    assert rows(directory) == live(context)

    again = export(cli, context, directory)
    assert again.err == f"{context.name}.balances: nothing has changed\n"
    assert sorted(file.name for file in directory.iterdir()) == ["manifest.json", "rows-000001.parquet"]

    write(ada=balance(10), bob=None, zoe=balance(4))
    assert done(cli, context, directory) == {
        "written": "rows-000002.parquet",
        "full": None,
        "files": [
            {"name": "rows-000001.parquet", "rows": 3, "deleted": 0},
            {"name": "rows-000002.parquet", "rows": 3, "deleted": 1},
        ],
    }
    assert rows(directory) == live(context)
    assert [row[0] for row in rows(directory)] == ["ada", "eve", "zoe"]

    write(bob=balance(2), zoe=None)
    assert done(cli, context, directory, "--full") == {
        "written": "rows-000003.parquet",
        "full": "asked for",
        "files": [{"name": "rows-000003.parquet", "rows": 3, "deleted": 0}],
    }
    assert rows(directory) == live(context)
    assert sorted(file.name for file in directory.iterdir()) == ["manifest.json", "rows-000003.parquet"]
    write(ada=balance(1))


def test_a_file_has_the_rows_own_types(cli: Cli, context: Context, tmp_path: Path) -> None:
    export(cli, context, tmp_path)
    schema = pq.read_schema(tmp_path / "rows-000001.parquet")
    assert schema.names == ["key", "amount", "postings", "last", "owners", "_offset", "_deleted"]
    assert str(schema.field("amount").type) == "decimal128(18, 2)"


@contextmanager
def changed(directory: Path) -> Iterator[dict[str, Any]]:
    """The manifest, written back as it then is."""
    text = (directory / "manifest.json").read_text()
    manifest = json.loads(text)
    yield manifest
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"topic_id": "AAAA"}, "the rows are now in another topic"),
        ({"columns": {"key": "string"}}, "the columns have changed"),
        ({"time": (datetime.now(UTC) - timedelta(hours=13)).isoformat()}, "the last export is older than 12 h"),
    ],
)
def test_what_cannot_be_gone_on_with_is_written_anew(
    change: dict[str, Any], reason: str, cli: Cli, context: Context, tmp_path: Path
) -> None:
    export(cli, context, tmp_path)
    with changed(tmp_path) as manifest:
        manifest.update(change)
    found = done(cli, context, tmp_path)
    assert found["full"].startswith(reason)
    assert [file["name"] for file in found["files"]] == ["rows-000002.parquet"]
    assert rows(tmp_path) == live(context)


def spoil(directory: Path, how: str) -> None:
    """Makes a directory that is no export of the view, or one that is not whole."""
    manifest = directory / "manifest.json"
    match how:
        case "a file":
            (directory / "rows-000001.parquet").unlink()
            manifest.unlink()
            directory.rmdir()
            directory.write_text("")
        case "strange files":
            manifest.unlink()
        case "no manifest":
            manifest.write_bytes(b"\xff garbage")
        case "another view" | "a later format" | "a strange name":
            strange = [{"name": "../rows-000001.parquet", "rows": 1}]
            with changed(directory) as found:
                name, value = {"another view": ("view", "a.b"), "a later format": ("format", 2)}.get(
                    how, ("files", strange)
                )
                found[name] = value
        case _:  # a lost file
            (directory / "rows-000001.parquet").unlink()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("a file", "{} cannot be used: File exists"),
        ("strange files", "{} has files, but no manifest.json of an export; choose an empty directory"),
        ("no manifest", "{}/manifest.json is no manifest of an export: "),
        ("another view", "{} holds the export of a.b, not of "),
        ("a later format", "{}/manifest.json has format 2; this foldlog writes format 1"),
        ("a strange name", "{}/manifest.json is no manifest of an export: "),
        ("a lost file", "{}/rows-000001.parquet is missing; --full writes all rows anew"),
    ],
)
def test_a_wrong_directory_is_told_and_left_as_it_is(
    how: str, reason: str, cli: Cli, context: Context, tmp_path: Path
) -> None:
    directory = tmp_path / "export"
    export(cli, context, directory)
    spoil(directory, how)
    before = {file.name: file.read_bytes() for file in directory.parent.rglob("*") if file.is_file()}
    ran = export(cli, context, directory)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {reason.format(directory)}")
    assert ran.err.count("\n") == 1
    assert {file.name: file.read_bytes() for file in directory.parent.rglob("*") if file.is_file()} == before


def test_a_lost_file_is_made_good_by_full(cli: Cli, context: Context, tmp_path: Path) -> None:
    export(cli, context, tmp_path)
    (tmp_path / "rows-000001.parquet").unlink()
    assert done(cli, context, tmp_path, "--full")["written"] == "rows-000002.parquet"
    assert rows(tmp_path) == live(context)


def test_two_exports_do_not_share_a_directory(cli: Cli, context: Context, tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    ran = export(cli, context, tmp_path)
    os.close(handle)
    assert (ran.code, ran.err) == (1, f"error: another export writes to {tmp_path}; wait until it has ended\n")


def test_a_row_that_cannot_be_read_leaves_the_export_before(cli: Cli, context: Context, tmp_path: Path) -> None:
    export(cli, context, tmp_path)
    before = rows(tmp_path)
    topic = topics.table(context.name, "balances")
    context.write(topic, ("broken", b"\x01garbage"))
    ran = export(cli, context, tmp_path)
    context.write(topic, ("broken", None))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {topic}:")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["manifest.json", "rows-000001.parquet"]
    assert rows(tmp_path) == before


def test_an_aggregate_and_a_missing_option(cli: Cli, context: Context, tmp_path: Path) -> None:
    ran = cli("export", f"{context.name}.account", "--topology", context.module, "--parquet", str(tmp_path))
    assert (ran.code, ran.err) == (
        1,
        f"error: {context.name}.account is a decider, not a view; only views can be exported\n",
    )
    assert cli("export", f"{context.name}.balances").code == 2


def test_missing_topics(cli: Cli, empty: Context, tmp_path: Path) -> None:
    ran = export(cli, empty, tmp_path / "export")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: there is no topic {empty.name}.balances: run `foldlog topics apply")
    assert not (tmp_path / "export").exists()


# Ends the process, as a kill does, before the n-th time that a file is put into its place or removed.
CRASHING = """
import os, sys
from pathlib import Path
from foldlog.cli import main
steps = int(sys.argv.pop(1))
def counted(step):
    def run(*arguments, **options):
        global steps
        steps -= 1
        if steps < 0:
            os._exit(9)
        return step(*arguments, **options)
    return run
Path.replace, Path.unlink = counted(Path.replace), counted(Path.unlink)
main.main()
"""


def crashed(context: Context, directory: Path, steps: int, *arguments: str) -> int:
    target = (f"{context.name}.balances", "--parquet", str(directory), "--topology", context.module, *arguments)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", CRASHING, str(steps), "export", *target]
    return subprocess.run(command, env=environment, capture_output=True, check=False).returncode


@pytest.mark.parametrize("arguments", [(), ("--full",)])
def test_a_killed_export_leaves_the_one_before_or_is_complete(
    arguments: tuple[str, ...], cli: Cli, context: Context, write: Callable[..., None], tmp_path: Path
) -> None:
    export(cli, context, tmp_path)
    before = rows(tmp_path)
    write(ada=balance(99), eve=None)
    codes, seen = [], []
    for steps in range(8):
        codes.append(crashed(context, tmp_path, steps, *arguments))
        named = [file["name"] for file in json.loads((tmp_path / "manifest.json").read_text())["files"]]
        seen.append(rows(tmp_path, named))
        if not arguments:  # else the files before lie there until they are removed
            seen.append(rows(tmp_path))
        if codes[-1] == 0:
            break
    write(ada=balance(1), eve=balance(3))
    assert codes[-1] == 0
    assert set(codes[:-1]) == {9}
    assert seen[0] == before
    assert {str(each) for each in seen} == {str(before), str(seen[-1])}
    assert [row[0] for row in seen[-1]] == ["ada", "bob"]
    assert not [file for file in tmp_path.iterdir() if file.name.endswith(".part")]
