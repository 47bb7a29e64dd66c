"""Contexts are pure: each file imports the core, the standard library and its own context, and is short."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "topologies").rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names)
            case ast.ImportFrom(module=module, level=0):
                yield module or ""
            case ast.ImportFrom(level=level):
                yield "." * level
            case _:
                pass


def allowed(module: str, context: str) -> bool:
    own = f"topologies.{context}"
    return (
        module in {"foldlog.core", own}
        or module.startswith(f"{own}.")
        or module.partition(".")[0] in sys.stdlib_module_names
    )


def test_there_are_contexts() -> None:
    assert ROOT / "topologies/orders/order.py" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_context_imports_nothing_but_the_core_and_itself(path: Path) -> None:
    context = path.relative_to(ROOT / "topologies").parts[0]
    assert [module for module in imported(path) if not allowed(module, context)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_is_over_150_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 150
