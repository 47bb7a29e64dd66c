"""Faust as its documentation shows it: records, a table, an agent that sends; at least once.

`python -m tests.bench.peers.faust_peer worker`
"""

import os
from collections.abc import AsyncIterator
from typing import Any

import faust
from faust.serializers import codecs

from tests.bench.peers.account import decide, decode_command, encode_event, stamp


class Commands(codecs.Codec):
    def _loads(self, s: bytes) -> Any:
        return decode_command(s)


class Events(codecs.Codec):
    def _dumps(self, obj: Any) -> bytes:
        return encode_event(obj)


codecs.register("bench_command", Commands())
codecs.register("bench_event", Events())


class Command(faust.Record, serializer="bench_command", include_metadata=False):
    command_id: str
    account_id: str
    type: str
    amount: int
    sent: int


class Event(faust.Record, serializer="bench_event", include_metadata=False):
    event_id: str
    command_id: str
    account_id: str
    version: int
    type: str
    amount: int
    balance: int
    sent: int


class Account(faust.Record):
    version: int = 0
    balance: int = 0


app = faust.App(
    os.environ["BENCH_ID"],
    broker=f"kafka://{os.environ['BENCH_BOOTSTRAP']}",
    store="memory://",
    datadir=os.environ["BENCH_DATA"],
    topic_partitions=4,
    topic_replication_factor=1,
    consumer_auto_offset_reset="earliest",
    web_enabled=False,
)
commands = app.topic(os.environ["BENCH_COMMANDS"], key_type=str, key_serializer="raw", value_type=Command)
events = app.topic(os.environ["BENCH_EVENTS"], key_type=str, key_serializer="raw", value_type=Event)
accounts = app.Table("accounts", key_type=str, value_type=Account, partitions=4, default=Account)
first = True


@app.agent(commands)  # type: ignore[arg-type]
async def process(stream: AsyncIterator[Any]) -> None:
    global first  # noqa: PLW0603
    async for command in stream:
        if first:
            first = False
            stamp()
        account = accounts[command.account_id]
        (version, balance), event = decide((account.version, account.balance), command.asdict())
        accounts[command.account_id] = Account(version=version, balance=balance)
        await events.send(key=command.account_id, value=Event(**event))


if __name__ == "__main__":
    app.main()
