"""The life of an order: every move of the table, and everything that may come late, twice or out of order."""

from __future__ import annotations

from itertools import permutations

import pytest
from msgspec.structs import replace

from foxtrot.core.constants import Direction, Status
from foxtrot.core.errors import InvalidTransitionError, OrderError
from foxtrot.core.objects import ACTIVE_STATUSES, OrderData
from foxtrot.server.oms.order_manager import EXTERNAL, OrderManager
from foxtrot.server.oms.transitions import TRANSITIONS, check_transition
from foxtrot.testing import make_order, make_trade

S = Status
ID = "SIM.1"
WORKING = {S.NOTTRADED, S.TRIGGERED, S.PARTTRADED}


def manager_with(status: Status, **fields: object) -> OrderManager:
    manager = OrderManager()
    manager.restore(make_order(status, vt_orderid=ID, **fields), None)
    return manager


def report(status: Status, **fields: object) -> OrderData:
    return make_order(status, vt_orderid=ID, **fields)


# --- the table --------------------------------------------------------------------------------------------


def test_the_table_has_every_state_and_terminal_ones_lead_nowhere() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert {status for status, after in TRANSITIONS.items() if after} == ACTIVE_STATUSES


@pytest.mark.parametrize("after", list(Status))
@pytest.mark.parametrize("before", list(Status))
def test_a_report_moves_an_order_as_the_table_allows_and_not_otherwise(
    before: Status, after: Status
) -> None:
    manager = manager_with(before)

    order = manager.fold_report(report(after))

    if after in TRANSITIONS[before] and after is not before:
        assert order is not None
        assert order.status is after
        assert (ID in manager.active) is bool(TRANSITIONS[after])
    else:  # illegal, or nothing new
        assert order is None
        assert manager.orders[ID].status is before


@pytest.mark.parametrize("status", [s for s in Status if s is not S.SUBMITTING])
def test_only_an_order_that_has_not_left_can_be_denied(status: Status) -> None:
    manager = manager_with(status)
    with pytest.raises(InvalidTransitionError, match=f"order SIM.1 cannot go from {status}"):
        manager.deny(manager.orders[ID], "too large")


def test_a_denied_order_is_over_and_says_why() -> None:
    manager = manager_with(S.SUBMITTING)
    denied = manager.deny(manager.orders[ID], "too large")
    assert (denied.status, denied.reason) == (S.DENIED, "too large")
    assert not manager.active


def test_legal_moves_pass_the_check() -> None:
    check_transition(make_order(S.NOTTRADED), S.CANCELLED)


def test_an_id_is_used_once() -> None:
    manager = OrderManager()
    manager.add(make_order(S.SUBMITTING, vt_orderid=ID))
    with pytest.raises(OrderError, match=r"SIM\.1 was used before"):
        manager.add(make_order(S.SUBMITTING, vt_orderid=ID))


# --- reports ----------------------------------------------------------------------------------------------


def test_a_report_that_says_nothing_new_is_no_change() -> None:
    manager = manager_with(S.NOTTRADED)
    assert manager.fold_report(report(S.NOTTRADED, ts_event=99)) is None


def test_a_working_order_takes_up_changed_terms() -> None:
    manager = manager_with(S.NOTTRADED)
    order = manager.fold_report(report(S.NOTTRADED, price=101.0, volume=12.0, venue_orderid="V1"))
    assert order is not None
    assert (order.price, order.volume, order.venue_orderid) == (101.0, 12.0, "V1")


def test_a_late_report_changes_no_terms_but_its_venue_id_is_kept() -> None:
    manager = manager_with(S.CANCELLED)
    late = report(S.NOTTRADED, price=101.0, venue_orderid="V1", reason="old")
    order = manager.fold_report(late)
    assert order is not None
    assert (order.status, order.price, order.reason) == (S.CANCELLED, 100.0, "")
    assert order.venue_orderid == "V1"
    assert manager.fold_report(late) is None


@pytest.mark.parametrize("terminal", [S.CANCELLED, S.REJECTED, S.EXPIRED])
def test_a_cumulated_figure_that_comes_late_raises_traded_and_revives_nothing(
    terminal: Status,
) -> None:
    manager = manager_with(terminal)
    order = manager.fold_report(report(S.PARTTRADED, traded=4.0))
    assert order is not None
    assert (order.status, order.traded) == (terminal, 4.0)
    assert manager.fold_report(report(S.PARTTRADED, traded=3.0)) is None
    assert not manager.active


@pytest.mark.parametrize(
    ("status", "traded", "expected"),
    [
        (S.NOTTRADED, 4.0, S.PARTTRADED),
        (S.TRIGGERED, 4.0, S.PARTTRADED),
        (S.PARTTRADED, 10.0, S.ALLTRADED),
        (S.CANCELLED, 4.0, S.CANCELLED),
    ],
)
def test_a_working_order_that_has_traded_does_not_look_untouched(
    status: Status, traded: float, expected: Status
) -> None:
    manager = manager_with(S.SUBMITTING)
    order = manager.fold_report(report(status, traded=traded))
    assert order is not None
    assert order.status is expected


def test_an_order_that_nobody_here_sent_is_taken_up_as_external() -> None:
    manager = OrderManager()
    order = manager.fold_report(report(S.NOTTRADED))
    assert order is not None
    assert order.strategy == EXTERNAL
    assert ID in manager.active
    mine = manager.fold_report(make_order(S.NOTTRADED, vt_orderid="SIM.2", strategy="sma"))
    assert mine is not None
    assert mine.strategy == "sma"


