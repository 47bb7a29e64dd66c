"""Stock of one SKU: received, reserved for orders, released or shipped."""

from hypothesis import given as law
from hypothesis import strategies as st

from foldlog.core import Rejected
from foldlog.testing import fold, given
from topologies.orders.stock import (
    Command,
    InsufficientInventory,
    ReceiveStock,
    ReleaseStock,
    ReserveStock,
    ShipStock,
    Stock,
    StockReceived,
    StockReleased,
    StockReserved,
    StockShipped,
    decide,
    evolve,
    stock,
)

ten = StockReceived("lp", 10, "monday")
held = StockReserved("lp", "1", 4)

orders = st.sampled_from(["1", "2", "3"])
quantities = st.integers(-1, 9)
commands = st.lists(
    st.one_of(
        st.builds(ReceiveStock, st.just("lp"), quantities, st.sampled_from(["monday", "tuesday", "friday"])),
        st.builds(ReserveStock, st.just("lp"), orders, quantities),
        st.builds(ReleaseStock, st.just("lp"), orders),
        st.builds(ShipStock, st.just("lp"), orders),
    ),
    max_size=40,
)


def test_a_delivery_is_received() -> None:
    given(stock).when(ReceiveStock("lp", 10, "monday")).then(ten)


def test_a_delivery_counts_once() -> None:
    given(stock, ten).when(ReceiveStock("lp", 10, "monday")).then()


def test_the_next_delivery_adds_to_it() -> None:
    assert fold(stock, ten, StockReceived("lp", 5, "friday")) == Stock(15, 15, deliveries=("monday", "friday"))


def test_stock_is_reserved_for_an_order() -> None:
    given(stock, ten).when(ReserveStock("lp", "1", 4)).then(held)


def test_the_last_piece_can_be_reserved() -> None:
    given(stock, ten, held).when(ReserveStock("lp", "2", 6)).then(StockReserved("lp", "2", 6))


def test_a_shortage_is_an_event_and_reserves_nothing() -> None:
    short = InsufficientInventory("lp", "2", 7, 6)
    given(stock, ten, held).when(ReserveStock("lp", "2", 7)).then(short)
    assert fold(stock, ten, held, short) == fold(stock, ten, held)


def test_a_sku_never_seen_has_nothing() -> None:
    given(stock).when(ReserveStock("lp", "1", 1)).then(InsufficientInventory("lp", "1", 1, 0))


def test_the_same_reservation_counts_once() -> None:
    given(stock, ten, held).when(ReserveStock("lp", "1", 4)).then()


def test_another_reservation_of_the_same_order_is_rejected() -> None:
    given(stock, ten, held).when(ReserveStock("lp", "1", 5)).then_rejected("order 1 holds 4 already")


def test_quantities_are_positive() -> None:
    given(stock).when(ReceiveStock("lp", 0, "monday")).then_rejected("at least 1")
    given(stock, ten).when(ReserveStock("lp", "1", -1)).then_rejected("at least 1")


def test_a_released_reservation_is_available_again() -> None:
    released = StockReleased("lp", "1", 4)
    given(stock, ten, held).when(ReleaseStock("lp", "1")).then(released)
    assert fold(stock, ten, held, released) == fold(stock, ten)


def test_a_reservation_becomes_a_shipment() -> None:
    shipped = StockShipped("lp", "1", 4)
    given(stock, ten, held).when(ShipStock("lp", "1")).then(shipped)
    assert fold(stock, ten, held, shipped) == Stock(10, 6, shipped=4, deliveries=("monday",))


def test_only_what_is_reserved_can_be_released_or_shipped() -> None:
    given(stock, ten, held).when(ReleaseStock("lp", "2")).then_rejected("order 2 has no reservation")
    given(stock, ten, held).when(ShipStock("lp", "2")).then_rejected("order 2 has no reservation")
    shipped = StockShipped("lp", "1", 4)
    given(stock, ten, held, shipped).when(ReleaseStock("lp", "1")).then_rejected("order 1 has no reservation")


@law(commands)
def test_stock_is_conserved(commands: list[Command]) -> None:
    state = Stock()
    for command in commands:
        try:
            events = decide(command, state)
        except Rejected:
            continue
        for event in events:
            state = evolve(state, event)
        assert state.received == state.available + sum(state.reservations.values()) + state.shipped
        assert state.available >= 0
        assert all(quantity > 0 for quantity in state.reservations.values())


def test_earlier_states_are_not_touched_by_later_events() -> None:
    before = fold(stock, ten, held)
    evolve(before, StockShipped("lp", "1", 4))
    evolve(before, StockReserved("lp", "2", 1))
    assert before.reservations == {"1": 4}
