"""`foldlog send`: commands from JSON lines."""

import os
import re
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from foldlog.cli import loading, output
from foldlog.cli.arguments import Json, TopologyOption, examples
from foldlog.client.commands import new_id
from foldlog.core.errors import ConfigError, FoldlogError
from foldlog.core.plain import plain
from foldlog.core.topics import commands, replies

if TYPE_CHECKING:
    from foldlog.cli.lines import Checked, Lines
    from foldlog.cli.tally import Tally
    from foldlog.client.replies import Decode, Replies
    from foldlog.kafka.sending import CommandProducer

_RATE = re.compile(r"(\d+(?:\.\d+)?)(?:/s)?")


def _rate(text: str) -> float:
    match = _RATE.fullmatch(text)
    if match is None or float(match[1]) <= 0:
        raise typer.BadParameter("write commands per second, for example 500 or 500/s")
    return float(match[1])


Rate = Annotated[float | None, typer.Option(parser=_rate, metavar="N/s", help="At most N commands a second.")]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(
        epilog=examples(
            "foldlog send orders.order orders.jsonl --wait",
            "generate | foldlog send orders.order - --rate 500/s",
            """echo '{"type": "CancelOrder", "data": {"order": "17", "reason": "changed my mind"}}' """
            "| foldlog send orders.order - --wait --json",
        )
    )(send)


def send(
    target: Annotated[
        str, typer.Argument(metavar="CONTEXT.AGGREGATE", help="Whose commands, for example `orders.order`.")
    ],
    file: Annotated[str, typer.Argument(metavar="FILE|-", help="A JSON object a line; `-` reads standard input.")],
    *,
    rate: Rate = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for the reply to each command.")] = False,
    timeout: Annotated[
        float, typer.Option(min=0.1, metavar="S", help="With --wait: give up after S seconds without a reply.")
    ] = 30.0,
    topology: TopologyOption = None,
    as_json: Json = False,
) -> None:
    """Send commands. A line is `{"type": …, "data": {…}}`, optionally with "id", "actor" and "correlation".

    A file is checked whole before its first command is sent; standard input is sent as it comes. A command with an
    "id" may be sent again: it has its effect once. Exit 1 where one is rejected, fails or (with --wait) has no
    reply; --json prints each reply as a line of JSON.
    """
    from foldlog.cli.lines import Lines
    from foldlog.kafka.connection import partition_count
    from foldlog.kafka.sending import CommandProducer

    if as_json and not wait:
        raise typer.BadParameter("--json prints replies: add --wait")
    context, processor = loading.place(target, topology)
    with _opened(file) as source, loading.connect() as connection:
        bootstrap, topic = connection.bootstrap, commands(context.name, processor.name)
        codec = connection.codec(context)
        lines = Lines("stdin" if file == "-" else file, context, processor, codec.encode)
        # Before a line is read: what is missing in the cluster is the first thing to say.
        partition_count(bootstrap, topic)
        codec.prepare()
        total = _checked(lines, source) if file != "-" and source.seekable() else 0
        producer = CommandProducer(bootstrap, connection.settings.compression)
        with _replies(wait, bootstrap, replies(context.name), codec.decode) as answers:
            _send(_paced(lines.parse(source), rate, producer), topic, producer, answers, total)
            if answers is not None and not _await(answers, timeout, as_json):
                raise typer.Exit(1)


@contextmanager
def _opened(file: str) -> Iterator[BinaryIO]:
    if file == "-":
        yield sys.stdin.buffer
        return
    path = Path(file)
    if not path.exists() or path.is_dir() or not os.access(path, os.R_OK):
        raise ConfigError(f"`{file}` is not a file that can be read; `-` reads standard input")
    with path.open("rb") as source:
        yield source


@contextmanager
def _replies(wait: bool, bootstrap: str, topic: str, decode: "Decode") -> Iterator["Replies[int] | None"]:
    if not wait:
        yield None
        return
    from foldlog.client.replies import Replies

    with closing(Replies[int](bootstrap, topic, decode)) as answers:
        yield answers


def _checked(lines: "Lines", source: BinaryIO) -> int:
    """The number of commands in a file, each checked; twice through the file rather than all of it in memory."""
    total = sum(1 for _ in lines.parse(source))
    source.seek(0)
    return total


def _paced(found: Iterable["Checked"], rate: float | None, producer: "CommandProducer") -> Iterator["Checked"]:
    started = time.monotonic()
    for number, command in enumerate(found):
        while rate and (ahead := started + number / rate - time.monotonic()) > 0:
            producer.wait(min(ahead, 0.2))
        yield command


def _send(
    found: Iterable["Checked"],
    topic: str,
    producer: "CommandProducer",
    answers: "Replies[int] | None",
    total: int,
) -> None:
    started = time.monotonic()
    try:
        with output.bar("sending") as report:
            for command in found:
                _, key, value = command.outgoing
                producer.send(topic, key, value, _headers(command, answers))
                report(producer.sent, total)
            producer.flush()
    except (FoldlogError, KeyboardInterrupt):
        producer.drain()
        output.note(f"{producer.delivered:,} commands were sent before that")
        raise
    seconds = time.monotonic() - started
    output.note(f"sent {producer.sent:,} commands to {topic} in {seconds:.1f} s")


def _headers(checked: "Checked", answers: "Replies[int] | None") -> list[tuple[str, bytes]]:
    if answers is None:
        return checked.command.headers()
    command = checked.command._replace(id=checked.command.id or new_id())
    answers.expect(str(command.id), checked.line)
    return command.headers(answers.topic)


def _await(answers: "Replies[int]", timeout: float, as_json: bool) -> bool:
    """Reports the replies; True where each command was accepted."""
    from foldlog.cli.tally import Tally

    tally, expected = Tally(), answers.expected
    with output.bar("replies") as report:
        for line, reply in answers.collect(timeout):
            tally.add(reply)
            if as_json:
                output.write_json_line({"line": line, **plain(reply)})
            report(tally.statuses.total(), expected)
    if tally.statuses and not as_json:
        _summary(tally)
    missing = answers.outstanding
    if missing:
        first = next(iter(missing.items()))
        output.fail(
            f"{len(missing):,} commands have no reply after {timeout:g} s without one, the first is "
            f"{first[0]} of line {first[1]}: is `foldlog run` running?"
        )
    return tally.all_accepted and not missing


def _summary(tally: "Tally") -> None:
    counts = [(status, f"{count:,}") for status, count in sorted(tally.statuses.items())]
    if tally.duplicates:
        counts.append(("of them duplicates", f"{tally.duplicates:,}"))
    output.write_table(("status", "commands"), counts, frozenset({"commands"}))
    if tally.reasons:
        reasons = [(status, f"{n:,}", reason) for (status, reason), n in tally.reasons.most_common(20)]
        output.write_table(("status", "commands", "reason"), reasons, frozenset({"commands"}))
