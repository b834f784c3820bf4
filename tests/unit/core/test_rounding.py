"""Prices on ticks, volumes in lots, money in minor units: exact against Decimal."""

from __future__ import annotations

import math
from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.core.constants import Direction
from foxtrot.core.errors import AccountingError, OrderError
from foxtrot.core.rounding import (
    LotSize,
    TickSize,
    check_price,
    from_lots,
    lot_size,
    minor_to_money,
    money_to_minor,
    round_price,
    round_volume,
    tick_size,
    to_lots,
)

TICKS = [1e-8, 1e-5, 0.0005, 0.001, 0.01, 0.015625, 0.03125, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 5.0]
COUNTS = st.integers(min_value=-(10**9), max_value=10**9)
exactly = settings(derandomize=True, max_examples=200, deadline=None)


def decimal_multiple(count: int, step: float) -> float:
    return float(count * Decimal(repr(step)))


@exactly
@given(count=COUNTS, tick=st.sampled_from(TICKS))
def test_a_price_on_the_tick_is_the_double_nearest_to_the_decimal(count: int, tick: float) -> None:
    good = decimal_multiple(count, tick)
    assert check_price(good, tick) == good
    for side in (None, Direction.LONG, Direction.SHORT):
        assert round_price(good, tick, side) == good


@exactly
@given(count=COUNTS, tick=st.sampled_from(TICKS), ulps=st.integers(-4, 4))
def test_noise_of_four_ulp_is_normalised_and_never_rounded_away(
    count: int, tick: float, ulps: int
) -> None:
    good = decimal_multiple(count, tick)
    noisy = good + ulps * math.ulp(good)
    assert check_price(noisy, tick) == good
    assert round_price(noisy, tick, Direction.LONG) == good
    assert round_price(noisy, tick, Direction.SHORT) == good


@exactly
@given(count=COUNTS, tick=st.sampled_from(TICKS), part=st.floats(1e-5, 1 - 1e-5))
def test_an_off_tick_price_is_refused_and_the_error_names_its_neighbours(
    count: int, tick: float, part: float
) -> None:
    price = float((count + Decimal(part)) * Decimal(repr(tick)))
    below, above = decimal_multiple(count, tick), decimal_multiple(count + 1, tick)
    with pytest.raises(OrderError) as caught:
        check_price(price, tick, "trigger_price")
    assert str(caught.value).startswith(f"trigger_price {price!r} ")
    assert str(caught.value).endswith(f"are {below!r} and {above!r}")
    assert round_price(price, tick, Direction.LONG) == below
    assert round_price(price, tick, Direction.SHORT) == above


@exactly
@given(price=st.floats(-1e9, 1e9), tick=st.sampled_from(TICKS))
def test_nearest_tick_agrees_with_decimal_half_even(price: float, tick: float) -> None:
    steps = Decimal(repr(price)) / Decimal(repr(tick))
    count = int(steps.quantize(Decimal(1), ROUND_HALF_EVEN))
    assert round_price(price, tick) == decimal_multiple(count, tick)


@pytest.mark.parametrize("tick", TICKS)
@pytest.mark.parametrize("count", [0, 1, 7, 12_345, 10**9])
def test_half_a_tick_is_refused_at_every_size(tick: float, count: int) -> None:
    half = float((count + Decimal("0.5")) * Decimal(repr(tick)))
    with pytest.raises(OrderError, match="nearest good values"):
        check_price(half, tick)


def test_half_a_tick_is_refused_where_four_ulp_exceed_it() -> None:
    price = 2.0**24 + 5e-9  # doubles are 3.7e-9 apart here
    assert 4 * math.ulp(price) > 5e-9
    nearest = round_price(price, 1e-8)
    assert check_price(nearest, 1e-8) == nearest
    off = next(
        candidate
        for candidate in (price + n * math.ulp(price) for n in range(8))
        if abs(candidate - round_price(candidate, 1e-8)) > 2.5e-9
    )
    with pytest.raises(OrderError):
        check_price(off, 1e-8)


def test_the_classic_doubles() -> None:
    assert check_price(0.1 + 0.2, 0.1) == 0.3
    assert check_price(1.1 * 3, 0.01) == 3.3
    assert round_price(0.1 + 0.2, 0.1, Direction.SHORT) == 0.3
    assert round_price(-37.634, 0.01, Direction.LONG) == -37.64
    assert round_price(-37.634, 0.01, Direction.SHORT) == -37.63
    assert math.copysign(1.0, check_price(-0.0, 0.01)) == 1.0


def test_within_a_millionth_of_a_tick_is_the_tick() -> None:
    assert check_price(100.0 + 0.9e-6 * 0.25, 0.25) == 100.0
    with pytest.raises(OrderError):
        check_price(100.0 + 1.1e-6 * 0.25, 0.25)


