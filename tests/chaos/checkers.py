"""What must hold of the bank once everything is quiet, whatever happened before: pure functions over what was read.

Each gives a line for every violation, and nothing where all is well.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from hashlib import sha256

from foldlog.core.partitioning import partition_of
from tests.chaos import bank
from tests.chaos.bank import Account, Audited, Deposited, Refunded, Refused, Withdrawn
from tests.chaos.collected import Collected, Event, Table, plain
from tests.chaos.folds import fold_accounts, fold_one, fold_view
from tests.chaos.history import Told

Checker = Callable[[Collected], Iterator[str]]


def conserved(found: Collected) -> Iterator[str]:
    """What is in the accounts is what was paid in less what was paid out; a transfer makes and loses nothing."""
    paid, moved = 0, Counter[str]()
    for event in found.events:
        if not isinstance(event.record, Deposited | Withdrawn | Refunded):
            continue
        cents = -event.record.cents if isinstance(event.record, Withdrawn) else event.record.cents
        if event.record.transfer is None:
            paid += cents
        else:
            moved[event.record.transfer] += cents
    for transfer, cents in moved.items():
        if cents:
            yield f"transfer {transfer} {'makes' if cents > 0 else 'loses'} {abs(cents)} cents"
    balances = fold_accounts(found)
    if (total := sum(account.cents for account in balances.values())) != paid:
        yield f"{total} cents are in the accounts, {paid} were paid in"
    for name, account in balances.items():
        if account.cents < 0:
            yield f"{name} has {account.cents} cents"


def once(found: Collected) -> Iterator[str]:
    """A command that arrived is there once, one that did not is not; whoever was told otherwise was told wrong.

    A command without an id is as often there as it arrived: each place is a command of its own.
    """
    applied: dict[str, list[Event]] = defaultdict(list)
    for event in found.events:
        applied[event.command].append(event)
    for id_, told in found.told.items():
        if told.kind not in ("garbage", "transfer"):
            yield from _once(id_, told, found.arrived[id_], applied[id_])


def _once(id_: str, told: Told, arrived: int, events: list[Event]) -> Iterator[str]:
    versions = [event.version for event in events]
    if told.acknowledged and not arrived:
        yield f"{id_} was acknowledged ({(told.places or told.replies)[0]}) and never arrived"
    if arrived and told.never_left:
        yield f"{id_} arrived though it never left"
    nameless = any(event.cause != event.command for event in events) or told.kind == "told"
    wanted = 0 if told.kind == "nonsense" else arrived if nameless else min(arrived, 1)
    if len(versions) != wanted:
        yield f"{id_} arrived {arrived} times and is in the log {len(versions)} times, as versions {versions}"
    elif nameless and len({event.cause for event in events}) < len(events):
        yield f"one {id_} is in the log {len(versions)} times, as versions {versions}"
    yield from _replied(id_, told, arrived, versions)


def _replied(id_: str, told: Told, arrived: int, versions: list[int]) -> Iterator[str]:
    for status, version, _ in told.replies:
        if status != ("rejected" if told.kind == "nonsense" else "accepted"):
            yield f"{id_} was {status}"
        elif told.kind != "nonsense" and versions and version not in versions:
            yield f"{id_} was told version {version}, its event has {versions[0]}"
    first = sum(not duplicate for _, _, duplicate in told.replies)
    if len(told.replies) > arrived or (first > 1 and told.kind != "nonsense"):
        yield f"{id_} arrived {arrived} times and has {len(told.replies)} replies, {first} of them first ones"


def unique(found: Collected) -> Iterator[str]:
    """No two events have one id, and an event's id and key say which one it is."""
    for id_, count in Counter(event.id for event in found.events).items():
        if count > 1:
            yield f"event {id_} is there {count} times"
    for event in found.events:
        if (event.key, event.id) != (f"{event.account}@{event.version}", f"account:{event.account}@{event.version}"):
            yield f"version {event.version} of {event.account} has key {event.key} and id {event.id}"


def contiguous(found: Collected) -> Iterator[str]:
    """The versions of every account are 1, 2, 3 … in the log's order, on the partition of its key."""
    last: Counter[str] = Counter()
    for event in found.events:
        if event.version != last[event.account] + 1:
            yield f"{event.account}: version {event.version} follows {last[event.account]}"
        last[event.account] = event.version
        if event.partition != partition_of(event.account.encode(), bank.bank.partitions):
            yield f"{event.account}@{event.version} is on partition {event.partition}"


def caused(found: Collected) -> Iterator[str]:
    """Every event follows from a command that somebody sent: nothing of an aborted transaction is to be seen."""
    for event in found.events:
        saga, _, rest = event.command.partition(":")
        sent = rest.rpartition(":")[0] if saga == "transfer" and rest else event.command
        told = found.told.get(sent)
        if told is None or told.kind == "garbage" or (saga == "transfer" and rest and told.kind != "transfer"):
            yield f"{event.id} was caused by {event.command}, which nobody sent"


