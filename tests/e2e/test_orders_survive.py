"""Whatever is done to the workers, the orders come to the same: the same rows byte for byte, nothing lost or twice."""

import random
import signal
import time

from foldlog.cli.demo.expected import expected
from tests.e2e.checkers import differing_rows
from tests.e2e.conftest import Purchases
from tests.e2e.running import SESSION_MS, VIEWS, Outcome, Shop, eventually, faults
from topologies.orders.order import Status

KILLS = 5
SEED = 1997
TOO_LATE = "there is nothing left to disturb: take more orders"


def _same(shop: Shop, purchases: Purchases, undisturbed: Outcome) -> None:
    """The outcome has no fault and is that of the undisturbed run."""
    outcome = shop.outcome()
    assert faults(outcome, purchases) == []
    for view in VIEWS:
        assert list(differing_rows(outcome.tables[view], undisturbed.tables[view])) == []
    assert outcome.counts == undisturbed.counts


def _written(shop: Shop, share: float, purchases: Purchases) -> None:
    """Waits until this share of the orders' log is written, and not all of it."""
    eventually(lambda: shop.written() >= share * 3 * len(purchases), f"{share:.0%} of the log", 900)
    assert shop.written() < 3 * len(purchases), TOO_LATE


def test_undisturbed_the_run_is_what_the_file_says(purchases: Purchases, undisturbed: Outcome) -> None:
    wanted = expected(purchases)
    assert faults(undisturbed, purchases) == []
    assert {log: sum(n for (of, _), n in undisturbed.counts.items() if of == log) for log in wanted.events} == (
        wanted.events
    )
    confirmed = [row for row in undisturbed.orders.values() if row.status is Status.CONFIRMED]
    assert (len(confirmed), sum(row.total for row in confirmed)) == (wanted.confirmed.orders, wanted.confirmed.money)


def test_killed_five_times_and_restarted(shop: Shop, purchases: Purchases, undisturbed: Outcome) -> None:
    moments = random.Random(SEED)
    shares = sorted(moments.uniform(0.05, 0.8) for _ in range(KILLS))
    worker = shop.start("only").ready()
    shop.stock(purchases)
    shop.order(purchases)
    for share in shares:
        time.sleep(moments.uniform(0, 0.2))
        _written(shop, share, purchases)
        worker.kill()
        worker = shop.start("only")
    shop.settle(len(purchases))
    worker.stop()
    _same(shop, purchases, undisturbed)


def test_a_second_worker_takes_over_from_the_first(shop: Shop, purchases: Purchases, undisturbed: Outcome) -> None:
    half = len(purchases) // 2
    first = shop.start("first").ready()
    assert shop.owners() == {"first": 4}
    shop.stock(purchases)
    shop.order(purchases[:half])
    _written(shop, 0.1, purchases)
    second = shop.start("second").ready()
    eventually(lambda: shop.owners() == {"first": 2, "second": 2}, "two partitions for each worker")
    written = shop.written()
    shop.order(purchases[half:])  # the first must not be done before it dies
    eventually(lambda: shop.written() > written, "both work")
    first.kill()
    assert shop.written() < 3 * len(purchases), TOO_LATE
    eventually(lambda: shop.owners() == {"second": 4}, "the second worker has all partitions")
    shop.settle(len(purchases))
    second.stop()
    _same(shop, purchases, undisturbed)


def test_a_zombie_writes_nothing_and_joins_again(shop: Shop, purchases: Purchases, undisturbed: Outcome) -> None:
    early, late = purchases[: len(purchases) * 9 // 10], purchases[len(purchases) * 9 // 10 :]
    zombie = shop.start("zombie").ready()
    shop.stock(purchases)
    shop.order(early)
    _written(shop, 0.2, purchases)
    zombie.signal(signal.SIGSTOP)
    other = shop.start("other")
    eventually(lambda: shop.owners() == {"other": 4}, f"the session of {SESSION_MS} ms is over")
    shop.settle(len(early))
    before = shop.outcome()
    zombie.signal(signal.SIGCONT)
    eventually(lambda: shop.owners() == {"zombie": 2, "other": 2}, "the zombie is a member again")
    zombie.ready()
    # It went on with the batches that it had in its hands.
    eventually(lambda: " aborted " in zombie.log.read_text(), "the zombie's batches are aborted")
    assert shop.outcome() == before
    shop.order(late)
    shop.settle(len(purchases))
    zombie.stop()
    other.stop()
    _same(shop, purchases, undisturbed)


def test_without_its_state_directory_a_worker_goes_on(shop: Shop, purchases: Purchases, undisturbed: Outcome) -> None:
    half = len(purchases) // 2
    worker = shop.start("only").ready()
    shop.stock(purchases)
    shop.order(purchases[:half])
    _written(shop, 0.25, purchases)
    worker.stop()
    shop.forget("only")
    worker = shop.start("only")
    shop.order(purchases[half:])
    shop.settle(len(purchases))
    worker.stop()
    _same(shop, purchases, undisturbed)
