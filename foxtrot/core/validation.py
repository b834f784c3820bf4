"""Checks of an order request against its contract; pure, used at both edges (strategy and OMS).

A request is refused with an ``OrderError`` that names the field, what it holds and the nearest good value; prices on
the tick are normalised to the double nearest to the decimal, and nothing else is ever changed.
"""

from __future__ import annotations

from math import inf, isfinite

from msgspec.structs import replace

from foxtrot.core.constants import Direction, OrderType, TimeInForce, VolumeMode
from foxtrot.core.errors import OrderError
from foxtrot.core.objects import ModifyRequest, OrderRequest
from foxtrot.core.rounding import LotSize, TickSize

_MARKET = OrderType.MARKET
_UNITS = VolumeMode.UNITS
_NET = Direction.NET
_GTC = TimeInForce.GTC
_PRICED = frozenset(
    {
        OrderType.LIMIT,
        OrderType.STOP_LIMIT,
        OrderType.LIMIT_IF_TOUCHED,
        OrderType.TRAILING_STOP_LIMIT,
    }
)
_TRIGGERED = frozenset(
    {
        OrderType.STOP,
        OrderType.STOP_LIMIT,
        OrderType.MARKET_IF_TOUCHED,
        OrderType.LIMIT_IF_TOUCHED,
    }
)


def check_request(request: OrderRequest, tick: TickSize, lot: LotSize) -> OrderRequest:
    """Return the request with its prices normalised to the tick.

    Raises:
        OrderError: a number is not finite or has the wrong sign, a price lies off the tick, the volume is no whole
            number of lots, a needed price is missing, or one is given that the type does not use.
    """
    volume = request.volume
    if not 0.0 < volume < inf:  # false for NaN, too
        raise OrderError(
            f"{request.vt_symbol}: volume must be positive, got {volume}; the side goes into direction"
        )
    if request.direction == _NET:
        raise OrderError(f"{request.vt_symbol}: direction must be LONG or SHORT, got NET")
    if request.volume_mode is _UNITS:
        lot.to_lots(volume)
    elif request.volume_mode is VolumeMode.EQUITY and volume > 100.0:
        raise OrderError(
            f"{request.vt_symbol}: volume is a fraction of equity (1.0 is all of it), got {volume}"
        )
    if (
        request.type is _MARKET
        and not request.price
        and not request.trigger_price
        and not request.stop_loss
        and not request.take_profit
        and request.time_in_force is _GTC
    ):
        return request
    return _check_prices(request, tick)


def check_max_volume(request: OrderRequest, max_volume: float) -> None:
    """Refuse what is larger than one order may be.

    Args:
        request: sized in units.
        max_volume: the contract's, in units.

    Raises:
        OrderError: the volume is larger.
    """
    if request.volume > max_volume:
        raise OrderError(
            f"{request.vt_symbol}: volume {request.volume} is more than one order may have, which is {max_volume}; "
            f"send several"
        )


def _check_prices(request: OrderRequest, tick: TickSize) -> OrderRequest:
    """Prices that the type needs are there and on the tick; the others are absent."""
    where = f"{request.vt_symbol} {request.type.value} order"
    price = _price(where, "price", request.price, request.type in _PRICED, tick)
    trigger = _price(
        where, "trigger_price", request.trigger_price, request.type in _TRIGGERED, tick
    )
    for field in ("display_volume", "trailing_offset"):
        if not 0.0 <= getattr(request, field) < inf:
            raise OrderError(
                f"{where}: {field} must not be negative, got {getattr(request, field)}"
            )
    if request.time_in_force is TimeInForce.GTD and request.expire_ts <= 0:
        raise OrderError(f"{where}: time in force GTD needs expire_ts (ns UTC)")
    stop_loss = _attached(where, "stop_loss", request.stop_loss, tick)
    take_profit = _attached(where, "take_profit", request.take_profit, tick)
    if stop_loss and take_profit:
        low, high = sorted((stop_loss, take_profit))
        good = stop_loss == low if request.direction is Direction.LONG else stop_loss == high
        if not good or low == high:
            raise OrderError(
                f"{where}: stop_loss {stop_loss} and take_profit {take_profit} lie on the wrong sides "
                f"for {request.direction.value}"
            )
    return replace(
        request,
        price=price,
        trigger_price=trigger,
        stop_loss=stop_loss,
        take_profit=take_profit,
    )


def _price(where: str, field: str, value: float, needed: bool, tick: TickSize) -> float:
    if not needed:
        if value:
            raise OrderError(f"{where}: {field} is {value}, but this order type does not use it")
        return 0.0
    if not value:
        raise OrderError(f"{where}: {field} is missing")
    return _attached(where, field, value, tick)


def _attached(where: str, field: str, value: float, tick: TickSize) -> float:
    if not value:
        return 0.0
    try:
        return tick.check(value)
    except OrderError as error:
        raise OrderError(f"{where}: {field}: {error}") from None


def check_modify(request: ModifyRequest, tick: TickSize, lot: LotSize) -> ModifyRequest:
    """Return the change with its prices normalised to the tick.

    Raises:
        OrderError: a price lies off the tick, or the volume is not a positive whole number of lots.
    """
    where = f"order {request.vt_orderid}"
    if request.volume is not None:
        if not isfinite(request.volume) or request.volume <= 0.0:
            raise OrderError(f"{where}: volume must be positive, got {request.volume}")
        lot.to_lots(request.volume)
    return replace(
        request,
        price=None if request.price is None else _attached(where, "price", request.price, tick),
        trigger_price=None
        if request.trigger_price is None
        else _attached(where, "trigger_price", request.trigger_price, tick),
    )
