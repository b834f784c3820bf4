"""Requests are refused with the field and the nearest good value, and never changed silently."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import pytest

from foxtrot.core.constants import Direction, OrderType, TimeInForce, VolumeMode
from foxtrot.core.errors import OrderError
from foxtrot.core.objects import ModifyRequest, OrderRequest
from foxtrot.core.rounding import LotSize, TickSize
from foxtrot.core.validation import check_max_volume, check_modify, check_request

TICK, LOT = TickSize(0.05), LotSize(0.1)
LONG, SHORT = Direction.LONG, Direction.SHORT


def request(
    volume: float = 0.3, type: OrderType = OrderType.MARKET, direction: Direction = LONG, **f: Any
) -> OrderRequest:
    return OrderRequest("A.LOCAL", direction, type, volume, **f)


def refused(bad: OrderRequest) -> str:
    with pytest.raises(OrderError) as caught:
        check_request(bad, TICK, LOT)
    return str(caught.value)


def test_a_good_request_comes_back_as_it_is() -> None:
    good = request()
    assert check_request(good, TICK, LOT) is good
    limit = request(type=OrderType.LIMIT, price=10.05)
    assert check_request(limit, TICK, LOT) == limit


def test_a_price_next_to_the_tick_is_normalised_to_it() -> None:
    off_by_an_ulp = 0.1 + 0.2
    checked = check_request(request(type=OrderType.LIMIT, price=off_by_an_ulp), TICK, LOT)
    assert checked.price == 0.3


@pytest.mark.parametrize("volume", [0.0, -1.0, nan, inf])
def test_the_volume_must_be_positive_and_finite(volume: float) -> None:
    assert "volume must be positive" in refused(request(volume))


def test_the_volume_must_be_whole_lots_unless_it_is_money() -> None:
    assert "nearest good values are 0.2 and 0.3" in refused(request(0.25))
    check_request(request(123.456, volume_mode=VolumeMode.CASH), TICK, LOT)
    check_request(request(0.3333, volume_mode=VolumeMode.EQUITY), TICK, LOT)
    text = refused(request(101.0, volume_mode=VolumeMode.EQUITY))
    assert "fraction of equity (1.0 is all of it)" in text


def test_the_side_must_be_one_that_can_be_traded() -> None:
    assert "LONG or SHORT, got NET" in refused(request(direction=Direction.NET))


@pytest.mark.parametrize(
    ("type_", "needed"),
    [
        (OrderType.LIMIT, {"price"}),
        (OrderType.STOP, {"trigger_price"}),
        (OrderType.STOP_LIMIT, {"price", "trigger_price"}),
        (OrderType.MARKET_IF_TOUCHED, {"trigger_price"}),
        (OrderType.LIMIT_IF_TOUCHED, {"price", "trigger_price"}),
    ],
)
def test_each_type_has_its_prices_and_no_others(type_: OrderType, needed: set[str]) -> None:
    prices = dict.fromkeys(needed, 10.0)
    check_request(request(type=type_, **prices), TICK, LOT)
    for field in needed:
        rest = {name: price for name, price in prices.items() if name != field}
        assert f"{field} is missing" in refused(request(type=type_, **rest))
    for field in {"price", "trigger_price"} - needed:
        text = refused(request(type=type_, **prices, **{field: 10.0}))
        assert f"{field} is 10.0, but this order type does not use it" in text


@pytest.mark.parametrize("field", ["price", "trigger_price", "stop_loss", "take_profit"])
def test_off_tick_prices_are_refused_with_the_nearest_good_ones(field: str) -> None:
    fields = {"price": 10.0, "trigger_price": 10.0} | {field: 10.02}
    text = refused(request(type=OrderType.STOP_LIMIT, **fields))
    assert f"STOP_LIMIT order: {field}: " in text
    assert "10.0 and 10.05" in text


@pytest.mark.parametrize("field", ["price", "stop_loss", "take_profit"])
def test_nan_prices_are_refused_on_market_orders_too(field: str) -> None:
    assert field in refused(request(**{field: nan}))


@pytest.mark.parametrize("field", ["display_volume", "trailing_offset"])
def test_negative_or_unbounded_extras_are_refused(field: str) -> None:
    for bad in (-1.0, nan, inf):
        text = refused(request(type=OrderType.LIMIT, price=10.0, **{field: bad}))
        assert f"{field} must not be negative" in text


@pytest.mark.parametrize(
    ("direction", "stop_loss", "take_profit"),
    [(LONG, 11.0, 9.0), (SHORT, 9.0, 11.0), (LONG, 9.0, 9.0)],
)
def test_stop_and_target_lie_on_the_sides_of_the_position(
    direction: Direction, stop_loss: float, take_profit: float
) -> None:
    bad = request(direction=direction, stop_loss=stop_loss, take_profit=take_profit)
    assert f"wrong sides for {direction.value}" in refused(bad)


def test_stop_and_target_on_the_right_sides_are_taken() -> None:
    check_request(request(stop_loss=9.0, take_profit=11.0), TICK, LOT)
    check_request(request(direction=SHORT, stop_loss=11.0, take_profit=9.0), TICK, LOT)
    check_request(request(stop_loss=9.0), TICK, LOT)


def test_good_till_date_needs_the_date() -> None:
    bad = request(type=OrderType.LIMIT, price=10.0, time_in_force=TimeInForce.GTD)
    assert "GTD needs expire_ts" in refused(bad)
    good = request(type=OrderType.LIMIT, price=10.0, time_in_force=TimeInForce.GTD, expire_ts=1)
    check_request(good, TICK, LOT)


def test_a_spread_may_trade_at_a_negative_price() -> None:
    checked = check_request(request(type=OrderType.LIMIT, price=-1.05), TICK, LOT)
    assert checked.price == -1.05


def test_without_a_tick_prices_are_only_held_to_be_finite() -> None:
    free = TickSize(0.0)
    odd = request(type=OrderType.LIMIT, price=10.012345)
    assert check_request(odd, free, LOT) == odd
    with pytest.raises(OrderError, match="price"):
        check_request(request(type=OrderType.LIMIT, price=inf), free, LOT)


def test_the_largest_volume_is_the_contracts() -> None:
    check_max_volume(request(5.0), 5.0)
    with pytest.raises(
        OrderError, match=r"volume 5\.1 is more than one order may have, which is 5\.0"
    ):
        check_max_volume(request(5.1), 5.0)


def test_a_change_is_checked_and_normalised_like_an_order() -> None:
    changed = check_modify(ModifyRequest("SIM.1", price=0.1 + 0.2, volume=0.3), TICK, LOT)
    assert changed == ModifyRequest("SIM.1", price=0.3, volume=0.3)
    assert check_modify(ModifyRequest("SIM.1"), TICK, LOT) == ModifyRequest("SIM.1")
    trigger = ModifyRequest("SIM.1", trigger_price=10.0)
    assert check_modify(trigger, TICK, LOT) == trigger


@pytest.mark.parametrize(
    "bad",
    [
        ModifyRequest("SIM.1", volume=0.0),
        ModifyRequest("SIM.1", volume=nan),
        ModifyRequest("SIM.1", volume=0.25),
        ModifyRequest("SIM.1", price=10.01),
        ModifyRequest("SIM.1", trigger_price=nan),
    ],
)
def test_a_bad_change_is_refused(bad: ModifyRequest) -> None:
    with pytest.raises(OrderError):
        check_modify(bad, TICK, LOT)
