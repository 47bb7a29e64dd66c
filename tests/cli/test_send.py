"""Sending commands: checked before anything is sent, in order, to the right partition, with their replies."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from foldlog.core.outcome import Reply
from foldlog.core.partitioning import partition_of
from foldlog.kafka.reading import Entry, ends, entry_of, open_consumer, read
from foldlog.kafka.sending import CommandProducer
from tests.cli.bank import Open, Post
from tests.cli.conftest import Cli, Context, Ran


def post(account: str, amount: str = "1.00", **more: str) -> dict[str, object]:
    return {"type": "Post", "data": {"account": account, "amount": amount}, **more}


def lines(*commands: Mapping[str, object]) -> bytes:
    return b"".join(json.dumps(command).encode() + b"\n" for command in commands)


def send(cli: Cli, context: Context, file: str | Path, *arguments: str, stdin: bytes = b"") -> Ran:
    target = f"{context.name}.account"
    return cli("send", target, str(file), *arguments, "--topology", context.module, stdin=stdin)


def sent(context: Context, account: str) -> list[Entry]:
    """The commands of one account on its topic."""
    topic = f"{context.name}.account.commands"
    return [entry for entry in read(context.cluster.bootstrap, topic) if entry.key == account.encode()]


def test_a_file_is_sent_in_order_to_the_partition_of_its_key(cli: Cli, context: Context, tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_bytes(lines(*(post("order", f"{n}.00") for n in range(1, 51))))
    ran = send(cli, context, file)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.startswith(f"sent 50 commands to {context.name}.account.commands in ")
    found = sent(context, "order")
    assert [context.codec.decode(entry.value or b"") for entry in found] == [
        Post("order", Decimal(n)) for n in range(1, 51)
    ]
    assert {entry.partition for entry in found} == {partition_of(b"order", 3)}
    assert found[0].headers == []


def test_what_a_line_says_beside_its_data_goes_into_headers(cli: Cli, context: Context) -> None:
    command = post("headers", id="c1", actor="joe", correlation="job-7")
    assert send(cli, context, "-", stdin=lines(command)).code == 0
    (entry,) = sent(context, "headers")
    assert dict(entry.headers) == {"command-id": b"c1", "actor": b"joe", "correlation-id": b"job-7"}


def test_a_bad_line_of_a_file_is_told_and_nothing_is_sent(cli: Cli, context: Context, tmp_path: Path) -> None:
    file = tmp_path / "bad.jsonl"
    bad = {"type": "Open", "data": {"account": "bad", "owners": [{"name": "x", "share": "all"}]}}
    file.write_bytes(lines(post("bad"), post("bad"), bad, post("bad")))
    ran = send(cli, context, file)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"error: {file}:3: data.owners[0].share: Expected int, got str\n"
    assert sent(context, "bad") == []


def test_a_value_that_avro_cannot_hold_is_a_bad_line(cli: Cli, context: Context, tmp_path: Path) -> None:
    file = tmp_path / "big.jsonl"
    for amount in ("0.001", "NaN", "Infinity", "99999999999999999.00"):
        file.write_bytes(lines(post("big", "1.00"), post("big", amount)))
        ran = send(cli, context, file)
        assert ran.code == 1
        assert ran.err.startswith(f"error: {file}:2: data: ")
        assert "amount" in ran.err
    assert sent(context, "big") == []


def test_a_bad_line_of_a_stream_stops_it_and_says_what_went_before(cli: Cli, context: Context) -> None:
    ran = send(
        cli, context, "-", stdin=lines(post("streamed"), post("streamed")) + b"{oops\n" + lines(post("streamed"))
    )
    assert ran.code == 1
    first, second = ran.err.splitlines()
    assert first == "2 commands were sent before that"
    assert second.startswith("error: stdin:3: not JSON: ")
    assert len(sent(context, "streamed")) == 2


@pytest.mark.parametrize("content", [b"", b"\n\n"])
def test_nothing_to_send(content: bytes, cli: Cli, context: Context, tmp_path: Path) -> None:
    file = tmp_path / "empty.jsonl"
    file.write_bytes(content)
    for ran in (send(cli, context, file), send(cli, context, "-", "--wait", stdin=content)):
        assert ran.code == 0
        assert ran.err.startswith("sent 0 commands")


@pytest.mark.parametrize("file", ["nowhere.jsonl", ".", "", "no/such/dir.jsonl"])
def test_a_file_that_is_none(file: str, cli: Cli, context: Context) -> None:
    ran = send(cli, context, file)
    assert ran.code == 1
    assert ran.err.startswith(f"error: `{file}` is not a file that can be read")


def test_topics_must_exist(cli: Cli, empty: Context) -> None:
    ran = send(cli, empty, "-", stdin=lines(post("x")))
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == (
        f"error: there is no topic {empty.name}.account.commands: run `foldlog topics apply topologies.{empty.name}`\n"
    )


@pytest.mark.parametrize("name", ["balances", "welcome"])
def test_only_aggregates_and_sagas_take_commands(name: str, cli: Cli, context: Context) -> None:
    ran = cli("send", f"{context.name}.{name}", "-", "--topology", context.module, stdin=b"")
    assert ran.code == 1
    assert "takes no commands: it is a " in ran.err


def test_a_rate_is_kept(cli: Cli, context: Context) -> None:
    started = time.perf_counter()
    assert send(cli, context, "-", "--rate", "40/s", stdin=lines(*(post("slow") for _ in range(41)))).code == 0
    assert time.perf_counter() - started >= 1.0
    assert len(sent(context, "slow")) == 41


def test_ten_thousand_lines(cli: Cli, context: Context, tmp_path: Path) -> None:
    file = tmp_path / "many.jsonl"
    file.write_bytes(lines(*(post("many") for _ in range(10_000))))
    assert send(cli, context, file).code == 0
    assert len(sent(context, "many")) == 10_000


def test_an_interrupt_delivers_what_is_queued_and_says_how_much(context: Context, tmp_path: Path) -> None:
    file = tmp_path / "stopped.jsonl"
    file.write_bytes(lines(*(post("stopped") for _ in range(20_000))))
    command = [sys.executable, "-m", "foldlog.cli.main", "send", f"{context.name}.account", str(file)]
    process = subprocess.Popen(
        [*command, "--rate", "200", "--topology", context.module],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not sent(context, "stopped"):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    count = len(sent(context, "stopped"))
    assert 0 < count < 20_000
    assert (process.returncode, said) == (130, f"{count:,} commands were sent before that\n")


class Answering(threading.Thread):
    """Answers commands as a worker does: one reply for each record that names a topic for it."""

    def __init__(self, context: Context) -> None:
        super().__init__(daemon=True)
        self.context, self.stopping, self.seen = context, threading.Event(), set[str]()
        self.producer = CommandProducer(context.cluster.bootstrap)
        self.consumer = open_consumer(context.cluster.bootstrap)
        topic = f"{context.name}.account.commands"
        # From here on: thousands of commands of other tests would have to be read first, while a sender's time runs.
        found = ends(self.consumer, topic, range(3))
        self.consumer.assign([TopicPartition(topic, partition, end) for partition, (_, end) in found.items()])

    def run(self) -> None:
        while not self.stopping.is_set():
            for message in self.consumer.consume(100, 0.1):
                if message.error() is None:
                    self.answer(entry_of(message))
        self.consumer.close()

    def answer(self, entry: Entry) -> None:
        headers = {name: (value or b"").decode() for name, value in entry.headers}
        command, target = headers.get("command-id"), headers.get("reply-to")
        record = self.context.codec.decode(entry.value or b"")
        assert isinstance(record, Open | Post)
        if command and target and record.account != "silent":
            status = record.account if record.account in {"rejected", "failed"} else "accepted"
            reason = None if status == "accepted" else f"account is {status}"
            reply = Reply(command, status, 1, None, reason, command in self.seen)
            self.seen.add(command)
            self.producer.send(target, command, self.context.codec.encode(reply))


@contextmanager
def answering(context: Context) -> Iterator[None]:
    thread = Answering(context)
    thread.start()
    yield
    thread.stopping.set()
    thread.join()


def test_waiting_for_replies_that_all_accept(cli: Cli, context: Context, tmp_path: Path) -> None:
    file = tmp_path / "waited.jsonl"
    file.write_bytes(lines(*(post("waited") for _ in range(300))))
    with answering(context):
        ran = send(cli, context, file, "--wait")
    assert ran.code == 0
    assert ran.out.splitlines()[1].split() == ["accepted", "300"]


def test_refused_commands_are_counted_with_their_reasons(cli: Cli, context: Context) -> None:
    commands = [post("fine", id="f1"), post("rejected"), post("rejected"), post("failed"), post("fine", id="f1")]
    with answering(context):
        ran = send(cli, context, "-", "--wait", stdin=lines(*commands))
    assert ran.code == 1
    rows = [" ".join(line.split()) for line in ran.out.splitlines()]
    assert {"accepted 2", "rejected 2", "failed 1", "of them duplicates 1"} <= set(rows)
    assert {"rejected 2 account is rejected", "failed 1 account is failed"} <= set(rows)


def test_each_reply_as_json(cli: Cli, context: Context) -> None:
    with answering(context):
        ran = send(cli, context, "-", "--wait", "--json", stdin=lines(post("a", id="j1"), post("rejected", id="j2")))
    assert ran.code == 1
    found = sorted((json.loads(line) for line in ran.out.splitlines()), key=lambda reply: reply["line"])
    assert [(r["line"], r["command_id"], r["status"], r["reason"]) for r in found] == [
        (1, "j1", "accepted", None),
        (2, "j2", "rejected", "account is rejected"),
    ]


def test_a_command_without_a_reply_is_named_after_the_timeout(cli: Cli, context: Context) -> None:
    with answering(context):
        ran = send(cli, context, "-", "--wait", "--timeout", "5", stdin=lines(post("a"), post("silent", id="s1")))
    assert ran.code == 1
    assert "error: 1 commands have no reply after 5 s without one, the first is s1 of line 2: is " in ran.err


def test_replies_to_others_are_not_ours(cli: Cli, context: Context) -> None:
    with answering(context):
        assert send(cli, context, "-", "--wait", stdin=lines(post("a", id="other"))).code == 0
        ran = send(cli, context, "-", "--wait", "--json", stdin=lines(post("a", id="mine")))
    assert [json.loads(line)["command_id"] for line in ran.out.splitlines()] == ["mine"]
