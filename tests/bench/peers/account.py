"""What the Python peers share: the rule, the format of commands and events, and the stamp of the first record."""

import io
import json
import os
import time
import uuid
from pathlib import Path
from typing import Any

import fastavro

SCHEMAS = Path(os.environ["BENCH_SCHEMAS"])
COMMAND, EVENT = (fastavro.parse_schema(json.loads((SCHEMAS / f"{n}.avsc").read_text())) for n in ("command", "event"))
EVENT_FRAME = b"\0\0\0\0\2"

# Version and balance.
State = tuple[int, int]


def decode_command(value: bytes) -> Any:
    body = io.BytesIO(value)
    body.seek(5)
    return fastavro.schemaless_reader(body, COMMAND, None)


def encode_event(event: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    out.write(EVENT_FRAME)
    fastavro.schemaless_writer(out, EVENT, event)
    return out.getvalue()


def decide(state: State, command: dict[str, Any]) -> tuple[State, dict[str, Any]]:
    """The state after a command, and its event."""
    version, balance = state
    amount = command["amount"]
    if command["type"] == "Deposit":
        kind, balance = "Deposited", balance + amount
    elif balance >= amount:
        kind, balance = "Withdrawn", balance - amount
    else:
        kind = "Refused"
    event = {
        "event_id": str(uuid.uuid4()),
        "command_id": command["command_id"],
        "account_id": command["account_id"],
        "version": version + 1,
        "type": kind,
        "amount": amount,
        "balance": balance,
        "sent": command["sent"],
    }
    return (version + 1, balance), event


def stamp() -> None:
    """Says when the first record came, and what CPU time was used until then."""
    (Path(os.environ["BENCH_STAMPS"]) / f"peer-{os.getpid()}").write_text(f"{time.time()} {time.process_time()}")