def test_huge_prices_are_exact_and_beyond_doubles_refused() -> None:
    assert check_price(1e300, 0.01) == 1e300
    assert check_price(123_456_789_012_345.67, 0.01) == 123_456_789_012_345.67
    assert round_price(1e17, 0.01, Direction.LONG) == 1e17
    with pytest.raises(OrderError, match="beyond any double"):
        tick_size(5.0).at(10**400)


def test_zero_tick_leaves_a_price_unchecked_but_finite() -> None:
    assert check_price(27.182818, 0.0) == 27.182818
    assert round_price(27.182818, 0.0, Direction.SHORT) == 27.182818
    for bad in (math.nan, math.inf, -math.inf):
        with pytest.raises(OrderError, match=r"price is .*finite"):
            check_price(bad, 0.0)
        with pytest.raises(OrderError, match=r"price is .*finite"):
            round_price(bad, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_refused_with_its_field(bad: float) -> None:
    with pytest.raises(OrderError, match=r"^price is"):
        check_price(bad, 0.01)
    with pytest.raises(OrderError, match=r"^price is"):
        round_price(bad, 0.01, Direction.LONG)
    with pytest.raises(OrderError, match=r"^volume is"):
        to_lots(bad, 1.0)
    with pytest.raises(OrderError, match=r"^volume is"):
        round_volume(bad, 1.0)
    with pytest.raises(AccountingError, match=r"^amount is"):
        money_to_minor(bad, 2)


@pytest.mark.parametrize("bad", [-0.01, math.nan, math.inf, 1e-40, 1e40])
def test_an_absurd_step_is_refused(bad: float) -> None:
    with pytest.raises(OrderError, match="pricetick is"):
        TickSize(bad)
    with pytest.raises(OrderError, match="min_volume is"):
        LotSize(bad)


def test_a_lot_of_zero_and_a_net_side_are_refused() -> None:
    with pytest.raises(OrderError, match="min_volume is 0"):
        to_lots(1.0, 0.0)
    with pytest.raises(OrderError, match="side is"):
        round_price(1.234, 0.01, Direction.NET)


LOTS = [1e-8, 1e-6, 0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]


@exactly
@given(count=COUNTS, lot=st.sampled_from(LOTS))
def test_lots_and_units_round_trip(count: int, lot: float) -> None:
    units = from_lots(count, lot)
    assert units == decimal_multiple(count, lot)
    assert to_lots(units, lot) == count
    assert round_volume(units, lot) == units
    assert to_lots(units + 2 * math.ulp(units), lot) == count


@exactly
@given(count=st.integers(0, 10**9), lot=st.sampled_from(LOTS), part=st.floats(1e-5, 1 - 1e-5))
def test_part_of_a_lot_is_cut_towards_zero_or_refused(count: int, lot: float, part: float) -> None:
    units = float((count + Decimal(part)) * Decimal(repr(lot)))
    below, above = decimal_multiple(count, lot), decimal_multiple(count + 1, lot)
    assert round_volume(units, lot) == below
    assert round_volume(-units, lot) == -below
    with pytest.raises(OrderError) as caught:
        to_lots(units, lot)
    assert str(caught.value).endswith(f"are {below!r} and {above!r}")


def test_sums_of_volumes_count_as_meant() -> None:
    assert to_lots(0.1 + 0.2, 0.1) == 3
    assert to_lots(sum([0.1] * 10), 0.1) == 10
    assert round_volume(299.9999999, 100.0) == 300.0  # within 1e-9 of 300
    assert round_volume(299.99, 100.0) == 200.0
    assert lot_size(0.1).from_lots(3) == 0.3


@exactly
@given(minor=st.integers(-(10**15), 10**15), digits=st.integers(0, 12))
def test_minor_units_survive_the_trip_through_a_double(minor: int, digits: int) -> None:
    assert money_to_minor(minor_to_money(minor, digits), digits) == minor


@exactly
@given(amount=st.floats(-1e15, 1e15), digits=st.integers(0, 8))
def test_money_rounds_as_decimal_half_even(amount: float, digits: int) -> None:
    exact = Decimal(repr(amount)).scaleb(digits).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert money_to_minor(amount, digits) == int(exact)


def test_money_ties_go_to_the_even_unit() -> None:
    assert [money_to_minor(x, 2) for x in (1.005, 1.015, -1.005, 2.675)] == [100, 102, -100, 268]
    assert money_to_minor(0.5, 0) == 0
    assert money_to_minor(1e22, 2) == 10**24


def test_digits_out_of_range_are_refused() -> None:
    for digits in (-1, 19):
        with pytest.raises(AccountingError, match="digits is"):
            money_to_minor(1.0, digits)
    with pytest.raises(AccountingError, match="beyond any double"):
        minor_to_money(10**400, 2)
