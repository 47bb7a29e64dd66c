"""The verifier: what a system wrote, against what the commands must come to."""

from collections.abc import Iterable
from typing import NamedTuple

from foldlog.bench.workload import Outcome

SHOWN = 3


class Seen(NamedTuple):
    """An event as a committed reader sees it; `command` is the id of the command that caused it."""

    event_id: str
    account: str
    version: int
    kind: str
    amount: int
    balance: int
    command: str


def problems(seen: Iterable[Seen], wanted: Outcome) -> list[str]:
    """What is wrong with the events, a line each; empty where each command has its event, once and in order.

    The events of one account come in the log's order; those of several may mix.
    """
    found, faults, ids = Outcome(), _Faults(), set[str]()
    for event_id, account, version, kind, amount, balance, command in seen:
        before = found.accounts.get(account)
        if version != (before[0] + 1 if before else 1):
            faults.add("versions", f"{account} goes from version {before[0] if before else 0} to {version}")
        if event_id in ids:
            faults.add("event ids", f"{event_id} is there more than once")
        ids.add(event_id)
        found.add(account, kind, amount, balance, command)
    _compare(found, wanted, faults)
    return faults.lines


def _compare(found: Outcome, wanted: Outcome, faults: "_Faults") -> None:
    for name in ("events", "refused", "balance"):
        have, must = getattr(found, name), getattr(wanted, name)
        if have != must:
            faults.add(name, f"{have:,} where {must:,} must be")
    for account in wanted.accounts.keys() | found.accounts.keys():
        if found.accounts.get(account) != wanted.accounts.get(account):
            faults.add("history", f"{account} has not the events that its commands make")


class _Faults:
    """Lines of faults: the first few of each kind, and how many more."""

    def __init__(self) -> None:
        self._found: dict[str, list[str]] = {}

    def add(self, kind: str, line: str) -> None:
        self._found.setdefault(kind, []).append(line)

    @property
    def lines(self) -> list[str]:
        return [line for kind, lines in self._found.items() for line in _shown(kind, lines)]


def _shown(kind: str, lines: list[str]) -> list[str]:
    more = [f"{kind}: … and {len(lines) - SHOWN:,} more"] if len(lines) > SHOWN else []
    return [*(f"{kind}: {line}" for line in lines[:SHOWN]), *more]
