"""Schema files are written, checked and pushed from the command line."""

import json
from pathlib import Path

from tests.cli.conftest import Cli, Context


def test_written_files_are_checked_and_a_stale_one_is_named(cli: Cli, tmp_path: Path) -> None:
    root = ("--root", str(tmp_path / "schemas"))
    missing = cli("schemas", "check", "tests.cli.bank", *root)
    assert missing.code == 1
    assert "Opened.avsc" in missing.out

    written = cli("schemas", "write", "tests.cli.bank", *root)
    assert written.code == 0
    opened = tmp_path / "schemas/bank/account/Opened.avsc"
    assert json.loads(opened.read_text())["name"] == "Opened"
    assert cli("schemas", "check", "tests.cli.bank", *root).code == 0

    opened.write_text(opened.read_text().replace("Opened", "Opned"))
    stale = cli("schemas", "check", "tests.cli.bank", *root, "--json")
    assert stale.code == 1
    (line,) = json.loads(stale.out)
    assert "Opened.avsc" in line


def test_push_is_needed_once(cli: Cli, empty: Context) -> None:
    assert cli("schemas", "push", empty.module).code == 0
    assert cli("schemas", "push", empty.module).code == 0
    empty.codec.prepare()
