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
_LIMIT = OrderType.LIMIT
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
        if volume != lot.known_units:
            lot.to_lots(volume)
    elif request.volume_mode is VolumeMode.EQUITY and volume > 1.0:
        raise OrderError(
            f"{request.vt_symbol}: volume is a fraction of equity (1.0 is all of it), got {volume:g}; "
            f"for {volume:g} % write {volume / 100.0:g}"
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


def _is_plain_limit(request: OrderRequest, tick: TickSize) -> bool:
    """Whether it is a limit on the tick and nothing else, the usual case, for which no text is made."""
    if (
        request.type is not _LIMIT
        or not request.price
        or request.trigger_price
        or request.stop_loss
        or request.take_profit
        or request.display_volume
        or request.trailing_offset
        or request.time_in_force is not _GTC
    ):
        return False
    try:
        return tick.check(request.price) == request.price
    except OrderError:
        return False


def _check_prices(request: OrderRequest, tick: TickSize) -> OrderRequest:
    """Prices that the type needs are there and on the tick; the others are absent."""
    if _is_plain_limit(request, tick):
        return request
    where = f"{request.vt_symbol} {request.type.value} order"
    price = _price(where, "price", request.price, request.type in _PRICED, tick)
    trigger = _price(
        where, "trigger_price", request.trigger_price, request.type in _TRIGGERED, tick
    )
    if request.display_volume or request.trailing_offset:
        _check_not_negative(where, request)
    if request.time_in_force is TimeInForce.GTD and request.expire_ts <= 0:
        raise OrderError(f"{where}: time in force GTD needs expire_ts (ns UTC)")
    stop_loss, take_profit = request.stop_loss, request.take_profit
    if stop_loss or take_profit:
        stop_loss = _attached(where, "stop_loss", stop_loss, tick)
        take_profit = _attached(where, "take_profit", take_profit, tick)
        _check_sides(where, request.direction, price or trigger, stop_loss, take_profit)
    as_given = (request.price, request.trigger_price, request.stop_loss, request.take_profit)
    if as_given == (price, trigger, stop_loss, take_profit):
        return request
    return replace(
        request,
        price=price,
        trigger_price=trigger,
        stop_loss=stop_loss,
        take_profit=take_profit,
    )


def _check_not_negative(where: str, request: OrderRequest) -> None:
    for field in ("display_volume", "trailing_offset"):
        if not 0.0 <= getattr(request, field) < inf:
            raise OrderError(
                f"{where}: {field} must not be negative, got {getattr(request, field)}"
            )


def _check_sides(
    where: str, direction: Direction, entry: float, stop_loss: float, take_profit: float
) -> None:
    """A stop lies on the losing side of the entry (0 where unknown) and of the target, a target on the winning side.

    Raises:
        OrderError: one does not.
    """
    sign = 1.0 if direction is Direction.LONG else -1.0
    pairs = (
        ("stop_loss", stop_loss, "the entry", entry),
        ("the entry", entry, "take_profit", take_profit),
        ("stop_loss", stop_loss, "take_profit", take_profit),
    )
    for low_name, low, high_name, high in pairs:
        if low and high and sign * low >= sign * high:
            side = "below" if sign > 0.0 else "above"
            raise OrderError(
                f"{where}: wrong sides for {direction.value}: {low_name} ({low:g}) must lie {side} {high_name} "
                f"({high:g})"
            )


def check_protection(request: OrderRequest, newest: float) -> None:
    """Refuse a market order whose stop or target is on the wrong side of the newest price: it would end at once.

    Raises:
        OrderError: names both prices.
    """
    if request.type is _MARKET and newest and (request.stop_loss or request.take_profit):
        where = f"{request.vt_symbol} {request.type.value} order, newest price {newest:g}"
        _check_sides(where, request.direction, newest, request.stop_loss, request.take_profit)


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
