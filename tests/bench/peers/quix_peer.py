"""Quix Streams with state, exactly once; QUIX_COMMIT_S is the commit interval in seconds."""

import os
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found]
from quixstreams.models import Deserializer, Serializer  # type: ignore[import-not-found]

from tests.bench.peers.account import decide, decode_command, encode_event, stamp


class Commands(Deserializer):  # type: ignore[misc]
    def __call__(self, value: bytes, ctx: Any) -> Any:
        return decode_command(value)


class Events(Serializer):  # type: ignore[misc]
    def __call__(self, value: Any, ctx: Any) -> bytes:
        return encode_event(value)


app = Application(
    broker_address=os.environ["BENCH_BOOTSTRAP"],
    consumer_group=os.environ["BENCH_ID"],
    auto_offset_reset="earliest",
    processing_guarantee="exactly-once",
    commit_interval=float(os.environ.get("QUIX_COMMIT_S", "1")),
    state_dir=os.environ["BENCH_DATA"],
    producer_extra_config={"partitioner": "murmur2"},
    loglevel="WARNING",
)
commands = app.topic(os.environ["BENCH_COMMANDS"], key_deserializer="str", value_deserializer=Commands())
events = app.topic(os.environ["BENCH_EVENTS"], key_serializer="str", value_serializer=Events())
first = True


def process(command: dict[str, Any], state: State) -> dict[str, Any]:
    global first  # noqa: PLW0603
    if first:
        first = False
        stamp()
    version, balance = state.get("account") or (0, 0)
    after, event = decide((version, balance), command)
    state.set("account", list(after))
    return event


app.dataframe(commands).apply(process, stateful=True).to_topic(events)

if __name__ == "__main__":
    app.run()
