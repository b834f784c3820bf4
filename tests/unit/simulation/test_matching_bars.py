"""What a bar does to resting orders: the open, the way through the extremes, the close."""

from __future__ import annotations

import pytest

from foxtrot.core.constants import Liquidity, Status
from foxtrot.simulation.models import GapFill, IntrabarPath, LimitFill, MarketFill
from tests.unit.simulation.sim_helpers import BAR_NS, SYMBOL, Venue

HIGH_FIRST, LOW_FIRST = IntrabarPath.HIGH_FIRST, IntrabarPath.LOW_FIRST


# --- market orders


def test_a_market_order_of_a_bars_close_fills_at_the_next_open_stamped_there() -> None:
    venue = Venue()
    venue.bar(100, 101, 99, 100)
    order = venue.buy(2)
    assert venue.fills == []

    venue.bar(103, 104, 102, 103)

    assert venue.fills == [(2, 103)]
    assert venue.stamps == [BAR_NS]
    assert venue.trades[0].ts_init == 2 * BAR_NS
    assert venue.trades[0].liquidity is Liquidity.TAKER
    assert venue.status(order) is Status.ALLTRADED


def test_an_order_that_came_inside_of_a_bar_waits_for_the_next_open() -> None:
    venue = Venue()
    venue.clock.ns = 10
    order = venue.buy()
    venue.clock.ns = 0

    venue.bar(100, 110, 90, 105)
    assert venue.fills == []
    assert venue.status(order) is Status.NOTTRADED

    venue.bar(106, 107, 105, 106)
    assert venue.fills == [(1, 106)]


@pytest.mark.parametrize("price", [95.0, 130.0])
def test_neither_does_a_limit_take_part_in_a_bar_that_opened_before_it_came(price) -> None:
    venue = Venue()
    venue.clock.ns = 10
    venue.buy(1, price)
    venue.clock.ns = 0
    venue.bar(100, 110, 90, 105)
    assert venue.fills == []


def test_same_close_fills_at_the_close_it_was_decided_on() -> None:
    venue = Venue(market_fill=MarketFill.SAME_CLOSE)
    venue.bar(100, 101, 99, 100.5)
    venue.buy(2)
    venue.buy(1, 100.6)  # marketable: at the close, too
    venue.buy(1, 99.5)
    assert venue.fills == [(2, 100.5), (1, 100.5)]
    assert venue.stamps == [BAR_NS, BAR_NS]
    venue.bar(101, 102, 99, 101)
    assert venue.fills[2:] == [(1, 99.5)]


def test_same_close_never_fills_at_a_close_that_has_passed() -> None:
    """An order in answer to a fill inside of a bar comes when the close before is history."""
    venue = Venue(market_fill=MarketFill.SAME_CLOSE)
    venue.bar(100, 101, 99, 100)
    venue.clock.ns += 1
    venue.short(1)
    assert venue.fills == []


def test_same_close_fills_an_order_that_came_with_another_instruments_bar() -> None:
    """Both bars close at once; the second one is delivered after the first one's order was sent."""
    venue = Venue(market_fill=MarketFill.SAME_CLOSE)
    venue.bar(100, 101, 99, 100)
    venue.clock.ns = 2 * BAR_NS
    venue.buy(1)
    venue.clock.ns = BAR_NS
    venue.bar(101, 103, 100, 102)
    assert venue.fills == [(1, 102)]
    assert venue.stamps == [2 * BAR_NS]


def test_market_orders_fill_before_all_others_at_the_open() -> None:
    venue = Venue()
    venue.buy(1, 105)
    venue.buy(2)
    venue.bar(100, 101, 99, 100)
    assert venue.fills == [(2, 100), (1, 100)]


# --- limits


def test_a_limit_fills_at_its_price_when_touched() -> None:
    venue = Venue()
    order = venue.buy(1, 99)
    venue.short(1, 101)
    venue.bar(100, 101, 99, 100)
    assert sorted(venue.fills) == [(-1, 101), (1, 99)]
    assert {t.liquidity for t in venue.trades} == {Liquidity.MAKER}
    assert venue.status(order) is Status.ALLTRADED


def test_a_limit_that_must_be_crossed_does_not_fill_on_a_touch() -> None:
    venue = Venue(limit_fill=LimitFill.CROSS)
    venue.buy(1, 99)
    venue.short(1, 101)
    venue.bar(100, 101, 99, 100)
    assert venue.fills == []
    venue.bar(100, 101.01, 98.99, 100)
    assert sorted(venue.fills) == [(-1, 101), (1, 99)]


