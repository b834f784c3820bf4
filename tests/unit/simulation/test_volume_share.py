"""No more than a share of what traded (or is quoted) fills; the rest later."""

from __future__ import annotations

from foxtrot.core.constants import Status
from foxtrot.core.objects import ContractData
from foxtrot.simulation.models import MarketFill
from tests.unit.simulation.sim_helpers import SYMBOL, Venue


def test_a_market_order_fills_over_several_bars() -> None:
    venue = Venue(volume_share=0.1)
    order = venue.buy(25)
    venue.bar(100, 101, 99, 100, volume=100)
    assert venue.status(order) is Status.PARTTRADED
    venue.bar(101, 102, 100, 101, volume=109)
    venue.bar(102, 103, 101, 102, volume=1000)
    assert venue.fills == [(10, 100), (10, 101), (5, 102)]
    assert venue.status(order) is Status.ALLTRADED


def test_all_orders_share_one_bars_volume() -> None:
    venue = Venue(volume_share=0.1)
    venue.buy(6)
    venue.short(6, 100)
    venue.bar(100, 101, 99, 100, volume=100)
    assert venue.fills == [(6, 100), (-4, 100)]


def test_nothing_fills_on_a_bar_without_volume() -> None:
    venue = Venue(volume_share=1.0)
    venue.buy(1)
    venue.buy(1, 99)
    venue.bar(100, 101, 98, 100, volume=0)
    assert venue.fills == []
    venue.bar(100, 101, 98, 100, volume=2)
    assert venue.fills == [(1, 100), (1, 99)]


def test_a_limit_that_fills_in_part_rests_with_the_rest() -> None:
    venue = Venue(volume_share=0.5)
    order = venue.buy(3, 99)
    venue.bar(100, 101, 98, 100, volume=4)
    venue.bar(100, 101, 99.5, 100, volume=4)
    assert venue.fills == [(2, 99)]
    venue.cancel(order)
    assert venue.last(order).status is Status.CANCELLED
    assert venue.last(order).traded == 2


def test_what_a_stop_could_not_fill_goes_on_at_market_although_the_price_came_back() -> None:
    venue = Venue(volume_share=0.5)
    order = venue.short(5, stop=99)
    venue.bar(100, 101, 98, 100, volume=4)
    assert venue.fills == [(-2, 99)]
    assert venue.status(order) is Status.PARTTRADED
    venue.bar(103, 104, 102, 103, volume=100)
    assert venue.fills == [(-2, 99), (-3, 103)]


def test_a_stop_is_triggered_although_no_volume_is_left() -> None:
    venue = Venue(volume_share=0.5)
    venue.buy(2)
    stop, stop_limit = venue.short(1, stop=99), venue.short(1, 105, stop=98)
    venue.bar(100, 101, 97, 100, volume=4)
    assert venue.fills == [(2, 100)]
    assert venue.status(stop) is Status.TRIGGERED
    assert venue.status(stop_limit) is Status.TRIGGERED
    venue.bar(103, 106, 102, 103, volume=100)
    assert venue.fills[1:] == [(-1, 103), (-1, 105)]


def test_a_share_in_lots_is_rounded_down() -> None:
    venue = Venue(volume_share=0.1, contracts=[ContractData(SYMBOL, min_volume=0.1)])
    venue.buy(1.0)
    venue.bar(100, 101, 99, 100, volume=3)  # 0.3: three lots, in spite of 3 * 0.1 / 0.1 in binary
    venue.bar(100, 101, 99, 100, volume=2.9)
    assert [v for v, _ in venue.fills] == [0.3, 0.2]


def test_same_close_takes_what_is_left_of_the_bar() -> None:
    venue = Venue(volume_share=0.1, market_fill=MarketFill.SAME_CLOSE)
    venue.buy(6)
    venue.bar(100, 101, 99, 100, volume=100)
    venue.buy(6)
    venue.buy(6)
    assert venue.fills == [(6, 100), (4, 100)]
    venue.bar(101, 102, 100, 101, volume=100)
    assert venue.fills[2:] == [(2, 101), (6, 101)]


def test_an_order_that_arrives_takes_its_share_of_the_quoted_volume() -> None:
    venue = Venue(on_ticks=True, volume_share=0.5)
    venue.tick(99, 101, bid_volume=8, ask_volume=10)
    venue.buy(7)
    venue.buy(7)
    venue.short(7)
    assert venue.fills == [(5, 101), (-4, 99)]
    venue.tick(99, 101, bid_volume=100, ask_volume=20)
    assert venue.fills[2:] == [(2, 101), (7, 101), (-3, 99)]


def test_resting_limits_share_the_side_of_a_quote() -> None:
    venue = Venue(on_ticks=True, volume_share=0.5)
    venue.tick(99, 101)
    venue.buy(4, 100)
    venue.buy(4, 100)
    venue.tick(98, 100, ask_volume=12)
    assert venue.fills == [(4, 100), (2, 100)]
