"""Dead letters are found, filtered and explained, whatever their bytes are."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from foldlog.cli.letters import hexdump
from foldlog.core.outcome import CAUSES, DeadLetter, Header
from tests.cli.bank import Post
from tests.cli.conftest import Cli, Context

TIME = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def letter(context: Context, offset: int, cause: str, value: bytes | None, key: bytes | None = b"ada") -> DeadLetter:
    return DeadLetter(
        f"{context.name}.account.commands", 1, offset, "account", cause, f"why [bold]{cause}[/]",
        TIME + timedelta(minutes=offset), key, value, (Header("actor", b"joe"), Header("odd", None)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def written(context: Context) -> list[DeadLetter]:
    """One dead letter of several causes each; the newest is written first."""
    post = context.codec.encode(Post("ada", Decimal("1.00")))
    opened = context.codec.encode(Post("bob", Decimal("2.00")))
    found = [
        letter(context, 1, "malformed", b"\x07garbage\xff"),
        letter(context, 2, "unknown-schema", b"\x00\x7f\xff\xff\xffabc"),
        letter(context, 3, "unexpected-type", opened),
        letter(context, 4, "null-value", None),
        letter(context, 5, "decide-failed", post),
        letter(context, 6, "malformed", post[:-1]),
        letter(context, 7, "null-key", post, key=None),
        letter(context, 8, "malformed", post + b"xx"),
        letter(context, 9, "oversized", bytes(range(256)) * 4, key=b"\xff\x00"),
    ]
    places = [(f"{one.topic}:{one.partition}:{one.offset}", context.codec.encode(one)) for one in reversed(found)]
    producer_topic = f"{context.name}.dead-letters"
    context.write(producer_topic, *places)
    return found


def show(cli: Cli, context: Context, offset: int) -> str:
    ran = cli("dead-letters", "show", context.name, f"{context.name}.account.commands:1:{offset}")
    assert ran.code == 0, ran.err
    return ran.out


def test_the_list_is_in_the_order_of_time(cli: Cli, context: Context, written: list[DeadLetter]) -> None:
    ran = cli("dead-letters", "list", context.name)
    lines = ran.out.splitlines()
    assert lines[0].split() == ["time", "place", "processor", "cause", "reason"]
    assert [line.split()[2].rpartition(":")[2] for line in lines[1:]] == [str(n) for n in range(1, 10)]
    assert "why [bold]malformed[/]" in lines[1]


def test_json_and_the_filters(cli: Cli, context: Context, written: list[DeadLetter]) -> None:
    found = json.loads(cli("dead-letters", "list", context.name, "--cause", "malformed", "--json").out)
    assert [row["place"].rpartition(":")[2] for row in found] == ["1", "6", "8"]
    limited = cli("dead-letters", "list", context.name, "--limit", "2")
    assert [line.split()[3] for line in limited.out.splitlines()[1:]] == ["account", "account"]
    assert limited.err == "2 of 9 dead letters\n"


def test_without_a_context_all_are_listed(cli: Cli, context: Context, written: list[DeadLetter]) -> None:
    found = json.loads(cli("dead-letters", "list", "--json", "--limit", "100000").out)
    assert {row["place"] for row in found} >= {f"{one.topic}:1:{one.offset}" for one in written}


@pytest.mark.parametrize(
    ("offset", "content"),
    [
        (1, "content    cannot be decoded: it is not framed: byte 0, schema id of 4 bytes, Avro"),
        (2, "content    cannot be decoded: "),
        (3, "Post account=bob amount=2.00"),
        (4, "content    cannot be decoded: there is no value"),
        (5, "Post account=ada amount=1.00"),
        (6, "content    cannot be decoded: it is not what schema "),
        (8, "content    cannot be decoded: 2 bytes follow the value of schema "),
    ],
)
def test_each_is_explained(offset: int, content: str, cli: Cli, context: Context, written: list[DeadLetter]) -> None:
    text = show(cli, context, offset)
    cause = written[offset - 1].cause
    assert f"cause      {cause}: {CAUSES[cause]}\n" in text
    assert f"reason     why [bold]{cause}[/]\n" in text
    assert "header     actor: joe\nheader     odd: null\n" in text
    assert content in text


def test_a_null_key_and_bytes_that_are_no_text(cli: Cli, context: Context, written: list[DeadLetter]) -> None:
    assert "key        null\n" in show(cli, context, 7)
    assert "key        \\xff\\x00\n" in show(cli, context, 9)


def test_the_bytes_are_shown_up_to_256(cli: Cli, context: Context, written: list[DeadLetter]) -> None:
    text = show(cli, context, 9)
    assert "00000040  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO\n" in text
    assert text.endswith("… 768 more bytes\n")


def test_json_holds_everything(cli: Cli, context: Context, written: list[DeadLetter]) -> None:
    place = f"{context.name}.account.commands:1:5"
    (found,) = json.loads(cli("dead-letters", "show", context.name, place, "--json").out)
    assert found["explanation"] == CAUSES["decide-failed"]
    assert found["type"] == f"{context.name}.account.Post"
    assert found["content"] == {"account": "ada", "amount": "1.00", "transfer": None}
    assert (found["key"], found["headers"][0]) == ("YWRh", {"name": "actor", "value": "am9l"})


@pytest.mark.parametrize("place", ["", "x", "x:y:z", "orders:1", "a:b:c:d", "bank.account.commands:1:999"])
def test_a_place_without_a_dead_letter(place: str, cli: Cli, context: Context, written: list[DeadLetter]) -> None:
    ran = cli("dead-letters", "show", context.name, place)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith(f"error: {context.name} has no dead letter at `{place}`: see `foldlog dead-letters list")


def test_an_unknown_cause_is_told_with_the_known_ones(cli: Cli) -> None:
    ran = cli("dead-letters", "list", "--cause", "bad")
    assert ran.err == f"error: --cause bad: there is no such cause; it is one of {', '.join(CAUSES)}\n"


@pytest.mark.parametrize("name", ["nowhere", "Orders", "a.b", "", "a b", "../x"])
def test_a_context_that_is_not_there(name: str, cli: Cli, context: Context) -> None:
    ran = cli("dead-letters", "show", name, "x:1:2")
    assert (ran.code, ran.out) == (1, "")
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 256, 257])
def test_a_hexdump_can_be_read_back(size: int) -> None:
    value = bytes(n % 256 for n in range(size))
    lines = [line for line in hexdump(value).splitlines() if not line.startswith("…")]
    assert b"".join(bytes.fromhex(line[10:57]) for line in lines) == value[:256]
