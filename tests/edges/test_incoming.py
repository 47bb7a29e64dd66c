"""What a message of RabbitMQ is, whoever has written it."""

import json
from decimal import Decimal
from typing import Any

import aio_pika
import pytest

from foldlog.client.commands import Command
from foldlog.core.errors import DecodeError
from foldlog.edges.incoming import Gate
from foldlog.edges.rabbitmq_in import command_of
from tests.engine.bank import Open, Post, bank

GATE = Gate(bank)
EVENT = {"specversion": "1.0", "id": "e1", "source": "/t", "type": "Open", "data": {"account": "ada"}}
POST = b'{"account": "ada", "amount": "10"}'


def message(body: Any, **properties: Any) -> aio_pika.Message:
    return aio_pika.Message(body if isinstance(body, bytes) else json.dumps(body).encode(), **properties)


def test_a_type_beside_plain_json() -> None:
    found = command_of(GATE, message(POST, type="Post", message_id="m1", correlation_id="job"))
    assert found == Command(Post("ada", Decimal(10)), "m1", None, "job")


def test_a_type_inside() -> None:
    found = command_of(GATE, message({"type": "Open", "data": {"account": "ada"}, "actor": "joe"}, message_id="m1"))
    assert found == Command(Open("ada"), "m1", "joe")


def test_a_cloud_event_keeps_its_id_whatever_the_messages_is() -> None:
    structured = message(EVENT, content_type="application/cloudevents+json; charset=utf-8", message_id="m1")
    assert command_of(GATE, structured) == Command(Open("ada"), "e1")
    attributes = {"specversion": "1.0", "id": "e2", "source": "/t", "type": "account.Post", "actor": "joe"}
    for prefix in ("cloudEvents:", "cloudEvents_"):
        headers: Any = {prefix + name: value for name, value in attributes.items()}
        assert command_of(GATE, message(POST, headers=headers)) == Command(Post("ada", Decimal(10)), "e2", "joe")


def test_without_an_id_a_repetition_could_not_be_told() -> None:
    with pytest.raises(DecodeError, match="message_id: is missing"):
        command_of(GATE, message(POST, type="Post"))
