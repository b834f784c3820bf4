"""What the simulated exchange says of an order, and what it refuses: pure functions of an order as it stands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from foxtrot.core.constants import Status, TimeInForce
from foxtrot.core.objects import AccountData, ModifyRequest, OrderData, OrderRequest, TradeData
from foxtrot.simulation.book import LIMIT, MARKET, STOP, STOP_LIMIT, Book, SimOrder

PARTTRADED = Status.PARTTRADED
GTC = TimeInForce.GTC
SUPPORTED_TYPES = frozenset({MARKET, LIMIT, STOP, STOP_LIMIT})
PRICED_TYPES = frozenset({LIMIT, STOP_LIMIT})


@dataclass(slots=True)
class Reports:
    """Where the exchange's reports go."""

    on_order: Callable[[OrderData], None]
    on_trade: Callable[[TradeData], None]
    on_account: Callable[[AccountData], None] = field(default=lambda _account: None)


def order_report(order: SimOrder, book: Book | None, now: int, reason: str) -> OrderData:
    """How an order stands at ``now`` (ns UTC); its fills are reported as trades."""
    request = order.request
    from_lots = book.instrument.lot.from_lots if book is not None else float
    return OrderData(
        request.vt_orderid,
        request.vt_symbol,
        request.direction,
        request.type,
        from_lots(order.lots),
        request.price,
        request.trigger_price,
        PARTTRADED if order.live and order.filled else order.status,
        from_lots(order.filled) if order.filled else 0.0,
        0.0,
        request.offset,
        request.time_in_force,
        request.expire_ts,
        request.reduce_only,
        request.volume_mode,
        request.volume,
        request.strategy,
        request.reference,
        request.parent_orderid,
        reason,
        now,
        now,
        "",
        request.account,
    )


def refused_request(request: OrderRequest) -> str:
    """Why the exchange cannot take an order like that; empty where it can."""
    if request.type not in SUPPORTED_TYPES:
        return f"order type {request.type.value} is not supported by the simulated exchange"
    if request.time_in_force is not GTC:
        return (
            f"time in force {request.time_in_force.value} is not supported by the simulated exchange; "
            "use GTC"
        )
    if request.post_only or request.display_volume or request.trailing_offset:
        return "post_only, display_volume and trailing_offset are not supported by the simulated exchange"
    return ""


def refused_change(order: SimOrder, request: ModifyRequest, book: Book) -> str:
    """Why an order cannot be changed like that; empty where it can."""
    volume = request.volume
    if volume is not None and book.instrument.lot.to_lots(volume) <= order.filled:
        return f"{volume:g} is not above what has traded"
    if request.price is not None:
        if order.request.type not in PRICED_TYPES:
            return f"a {order.request.type.value} order has no price"
        if not request.price:
            return "the price is 0"
    if request.trigger_price is not None:
        if order.type is not STOP and (order.type is not STOP_LIMIT or order.is_limit):
            return "the order has no trigger that it still waits for"
        if not request.trigger_price:
            return "the trigger price is 0"
    return ""
