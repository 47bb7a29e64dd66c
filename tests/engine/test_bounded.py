"""Calls that may never return: bounded in time, in order, with their results and exceptions."""

import threading

import pytest

from foldlog.engine.bounded import Bounded


def test_results_and_exceptions_come_back() -> None:
    calls = Bounded("calls")
    assert calls.call(lambda: 6 * 7, 5) == 42
    with pytest.raises(ZeroDivisionError):
        calls.call(lambda: 1 // 0, 5)
    calls.close()


def test_a_call_that_does_not_return_is_left_behind() -> None:
    never, calls = threading.Event(), Bounded("calls")
    with pytest.raises(TimeoutError):
        calls.call(never.wait, 0.2)
    calls.close()
    other = Bounded("other")
    assert other.call(lambda: "served", 5) == "served"
    other.close()
    never.set()
