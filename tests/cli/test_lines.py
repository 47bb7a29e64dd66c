"""A line of commands is checked whole, and a bad one is told with its place."""

from collections.abc import Iterable
from decimal import Decimal

import msgspec
import pytest

from foldlog.cli.lines import Checked, Lines
from foldlog.client.commands import Command, Outgoing
from foldlog.core.errors import ConfigError, EncodeError
from foldlog.core.record import Record
from tests.cli.bank import Open, Post, account, balances, bank, transfer


def encode(record: Record) -> bytes:
    return msgspec.json.encode(record)


def parse(*lines: bytes) -> list[Checked]:
    return list(Lines("bank.jsonl", bank, account, encode).parse(lines))


def test_a_line_is_a_command_of_its_aggregate() -> None:
    (checked,) = parse(
        b'{"type": "Post", "data": {"account": "ada", "amount": 12.5}, "id": "p1", "actor": "joe", "correlation": "c"}'
    )
    assert checked == Checked(
        1,
        Command(Post("ada", Decimal("12.5")), "p1", "joe", "c"),
        Outgoing("bank.account.commands", "ada", b'{"account":"ada","amount":"12.5","transfer":null}'),
    )


def test_what_is_optional_may_be_missing() -> None:
    (checked,) = parse(b'{"type": "Open", "data": {"account": "ada"}}')
    assert checked.command == Command(Open("ada"))


def test_blank_lines_and_a_byte_order_mark_are_passed_over() -> None:
    found = parse(
        b'\xef\xbb\xbf{"type": "Open", "data": {"account": "a"}}\r\n',
        b"  \n",
        b'{"type": "Open", "data": {"account": "b"}}',
    )
    assert [(checked.line, checked.outgoing.key) for checked in found] == [(1, "a"), (3, "b")]


def test_a_decimal_keeps_each_digit() -> None:
    (checked,) = parse(b'{"type": "Post", "data": {"account": "ada", "amount": 1234567890123456.78}}')
    assert b'"1234567890123456.78"' in checked.outgoing.value


def test_a_saga_takes_its_own_commands() -> None:
    lines = Lines("stdin", bank, transfer, encode)
    text = b'{"type": "StartTransfer", "data": {"transfer": "t1", "source": "a", "target": "b", "amount": "1"}}'
    assert [checked.outgoing.key for checked in lines.parse([text])] == ["t1"]


def test_a_view_takes_none() -> None:
    with pytest.raises(ConfigError, match=r"^bank.balances takes no commands: it is a view$"):
        Lines("stdin", bank, balances, encode)


OPEN = b'{"type": "Open", "data": %s}'


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"nonsense", "not JSON: JSON is malformed: invalid character (byte 4)"),
        (b"{", "not JSON: Input data was truncated"),
        (b'{"type": "Open", "data": {"account": "a"}} trailing', "not JSON: JSON is malformed: trailing characters"),
        (b'{"type": "Open", "data": {"account": "\xff"}}', "not JSON:"),
        (b"\x00\x01\x02", "not JSON: JSON is malformed: invalid character (byte 0)"),
        (b"[" * 5000, "Expected object, got array"),
        (b"[]", "Expected object, got array"),
        (b"null", "Expected object, got null"),
        (b"{}", "Object missing required field type"),
        (b'{"type": "Open"}', "Object missing required field data"),
        (b'{"type": 3, "data": {}}', "type: Expected str, got int"),
        (b'{"type": "Opne", "data": {}}', "type: `Opne` is no command of bank.account; it takes Open, Post"),
        (b'{"type": "Opened", "data": {}}', "type: `Opened` is no command of bank.account; it takes Open, Post"),
        (b'{"type": "Open", "data": {"account": "a"}, "Id": "x"}', "Object contains unknown field Id"),
        (b'{"type": "Open", "data": {"account": "a"}, "id": 7}', "id: Expected str | null, got int"),
        (b'{"type": "Open", "data": {"account": "a"}, "id": ""}', "id: is empty; leave it out instead"),
        (OPEN % b"3", "data: Expected object, got int"),
        (OPEN % b"{}", "data: Object missing required field account"),
        (OPEN % b'{"account": null}', "data.account: Expected str, got null"),
        (OPEN % b'{"account": ""}', "data: the bank.account id is empty"),
        (OPEN % b'{"account": "boom"}', "data: has no bank.account id: ValueError: no such key"),
        (OPEN % b'{"account": "a", "since": "yesterday"}', "data.since: Invalid RFC3339 encoded date"),
        (OPEN % b'{"account": "a", "ownrs": []}', "data.ownrs: Open has no such field"),
        (OPEN % b'{"account": "a", "owners": [{"name": "x"}, {"name": 7}]}', "data.owners[1].name: Expected str"),
        (OPEN % b'{"account": "a", "owners": [{"name": "x", "n": 1}]}', "data.owners[0].n: Owner has no such field"),
        (OPEN % b'{"account": "a", "labels": {"x": 1}}', "data.labels[...]: Expected str, got int"),
        (b'{"type": "Post", "data": {"account": "a", "amount": "ten"}}', "data.amount: Invalid decimal string"),
    ],
)  # fmt: skip
def test_a_bad_line_is_told_with_its_place(line: bytes, message: str) -> None:
    good = b'{"type": "Open", "data": {"account": "ada"}}'
    with pytest.raises(ConfigError) as raised:
        parse(good, line)
    assert str(raised.value).startswith(f"bank.jsonl:2: {message}")


def test_a_value_that_does_not_encode_is_a_bad_line() -> None:
    def refuse(_: Record) -> bytes:
        raise EncodeError("Post.amount: 0.001 has more than 2 decimals")

    lines: Iterable[bytes] = [b'{"type": "Post", "data": {"account": "a", "amount": 0.001}}']
    with pytest.raises(ConfigError, match=r"^x:1: data: Post.amount: 0.001 has more than 2 decimals$"):
        list(Lines("x", bank, account, refuse).parse(lines))
