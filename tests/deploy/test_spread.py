"""The plugin that says which tests begin first names files that there are, and keeps a file's tests together."""

from types import SimpleNamespace
from typing import Any, cast

from tests.deploy.manifests import ROOT
from tests.spread import LONGEST, pytest_collection_modifyitems


def test_what_begins_first_exists() -> None:
    assert [name for name in LONGEST if not (ROOT / name).is_file()] == []


def test_the_longest_begin_and_all_else_stays_in_its_order() -> None:
    names = ["b.py::1", "a.py::1", f"{LONGEST[1]}::1", f"{LONGEST[0]}::2", f"{LONGEST[0]}::1", "b.py::2"]
    items = cast(Any, [SimpleNamespace(nodeid=name) for name in names])
    pytest_collection_modifyitems(items)
    assert [item.nodeid for item in items] == [*names[3:5], names[2], *names[:2], names[5]]
