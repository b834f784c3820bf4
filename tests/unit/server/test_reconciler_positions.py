"""Scenarios of positions and balances: long held, closed elsewhere, phantom; each folded through the real managers."""

from __future__ import annotations

import pytest

from foxtrot.core.constants import Offset, Status
from foxtrot.server.oms.reconciler import Block, CashFlow, Code, ReconcilePolicy
from tests.unit.server.test_reconcile_desk import (
    GOLD,
    LONG,
    NOW,
    RICE,
    SECOND,
    SHORT,
    Story,
    account,
    at_venue,
    fill,
    order,
    position,
    snapshot,
)
from tests.unit.server.test_reconciler_orders import codes

ALL = Block("SIM", GOLD)


def test_a_long_held_position_is_opened_once_and_does_not_keep_us_from_starting() -> None:
    story = Story()
    result = story.desk.reconcile(snapshot(positions=(position(7.0, 80.0),)))
    assert codes(result) == [Code.POSITION_OPENED]
    assert not result.blocks
    held = story.desk.own().positions[0]
    assert (held.volume, held.price, held.realized_pnl) == (7.0, 80.0, 0.0)


def test_a_long_held_position_with_newer_fills_is_opened_with_the_rest() -> None:
    story = Story()
    web = order("web", 3.0, strategy="")
    venue = snapshot(fills=[fill(1, web, 3.0, 100.0)], positions=(position(10.0, 86.0),))
    result = story.desk.reconcile(venue)
    assert result.reports[1].price == pytest.approx(80.0)  # type: ignore[union-attr]
    held = story.desk.own().positions[0]
    assert (held.volume, held.price) == (10.0, pytest.approx(86.0))


def test_legs_that_were_long_held_are_opened_each() -> None:
    story = Story()
    legs = (
        position(4.0, 50.0, RICE, direction=LONG),
        position(2.0, 60.0, RICE, direction=SHORT),
    )
    assert not story.desk.reconcile(snapshot(positions=legs)).blocks
    assert story.desk.net(RICE) == 2.0


def test_a_holding_beside_an_order_in_doubt_is_not_taken_for_long_held() -> None:
    """The order may have filled: booking its fill as an opening entry would count it twice when it comes."""
    story = Story()
    story.sent(order(status=Status.UNKNOWN))
    venue = snapshot(positions=(position(10.0),), history_since=None)
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.ORDER_UNKNOWN, Code.POSITION]
    assert ALL in result.blocks
    assert not story.desk.own().positions


def test_an_unfilled_entry_makes_no_phantom_position() -> None:
    story = Story()
    one = story.sent(order(status=Status.UNKNOWN))
    story.desk.reconcile(snapshot([at_venue(one, Status.NOTTRADED)]))
    assert story.desk.net(GOLD) == 0.0


def test_a_position_closed_by_hand_is_explained_by_the_external_fill() -> None:
    story = Story()
    one = order()
    story.sent(one, account(1000.0), fill(1, one, 10.0))
    web = order("web", side=SHORT, strategy="")
    venue = snapshot(
        [at_venue(one, Status.ALLTRADED, 10.0)],
        [fill(1, one, 10.0), fill(2, web, 10.0, 101.0)],
        accounts=(account(1010.0),),
    )
    result = story.desk.reconcile(venue)
    assert not result.blocks
    assert story.desk.net(GOLD) == 0.0
    assert story.desk.balance() == 1010.0
    assert Code.BALANCE not in codes(result)


def test_a_position_that_no_fill_explains_blocks_with_both_numbers() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 10.0))
    venue = snapshot([at_venue(one, Status.ALLTRADED, 10.0)], positions=(position(3.0),))
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.POSITION]
    assert result.blocks == {ALL}
    found = result.discrepancies[0]
    assert (found.ours, found.theirs) == ("10.0", "3.0")
    assert "we hold 10.0, the venue says 3.0" in found.explanation
    assert story.desk.net(GOLD) == 10.0


def test_a_position_that_vanished_at_the_venue_blocks() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 10.0))
    result = story.desk.reconcile(snapshot([at_venue(one, Status.ALLTRADED, 10.0)]))
    assert result.blocks == {ALL}


def test_a_venue_without_a_list_of_positions_is_not_asked_for_them() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 10.0))
    venue = snapshot([at_venue(one, Status.ALLTRADED, 10.0)], positions=None)
    assert not story.desk.reconcile(venue).discrepancies


def test_a_position_that_moved_after_the_snapshot_is_not_judged() -> None:
    story = Story()
    one = order(ts_event=NOW + 1, ts_init=NOW + 1)
    story.sent(one, fill(1, one, 10.0, ts_event=NOW + SECOND))
    result = story.desk.reconcile(snapshot())
    assert not result.discrepancies
    assert GOLD in result.deferred


@pytest.mark.parametrize("volume", [0.5, float("nan")])
def test_a_position_off_the_lot_blocks(volume: float) -> None:
    result = Story().desk.reconcile(snapshot(positions=(position(volume),)))
    assert result.blocks == {ALL}


