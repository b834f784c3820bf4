"""Scenarios of orders: in flight, missing, external, contradicting; each folded through the real managers."""

from __future__ import annotations

import dataclasses

import pytest
from msgspec.structs import replace

from foxtrot.core.clock import NEVER
from foxtrot.core.constants import Status
from foxtrot.core.errors import OmsError
from foxtrot.core.objects import OrderData
from foxtrot.server.oms.reconciler import NEVER_ARRIVED, Block, Code, Reconciliation, reconcile
from tests.unit.server.test_reconcile_desk import (
    GOLD,
    LONG,
    NOW,
    POLICY,
    SECOND,
    SHORT,
    T0,
    Story,
    account,
    at_venue,
    fill,
    order,
    position,
    snapshot,
)

OURS = Block("SIM", GOLD, "s1")
ALL = Block("SIM", GOLD)


def codes(result: Reconciliation) -> list[Code]:
    return [found.code for found in result.discrepancies]


def unknown(**more: object) -> OrderData:
    return order(status=Status.UNKNOWN, reason="in flight when the OMS ended", **more)


def test_a_lost_acknowledgement_is_taken_from_the_venues_open_orders() -> None:
    story = Story()
    one = story.sent(order())
    story.desk.reconcile(snapshot([at_venue(one, Status.NOTTRADED, venue_orderid="v1")]))
    found = story.desk.orders.orders["SIM.1"]
    assert (found.status, found.venue_orderid, found.strategy) == (Status.NOTTRADED, "v1", "s1")


@pytest.mark.parametrize(
    "outcome",
    [Status.NOTTRADED, Status.TRIGGERED, Status.CANCELLED, Status.REJECTED, Status.EXPIRED],
)
def test_an_unknown_order_that_the_venue_lists_is_resolved_whatever_became_of_it(
    outcome: Status,
) -> None:
    story = Story()
    one = story.sent(unknown())
    result = story.desk.reconcile(snapshot([at_venue(one, outcome)]))
    assert result.resolved == ("SIM.1",)
    assert not result.blocks
    assert story.desk.orders.orders["SIM.1"].status is outcome


def test_an_unknown_order_that_filled_meanwhile_is_resolved_with_its_fills() -> None:
    story = Story()
    one = story.sent(unknown())
    venue = snapshot(
        [at_venue(one, Status.ALLTRADED, 10.0)],
        [fill(1, one, 10.0)],
        positions=(position(10.0),),
    )
    assert story.desk.reconcile(venue).resolved == ("SIM.1",)
    assert story.desk.net(GOLD) == 10.0


def test_a_timeout_is_not_a_failure_so_silence_within_the_grace_period_blocks() -> None:
    """A submit that timed out and is sent again is a double order; it stays UNKNOWN until the venue must know."""
    story = Story()
    story.sent(unknown())
    result = story.desk.reconcile(snapshot(ts=T0 + POLICY.grace - 1))
    assert result.blocks == {OURS}
    assert "grace period" in result.discrepancies[0].explanation
    assert story.desk.orders.orders["SIM.1"].status is Status.UNKNOWN


@pytest.mark.parametrize(
    "venue",
    [
        snapshot(open_orders_complete=False),
        snapshot(history_since=None),
        snapshot(history_since=T0 + 1),
    ],
    ids=["open orders incomplete", "no history", "history too short"],
)
def test_silence_of_a_venue_that_cannot_tell_all_blocks_for_ever(venue) -> None:  # type: ignore[no-untyped-def]
    story = Story()
    story.sent(unknown())
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.ORDER_UNKNOWN]
    assert result.blocks == {OURS}
    assert not result.resolved


def test_an_order_that_the_venue_would_have_to_know_and_does_not_never_arrived() -> None:
    story = Story()
    story.sent(unknown())
    result = story.desk.reconcile(snapshot(ts=T0 + POLICY.grace))
    ended = story.desk.orders.orders["SIM.1"]
    assert (ended.status, ended.reason) == (Status.REJECTED, NEVER_ARRIVED)
    assert result.resolved == ("SIM.1",)
    assert not result.blocks


