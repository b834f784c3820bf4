"""What quotes do to orders: at once at the touch, resting limits at their price, stops at the touch."""

from __future__ import annotations

import pytest

from foxtrot.core.constants import Liquidity, Status
from foxtrot.core.objects import BarData
from foxtrot.simulation.models import LimitFill, MarketFill, SlippageModel
from tests.unit.simulation.sim_helpers import SYMBOL, Venue


def quoted(bid=99, ask=101, **model):
    venue = Venue(on_ticks=True, **model)
    venue.tick(bid, ask)
    return venue


def test_a_market_order_fills_at_once_at_the_touch() -> None:
    venue = quoted()
    venue.buy(1)
    venue.short(1)
    assert venue.fills == [(1, 101), (-1, 99)]
    assert venue.stamps == [1, 1]


def test_a_marketable_limit_takes_the_touch() -> None:
    venue = quoted()
    venue.buy(1, 105)
    venue.short(1, 95)
    assert venue.fills == [(1, 101), (-1, 99)]
    assert {t.liquidity for t in venue.trades} == {Liquidity.TAKER}


def test_a_resting_limit_fills_at_its_price_when_the_other_side_reaches_it() -> None:
    venue = quoted()
    venue.buy(1, 100)
    venue.short(1, 103)
    venue.tick(99.5, 100.5)
    assert venue.fills == []
    venue.tick(97, 98)
    venue.tick(104, 105)
    assert venue.fills == [(1, 100), (-1, 103)]
    assert {t.liquidity for t in venue.trades} == {Liquidity.MAKER}


def test_a_limit_that_must_be_crossed_waits_for_a_quote_beyond_it() -> None:
    venue = quoted(limit_fill=LimitFill.CROSS)
    venue.buy(1, 100)
    venue.tick(99, 100)
    assert venue.fills == []
    venue.tick(99, 99.9)
    assert venue.fills == [(1, 100)]


def test_stops_fill_at_the_touch() -> None:
    venue = quoted(slippage=SlippageModel(rate=0.01))
    venue.buy(1, stop=103)
    venue.short(1, stop=97)
    venue.tick(102.9, 103.5)
    venue.tick(96, 97.5)
    assert [p for _, p in venue.fills] == pytest.approx([103.5 * 1.01, 96 * 0.99])


def test_a_stop_that_is_reached_already_fills_on_arrival() -> None:
    venue = quoted()
    venue.short(1, stop=99.5)
    assert venue.fills == [(-1, 99)]


def test_a_stop_limit_on_quotes() -> None:
    venue = quoted()
    order = venue.buy(1, 103, stop=102)
    venue.tick(103, 104)  # triggered beyond its limit
    assert venue.status(order) is Status.TRIGGERED
    venue.tick(102, 102.5)
    assert venue.fills == [(1, 103)]
    venue.buy(1, 103, stop=102)  # triggered on arrival, and its limit allows it
    assert venue.fills == [(1, 103), (1, 102.5)]


def test_a_missing_side_fills_nothing_on_that_side() -> None:
    venue = quoted(bid=0.0, ask=101)
    venue.short(1)
    venue.short(1, stop=150)
    venue.buy(1)
    assert venue.fills == [(1, 101)]
    venue.tick(0.0, 101)
    assert len(venue.fills) == 1
    venue.tick(98, 0.0)
    assert venue.fills[1:] == [(-1, 98), (-1, 98)]


def test_the_first_quote_after_a_limit_came_gives_the_touch_not_the_limits_price() -> None:
    venue = Venue(on_ticks=True)
    venue.buy(1, 110)
    venue.tick(99, 101)
    assert venue.fills == [(1, 101)]
    assert venue.trades[0].liquidity is Liquidity.TAKER


def test_a_limit_that_the_first_quote_did_not_fill_rests_at_its_price() -> None:
    venue = Venue(on_ticks=True)
    venue.buy(1, 100)
    venue.tick(99, 101)
    venue.tick(97, 98)
    assert venue.fills == [(1, 100)]


def test_a_changed_limit_meets_the_present_quote() -> None:
    venue = quoted()
    order = venue.buy(1, 90)
    venue.modify(order, price=104.0)
    assert venue.fills == [(1, 101)]


def test_children_are_met_by_the_quote_that_filled_their_entry() -> None:
    venue = quoted()
    venue.buy(1, stop_loss=99.5)  # the bid is below it already
    assert venue.fills == [(1, 101), (-1, 99)]


def test_a_target_rests_from_its_entry_on() -> None:
    venue = quoted()
    venue.buy(1, stop_loss=90, take_profit=105)
    venue.tick(106, 107)
    assert venue.fills == [(1, 101), (-1, 105)]
    assert venue.exchange.books[SYMBOL].orders == []


def test_children_of_a_resting_entry_on_quotes() -> None:
    venue = quoted()
    venue.buy(1, 100, stop_loss=97)
    venue.tick(98, 99)
    venue.tick(97, 98)
    assert venue.fills == [(1, 100), (-1, 97)]


def test_a_bar_of_an_instrument_with_quotes_fills_nothing() -> None:
    venue = Venue(on_ticks=True, market_fill=MarketFill.SAME_CLOSE)
    venue.market.record(SYMBOL).last = BarData(SYMBOL, 0, 0, 100, 101, 99, 100)
    venue.market.record(SYMBOL).last = None
    venue.buy(1)
    assert venue.fills == []
    venue.tick(99, 101)
    assert venue.fills == [(1, 101)]
