"""A worker's log lines: each valid by itself, each with where it comes from."""

import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.contextvars import bound_contextvars

from foldlog.cli.live import shown
from foldlog.cli.logs import FORMATS, on_stderr
from foldlog.engine.stats import ProcessorStats
from tests.cli.conftest import Cli, Context

RUNNING = ProcessorStats("order", "decider", (0, 1, 2, 5), "running", 12_345, 987.6, 42, 1_000, 3, 10, 10, epoch=7)


def parsed(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_json_line_has_its_place_and_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with on_stderr("orders", "info", "json"), bound_contextvars(processor="stock", epoch=3):
        structlog.get_logger().info('said\n"so"', place="a:0:1", odd=b"\xff")
    (line,) = parsed(capsys.readouterr().err)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": 'said\n"so"',
        "level": "info",
        "context": "orders",
        "processor": "stock",
        "epoch": 3,
        "place": "a:0:1",
        "odd": "b'\\xff'",
    }


def test_an_exception_stays_within_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with on_stderr("orders", "info", "json"):
        try:
            1 / 0  # noqa: B018
        except ZeroDivisionError:
            structlog.get_logger().exception("it failed")
    (line,) = parsed(capsys.readouterr().err)
    assert line["exception"].endswith("ZeroDivisionError: division by zero")


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_libraries_log_has_the_same_form(capsys: pytest.CaptureFixture[str], form: str) -> None:
    with on_stderr("orders", "info", form):
        logging.getLogger("a.library").warning("about %s", "that")
    (line,) = capsys.readouterr().err.splitlines()
    assert "about that" in line
    assert "orders" in line
    assert line.startswith("{") == (form == "json")


def test_text_names_its_context_too(capsys: pytest.CaptureFixture[str]) -> None:
    with on_stderr("orders", "info", "text"), bound_contextvars(processor="stock", epoch=3):
        structlog.get_logger().info("said", place="a:0:1")
        structlog.get_logger().debug("not said")
    assert capsys.readouterr().err.rstrip().endswith("said place=a:0:1 context=orders epoch=3 processor=stock")


def test_the_figures_of_a_processor_are_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    with shown("orders", form="json") as on_stats:
        on_stats([RUNNING])
    (line,) = parsed(capsys.readouterr().err)
    assert (line["processor"], line["kind"], line["state"], line["epoch"]) == ("order", "decider", "running", 7)
    assert (line["records"], line["lag"], line["partitions"]) == (12_345, 42, "0-2,5")


def test_afterwards_logging_is_as_it_was() -> None:
    before, handlers = structlog.get_config(), list(logging.getLogger().handlers)
    with on_stderr("orders", "info", "json"):
        assert structlog.get_config() != before
    assert (structlog.get_config(), logging.getLogger().handlers) == (before, handlers)


def worker(context: Context, home: Path, *arguments: str, **env: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "FOLDLOG_HOME": str(home), **env}
    command = [sys.executable, "-m", "foldlog.cli.main", "run", context.module, "--only", "account", *arguments]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_every_line_of_a_worker_is_json(empty: Context, tmp_path: Path) -> None:
    with worker(empty, tmp_path, "--apply", FOLDLOG_LOG_FORMAT="json", FOLDLOG_LOG_LEVEL="debug") as process:
        assert process.stderr is not None
        lines = []
        for line in process.stderr:
            lines.append(line)
            if "state" in json.loads(line):  # its figures: it runs, and hears signals
                break
        process.send_signal(signal.SIGINT)
        lines += process.stderr.readlines()
    assert process.returncode == 0, lines
    assert {json.loads(line)["context"] for line in lines} == {empty.name}


def test_a_worker_that_fails_says_so_in_json(context: Context, tmp_path: Path) -> None:
    with worker(context, tmp_path, "--log-format", "json", FOLDLOG_HTTP="127.0.0.1:70000") as process:
        assert process.stderr is not None
        lines = process.stderr.readlines()
    assert process.returncode == 1
    assert "FOLDLOG_HTTP=127.0.0.1:70000 cannot be listened on" in json.loads(lines[-1])["error"]
    assert json.loads(lines[-1])["level"] == "error"


def test_a_format_that_is_none_is_wrong_usage(cli: Cli, context: Context) -> None:
    ran = cli("run", context.module, "--log-format", "yaml")
    assert ran.code == 2
    assert "'yaml'" in ran.err
    assert all(form in ran.err for form in FORMATS)