def settled(found: Collected) -> Iterator[str]:
    """Every acknowledged transfer has ended, in the way that its events say; no other has begun."""
    steps: dict[str, list[str]] = defaultdict(list)
    for event in found.events:
        if isinstance(event.record, Deposited | Withdrawn | Refunded | Refused) and event.record.transfer:
            refused = isinstance(event.record, Refused)
            name = f"refused {event.record.what}" if isinstance(event.record, Refused) else ""
            steps[event.record.transfer].append(name if refused else type(event.record).__name__.lower())
    for id_, step in found.transfers.items():
        if id_ not in found.told:
            yield f"transfer {id_} was never sent"
        if not step.ended:
            yield f"transfer {id_} is {step.status} for ever"
        elif sorted(steps[id_]) != _PATHS[step.status]:
            yield f"transfer {id_} is {step.status} after {', '.join(steps[id_]) or 'nothing'}"
    for id_, told in found.told.items():
        if told.kind == "transfer" and told.acknowledged and id_ not in found.transfers:
            yield f"transfer {id_} was acknowledged and never began"


_PATHS = {
    "done": ["deposited", "withdrawn"],
    "refunded": ["refunded", "refused deposit", "withdrawn"],
    "refused": ["refused withdraw"],
}


def folded(found: Collected) -> Iterator[str]:
    """Every view is the fold of the log, row for row."""
    for view in bank.bank.views:
        rows: dict[str, list[Event]] = defaultdict(list)
        for event in found.events:
            if type(event.record) in view.events:
                rows[str(view.key(event.record))].append(event)
        wanted = {key: plain(fold_view(view, events)) for key, events in rows.items()}
        actual = found.tables[view.name]
        if digest(actual) != digest(wanted):
            yield from _differing(view.name, actual, wanted)


def digest(table: Table) -> str:
    """One value for a whole table."""
    return sha256(b"\n".join(key.encode() + b"\t" + table[key] for key in sorted(table))).hexdigest()


def _differing(name: str, actual: Table, wanted: Table) -> Iterator[str]:
    for key in sorted(actual.keys() | wanted.keys()):
        if actual.get(key) != wanted.get(key):
            yield f"{name} {key}: {actual.get(key)!r}, the log comes to {wanted.get(key)!r}"


def audited(found: Collected) -> Iterator[str]:
    """Whenever a worker told the state of an account, it was the fold of the events before, to the last."""
    accounts: dict[str, Account] = {}
    for event in sorted(found.events, key=lambda event: (event.account, event.version)):
        before = accounts.get(event.account, Account())
        if isinstance(event.record, Audited):
            told = Account(event.record.owner, event.record.cents, event.record.entries, event.record.trail)
            if told != before:
                yield f"{event.id}: the worker had {told}, the log comes to {before}"
        accounts[event.account] = fold_one(before, event)


def restorable(found: Collected) -> Iterator[str]:
    """The newest snapshots and the log from the newest checkpoint make the state, on every partition that is long."""
    states: dict[tuple[int, str], list[Account]] = defaultdict(lambda: [Account()])
    ahead, length = Counter[tuple[int, str]](), Counter[int]()
    for event in found.events:
        of, versions = (event.partition, event.account), states[event.partition, event.account]
        versions.append(fold_one(versions[-1], event))
        ahead[of] += event.offset < found.checkpoints.get(event.partition, 0)
        length[event.partition] += 1
    for partition, events in length.items():
        if partition not in found.checkpoints and events > _LONG:
            yield f"partition {partition} has {events} events and no checkpoint"
    for of, kept in found.snapshots.items():
        told = states[of][kept.version : kept.version + 1]
        if told != [kept.state]:
            yield f"the snapshot of {of[1]} at version {kept.version} is {kept.state}, the log comes to {told}"
    for of, events in ahead.items():
        version = found.snapshots[of].version if of in found.snapshots else 0
        if version < events:
            yield f"{of[1]} has {events} events before the checkpoint, its snapshot is of version {version}"


_LONG = 500  # events: a checkpoint is due far earlier


def set_aside(found: Collected) -> Iterator[str]:
    """The dead letters are the garbage that was sent: each record that Kafka took, once, and nothing else."""
    sent = {place: id_ for id_, told in found.told.items() if told.kind == "garbage" for place in told.places}
    unsure = {
        id_ for id_, told in found.told.items() if told.kind == "garbage" and not told.acknowledged and not told.failed
    }
    places = Counter(letter.place for letter in found.letters)
    for place, id_ in sent.items():
        if places[place] != 1:
            yield f"{id_} at {place} is a dead letter {places[place]} times"
    strange = [letter for letter in found.letters if letter.place not in sent]
    for letter, count in Counter(strange).items():
        if count > 1 or (letter.name is not None and letter.name not in unsure):
            yield f"{count} dead letters of {letter.place} ({letter.name or 'nameless'}), where nothing was sent"
    if len(strange) > len(unsure):
        yield f"{len(strange)} dead letters are of records that only {len(unsure)} sent ones can be"


CHECKERS: tuple[Checker, ...] = (
    conserved,
    once,
    unique,
    contiguous,
    caused,
    settled,
    folded,
    audited,
    restorable,
    set_aside,
)


# What can be said where only the accounts' processor ran.
OF_THE_LOG: tuple[Checker, ...] = (conserved, once, unique, contiguous, caused, audited)


def violations(found: Collected, checkers: tuple[Checker, ...] = CHECKERS) -> dict[str, list[str]]:
    """What each checker finds, by its name."""
    return {checker.__name__: list(checker(found)) for checker in checkers}
