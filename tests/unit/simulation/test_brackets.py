"""Stops and targets that come with an entry."""

from __future__ import annotations

import pytest

from foxtrot.core.constants import Offset, OrderType, Status
from foxtrot.simulation.models import IntrabarPath
from tests.unit.simulation.sim_helpers import SHORT, SYMBOL, Venue

HIGH_FIRST, LOW_FIRST = IntrabarPath.HIGH_FIRST, IntrabarPath.LOW_FIRST


def children(venue, entry):
    return {
        order.request.vt_orderid.removeprefix(entry + "-"): order
        for order in venue.exchange.orders.values()
        if order.request.parent_orderid == entry
    }


def test_children_are_born_with_the_fill_and_know_their_parent() -> None:
    venue = Venue()
    entry = venue.buy(2, stop_loss=95, take_profit=105, offset=Offset.OPEN)
    assert children(venue, entry) == {}
    venue.bar(100, 101, 99, 100)
    stop, target = children(venue, entry)["SL"].request, children(venue, entry)["TP"].request
    assert (stop.type, stop.trigger_price, stop.price) == (OrderType.STOP, 95, 0)
    assert (target.type, target.price) == (OrderType.LIMIT, 105)
    for request in (stop, target):
        assert (request.direction, request.volume, request.reduce_only) == (SHORT, 2, True)
        assert (request.offset, request.strategy) == (Offset.CLOSE, "s")


@pytest.mark.parametrize(("low", "expected"), [(95, [100, 95]), (95.1, [100])])
def test_the_stop_works_in_the_bar_of_the_entry(low, expected) -> None:
    venue = Venue()
    venue.buy(1, stop_loss=95)
    venue.bar(100, 101, low, 100)
    assert [p for _, p in venue.fills] == expected


def test_an_entry_that_opens_beyond_its_stop_is_stopped_at_the_open() -> None:
    venue = Venue()
    venue.buy(1, stop_loss=95)
    venue.bar(94, 96, 93, 95)
    assert venue.fills == [(1, 94), (-1, 94)]


def test_an_entry_that_opens_beyond_its_target_takes_no_better_than_the_open() -> None:
    venue = Venue()
    venue.buy(1, take_profit=105)
    venue.bar(107, 108, 106, 107)
    assert venue.fills == [(1, 107), (-1, 107)]


def test_a_stop_sees_only_the_rest_of_the_way_after_an_entry_inside_of_the_bar() -> None:
    # given a sell limit filled at the high, with a stop above it that the way has not reached
    venue = Venue(intrabar_path=HIGH_FIRST)
    venue.buy(1, 97, stop_loss=96.5, take_profit=99)
    venue.bar(98, 100, 97, 97.5)  # the high came before the entry, so the target was not met
    assert venue.fills == [(1, 97)]
    # and the low after the entry does reach the stop
    venue.bar(97.5, 98, 96, 97)
    assert venue.fills[1:] == [(-1, 96.5)]


def test_entry_inside_of_the_bar_and_stop_further_down_the_same_leg() -> None:
    venue = Venue(intrabar_path=HIGH_FIRST)
    venue.buy(1, 97, stop_loss=96.5)
    venue.bar(98, 100, 96, 97)
    assert venue.fills == [(1, 97), (-1, 96.5)]


def test_one_side_filling_cancels_the_other() -> None:
    venue = Venue()
    entry = venue.buy(1, stop_loss=95, take_profit=105)
    venue.bar(100, 101, 99, 100)
    venue.bar(100, 106, 99, 105)
    assert venue.fills == [(1, 100), (-1, 105)]
    assert venue.status(entry + "-SL") is Status.CANCELLED
    assert venue.reason(entry + "-SL") == "the other side of the bracket filled"


def test_children_end_when_the_position_is_closed_otherwise() -> None:
    venue = Venue()
    entry = venue.buy(1, stop_loss=95, take_profit=105)
    venue.bar(100, 101, 99, 100)
    venue.sell(1)
    venue.bar(90, 91, 89, 90)  # the close at market comes first, so the stop has nothing left
    assert venue.fills == [(1, 100), (-1, 90)]
    for tag in ("-SL", "-TP"):
        assert venue.status(entry + tag) is Status.CANCELLED
        assert venue.reason(entry + tag) == "the position that it protects is closed"