def test_a_venue_that_nets_what_we_hold_in_legs_is_compared_net() -> None:
    story = Story()
    long_one = order("l", vt_symbol=RICE, offset=Offset.OPEN)
    short_one = order("s", vt_symbol=RICE, offset=Offset.OPEN, side=SHORT)
    story.sent(long_one, fill(1, long_one, 10.0))
    story.sent(short_one, fill(2, short_one, 10.0))
    orders = [
        at_venue(long_one, Status.ALLTRADED, 10.0),
        at_venue(short_one, Status.ALLTRADED, 10.0),
    ]
    assert story.desk.reconcile(snapshot(orders, positions=None)).blocks == frozenset()
    legs = (
        position(10.0, vt_symbol=RICE, direction=LONG),
        position(10.0, vt_symbol=RICE, direction=SHORT),
    )
    assert not story.desk.reconcile(snapshot(orders, positions=legs)).blocks
    one_leg = story.desk.reconcile(snapshot(orders, positions=legs[:1]))
    assert one_leg.blocks == {Block("SIM", RICE)}
    assert "LONG 10.0, SHORT 10.0" in one_leg.discrepancies[0].ours


def test_a_first_balance_is_the_opening_and_no_difference() -> None:
    story = Story()
    assert not story.desk.reconcile(snapshot(accounts=(account(500.0),))).discrepancies
    assert story.desk.balance() == 500.0


def test_a_difference_of_balances_is_told_and_taken_over_without_blocking() -> None:
    story = Story()
    story.desk.fold(account(1000.0))
    result = story.desk.reconcile(snapshot(accounts=(account(990.0),)))
    assert codes(result) == [Code.BALANCE]
    assert "990.0" in result.discrepancies[0].explanation
    assert not result.blocks
    assert story.desk.balance() == 990.0


def test_a_difference_within_the_tolerance_is_rounding() -> None:
    story = Story()
    story.desk.fold(account(1000.0))
    assert not story.desk.reconcile(snapshot(accounts=(account(1000.01),))).discrepancies


def test_a_difference_above_the_limit_is_not_taken_over_and_blocks_the_account() -> None:
    story = Story()
    story.desk.fold(account(1000.0))
    policy = ReconcilePolicy(digits={"USD": 2}, balance_limits={"USD": 5.0})
    result = story.desk.reconcile(snapshot(accounts=(account(990.0),)), policy)
    assert codes(result) == [Code.BALANCE_LIMIT]
    assert result.blocks == {Block("SIM")}
    assert story.desk.balance() == 1000.0


def test_funding_explains_a_difference_above_the_limit() -> None:
    story = Story()
    story.desk.fold(account(1000.0))
    policy = ReconcilePolicy(digits={"USD": 2}, balance_limits={"USD": 5.0})
    venue = snapshot(accounts=(account(990.0),), cash_flows=(CashFlow("USD", -10.0, "funding"),))
    result = story.desk.reconcile(venue, policy)
    assert "explained by funding" in result.discrepancies[0].explanation
    assert not result.blocks
    assert story.desk.balance() == 990.0


def test_a_balance_that_is_no_number_blocks_the_account() -> None:
    story = Story()
    story.desk.fold(account(1000.0))
    result = story.desk.reconcile(snapshot(accounts=(account(float("nan")),)))
    assert result.blocks == {Block("SIM")}


def test_a_position_that_was_flat_before_is_not_taken_for_long_held() -> None:
    story = Story()
    one, back = order(), order(2, side=SHORT)
    story.sent(one, fill(1, one, 10.0))
    story.sent(back, fill(2, back, 10.0))
    orders = [at_venue(one, Status.ALLTRADED, 10.0), at_venue(back, Status.ALLTRADED, 10.0)]
    result = story.desk.reconcile(snapshot(orders, positions=(position(5.0),)))
    assert codes(result) == [Code.POSITION]
    assert story.desk.net(GOLD) == 0.0


def test_fills_of_several_orders_are_folded_in_the_order_in_which_they_traded() -> None:
    """Profit is realised by the order of trades, so a sale between two purchases must stay there."""
    story = Story()
    story.desk.fold(account(1000.0))
    buy, sell = story.sent(order()), story.sent(order(2, 5.0, SHORT))
    fills = [
        fill(1, buy, 5.0, 100.0, ts_event=NOW - 3),
        fill(2, buy, 5.0, 90.0, ts_event=NOW - 1),
        fill(3, sell, 5.0, 104.0, ts_event=NOW - 2),
    ]
    orders = [at_venue(buy, Status.ALLTRADED, 10.0), at_venue(sell, Status.ALLTRADED, 5.0)]
    venue = snapshot(orders, fills, positions=(position(5.0, 90.0),), accounts=(account(1020.0),))
    result = story.desk.reconcile(venue)
    assert not result.discrepancies
    assert story.desk.own().positions[0].realized_pnl == 20.0
    assert result.reports[-1] == account(1020.0)


def test_a_balance_that_newer_fills_have_moved_is_not_taken_back() -> None:
    story = Story()
    one = order()
    late = fill(1, one, 10.0, ts_event=NOW + SECOND, commission=2.0)
    story.sent(one, account(1000.0), late)
    venue = snapshot([at_venue(one, Status.NOTTRADED)], accounts=(account(1000.0),))
    assert not story.desk.reconcile(venue).reports
    assert story.desk.balance() == 998.0
