"""What a worker refuses to work with: it ends with exit code 1 and one clear line."""

import pytest
from confluent_kafka import KafkaException

from foldlog.core import replace, topics
from tests.engine.bank import Open
from tests.engine.conftest import Start
from tests.engine.running import Bank, eventually


def test_a_worker_stops_whose_groups_offsets_are_gone_beside_existing_output(own_bank: Bank, start: Start) -> None:
    """To begin anew would decide every command a second time."""
    bank, worker = own_bank, start("account").ready()
    bank.ask(Open(bank.account_on(0)))
    assert worker.stop() == 0
    group = f"{bank.name}.account"
    eventually(lambda: deleted(bank, group), "the end of the group's membership")
    worker = start("account")
    assert worker.ended() == 1
    [error] = worker.errors
    assert group in error
    assert "--reset-offsets" in error


def deleted(bank: Bank, group: str) -> bool:
    """True once the offsets are gone; a static member stays until its session times out."""
    try:
        bank.admin.delete_consumer_groups([group])[group].result(10)
    except KafkaException:
        return False
    return True


def test_a_log_with_a_version_missing_stops_the_worker(own_bank: Bank, start: Start) -> None:
    bank, worker = own_bank, start("account").ready()
    account = bank.account_on(0)
    bank.ask(Open(account))
    assert worker.stop() == 0
    event, meta = bank.events(account)[0]
    value = bank.codec.encode(event, replace(meta, version=3))
    place = bank.put(f"{account}@3".encode(), value, topic=topics.events(bank.name, "account"), partition=0)
    worker = start("account")
    assert worker.ended() == 1
    [error] = worker.errors
    assert place in error
    assert "from version 1 to 3" in error


def test_a_log_with_a_record_that_is_no_event_stops_the_worker(own_bank: Bank, start: Start) -> None:
    bank = own_bank
    place = bank.put(b"ada@1", b"garbage", topic=topics.events(bank.name, "account"), partition=0)
    worker = start("account")
    assert worker.ended() == 1
    [error] = worker.errors
    assert place in error


def test_a_topic_with_other_partitions_stops_the_worker(own_bank: Bank, start: Start) -> None:
    bank = own_bank
    bank.remake([topics.table(bank.name, "wealth")], partitions=4)
    worker = start()
    assert worker.ended() == 1
    assert worker.errors[0].startswith(f"error: {bank.name}.wealth: partitions is 4, declared is 3")


def test_topics_that_are_missing_stop_the_worker(own_bank: Bank, start: Start) -> None:
    bank = own_bank
    bank.remove([bank.commands])
    worker = start()
    assert worker.ended() == 1
    assert worker.errors == [
        f"error: {bank.commands} is missing: run `foldlog topics apply tests.engine.bank`, or add --apply"
    ]


@pytest.mark.parametrize("name", ["BATCH_RECORDS", "NOTIFY"])
def test_a_garbage_setting_is_one_clear_line(own_bank: Bank, start: Start, name: str) -> None:
    worker = start(**{f"FOLDLOG_{name}": "garbage"})
    assert worker.ended() == 1
    [error] = worker.errors
    assert error.startswith(f"error: FOLDLOG_{name}='garbage': ")
    assert len(worker.output.splitlines()) == 1
