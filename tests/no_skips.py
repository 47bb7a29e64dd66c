"""A pytest plugin that turns every skip and every expected failure into a failure.

`make test` loads it with `-p tests.no_skips`: a test that did not run proves nothing, and a green run that
hides one says more than it knows.
"""

from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    return _refuse_skip((yield))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    return _refuse_skip((yield))


def _refuse_skip(report: Report) -> Report:
    if report.skipped:
        report.outcome = "failed"
        report.longrepr = f"did not run: {_reason(report)}; nothing may be skipped here"
        vars(report).pop("wasxfail", None)
    return report


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    if "wasxfail" in vars(report):
        return f"expected to fail ({vars(report)['wasxfail'] or 'no reason given'})"
    return report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
