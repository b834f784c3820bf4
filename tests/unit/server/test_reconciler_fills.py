"""Scenarios of fills: lost, doubled, late, made up, absorbed; each folded through the real managers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from foxtrot.core.constants import OrderType, Status
from foxtrot.core.objects import TradeData
from foxtrot.core.rounding import LotSize
from foxtrot.server.oms.reconciler import Block, Code, absorb, is_synthetic
from tests.unit.server.test_reconcile_desk import (
    COIN,
    GOLD,
    LONG,
    NOW,
    SECOND,
    SHORT,
    Story,
    at_venue,
    fill,
    order,
    position,
    snapshot,
)
from tests.unit.server.test_reconciler_orders import codes

ALL = Block("SIM", GOLD)
LOT = LotSize(1.0)


def gap_of_two() -> tuple[Story, TradeData]:
    """An order that traded 5 at 102 on average, of which the venue lists 3 at 100; the other 2 came at 105."""
    story = Story()
    one = story.sent(order(price=110.0))
    listed = at_venue(one, Status.PARTTRADED, 5.0, average_price=102.0)
    venue = snapshot([listed], [fill(1, one, 3.0)], positions=(position(5.0),))
    story.desk.reconcile(venue)
    return story, fill(2, one, 2.0, 105.0, commission=0.5)


def synthetic(story: Story) -> TradeData:
    return next(t for t in story.desk.trades.trades.values() if is_synthetic(t))


def test_fills_during_a_disconnect_are_recovered_with_price_and_commission() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 4.0, 99.0))
    missed = fill(2, one, 6.0, 98.0, commission=0.5)
    venue = snapshot(
        [at_venue(one, Status.ALLTRADED, 10.0, average_price=98.4)],
        [fill(1, one, 4.0, 99.0), missed],
        positions=(position(10.0),),
    )
    assert not story.desk.reconcile(venue).discrepancies
    found = story.desk.orders.orders["SIM.1"]
    assert (found.status, found.average_price) == (Status.ALLTRADED, pytest.approx(98.4))
    assert story.desk.trades.trades["SIM.2"].strategy == "s1"


def test_an_average_that_an_early_report_spoiled_is_set_right_by_the_fills() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 4.0, 99.0))
    story.desk.fold(at_venue(one, Status.PARTTRADED, 8.0, average_price=98.5))
    venue = snapshot(
        [at_venue(one, Status.PARTTRADED, 8.0, average_price=98.5)],
        [fill(1, one, 4.0, 99.0), fill(2, one, 4.0, 98.0)],
        positions=(position(8.0),),
    )
    story.desk.reconcile(venue)
    assert story.desk.orders.orders["SIM.1"].average_price == pytest.approx(98.5)


def test_a_fill_listed_twice_is_folded_once() -> None:
    story = Story()
    one = story.sent(order())
    fills = [fill(1, one, 4.0)] * 3
    story.desk.reconcile(
        snapshot([at_venue(one, Status.PARTTRADED, 4.0)], fills, positions=(position(4.0),))
    )
    assert story.desk.net(GOLD) == 4.0


def test_a_fill_under_a_second_id_is_not_folded_and_blocks() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 4.0))
    venue = snapshot(
        [at_venue(one, Status.PARTTRADED, 4.0)],
        [fill("again", one, 4.0)],
        positions=(position(4.0),),
    )
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.FILLS_EXCEED_ORDER]
    assert result.blocks == {ALL}
    assert story.desk.net(GOLD) == 4.0


def test_an_execution_id_that_stands_for_two_fills_blocks() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 4.0))
    venue = snapshot([at_venue(one, Status.PARTTRADED, 5.0)], [fill(1, one, 5.0)], positions=None)
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.FILL_CHANGED]
    assert result.blocks == {ALL}


@pytest.mark.parametrize("volume", [0.0, -1.0, 0.5, float("nan"), float("inf")])
def test_a_fill_that_cannot_be_booked_blocks(volume: float) -> None:
    story = Story()
    one = story.sent(order())
    venue = snapshot([at_venue(one, Status.NOTTRADED)], [fill(1, one, volume)])
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.FILL_MALFORMED]
    assert result.blocks == {ALL}


def test_a_fill_of_the_other_side_of_its_order_blocks() -> None:
    story = Story()
    one = story.sent(order())
    wrong = replace(fill(1, one, 4.0), direction=SHORT)
    result = story.desk.reconcile(snapshot([at_venue(one, Status.NOTTRADED)], [wrong]))
    assert codes(result) == [Code.FILL_MISMATCH]
    assert result.blocks == {ALL}


def test_external_fills_without_an_order_get_an_external_one() -> None:
    story = Story()
    web = order("web", 5.0, strategy="")
    fills = [fill(1, web, 2.0), fill(2, web, 3.0)]
    story.desk.reconcile(snapshot(fills=fills, positions=(position(5.0),)))
    adopted = story.desk.orders.orders["SIM.web"]
    assert (adopted.strategy, adopted.volume, adopted.status) == (
        "EXTERNAL",
        5.0,
        Status.ALLTRADED,
    )
    assert story.desk.net(GOLD) == 5.0


def test_a_gap_that_no_fill_explains_becomes_one_synthetic_fill_at_the_implied_price() -> None:
    story, _ = gap_of_two()
    made = synthetic(story)
    assert (made.volume, made.price, made.strategy) == (2.0, pytest.approx(105.0), "s1")
    assert made.vt_tradeid.startswith("SIM.SYN-")
    assert story.desk.orders.orders["SIM.1"].average_price == pytest.approx(102.0)
    assert story.desk.net(GOLD) == 5.0


def test_the_same_gap_always_gives_the_same_id() -> None:
    assert synthetic(gap_of_two()[0]) == synthetic(gap_of_two()[0])


def test_the_real_fill_that_comes_later_live_counts_once_and_brings_its_commission() -> None:
    story, real = gap_of_two()
    before = story.desk.balance()
    story.desk.live(real, real)
    assert story.desk.net(GOLD) == 5.0
    assert story.desk.balance() == before - 0.5
    assert story.desk.trades.trades["SIM.2"].volume == 0.0
    assert story.desk.orders.filled("SIM.1") == 5.0


def test_the_real_fill_that_the_venue_lists_later_counts_once() -> None:
    story, real = gap_of_two()
    one = story.desk.orders.orders["SIM.1"]
    venue = snapshot(
        [at_venue(one, Status.PARTTRADED, 5.0, average_price=102.0)],
        [fill(1, one, 3.0), real],
        positions=(position(5.0),),
    )
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.FILL_ABSORBED]
    assert not result.blocks
    assert story.desk.net(GOLD) == 5.0


def test_real_fills_that_split_the_gap_otherwise_count_once() -> None:
    story, real = gap_of_two()
    story.desk.live(replace(real, volume=1.0), replace(real, vt_tradeid="SIM.3", volume=1.0))
    assert story.desk.net(GOLD) == 5.0


def test_a_real_fill_larger_than_the_gap_adds_the_rest() -> None:
    story, real = gap_of_two()
    story.desk.live(replace(real, volume=4.0))
    assert story.desk.net(GOLD) == 7.0
    assert story.desk.trades.trades["SIM.2"].volume == 2.0


def test_a_new_fill_after_a_synthetic_one_is_folded_whole() -> None:
    story, real = gap_of_two()
    story.desk.live(replace(real, vt_tradeid="SIM.new", ts_event=NOW + SECOND))
    assert story.desk.net(GOLD) == 7.0
    story.desk.live(real)
    assert story.desk.net(GOLD) == 7.0


def test_an_implied_price_beyond_the_limit_gives_way_to_the_limit() -> None:
    story = Story()
    one = story.sent(order(price=100.0))
    listed = at_venue(one, Status.PARTTRADED, 5.0, average_price=150.0)
    result = story.desk.reconcile(snapshot([listed], positions=(position(5.0),)))
    assert synthetic(story).price == 100.0
    assert "limit" in result.discrepancies[0].explanation


def test_a_gap_whose_price_nothing_tells_is_not_booked_and_blocks() -> None:
    story = Story()
    one = story.sent(order(type=OrderType.MARKET, price=0.0))
    venue = snapshot([at_venue(one, Status.ALLTRADED, 10.0)], positions=(position(10.0),))
    result = story.desk.reconcile(venue)
    assert codes(result) == [Code.FILL_UNPRICED, Code.POSITION]
    assert result.blocks == {ALL}
    assert not story.desk.trades.trades


def test_an_average_price_that_does_not_fit_its_fills_is_told() -> None:
    story = Story()
    one = order()
    story.sent(one, fill(1, one, 10.0, 99.0))
    listed = at_venue(one, Status.ALLTRADED, 10.0, average_price=98.0)
    result = story.desk.reconcile(
        snapshot([listed], [fill(1, one, 10.0, 99.0)], positions=(position(10.0),))
    )
    assert codes(result) == [Code.AVERAGE_PRICE]
    assert not result.blocks


def test_fills_in_tenths_of_a_unit_add_up() -> None:
    story = Story()
    one = story.sent(order(volume=0.3, vt_symbol=COIN))
    fills = [fill(n, one, 0.1) for n in range(3)]
    venue = snapshot(
        [at_venue(one, Status.ALLTRADED, 0.3)], fills, positions=(position(0.3, vt_symbol=COIN),)
    )
    assert not story.desk.reconcile(venue).discrepancies
    assert story.desk.net(COIN) == 0.3


@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.lists(st.integers(1, 5), min_size=1, max_size=8),
)
def test_what_real_fills_add_is_what_the_synthetic_ones_did_not_stand_for(
    made: list[int], real: list[int]
) -> None:
    one = order(volume=100.0)
    trades = [fill(f"SYN-{n}", one, float(volume)) for n, volume in enumerate(made)]
    absorbed = 0.0
    for n, volume in enumerate(real):
        rest = absorb(fill(n, one, float(volume), reference="mine"), trades, LOT)
        assert rest.trade.volume + rest.absorbed == volume
        assert rest.trade.reference.startswith("mine")
        absorbed += rest.absorbed
        trades.append(rest.trade)
    assert absorbed == min(sum(made), sum(real))
    assert sum(t.volume for t in trades) == max(sum(made), sum(real))


def test_the_price_difference_of_an_absorbed_fill_is_told() -> None:
    one = order()
    rest = absorb(fill(1, one, 2.0, 101.0), [fill("SYN-a", one, 2.0, 100.0)], LOT)
    assert (rest.absorbed, rest.price_difference) == (2.0, 1.0)
    assert absorb(fill(1, one, 2.0), [fill(7, one, 2.0)], LOT).trade == fill(1, one, 2.0)
    assert fill(1, one, 2.0).direction is LONG
