"""The verifier catches what can go wrong with a log, and finds nothing in a right one."""

from collections.abc import Callable

import pytest

from foldlog.bench.verify import Seen, problems
from foldlog.bench.workload import Outcome, orders, reference

COUNT, ACCOUNTS = 500, 20
WANTED = reference(orders(COUNT, ACCOUNTS))
Log = list[Seen]


def right() -> Log:
    """The log that the commands make."""
    log, found = [], Outcome()
    for id_, account, withdraw, amount in orders(COUNT, ACCOUNTS):
        version, balance, _ = found.accounts.get(account, (0, 0, 0))
        kind = "Deposited" if not withdraw else "Withdrawn" if balance >= amount else "Refused"
        balance += amount if kind == "Deposited" else -amount if kind == "Withdrawn" else 0
        found.add(account, kind, amount, balance, id_)
        log.append(Seen(f"account:{account}@{version + 1}", account, version + 1, kind, amount, balance, id_))
    return log


def lost(log: Log) -> Log:
    return [*log[:250], *log[251:]]


def lost_at_the_end(log: Log) -> Log:
    return log[:-1]


def doubled(log: Log) -> Log:
    return [*log, log[250]]


def doubled_under_another_version(log: Log) -> Log:
    last = max((event for event in log if event.account == log[0].account), key=lambda event: event.version)
    return [*log, last._replace(version=last.version + 1, event_id="new")]


def of_another_amount(log: Log) -> Log:
    return [*log[:250], log[250]._replace(amount=log[250].amount + 1), *log[251:]]


def of_another_balance(log: Log) -> Log:
    return [*log[:250], log[250]._replace(balance=log[250].balance + 1), *log[251:]]


def of_another_command(log: Log) -> Log:
    return [*log[:250], log[250]._replace(command=log[251].command), *log[251:]]


def swapped(log: Log) -> Log:
    """Two events of one account, each with the other's version."""
    first = log[0]
    second = next(event for event in log[1:] if event.account == first.account)
    place = log.index(second)
    return [
        second._replace(version=1, event_id=first.event_id),
        *log[1:place],
        first._replace(version=2, event_id=second.event_id),
        *log[place + 1 :],
    ]


def with_an_id_twice(log: Log) -> Log:
    return [*log[:250], log[250]._replace(event_id=log[0].event_id), *log[251:]]


def with_a_stranger(log: Log) -> Log:
    return [*log, Seen("stranger", "stranger", 1, "Deposited", 0, 0, "stranger")]


def test_a_right_log_has_no_problems() -> None:
    assert problems(right(), WANTED) == []


def test_accounts_may_come_in_any_order() -> None:
    assert problems(sorted(right(), key=lambda event: (event.account, event.version)), WANTED) == []


@pytest.mark.parametrize(
    ("harmed", "told"),
    [
        (lost, "versions: "),
        (lost_at_the_end, "events: 499 where 500 must be"),
        (doubled, "event ids: "),
        (doubled_under_another_version, "events: 501 where 500 must be"),
        (of_another_amount, "history: "),
        (of_another_balance, "history: "),
        (of_another_command, "history: "),
        (swapped, "history: "),
        (with_an_id_twice, "event ids: "),
        (with_a_stranger, "history: stranger "),
    ],
)
def test_a_wrong_log_is_told(harmed: Callable[[Log], Log], told: str) -> None:
    assert any(line.startswith(told) for line in problems(harmed(right()), WANTED))


def test_many_faults_are_a_few_lines() -> None:
    lines = problems([event._replace(command="") for event in right()], WANTED)
    assert lines[-1] == f"history: … and {ACCOUNTS - 3} more"
    assert len(lines) == 4