@pytest.mark.parametrize("settled", [NEVER, NOW, NOW - POLICY.grace + 1])
def test_an_order_whose_command_may_still_be_on_its_way_is_left_to_the_next_snapshot(
    settled: int,
) -> None:
    story = Story()
    story.sent(order())
    own = dataclasses.replace(story.desk.own(), settled=lambda _vt_orderid: settled)
    result = reconcile(snapshot(), own, POLICY)
    assert result.deferred == (GOLD, "SIM.1")
    assert not result.reports


def test_an_order_whose_command_ended_long_ago_never_arrived() -> None:
    story = Story()
    story.sent(order())
    own = dataclasses.replace(story.desk.own(), settled=lambda _vt_orderid: NOW - POLICY.grace)
    (report,) = reconcile(snapshot(), own, POLICY).reports
    assert isinstance(report, OrderData)
    assert report.reason == NEVER_ARRIVED


def test_an_acknowledged_order_never_counts_as_never_arrived() -> None:
    story = Story()
    story.sent(unknown(venue_orderid="v1"))
    result = story.desk.reconcile(snapshot())
    assert codes(result) == [Code.ORDER_MISSING]
    assert result.blocks == {OURS}


def test_an_order_with_a_fill_never_counts_as_never_arrived() -> None:
    story = Story()
    one = story.sent(unknown())
    result = story.desk.reconcile(snapshot(fills=[fill(1, one, 3.0)], positions=(position(3.0),)))
    ended = story.desk.orders.orders["SIM.1"]
    assert (ended.status, ended.traded) == (Status.UNKNOWN, 3.0)
    assert result.blocks == {OURS}
    assert not result.resolved


def test_an_order_with_a_malformed_fill_never_counts_as_never_arrived() -> None:
    story = Story()
    one = story.sent(unknown())
    result = story.desk.reconcile(snapshot(fills=[fill(1, one, float("nan"))]))
    assert story.desk.orders.orders["SIM.1"].status is Status.UNKNOWN
    assert result.blocks == {OURS, ALL}


def test_an_order_sent_after_the_question_is_left_to_the_next_snapshot() -> None:
    story = Story()
    story.sent(order(ts_event=NOW + 1, ts_init=NOW + 1))
    result = story.desk.reconcile(snapshot())
    assert result.deferred == (GOLD, "SIM.1")
    assert not result.discrepancies


def test_a_submit_whose_acknowledgement_is_long_overdue_never_arrived_either() -> None:
    story = Story()
    story.sent(order())
    story.desk.reconcile(snapshot())
    assert story.desk.orders.orders["SIM.1"].status is Status.REJECTED


def test_a_submit_that_is_overdue_at_a_venue_that_cannot_tell_becomes_unknown() -> None:
    story = Story()
    story.sent(order())
    result = story.desk.reconcile(snapshot(history_since=None))
    assert story.desk.orders.orders["SIM.1"].status is Status.UNKNOWN
    assert result.blocks == {OURS}


def test_a_working_order_that_is_not_listed_is_never_dropped_nor_marked_rejected() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.NOTTRADED))
    result = story.desk.reconcile(snapshot())
    # It had been acknowledged without a venue's id and nothing traded: still not "never arrived".
    assert story.desk.orders.orders["SIM.1"].status is Status.UNKNOWN
    assert "SIM.1" in story.desk.orders.active
    assert result.blocks == {OURS}


def test_a_working_order_that_is_not_listed_and_whose_fills_add_up_is_filled() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.NOTTRADED), fill(1, one, 4.0))
    venue = snapshot(fills=[fill(1, one, 4.0), fill(2, one, 6.0)], positions=(position(10.0),))
    assert not story.desk.reconcile(venue).blocks
    assert story.desk.orders.orders["SIM.1"].status is Status.ALLTRADED


def test_an_unknown_order_that_we_had_all_fills_of_is_filled() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.UNKNOWN))
    story.desk.orders.restore(replace(one, status=Status.UNKNOWN, traded=10.0), 10.0)
    story.desk.trades.restore(fill(1, one, 10.0))
    story.desk.positions.fold(fill(1, one, 10.0))
    result = story.desk.reconcile(snapshot(positions=(position(10.0),)))
    assert result.resolved == ("SIM.1",)
    assert story.desk.orders.orders["SIM.1"].status is Status.ALLTRADED


