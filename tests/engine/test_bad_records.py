"""Bad records: each becomes one dead letter that says where it stood and why, and its partition goes on."""

import os
import uuid
from collections.abc import Callable
from decimal import Decimal

import pytest

from foldlog.core import topics
from foldlog.core.outcome import CAUSES, DeadLetter, Header
from foldlog.engine.snapshots import CHECKPOINT
from tests.engine.bank import LARGE, Misbehave, Open, Opened, Post, TransferMoney
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually

pytestmark = pytest.mark.usefixtures("worker")

UNKNOWN_ID = b"\0" + (2_000_000_000).to_bytes(4, "big") + b"\2a"
MIB = 1 << 20
one = Decimal(1)

Value = Callable[[Bank], bytes | None]


def valid(bank: Bank) -> bytes:
    """A command for the account `ada`."""
    return bank.codec.encode(Open("ada"))


VALUES: dict[str, tuple[str, Value]] = {
    "nothing": ("null-value", lambda bank: None),
    "no bytes": ("malformed", lambda bank: b""),
    "JSON": ("malformed", lambda bank: b'{"account": "ada"}'),
    "a frame without a body": ("malformed", lambda bank: valid(bank)[:5]),
    "a record that ends too early": ("malformed", lambda bank: valid(bank)[:-1]),
    "a text that is not UTF-8": ("malformed", lambda bank: valid(bank)[:5] + b"\2\xff" + b"\2a"),
    "an unknown schema id": ("unknown-schema", lambda bank: UNKNOWN_ID),
    "a command of another processor": (
        "unexpected-type",
        lambda bank: bank.codec.encode(TransferMoney("", "", "", one)),
    ),
    "a row": ("unexpected-type", lambda bank: bank.codec.encode(bank.topology.views[0].initial)),
    "a command for another account": ("key-mismatch", lambda bank: bank.codec.encode(Open("bob"))),
}


def goes_on(bank: Bank, partition: int) -> None:
    """A command behind it on the same partition is processed."""
    assert bank.ask(Open(bank.account_on(partition))).status == "accepted"


def partition_of(place: str) -> int:
    return int(place.split(":")[1])


@pytest.mark.parametrize("what", VALUES)
def test_a_value_that_is_no_command_is_put_aside_whole(bank: Bank, what: str) -> None:
    cause, make = VALUES[what]
    value = make(bank)
    place = bank.put(b"ada", value, [("trace", b"\xff"), ("empty", None)])
    goes_on(bank, partition_of(place))
    [letter] = bank.letters_of(place)
    assert letter == DeadLetter(
        *(bank.commands, partition_of(place), int(place.split(":")[2]), "account", cause, letter.reason, letter.time),
        b"ada",
        value,
        (Header("trace", b"\xff"), Header("empty", None)),
    )
    assert letter.reason
    assert cause in CAUSES


@pytest.mark.parametrize(
    ("key", "cause"),
    [
        (None, "null-key"),
        (CHECKPOINT, "reserved-key"),
        (b"", "key-mismatch"),
        (b"\xff\xfe", "key-mismatch"),
        (b"bob", "key-mismatch"),
    ],
)
def test_a_key_that_names_no_account_is_put_aside(bank: Bank, key: bytes | None, cause: str) -> None:
    value = bank.codec.encode(Open("ada"))
    place = bank.put(key, value)
    goes_on(bank, partition_of(place))
    [letter] = bank.letters_of(place)
    assert (letter.cause, letter.key, letter.value) == (cause, key, value)


@pytest.mark.parametrize("name", ["command-id", "correlation-id", "actor", "reply-to"])
def test_a_header_of_the_engine_that_is_not_utf_8_puts_its_command_aside(bank: Bank, name: str) -> None:
    account = uuid.uuid4().hex
    place = bank.put(account.encode(), bank.codec.encode(Open(account)), [(name, b"\xff")])
    goes_on(bank, partition_of(place))
    [letter] = bank.letters_of(place)
    assert letter.cause == "malformed"
    assert name in letter.reason
    assert bank.events(account) == []


def test_a_command_id_that_is_too_long_puts_its_command_aside(bank: Bank) -> None:
    account = uuid.uuid4().hex
    bank.put(account.encode(), bank.codec.encode(Open(account)), [("command-id", b"x" * 201)])
    [letter] = bank.letters_about(account)
    assert (letter.cause, letter.reason) == ("malformed", "the command id has more than 200 characters")


@pytest.mark.parametrize("size", [2_000, 100_000, 300_000, 500_000])
def test_a_long_name_of_an_account_stops_nothing(bank: Bank, size: int) -> None:
    account = bank.account_on(0) + "x" * size
    reply = bank.ask(Open(account))
    assert reply.status == ("accepted" if size < 200_000 else "failed")
    goes_on(bank, bank.home(account.encode()))