def test_a_limit_gets_the_better_open() -> None:
    venue = Venue()
    venue.buy(1, 99)
    venue.short(1, 96)
    venue.bar(97, 98, 95, 96)
    assert sorted(venue.fills) == [(-1, 97), (1, 97)]
    assert {t.liquidity for t in venue.trades} == {Liquidity.TAKER}


def test_a_limit_out_of_reach_keeps_working() -> None:
    venue = Venue()
    order = venue.buy(1, 90)
    venue.bar(100, 101, 99, 100)
    assert venue.status(order) is Status.NOTTRADED
    book = venue.exchange.books[SYMBOL]
    assert (book.buy_limit, book.orders[0].request.vt_orderid) == (90, order)


# --- stops


def test_a_stop_fills_at_its_trigger() -> None:
    venue = Venue()
    venue.buy(1, stop=101)
    venue.short(1, stop=99)
    venue.bar(100, 101, 99, 100)
    assert sorted(venue.fills) == [(-1, 99), (1, 101)]


@pytest.mark.parametrize(("gap", "sold", "bought"), [("open", 97, 104), ("trigger", 99, 101)])
def test_a_stop_in_a_gap_fills_at_the_open_or_as_the_option_says(gap, sold, bought) -> None:
    venue = Venue(gap_fill=GapFill(gap))
    venue.short(1, stop=99)
    venue.bar(97, 98, 96, 97)
    venue.buy(1, stop=101)
    venue.bar(104, 105, 103, 104)
    assert venue.fills == [(-1, sold), (1, bought)]


def test_stops_are_met_in_the_order_of_their_prices() -> None:
    venue = Venue()
    venue.buy(1, stop=105)
    venue.buy(1, stop=103)
    venue.buy(1, stop=104)
    venue.bar(100, 106, 99, 102)
    assert [price for _, price in venue.fills] == [103, 104, 105]


# --- stop-limits


def test_a_stop_limit_whose_limit_allows_it_fills_at_its_trigger() -> None:
    venue = Venue()
    order = venue.buy(1, 102, stop=101)
    venue.bar(100, 103, 99.5, 100)
    assert venue.fills == [(1, 101)]
    assert Status.TRIGGERED in [o.status for o in venue.orders if o.vt_orderid == order]


def test_a_triggered_stop_limit_waits_for_its_limit() -> None:
    venue = Venue()
    order = venue.buy(1, 100, stop=101)
    venue.bar(100.5, 102, 100.4, 101.5)
    assert venue.status(order) is Status.TRIGGERED
    venue.bar(101, 101, 99, 100)
    assert venue.fills == [(1, 100)]


def test_a_triggered_stop_limit_fills_on_the_way_back_inside_of_the_bar() -> None:
    venue = Venue(intrabar_path=HIGH_FIRST)
    venue.buy(1, 100, stop=101)
    venue.bar(100.5, 102, 99, 101)
    assert venue.fills == [(1, 100)]


def test_a_gap_beyond_the_limit_leaves_a_stop_limit_waiting() -> None:
    venue = Venue()
    order = venue.short(1, 98, stop=99)
    venue.bar(97, 97.5, 96, 97)
    assert venue.status(order) is Status.TRIGGERED
    venue.bar(97, 98.5, 97, 98)
    assert venue.fills == [(-1, 98)]


def test_a_gap_to_between_trigger_and_limit_fills_at_the_open() -> None:
    venue = Venue()
    venue.short(1, 96, stop=99)
    venue.bar(97, 98, 96, 97)
    assert venue.fills == [(-1, 97)]


# --- the way through a bar


@pytest.mark.parametrize(
    ("path", "bar", "exit_"),
    [
        ("high_first", (100, 106, 94, 100), 105),
        ("low_first", (100, 106, 94, 100), 95),
        ("nearest", (101, 106, 94, 100), 105),
        ("nearest", (99, 106, 94, 100), 95),
        ("nearest", (100, 106, 94, 100), 95),  # a tie: the low
    ],
)
def test_which_of_stop_and_target_is_met_first_follows_the_path(path, bar, exit_) -> None:
    venue = Venue(intrabar_path=IntrabarPath(path))
    venue.buy(1, stop_loss=95, take_profit=105)
    venue.bar(100, 101, 99, 100)
    venue.bar(*bar)
    assert [price for _, price in venue.fills] == [100, exit_]
    assert venue.held() == 0