def test_an_order_sized_by_the_venue_gets_its_volume_from_the_report() -> None:
    manager = manager_with(S.SUBMITTING, volume=0.0)
    part = manager.fold_trade(make_trade(2.0, vt_orderid=ID))
    assert part.status is S.PARTTRADED
    order = manager.fold_report(report(S.NOTTRADED, volume=2.0))
    assert order is not None
    assert (order.status, order.volume) == (S.ALLTRADED, 2.0)


# --- fills ------------------------------------------------------------------------------------------------


def test_partial_fills_sum_exactly_and_average_by_volume() -> None:
    manager = manager_with(S.NOTTRADED, volume=0.6)
    for volume, price in ((0.1, 100.0), (0.2, 103.0)):
        order = manager.fold_trade(make_trade(volume, price, vt_orderid=ID))
    assert (order.traded, order.status) == (0.3, S.PARTTRADED)
    assert order.average_price == pytest.approx(102.0)
    assert order.remaining == pytest.approx(0.3)
    order = manager.fold_trade(make_trade(0.3, 102.0, vt_orderid=ID))
    assert (order.traded, order.status) == (0.6, S.ALLTRADED)
    assert manager.filled(ID) == 0.6
    assert not manager.active


def test_ten_tenths_make_one() -> None:
    manager = manager_with(S.NOTTRADED, volume=1.0)
    for _ in range(10):
        order = manager.fold_trade(make_trade(0.1, vt_orderid=ID))
    assert (order.traded, order.status) == (1.0, S.ALLTRADED)


def test_a_fill_after_a_cancellation_counts_and_the_order_stays_cancelled() -> None:
    manager = manager_with(S.CANCELLED)
    order = manager.fold_trade(make_trade(10.0, vt_orderid=ID))
    assert (order.status, order.traded) == (S.CANCELLED, 10.0)


def test_a_fill_of_an_order_in_flight_shows_that_it_works() -> None:
    for before in (S.SUBMITTING, S.UNKNOWN, S.TRIGGERED):
        order = manager_with(before).fold_trade(make_trade(1.0, vt_orderid=ID))
        assert order.status is S.PARTTRADED


def test_reports_and_fills_of_the_same_trades_may_come_in_any_order() -> None:
    first, second = make_trade(4.0, 100.0, vt_orderid=ID), make_trade(6.0, 105.0, vt_orderid=ID)
    ends = set()
    reports = (report(S.PARTTRADED, traded=4.0, average_price=100.0),)
    for messages in permutations((first, second, *reports, report(S.ALLTRADED, traded=10.0))):
        manager = manager_with(S.NOTTRADED)
        highest = 0.0
        for message in messages:
            fold = manager.fold_report if isinstance(message, OrderData) else manager.fold_trade
            fold(message)  # type: ignore[operator]
            assert manager.orders[ID].traded >= highest
            highest = manager.orders[ID].traded
        order = manager.orders[ID]
        ends.add((order.status, order.traded, order.average_price))
    assert ends == {(S.ALLTRADED, 10.0, 103.0)}


def test_the_venues_average_holds_until_its_fills_have_come() -> None:
    manager = manager_with(S.NOTTRADED)
    manager.fold_trade(make_trade(5.0, 100.0, vt_orderid=ID))
    order = manager.fold_report(report(S.ALLTRADED, traded=10.0, average_price=101.0))
    assert order is not None
    assert order.average_price == 101.0
    order = manager.fold_trade(make_trade(2.0, 102.0, vt_orderid=ID))
    assert (order.traded, order.average_price) == (10.0, 101.0)
    order = manager.fold_trade(make_trade(3.0, 102.0, vt_orderid=ID))
    assert order.average_price == 101.0
    order = manager.fold_trade(make_trade(1.0, 112.0, vt_orderid=ID))  # more than it said
    assert (order.traded, order.average_price) == (11.0, 102.0)


def test_a_fill_without_an_order_makes_one_up_that_can_still_be_cancelled() -> None:
    manager = OrderManager()
    order = manager.fold_trade(make_trade(2.0, 100.0, Direction.SHORT, vt_orderid=ID))
    assert (order.strategy, order.status, order.volume) == (EXTERNAL, S.UNKNOWN, 0.0)
    assert (order.direction, order.traded, order.average_price) == (Direction.SHORT, 2.0, 100.0)
    order = manager.fold_trade(make_trade(1.0, 103.0, Direction.SHORT, vt_orderid=ID))
    assert (order.status, order.traded, order.average_price) == (S.UNKNOWN, 3.0, 101.0)

    known = manager.fold_report(report(S.PARTTRADED, traded=3.0))
    assert known is not None
    assert (known.status, known.volume, known.strategy) == (S.PARTTRADED, 10.0, EXTERNAL)


def test_a_restored_order_goes_on_with_its_fills() -> None:
    manager = OrderManager()
    saved = make_order(S.PARTTRADED, vt_orderid=ID, traded=4.0, average_price=100.0)
    manager.restore(saved, (4.0, 400.0))
    order = manager.fold_trade(make_trade(6.0, 105.0, vt_orderid=ID))
    assert (order.status, order.traded, order.average_price) == (S.ALLTRADED, 10.0, 103.0)


def test_an_order_keeps_what_a_report_does_not_say() -> None:
    manager = manager_with(S.NOTTRADED, strategy="sma", reference="entry", venue_orderid="V1")
    sparse = replace(report(S.CANCELLED, volume=0.0), reason="by user")
    order = manager.fold_report(sparse)
    assert order is not None
    assert (order.strategy, order.reference, order.venue_orderid) == ("sma", "entry", "V1")
    assert (order.volume, order.reason) == (10.0, "by user")