def test_a_bad_record_on_the_wrong_partition_is_put_aside_where_it_belongs(bank: Bank) -> None:
    elsewhere = (bank.home(b"ada") + 1) % bank.topology.partitions
    key = uuid.uuid4().hex
    bank.put(key.encode(), b"what " + key.encode(), partition=elsewhere)
    [letter] = bank.letters_about(key)
    assert (letter.partition, letter.cause) == (bank.home(key.encode()), "malformed")


HOW = {
    "raise": ("decide-failed", "ValueError: yes"),
    "raise in no encoding": ("decide-failed", "ValueError: "),
    "large event": ("oversized", "too large for"),
    "event too fine": ("encode-failed", "Misbehaved.amount"),
    "state too fine": ("encode-failed", "Account.balance"),
}


@pytest.mark.parametrize("how", HOW)
def test_a_command_whose_outcome_cannot_be_written_fails_and_leaves_no_trace(bank: Bank, how: str) -> None:
    account = uuid.uuid4().hex
    bank.ask(Open(account))
    reply = bank.ask(Misbehave(account, how))
    [letter] = bank.letters_about(account)
    cause, reason = HOW[how]
    assert (reply.status, letter.cause) == ("failed", cause)
    assert reason in (reply.reason or "")
    assert reason in letter.reason
    assert bank.ask(Post(account, one)).version == 2
    assert [meta.version for _, meta in bank.events(account)] == [1, 2]


@pytest.mark.parametrize("how", ["reject at length", "reject in no encoding"])
def test_a_reason_that_a_reply_cannot_hold_is_cut_or_escaped(bank: Bank, how: str) -> None:
    account = uuid.uuid4().hex
    reply = bank.ask(Misbehave(account, how))
    assert reply.status == "rejected"
    assert (reply.reason or "").startswith(LARGE[:100] if how == "reject at length" else "?")


def test_a_failed_command_can_be_sent_again_with_its_id(bank: Bank) -> None:
    account = uuid.uuid4().hex
    bank.ask(Misbehave(account, "raise"), "again-" + account)
    reply = bank.ask(Open(account), "again-" + account)
    assert (reply.status, reply.version, reply.duplicate) == ("accepted", 1, False)
    assert bank.events(account)[0][0] == Opened(account, "nobody")


@pytest.mark.parametrize("elsewhere", [0, 1], ids=["at home", "on the wrong partition"])
def test_a_record_of_nearly_the_largest_size_is_put_aside_whole(bank: Bank, elsewhere: int) -> None:
    key, value = uuid.uuid4().hex.encode(), os.urandom(MIB - 200)
    partition = (bank.home(key) + elsewhere) % bank.topology.partitions
    place = bank.put(key, value, partition=partition)
    goes_on(bank, partition)
    [letter] = bank.letters_of(place)
    assert letter.value == value
    assert letter.cause == ("oversized" if elsewhere else "malformed")


def test_many_headers_of_nearly_the_largest_size_are_put_aside_whole(bank: Bank) -> None:
    headers = tuple(Header(f"h{number}", os.urandom(9_000)) for number in range(115))
    place = bank.put(b"ada", b"no command", [(header.name, header.value) for header in headers])
    [letter] = bank.letters_of(place)
    assert letter.headers == headers


@pytest.mark.parametrize(
    ("what", "cause"), [("nothing", "null-value"), ("JSON", "malformed"), ("an unknown schema id", "unknown-schema")]
)
def test_a_sagas_commands_are_judged_as_a_deciders(bank: Bank, what: str, cause: str) -> None:
    topic = topics.commands(bank.name, "transfer")
    place = bank.put(b"t", VALUES[what][1](bank), topic=topic)
    [letter] = bank.letters_of(place)
    assert (letter.cause, letter.processor) == (cause, "transfer")


@pytest.mark.parametrize("kind", ["a command of an account", "an event"])
def test_only_a_sagas_own_commands_are_taken_from_its_topic(bank: Bank, kind: str) -> None:
    account = uuid.uuid4().hex
    bank.ask(Open(account))
    event = bank.codec.encode(*bank.events(account)[0])
    value = event if kind == "an event" else bank.codec.encode(Open(account))
    place = bank.put(account.encode(), value, topic=topics.commands(bank.name, "transfer"))
    [letter] = bank.letters_of(place)
    assert letter.cause == "unexpected-type"


def test_garbage_in_the_log_is_put_aside_by_each_reader(bank: Bank, worker: Worker) -> None:
    """Nobody but the engine may write a log; where somebody did, its readers go on."""
    place = bank.put(b"garbage", b"garbage", topic=topics.events(bank.name, "account"))
    readers = {"balances", "wealth", "transfer", "standing", "tellers"}
    eventually(lambda: {letter.processor for letter in bank.letters_of(place)} == readers)
    goes_on(bank, partition_of(place))
    worker.ready()
