"""Whoever follows the pages word for word gets what they show, on a cluster of their own."""

from pathlib import Path

import pytest

from tests.docs.pages import Page, pages
from tests.docs.terminal import Command, commands, shows
from tests.docs.walkthroughs import SERVED, SHELL, WALKS, Walk, missing_files, missing_targets


@pytest.mark.parametrize("walk", [pytest.param(walk, id="+".join(walk.pages)) for walk in WALKS])
def test_the_pages_are_right(walk: Walk, tmp_path: Path) -> None:
    faults = "\n".join(walk.follow(tmp_path))
    assert not faults, faults


def test_every_page_with_commands_is_followed() -> None:
    followed = {name for walk in (*WALKS, SERVED) for name in walk.pages}
    assert {page.name for page in pages() if any(block.language in SHELL for block in page.blocks)} == followed


def test_the_tutorial_names_each_command_of_a_first_day() -> None:
    lines = [
        command.line
        for name in WALKS[0].pages
        for block in Page(name).blocks
        if block.language in SHELL
        for command in commands(block.language, block.text)
    ]
    for start in ("schemas write", "up", "topics apply", "schemas push", "run", "send", "view", "inspect", "down"):
        assert any(f"foldlog {start}" in line for line in lines), start


def test_a_console_block_is_commands_and_their_output() -> None:
    assert commands("console", "$ a \\\n  b\nout\n\n$ c\n") == (Command("a    b", ("out", "")), Command("c"))
    assert commands("sh", "# said\n\na  # why\n") == (Command("a  # why"),)
    with pytest.raises(ValueError, match="output before"):
        commands("console", "out\n$ a\n")


def test_output_is_compared_but_for_times_and_ports() -> None:
    assert shows(
        ("at 2025-05-09 10:00:00, 127.0.0.1:9092", "…", "end"), "at 2026-01-01 00:00:01, 127.0.0.1:1\nx\ny\nend"
    )
    assert shows(("…", "end"), "end")
    assert not shows(("rows 2",), "rows 3")
    assert not shows(("one",), "one\ntwo")
    assert not shows(("…", "end"), "the end\n")


def test_what_is_not_run_is_still_looked_at() -> None:
    assert missing_targets(["demo", "dmeo"]) == ["there is no make target dmeo"]
    assert missing_files(["build", "--file", "deploy/Dockerfil"]) == ["there is no deploy/Dockerfil"]


def test_a_page_that_is_wrong_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "wrong.md").write_text("```console\n$ echo one\ntwo\n$ false\n$ docker build deploy/nothing\n```\n")
    monkeypatch.setattr(Page, "path", property(lambda page: tmp_path / page.name))
    faults = list(Walk(("wrong.md",), repository=False).follow(tmp_path))
    assert [fault.splitlines()[0] for fault in faults] == [
        "wrong.md:1: `echo one` prints",
        "wrong.md:1: `false` ends with 1, not 0:",
        "wrong.md:1: there is no deploy/nothing",
    ]
