"""What must hold of the bank's logs, whatever happened to its workers: pure functions over what was read.

Each gives a line for every fault, and nothing where all is well.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from decimal import Decimal

from foldlog.core import Record
from foldlog.core.contract import Process
from topologies.banking.account import (
    NOTHING,
    Account,
    AccountCredited,
    CreditRefused,
    HoldCaptured,
    HoldPlaced,
    HoldRefused,
    HoldReleased,
    Movement,
)
from topologies.banking.settlement import OVERDUE, ClearanceOverdue
from topologies.banking.transfer import TransferCompleted, TransferFailed

End = TransferCompleted | TransferFailed
TICK = timedelta(milliseconds=1)  # a record's time is in whole ones


def lost_money(accounts: Mapping[str, Account], paid_in: Decimal) -> Iterator[str]:
    """All that was paid in is on some account, none is in the red, and nothing is held any more."""
    total = sum((account.balance for account in accounts.values()), NOTHING)
    if total != paid_in:
        yield f"{total} are there, {paid_in} were paid in"
    for id_, account in accounts.items():
        if account.balance < 0:
            yield f"account {id_}: the balance is {account.balance}"
        if account.holds or account.held:
            yield f"account {id_}: {account.held} are held, by {sorted(account.holds)}"


def wrong_ends(sent: Iterable[str], ends: Iterable[End]) -> Iterator[str]:
    """Every transfer that was sent has one end, and no other has any."""
    found, wanted = Counter(end.transfer for end in ends), set(sent)
    for id_ in sorted(wanted | found.keys()):
        if found[id_] != (id_ in wanted):
            yield f"transfer {id_} was {'' if id_ in wanted else 'not '}sent and has {found[id_]} ends"


def wrong_movements(ends: Iterable[End], events: Iterable[Record]) -> Iterator[str]:
    """The accounts saw of each transfer what its end asks for, each movement once: so each compensation too."""
    found: defaultdict[str, Counter[Movement]] = defaultdict(Counter)
    for event in events:
        if isinstance(event, Movement):
            found[event.transfer][event] += 1
    wanted = {end.transfer: Counter(_movements(end)) for end in ends}
    for id_ in sorted(found.keys() | wanted.keys()):
        if found[id_] != wanted.get(id_):
            yield f"transfer {id_}: {_shown(found[id_])} instead of {_shown(wanted.get(id_, Counter()))}"


def _movements(end: End) -> list[Movement]:
    """What the end of a transfer tells of its way; money that was taken and could not be given goes back."""
    terms, reason = end.terms, getattr(end, "reason", None)
    on_source = (terms.source, end.transfer, terms.amount, terms.day)
    on_target = (terms.target, end.transfer, terms.amount, terms.day)
    if reason is None:
        return [HoldPlaced(*on_source), HoldCaptured(*on_source), AccountCredited(*on_target)]
    if reason == f"there is no account {terms.target}":
        back = [CreditRefused(*on_target), AccountCredited(*on_source)]
        return [HoldPlaced(*on_source), HoldCaptured(*on_source), *back]
    if reason == OVERDUE or reason.startswith("fraud case"):
        return [HoldPlaced(*on_source), HoldReleased(*on_source)]
    return [HoldRefused(*on_source, reason)]


def _shown(movements: Counter[Movement]) -> str:
    return ", ".join(f"{count} {each}" for each, count in movements.items()) or "nothing"


def wrong_timers(
    settlements: Mapping[str, Process], ends: Iterable[End], patience: Callable[[str], timedelta]
) -> Iterator[str]:
    """Timers went off at most once and not too early, in every settlement that was overdue; none is pending."""
    overdue = {end.transfer for end in ends if isinstance(end, TransferFailed) and end.reason == OVERDUE}
    for id_, process in settlements.items():
        begun, *later = process.taken
        gone_off = [each for each in later if each.step == ClearanceOverdue.__name__]
        if len(process.taken) != process.steps:
            yield f"settlement {id_}: {process.steps} steps, {len(process.taken)} are known"
        if process.timers or process.due:
            yield f"settlement {id_}: a timer is pending"
        if len(gone_off) not in ((1,) if id_ in overdue else (0, 1)):
            yield f"settlement {id_}: its timer went off {len(gone_off)} times"
        for each in gone_off:
            if each.time - begun.time < patience(id_) - TICK:
                yield f"settlement {id_}: its timer went off after {each.time - begun.time}"
            if each.causation != f"settlement:{id_}:1.clearance":
                yield f"settlement {id_}: its timer is {each.causation}"
