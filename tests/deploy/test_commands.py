"""Every `foldlog …` in a manifest or in the operator's guide is one that the command line accepts."""

import re
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main

from foldlog.cli.main import app
from foldlog.settings import Settings
from tests.deploy.manifests import ROOT, compose, containers, pod_specs

GUIDE = (ROOT / "docs" / "operate.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def compose_lines() -> Iterator[list[str]]:
    for service in compose()["services"].values():
        if not service["image"].startswith("foldlog:"):
            continue
        if "entrypoint" in service:
            yield from (shlex.split(part)[1:] for part in service["command"][0].split(";"))
        else:
            yield service["command"]


def kubernetes_lines() -> Iterator[list[str]]:
    for _, pod in pod_specs():
        yield from (container["args"] for container in containers(pod))


def guide_lines() -> Iterator[list[str]]:
    for block in re.findall(r"(?ms)^```sh\n(.*?)^```", GUIDE):
        for line in block.splitlines():
            words = [word for word in shlex.split(line, comments=True) if not re.match(r"FOLDLOG_\w+=", word)]
            if "foldlog" in words[:1]:
                yield words[1:]
            elif words[:3] == ["docker", "compose", "run"]:
                yield words[words.index("worker") + 1 :]


def makefile_lines() -> Iterator[list[str]]:
    for line in re.findall(r"\$\(BIN\)/foldlog (.*)", MAKEFILE):
        released = line.partition(" ||")[0].replace("$(RELEASES:%=--against %)", "--against v1.0.0")
        yield shlex.split(re.sub(r"\$\(TOPOLOGY\)|\$\$topology", "topologies.orders", released))


LINES = [
    *(("compose", line) for line in compose_lines()),
    *(("kubernetes", line) for line in kubernetes_lines()),
    *(("guide", line) for line in guide_lines()),
    *(("make", line) for line in makefile_lines()),
]


def parse(command: Any, arguments: list[str], parent: Any = None) -> None:
    """Parse a command line down to its last sub-command, running none of it.

    The classes are those of the click that typer carries, so they are known by what they can do.
    """
    context = command.make_context(command.name or "foldlog", list(arguments), parent=parent)
    if hasattr(command, "resolve_command"):
        _, chosen, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        parse(chosen, rest, context)


@pytest.mark.parametrize("line", [pytest.param(line, id=f"{where}-{' '.join(line)}") for where, line in LINES])
def test_the_command_line_accepts_it(line: list[str]) -> None:
    parse(typer.main.get_command(app), line)


def test_each_place_has_commands() -> None:
    assert {where for where, _ in LINES} == {"compose", "kubernetes", "guide", "make"}


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (["topics", "aply", "topologies.orders"], "No such command 'aply'"),
        (["run"], "Missing argument 'TOPOLOGY'"),
        (["down", "--wip"], "No such option: --wip"),
    ],
)
def test_a_wrong_one_would_be_found(line: list[str], complaint: str) -> None:
    with pytest.raises(Exception, match=r".") as error:
        parse(typer.main.get_command(app), line)
    assert complaint in error.value.format_message()  # type: ignore[attr-defined]


def test_the_guide_lists_every_setting_with_its_default() -> None:
    rows = dict(re.findall(r"(?m)^\| `(FOLDLOG_\w+)` \|(?: `([^`]*)`)? \|", GUIDE))
    expected = {
        f"FOLDLOG_{name.upper()}": "" if field.default is None else str(field.default)
        for name, field in Settings.model_fields.items()
    }
    assert {name: rows.get(name, "missing").strip() for name in expected} == expected


def test_the_guide_names_make_targets_that_exist() -> None:
    targets = set(re.findall(r"(?m)^([a-z-]+):", MAKEFILE))
    assert set(re.findall(r"`make ([a-z-]+)", GUIDE)) <= targets
