"""What is asked of the commands that make faults, and makes no sense, is said before anything starts."""

from collections.abc import Callable
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests.chaos import __main__ as chaos
from tests.chaos import rules, taint

NOTHING = [
    (chaos.main, ["--seconds", "-5"], "seconds"),
    (chaos.main, ["--seconds", "soon"], "seconds"),
    (chaos.main, ["--runs", "0"], "runs"),
    (chaos.main, ["--only", "earthquake"], "earthquake"),
    (rules.main, ["--rule", "7"], "no rule 7"),
    (taint.main, ["--runs", "0"], "runs"),
    (taint.main, ["--broken", "0"], "broken"),
]


@pytest.mark.parametrize(("main", "arguments", "said"), NOTHING)
def test_what_would_prove_nothing_is_refused(main: Callable[..., Any], arguments: list[str], said: str) -> None:
    app = typer.Typer()
    app.command()(main)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "starting" not in result.output
