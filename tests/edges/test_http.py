"""Commands over HTTP: what comes of them, whatever is sent."""

import asyncio
import json
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.edges.process import Edge
from tests.engine.bank import Posted, account, transfer
from tests.engine.processes import Worker
from tests.engine.running import Bank, eventually, fresh_bank

PROBLEM = "application/problem+json"
EVENT = {"Content-Type": "application/cloudevents+json"}
EVENTS = {"Content-Type": "application/cloudevents-batch+json"}


@dataclass
class Api:
    """The edge's commands; a path is below those of the context."""

    client: httpx.Client
    url: str
    commands: str

    def post(self, path: str, **body: Any) -> httpx.Response:
        return self.client.post(self.commands + path, **body)

    def get(self, path: str) -> httpx.Response:
        return self.client.get(self.commands + path)


@pytest.fixture(scope="module")
def http(bank: Bank, worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The edge of the shared bank."""
    edge = Edge(bank, tmp_path_factory.mktemp("edge"), "http", "--http", "127.0.0.1:0", "--wait", "60")
    try:
        url = edge.said(r"http://\S+(?=;)")[0]
        with httpx.Client(timeout=90) as client:
            yield Api(client, url, f"{url}/commands/{bank.name}")
        assert edge.stop() == 0, edge.output
        assert "Traceback" not in edge.output
    finally:
        edge.close()


def cloud_event(kind: str, data: dict[str, Any], **more: str) -> dict[str, Any]:
    return {"specversion": "1.0", "id": "e1", "source": "/tests", "type": kind, "data": data, **more}


def open_account(http: Api, id: str) -> None:
    assert http.post("/Open", json={"account": id, "owner": "ada"}).status_code == 200


def test_an_accepted_command_has_its_version_and_position(http: Api, bank: Bank, id: str) -> None:
    headers = {"Idempotency-Key": f"open-{id}", "Foldlog-Actor": "joe", "Foldlog-Correlation": "job-7"}
    answer = http.post("/Open", json={"account": id}, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    reply = answer.json()
    assert (reply["command_id"], reply["version"], reply["duplicate"]) == (f"open-{id}", 1, False)
    assert reply["position"].startswith(f"{bank.name}.account.events:")
    ((_, meta),) = eventually(lambda: bank.events(id), "the event")
    assert (meta.actor, meta.correlation, meta.causation) == ("joe", "job-7", f"open-{id}")


def test_the_same_key_has_its_effect_once(http: Api, bank: Bank, id: str) -> None:
    open_account(http, id)
    answers = [
        http.post("/Post", json={"account": id, "amount": "10"}, headers={"Idempotency-Key": f"p-{id}"})
        for _ in range(3)
    ]
    assert [answer.json()["duplicate"] for answer in answers] == [False, True, True]
    assert [type(event) for event, _ in bank.events(id)].count(Posted) == 1


def test_a_refusal_and_a_failure_are_problems(http: Api, id: str) -> None:
    refused = http.post("/Misbehave", json={"account": id, "how": "reject"}, headers={"Idempotency-Key": f"r-{id}"})
    assert (refused.status_code, refused.headers["content-type"]) == (409, PROBLEM)
    assert refused.json() == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "no",
        "command_id": f"r-{id}",
        "outcome": "rejected",
    }
    failed = http.post("/Misbehave", json={"account": id, "how": "raise"})
    assert (failed.status_code, failed.json()["outcome"]) == (500, "failed")


def test_who_does_not_wait_asks_later(http: Api, id: str) -> None:
    headers = {"Prefer": "respond-async", "Idempotency-Key": f"later/{id}?x=1"}
    answer = http.post("/Open", json={"account": id}, headers=headers)
    assert answer.status_code == 202
    body = answer.json()
    assert (body["status"], answer.headers["location"]) == ("pending", body["status_url"])

    def done() -> dict[str, Any] | None:
        found = http.client.get(http.url + body["status_url"])
        assert found.status_code in (200, 202)
        reply: dict[str, Any] = found.json()
        return reply if found.status_code == 200 else None

    assert eventually(done, "the reply")["version"] == 1
    assert http.get("/replies/nobody").json() == {"command_id": "nobody", "status": "pending"}


def test_without_a_worker_the_answer_is_pending(bank: Bank, tmp_path: Path) -> None:
    with fresh_bank(bank.cluster) as idle:
        edge = Edge(idle, tmp_path, "http", "--http", "127.0.0.1:0", "--wait", "30")
        try:
            url = edge.said(r"http://\S+(?=;)")[0]
            answer = httpx.post(
                f"{url}/commands/{idle.name}/Open", json={"account": "a"}, headers={"Prefer": "wait=5"}, timeout=30
            )
            assert answer.status_code == 202
            many = httpx.post(
                f"{url}/commands/{idle.name}",
                json=[{"type": "Open", "data": {"account": "a"}, "id": "o1"}],
                headers={"Prefer": "wait=5"},
                timeout=30,
            )
            assert (many.status_code, [each["status"] for each in many.json()]) == (202, ["pending"])
            assert edge.stop(signal.SIGTERM) == 0, edge.output
        finally:
            edge.close()


def test_what_kafka_does_not_acknowledge_is_never_answered_with_202(bank: Bank, tmp_path: Path) -> None:
    with fresh_bank(bank.cluster) as idle:
        edge = Edge(idle, tmp_path, "http", "--http", "127.0.0.1:0", "--wait", "2")
        try:
            url = f"{edge.said(r'http://[^;]+')[0]}/commands/{idle.name}"
            idle.remove([idle.commands])  # Kafka can take nothing
            one = httpx.post(f"{url}/Open", json={"account": "a"}, headers={"Idempotency-Key": "o1"}, timeout=60)
            many = httpx.post(url, json=[{"type": "Open", "data": {"account": "b"}, "id": "o2"}], timeout=60)
            for answer in (one, many):
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
                assert "Kafka has not acknowledged it" in answer.json()["detail"]
            assert one.json()["command_id"] == "o1"
            assert [each["sent"] for each in many.json()["outcomes"]] == [False]
        finally:
            edge.close()  # told to stop, it would try half a minute to deliver


def test_many_at_once_are_checked_whole_and_answered_in_order(http: Api, bank: Bank, id: str) -> None:
    post = {"type": "Post", "data": {"account": id, "amount": "1"}}
    commands = [{"type": "Open", "data": {"account": id}, "id": f"o-{id}"}, *(post for _ in range(99))]
    wrong = http.post("", json=[*commands, {"type": "Post", "data": {"account": id, "amount": "much"}}])
    assert wrong.status_code == 422
    assert wrong.json()["detail"] == "[100]: data.amount: Invalid decimal string"
    answer = http.post("", json=commands)
    assert (answer.status_code, [each["version"] for each in answer.json()]) == (200, list(range(1, 101)))
    assert answer.json()[0]["command_id"] == f"o-{id}"


def test_cloud_events_structured_binary_and_many(http: Api, bank: Bank, id: str) -> None:
    kind = f"{bank.name}.account.Open"
    event = cloud_event(kind, {"account": id}, id=f"s-{id}", actor="joe", correlationid="job", unknownext="x")
    structured = http.post("", content=json.dumps(event), headers=EVENT)
    assert (structured.status_code, structured.json()["command_id"]) == (200, f"s-{id}")
    attributes = {"ce-id": f"b-{id}", "ce-type": "account.Post", "ce-source": "/t", "ce-specversion": "1.0"}
    binary = http.post("", json={"account": id, "amount": "10"}, headers=attributes)
    assert (binary.status_code, binary.json()["command_id"], binary.json()["version"]) == (200, f"b-{id}", 2)
    same = http.post("/Post", json={"account": id, "amount": "10"}, headers=attributes)
    assert (same.status_code, same.json()["duplicate"]) == (200, True)
    many = [cloud_event("Post", {"account": id, "amount": "1"}, id=f"m{n}-{id}") for n in range(5)]
    answer = http.post("", content=json.dumps(many), headers=EVENTS)
    assert [each["version"] for each in answer.json()] == [3, 4, 5, 6, 7]
    ((_, meta), *_) = bank.events(id)
    assert (meta.actor, meta.correlation) == ("joe", "job")


Case = tuple[str, bytes | str, dict[str, str], int, str]
BODIES: list[Case] = [
    ("/Post", b"", {}, 422, "not JSON"),
    ("/Post", b"nonsense", {}, 422, "not JSON"),
    ("/Post", b"\xff\xfe", {}, 422, "not JSON"),
    ("/Post", b"[" * 5000, {}, 422, "Expected object, got array"),
    ("/Post", b"{}", {}, 422, "Object missing required field account"),
    ("/Post", b'{"account": "a", "amount": "ten"}', {}, 422, "amount: Invalid decimal string"),
    ("/Post", b'{"account": "a", "amount": "0.001"}', {}, 422, "0.001 has more than 2 decimal places"),
    ("/Post", b'{"account": "a", "amount": 1, "transfr": "t"}', {}, 422, "transfr: Post has no such field"),
    ("/Post", b'{"account": "", "amount": 1}', {}, 422, "account id is empty"),
    ("/Nope", b"{}", {}, 404, "there is no /commands/"),
    ("/Opened", b"{}", {}, 404, "there is no /commands/"),
    ("/Open", b'{"account": "a"}', {"Content-Type": "text/xml"}, 415, "`text/xml` is none of"),
    ("/Open", b'{"account": "a"}', {"Idempotency-Key": ""}, 422, "id: is empty"),
    ("/Open", b'{"account": "a"}', {"Idempotency-Key": "k" * 201}, 422, "id: at most 200"),
    ("/Open", b'{"account": "a"}', {"Prefer": "wait=soon"}, 400, "wait is a number of seconds"),
    ("/Open", b'{"account": "a", "owner": "' + b"x" * (1 << 20) + b'"}', {}, 413, "longer than"),
    ("", b"[]", {}, 422, "an array of 1 to 1000 commands"),
    ("", b"[1]", {}, 422, "[0]: Expected object, got int"),
    ("", b'[{"type": "Nope", "data": {}}]', {}, 422, "[0]: `Nope` is no command of bank_"),
    ("", b"{}", EVENT, 422, "Object missing required field"),
    ("", json.dumps(cloud_event("Open", {}, specversion="0.3")), EVENT, 422, "specversion: is 0.3, not 1.0"),
    ("", json.dumps(cloud_event("Open", {"account": "a"}, id="")), EVENT, 422, "id: is empty"),
    ("", json.dumps(cloud_event("Open", {}, data_base64="AA==")), EVENT, 422, "data: the command's fields"),
    ("", b"{}", {"ce-type": "Open"}, 422, "id: a CloudEvent needs it"),
    ("/Open", json.dumps(cloud_event("Post", {"account": "a", "amount": 1})), EVENT, 422, "type: is Post, not Open"),
    ("", json.dumps([cloud_event("Open", {"account": 1})]), EVENTS, 422, "[0]: data.account: Expected str, got int"),
]  # fmt: skip


@pytest.mark.parametrize("case", BODIES)
def test_garbage_is_told_what_is_wrong(case: tuple[str, bytes | str, dict[str, str], int, str], http: Api) -> None:
    path, body, headers, status, detail = case
    answer = http.post(path, content=body, headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)
    assert detail in answer.json()["detail"]


def test_wrong_methods_and_wrong_status_questions(http: Api) -> None:
    deleted = http.client.delete(http.commands)
    for answer, status in ((http.get("/Open"), 405), (deleted, 405), (http.get("/replies/x?since=soon"), 422)):
        assert (answer.status_code, answer.headers["content-type"]) == (status, PROBLEM)


def test_its_description_has_every_command(http: Api, bank: Bank) -> None:
    found = http.client.get(f"{http.url}/openapi.json").json()
    paths = {path.removeprefix(f"/commands/{bank.name}") for path in found["paths"]}
    kinds = {kind.__name__ for processor in (account, transfer) for kind in processor.commands}
    assert {"/Open", "/Post", "/Close", "/Misbehave", "/TransferMoney"} <= paths
    assert paths >= {"", "/replies/{id}"} | {f"/{kind}" for kind in kinds}
    assert found["components"]["schemas"]["Post"]["properties"]["amount"] == {"type": "string", "format": "decimal"}
    assert http.client.get(f"{http.url}/docs").status_code == 200


def test_many_callers_at_once(http: Api, bank: Bank, id: str) -> None:
    open_account(http, id)

    async def post() -> list[int]:
        async with httpx.AsyncClient(base_url=http.commands, timeout=90) as client:
            answers = await asyncio.gather(
                *(client.post("/Post", json={"account": id, "amount": str(Decimal(1))}) for _ in range(200))
            )
        return [answer.json()["version"] for answer in answers]

    assert sorted(asyncio.run(post())) == list(range(2, 202))


def test_an_address_that_is_taken_or_none(bank: Bank, http: Api, tmp_path: Path) -> None:
    port = httpx.URL(http.url).port
    for address in (f"127.0.0.1:{port}", "nonsense", "127.0.0.1:99999"):
        edge = Edge(bank, tmp_path, "http", "--http", address)
        assert edge.process.wait(60) == 1
        assert f"error: --http {address} cannot be listened on" in edge.output