def test_children_of_a_short_entry_mirror() -> None:
    venue = Venue()
    venue.short(1, stop_loss=105, take_profit=95)
    venue.bar(100, 101, 99, 100)
    venue.bar(100, 101, 95, 96)
    assert venue.fills == [(-1, 100), (1, 95)]


def test_an_entry_that_only_covers_leaves_no_children() -> None:
    venue = Venue()
    venue.short(2)
    venue.bar(100, 101, 99, 100)
    entry = venue.buy(2, stop_loss=95)
    venue.bar(100, 101, 94, 95)
    assert venue.fills == [(-2, 100), (2, 100)]
    assert venue.status(entry + "-SL") is Status.CANCELLED


def test_a_stop_larger_than_what_is_held_is_cut() -> None:
    venue = Venue()
    venue.short(2)
    venue.bar(100, 101, 99, 100)
    venue.buy(5, stop_loss=95)
    venue.bar(100, 101, 94, 95)
    assert venue.fills == [(-2, 100), (5, 100), (-3, 95)]
    assert venue.held() == 0


def test_children_grow_with_the_fills_of_their_entry() -> None:
    venue = Venue(volume_share=0.5)
    entry = venue.buy(5, stop_loss=95, take_profit=105)
    venue.bar(100, 101, 99, 100, volume=4)
    assert children(venue, entry)["SL"].lots == 2
    venue.bar(100, 101, 99, 100, volume=6)
    assert [c.lots for c in children(venue, entry).values()] == [5, 5]
    venue.bar(94, 94, 93, 94, volume=100)
    assert venue.fills == [(2, 100), (3, 100), (-5, 94)]


def test_what_an_entry_fills_after_its_stop_has_ended_gets_a_new_pair() -> None:
    """Otherwise the rest of the entry would be held without the stop that was asked for."""
    venue = Venue(volume_share=0.5, intrabar_path=LOW_FIRST)
    entry = venue.buy(4, 100, stop_loss=95, take_profit=105)
    venue.bar(100, 101, 99, 100, volume=4)  # 2 of 4
    venue.bar(101, 106, 101, 105, volume=4)  # target: 2 closed
    assert venue.fills == [(2, 100), (-2, 105)]
    venue.bar(101, 102, 99, 101, volume=4)  # the other 2 enter
    assert venue.fills[2:] == [(2, 100)]
    assert set(children(venue, entry)) == {"SL", "TP", "SL2", "TP2"}
    venue.bar(96, 97, 94, 96, volume=40)
    assert venue.fills[3:] == [(-2, 95)]


def test_a_partial_fill_of_one_side_takes_as_much_off_the_other() -> None:
    """With two brackets on one instrument a stop must not close what belongs to the other bracket."""
    venue = Venue(volume_share=0.5)
    first = venue.buy(4, stop_loss=95, take_profit=105)
    venue.buy(4, stop_loss=90)
    venue.bar(100, 101, 99, 100, volume=16)
    venue.bar(104, 105, 103, 104, volume=6)  # 3 of 4 at the target
    assert venue.fills[2:] == [(-3, 105)]
    assert venue.last(first + "-SL").volume == 1
    venue.bar(96, 97, 94, 96, volume=100)
    assert venue.fills[3:] == [(-1, 95)]
    assert venue.held() == 4
    assert venue.status(first + "-TP") is Status.CANCELLED


def test_cancelling_a_child_leaves_the_other_side() -> None:
    venue = Venue()
    entry = venue.buy(1, stop_loss=95, take_profit=105)
    venue.bar(100, 101, 99, 100)
    venue.cancel(entry + "-TP")
    venue.bar(100, 106, 99, 105)
    assert venue.fills == [(1, 100)]
    venue.bar(100, 101, 90, 95)
    assert venue.fills[1:] == [(-1, 95)]


def test_moving_the_stop_of_a_position() -> None:
    venue = Venue()
    entry = venue.buy(1, stop_loss=95)
    venue.bar(100, 101, 99, 100)
    venue.modify(entry + "-SL", trigger_price=98.0)
    venue.bar(100, 101, 97, 99)
    assert venue.fills[1:] == [(-1, 98)]


def test_a_book_keeps_no_dead_orders() -> None:
    venue = Venue()
    venue.buy(1, stop_loss=95, take_profit=105)
    venue.bar(100, 101, 99, 100)
    venue.bar(100, 106, 99, 105)
    assert venue.exchange.books[SYMBOL].orders == []