def test_a_working_order_that_is_not_listed_stays_where_open_orders_are_incomplete() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.NOTTRADED))
    result = story.desk.reconcile(snapshot(open_orders_complete=False))
    assert codes(result) == [Code.ORDER_UNLISTED]
    assert story.desk.orders.orders["SIM.1"].status is Status.NOTTRADED


def test_a_missing_order_that_turns_up_again_is_resolved() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.NOTTRADED))
    assert story.desk.reconcile(snapshot()).blocks
    result = story.desk.reconcile(snapshot([at_venue(one, Status.NOTTRADED)], ts=NOW + SECOND))
    assert not result.blocks
    assert result.resolved == ("SIM.1",)


def test_an_order_that_the_venue_itself_cannot_tell_is_unknown() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.NOTTRADED))
    result = story.desk.reconcile(snapshot([at_venue(one, Status.UNKNOWN)]))
    assert result.blocks == {OURS}
    assert story.desk.orders.orders["SIM.1"].status is Status.UNKNOWN


def test_a_change_made_at_the_venue_is_taken_over() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.NOTTRADED))
    changed = at_venue(one, Status.NOTTRADED, price=99.0, volume=8.0)
    assert not story.desk.reconcile(snapshot([changed])).blocks
    found = story.desk.orders.orders["SIM.1"]
    assert (found.price, found.volume) == (99.0, 8.0)


def test_a_hundred_external_orders_are_adopted_once_and_left_alone() -> None:
    story = Story()
    orders, fills = [], []
    for n in range(100):
        foreign = order(f"web{n}", side=LONG if n % 2 else SHORT, strategy="")
        traded = float(n % 4)
        orders.append(at_venue(foreign, Status.NOTTRADED, traded, average_price=100.0))
        if traded:
            fills.append(fill(n, foreign, traded))
    held = sum(f.volume if f.direction is LONG else -f.volume for f in fills)
    venue = snapshot(orders, fills, positions=(position(held),))
    result = story.desk.reconcile(venue)
    adopted = story.desk.orders.orders
    assert len(adopted) == 100
    assert {found.strategy for found in adopted.values()} == {"EXTERNAL"}
    assert all(found.is_active() for found in adopted.values())
    assert codes(result) == [Code.ORDER_EXTERNAL] * 100
    assert story.desk.net(GOLD) == held


def test_old_external_orders_that_never_traded_are_not_adopted() -> None:
    foreign = at_venue(order("web", strategy=""), Status.CANCELLED)
    assert not Story().desk.reconcile(snapshot([foreign])).reports


def test_our_order_under_another_id_is_not_adopted_a_second_time() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.NOTTRADED, venue_orderid="v1"))
    other = at_venue(order("v1"), Status.PARTTRADED, 3.0, venue_orderid="v1", average_price=100.0)
    result = story.desk.reconcile(snapshot([other], positions=(position(3.0),)))
    assert set(story.desk.orders.orders) == {"SIM.1"}
    assert Code.ORDER_TWO_IDS in codes(result)
    assert ALL in result.blocks


def test_a_closed_order_that_works_at_the_venue_blocks_and_is_not_revived() -> None:
    story = Story()
    one = order()
    story.sent(one, at_venue(one, Status.CANCELLED))
    result = story.desk.reconcile(snapshot([at_venue(one, Status.NOTTRADED)]))
    assert codes(result) == [Code.ORDER_STILL_WORKING]
    assert result.blocks == {ALL}
    assert story.desk.orders.orders["SIM.1"].status is Status.CANCELLED


def test_an_order_closed_as_never_arrived_that_filled_after_all_gets_its_fills() -> None:
    story = Story()
    one = order()
    story.sent(one, replace(one, status=Status.REJECTED, reason=NEVER_ARRIVED))
    venue = snapshot(
        [at_venue(one, Status.ALLTRADED, 10.0)], [fill(1, one, 10.0)], positions=(position(10.0),)
    )
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.ORDER_FINAL_STATE]
    assert story.desk.net(GOLD) == 10.0


def test_traded_that_falls_blocks() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 5.0))
    venue = snapshot(
        [at_venue(one, Status.PARTTRADED, 3.0)], [fill(1, one, 5.0)], positions=(position(5.0),)
    )
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.TRADED_FELL]
    assert result.blocks == {ALL}


