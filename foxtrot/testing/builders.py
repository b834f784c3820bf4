"""Builders of messages: sensible defaults, and checks that the messages' own constructors leave out.

Invariant: what a builder returns has the declared types, finite numbers, and makes sense (a bar's high is its highest
price, a position's volume has the sign that its direction allows). Whatever is wrong raises ``ValueError`` and names
the field. Any field of a message may be given by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count
from math import isfinite
from typing import Any, TypeVar

import msgspec

from foxtrot.core.constants import NS_PER_MINUTE, Direction, OrderType, Status
from foxtrot.core.objects import (
    AccountData,
    BarData,
    ContractData,
    OrderData,
    OrderRequest,
    PositionData,
    TickData,
    TradeData,
    split_vt_id,
    split_vt_symbol,
)

START = 1_704_153_600_000_000_000
"""When the defaults begin: 2024-01-02 00:00 UTC, ns."""

SYMBOL = "TEST.LOCAL"
"""The instrument of the defaults."""

_ids = count(1)
_Message = TypeVar("_Message", bound=msgspec.Struct)


def make_bar(
    close_price: float = 100.0,
    vt_symbol: str = SYMBOL,
    *,
    ts_open: int | None = None,
    length: int = NS_PER_MINUTE,
    **fields: Any,
) -> BarData:
    """A bar that opens at ``ts_open`` (ns UTC, default ``START``) and closes ``length`` ns later.

    Open is the close, high and low just hold both, and the volume is 1,000 units, where they are not given.

    Raises:
        ValueError: the prices contradict each other, or a field has the wrong type.
    """
    opened = START if ts_open is None else ts_open
    open_price = fields.pop("open_price", close_price)
    bar = BarData(
        vt_symbol,
        opened,
        fields.pop("ts_event", opened + length),
        open_price,
        fields.pop("high_price", max(open_price, close_price)),
        fields.pop("low_price", min(open_price, close_price)),
        close_price,
        fields.pop("volume", 1_000.0),
        **fields,
    )
    _checked(bar)
    low, high = bar.low_price, bar.high_price
    _require(low <= min(bar.open_price, bar.close_price), "low_price", bar)
    _require(high >= max(bar.open_price, bar.close_price), "high_price", bar)
    _require(bar.volume >= 0.0, "volume", bar)
    _require(bar.ts_event > bar.ts_open, "ts_event (the close, after ts_open)", bar)
    return bar


def make_bars(
    closes: Iterable[float],
    vt_symbol: str = SYMBOL,
    *,
    start: int = START,
    length: int = NS_PER_MINUTE,
    **fields: Any,
) -> list[BarData]:
    """Bars one after the other, each opening at the close before it; the first at its own close."""
    bars: list[BarData] = []
    for number, close in enumerate(closes):
        opened = bars[-1].close_price if bars else close
        ts_open = start + number * length
        bars.append(
            make_bar(close, vt_symbol, ts_open=ts_open, length=length, open_price=opened, **fields)
        )
    return bars


def make_tick(
    bid_price_1: float = 99.0,
    ask_price_1: float = 101.0,
    vt_symbol: str = SYMBOL,
    *,
    ts_event: int = START,
    **fields: Any,
) -> TickData:
    """A quote with 100 units on either side.

    Raises:
        ValueError: bid and ask cross, or a field has the wrong type.
    """
    fields = {"bid_volume_1": 100.0, "ask_volume_1": 100.0, **fields}
    tick = _checked(TickData(vt_symbol, ts_event, bid_price_1, ask_price_1, **fields))
    _require(not (bid_price_1 and ask_price_1) or bid_price_1 <= ask_price_1, "ask_price_1", tick)
    _require(min(tick.bid_volume_1, tick.ask_volume_1) >= 0.0, "bid_volume_1, ask_volume_1", tick)
    return tick


def make_contract(vt_symbol: str = SYMBOL, **fields: Any) -> ContractData:
    """A contract of size 1, lots of 1 unit, price tick 0.01, in USD, at the adapter ``SIM``.

    Raises:
        ValueError: size, lot or tick make no sense, or a field has the wrong type.
    """
    fields = {"pricetick": 0.01, "adapter_name": "SIM", **fields}
    contract = _checked(ContractData(vt_symbol, **fields))
    _require(contract.size > 0.0, "size", contract)
    _require(contract.min_volume > 0.0, "min_volume", contract)
    _require(contract.pricetick >= 0.0, "pricetick", contract)
    return contract


def make_order_request(
    direction: Direction = Direction.LONG,
    volume: float = 1.0,
    price: float = 0.0,
    vt_symbol: str = SYMBOL,
    **fields: Any,
) -> OrderRequest:
    """A market order, or a limit order where a price is given; ``vt_orderid`` stays empty, to be minted.

    Raises:
        ValueError: the volume is not positive, or a field has the wrong type.
    """
    fields.setdefault("type", OrderType.LIMIT if price else OrderType.MARKET)
    kind = fields.pop("type")
    request = _checked(OrderRequest(vt_symbol, direction, kind, volume, price, **fields))
    _require(request.volume > 0.0, "volume", request)
    return request


def make_order(
    status: Status = Status.NOTTRADED,
    volume: float = 10.0,
    price: float = 100.0,
    direction: Direction = Direction.LONG,
    vt_symbol: str = SYMBOL,
    **fields: Any,
) -> OrderData:
    """A limit order's state, under a new id of the adapter ``SIM`` where none is given.

    Raises:
        ValueError: more has traded than was ordered, or a field has the wrong type.
    """
    fields.setdefault("vt_orderid", f"SIM.test-{next(_ids)}")
    fields.setdefault("type", OrderType.LIMIT if price else OrderType.MARKET)
    order = OrderData(
        vt_symbol=vt_symbol,
        direction=direction,
        volume=volume,
        price=price,
        status=status,
        **{"ts_event": START, "ts_init": START, **fields},
    )
    _checked(order)
    _require(0.0 <= order.traded <= order.volume or not order.volume, "traded", order)
    return order


def make_trade(
    volume: float = 1.0,
    price: float = 100.0,
    direction: Direction = Direction.LONG,
    vt_symbol: str = SYMBOL,
    **fields: Any,
) -> TradeData:
    """A fill at the adapter ``SIM``, under a new id where none is given, of the order ``SIM.test``.

    Raises:
        ValueError: the volume is not positive, the side is NET, or a field has the wrong type.
    """
    fields = {"vt_orderid": "SIM.test", "ts_event": START, "ts_init": START, **fields}
    fields.setdefault("vt_tradeid", f"SIM.test-{next(_ids)}")
    trade = TradeData(
        vt_symbol=vt_symbol, direction=direction, price=price, volume=volume, **fields
    )
    _checked(trade)
    _require(trade.volume > 0.0, "volume", trade)
    _require(trade.direction is not Direction.NET, "direction", trade)
    return trade


def make_position(
    volume: float = 1.0,
    price: float = 100.0,
    direction: Direction = Direction.NET,
    vt_symbol: str = SYMBOL,
    **fields: Any,
) -> PositionData:
    """A position at the adapter ``SIM``.

    Raises:
        ValueError: a LONG or SHORT position is negative, or a field has the wrong type.
    """
    fields = {"vt_positionid": f"SIM.{vt_symbol}.{direction.value}", "ts_event": START, **fields}
    position = PositionData(
        vt_symbol=vt_symbol, direction=direction, volume=volume, price=price, **fields
    )
    _checked(position)
    _require(position.direction is Direction.NET or position.volume >= 0.0, "volume", position)
    return position


def make_account(balance: float = 100_000.0, currency: str = "USD", **fields: Any) -> AccountData:
    """An account at the adapter ``SIM``.

    Raises:
        ValueError: a field has the wrong type.
    """
    fields = {"vt_accountid": f"SIM.{currency}", "ts_event": START, **fields}
    return _checked(AccountData(balance=balance, currency=currency, **fields))


def _checked(message: _Message) -> _Message:
    """Refuse wrong types, unknown enum members, malformed keys and numbers that are not finite."""
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if isinstance(value, float) and not isfinite(value):
            raise ValueError(f"{name} must be finite: {message}")
        if name == "vt_symbol":
            split_vt_symbol(value)
        elif name.startswith("vt_") and value:
            split_vt_id(value)
    try:
        msgspec.convert(msgspec.to_builtins(message), type(message))
    except msgspec.ValidationError as error:
        raise ValueError(f"{error}: {message}") from None
    return message


def _require(condition: bool, field: str, message: msgspec.Struct) -> None:
    if not condition:
        raise ValueError(f"{field} makes no sense: {message}")
