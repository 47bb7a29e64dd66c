"""Whoever follows docs/sinks.md word for word, with servers of their own, gets what it shows."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.docs.walkthroughs import SERVED

pytestmark = pytest.mark.adapters


def test_the_page_is_right(postgres: str, redis: str, tmp_path: Path) -> None:
    given = {"FOLDLOG_POSTGRES": postgres, "FOLDLOG_REDIS": redis}
    faults = "\n".join(replace(SERVED, given=given).follow(tmp_path))
    assert not faults, faults