def test_fills_are_stamped_along_the_way() -> None:
    venue = Venue(intrabar_path=HIGH_FIRST)
    venue.buy(1)
    venue.short(1, 105)
    venue.buy(1, 95)
    venue.buy(1, stop=105.5)
    venue.short(1, stop=94.5)
    venue.buy(1, stop=107)
    venue.short(1, 99)
    venue.bar(100, 106, 94, 98)
    third = BAR_NS // 3
    assert venue.stamps == [0, 0, third, third, 2 * third, 2 * third]
    assert [p for _, p in venue.fills] == [100, 100, 105, 105.5, 95, 94.5]


def test_the_last_leg_to_the_close_is_walked_too() -> None:
    venue = Venue(intrabar_path=LOW_FIRST)
    venue.bar(100, 101, 99, 100)
    venue.buy(1, 95, take_profit=97)
    venue.bar(100, 100.5, 94, 98)  # target only after the low, on the way to high and close
    assert [p for _, p in venue.fills] == [95, 97]
    venue = Venue(intrabar_path=HIGH_FIRST)
    venue.buy(1, 95, take_profit=97)
    venue.bar(100, 100.5, 94, 98)
    assert [p for _, p in venue.fills] == [95, 97]
    assert venue.stamps == [2 * BAR_NS // 3, BAR_NS]


# --- cancelling and changing


def test_a_cancelled_order_fills_no_more() -> None:
    venue = Venue()
    order = venue.buy(1, 99)
    venue.cancel(order)
    venue.cancel(order)
    venue.cancel("SIM.unknown")
    venue.bar(100, 101, 98, 100)
    assert venue.fills == []
    assert [o.status for o in venue.orders] == [Status.NOTTRADED, Status.CANCELLED]


def test_a_changed_order_fills_at_its_new_price_trigger_and_volume() -> None:
    venue = Venue()
    limit, stop = venue.buy(1, 90), venue.short(1, stop=80)
    venue.modify(limit, price=99, volume=3)
    venue.modify(stop, trigger_price=98)
    venue.bar(100, 101, 97, 100)
    assert venue.fills == [(3, 99), (-1, 98)]


def test_a_changed_order_meets_only_bars_that_open_after_the_change() -> None:
    venue = Venue()
    order = venue.buy(1, 90)
    venue.clock.ns = 10
    venue.modify(order, price=99)
    venue.clock.ns = 0
    venue.bar(100, 101, 98, 100)
    assert venue.fills == []


@pytest.mark.parametrize(
    ("kind", "change", "reason"),
    [
        ("market", {"price": 99.0}, "a MARKET order has no price"),
        ("stop", {"price": 99.0}, "a STOP order has no price"),
        ("limit", {"price": 0.0}, "the price is 0"),
        ("limit", {"trigger_price": 9.0}, "the order has no trigger that it still waits for"),
        ("stop", {"trigger_price": 0.0}, "the trigger price is 0"),
        ("part", {"volume": 2.0}, "2 is not above what has traded"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_and_says_why(kind, change, reason) -> None:
    venue = Venue(volume_share=0.1)
    order = {
        "market": lambda: venue.buy(1),
        "stop": lambda: venue.buy(1, stop=120),
        "limit": lambda: venue.buy(1, 90),
        "part": lambda: venue.buy(5, 100),
    }[kind]()
    if kind == "part":
        venue.bar(100, 101, 99, 100, volume=20)
    before = venue.exchange.orders[order].request

    venue.modify(order, **change)

    assert venue.orders[-1].reason == f"change refused: {reason}"
    assert venue.exchange.orders[order].request is before
    assert venue.exchange.orders[order].live


def test_a_change_of_an_order_that_has_ended_or_was_never_seen_does_nothing() -> None:
    venue = Venue()
    order = venue.buy(1)
    venue.bar(100, 101, 99, 100)
    reports = len(venue.orders)
    venue.modify(order, volume=5.0)
    venue.modify("SIM.unknown", volume=5.0)
    assert len(venue.orders) == reports


def test_a_triggered_stop_limit_has_no_trigger_to_change_but_a_price() -> None:
    venue = Venue()
    order = venue.buy(1, 99, stop=101)
    venue.bar(100, 102, 99.5, 101.5)
    venue.modify(order, trigger_price=105.0)
    assert "change refused" in venue.orders[-1].reason
    venue.modify(order, price=101.0)
    venue.bar(102, 102, 100.5, 101)
    assert venue.fills == [(1, 101)]