@pytest.mark.parametrize(
    "record",
    [
        {"status": Status.ALLTRADED, "traded": 3.0},
        {"status": Status.PARTTRADED, "traded": 0.0},
        {"status": Status.PARTTRADED, "traded": 11.0},
        {"status": Status.PARTTRADED, "traded": 0.5},
        {"status": Status.NOTTRADED, "traded": float("nan")},
        {"status": Status.NOTTRADED, "price": float("inf")},
    ],
)
def test_a_record_that_contradicts_itself_blocks_and_changes_nothing(record) -> None:  # type: ignore[no-untyped-def]
    story = Story()
    one = story.sent(order())
    result = story.desk.reconcile(snapshot([replace(at_venue(one, Status.NOTTRADED), **record)]))
    assert codes(result) == [Code.ORDER_INCONSISTENT]
    assert result.blocks == {ALL}
    assert story.desk.orders.orders["SIM.1"] == one


def test_an_id_that_is_another_order_at_the_venue_blocks() -> None:
    story = Story()
    one = story.sent(order())
    result = story.desk.reconcile(
        snapshot([at_venue(replace(one, direction=SHORT), Status.NOTTRADED)])
    )
    assert codes(result) == [Code.ORDER_MISMATCH]
    assert result.blocks == {ALL}


def test_an_order_listed_twice_counts_in_its_most_advanced_state() -> None:
    story = Story()
    one = story.sent(order())
    lists = [at_venue(one, Status.CANCELLED), at_venue(one, Status.NOTTRADED)]
    assert not story.desk.reconcile(snapshot(lists)).blocks
    assert story.desk.orders.orders["SIM.1"].status is Status.CANCELLED


def test_an_order_that_is_newer_here_than_the_snapshot_is_not_judged_by_it() -> None:
    story = Story()
    one = order()
    late = fill(1, one, 10.0, ts_event=NOW + SECOND)
    story.sent(one, account(1000.0), late)
    venue = snapshot([at_venue(one, Status.NOTTRADED)], accounts=(account(1000.0),))
    result = story.desk.reconcile(venue)
    assert result == Reconciliation(deferred=(GOLD, "SIM.1"))


def test_orders_of_other_adapters_are_not_touched() -> None:
    story = Story()
    story.sent(replace(order(), vt_orderid="ELSE.1", status=Status.NOTTRADED))
    assert story.desk.reconcile(snapshot()) == Reconciliation()


def test_a_snapshot_with_another_adapters_ids_is_refused() -> None:
    story = Story()
    foreign = replace(order(), vt_orderid="ELSE.1")
    with pytest.raises(OmsError, match="mend the adapter"):
        reconcile(snapshot([foreign]), story.desk.own(), POLICY)


def test_an_acknowledged_order_that_a_restart_made_unknown_never_counts_as_never_arrived() -> None:
    """The venue gave no id of its own: that it had the order shows in the time of its last event alone."""
    story = Story()
    story.sent(unknown(ts_event=T0 + SECOND))
    result = story.desk.reconcile(snapshot())
    assert codes(result) == [Code.ORDER_MISSING]
    assert story.desk.orders.orders["SIM.1"].status is Status.UNKNOWN


def test_an_unknown_order_with_a_clock_ahead_of_the_venues_is_resolved_and_then_judged() -> None:
    story = Story()
    one = story.sent(unknown(ts_event=NOW + SECOND, ts_init=NOW + SECOND))
    venue = snapshot([at_venue(one, Status.NOTTRADED, ts_event=NOW)], positions=(position(5.0),))
    story.desk.trades.restore(fill(0, order(0), 1.0))
    result = story.desk.reconcile(venue)
    assert result.resolved == ("SIM.1",)
    assert result.blocks == {ALL}


def test_a_rejection_after_part_has_traded_is_a_cancellation() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 3.0))
    venue = snapshot(
        [at_venue(one, Status.REJECTED, 3.0)], [fill(1, one, 3.0)], positions=(position(3.0),)
    )
    assert not story.desk.reconcile(venue).blocks
    assert story.desk.orders.orders["SIM.1"].status is Status.CANCELLED
