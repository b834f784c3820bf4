"""Stops and targets that come with an entry: born at its first fill, growing with it, gone with its position.

What an entry still fills after its stop or target has ended it gets a new pair, so no part of a position is left bare.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from foxtrot.core.constants import Direction, Offset, OrderType, VolumeMode
from foxtrot.core.objects import OrderRequest
from foxtrot.simulation.book import LONG, Book, SimOrder

SHORT = Direction.SHORT
ALWAYS = -(2**63)
"""Arrival of a protective order: it works in the very bar that filled its entry."""


def attach_children(book: Book, order: SimOrder, lots: int) -> list[SimOrder]:
    """Make the stop and target of an entry that has just filled ``lots``, or let them grow.

    Returns:
        The new or changed protective orders, already resting in the book.
    """
    working = [child for child in order.children if child.live]
    if working:
        for child in working:
            child.lots += lots
        return working
    children: list[SimOrder] = []
    order.children = children
    order.pairs += 1
    number = str(order.pairs) if order.pairs > 1 else ""
    request = order.request
    volume = book.instrument.lot.from_lots(lots)
    wanted = (
        ("SL", OrderType.STOP, 0.0, request.stop_loss),
        ("TP", OrderType.LIMIT, request.take_profit, 0.0),
    )
    for tag, type_, price, trigger in wanted:
        if price or trigger:
            child_request = _child_request(request, tag + number, type_, volume, price, trigger)
            child = SimOrder(child_request, lots, ALWAYS)
            child.protects = True
            children.append(child)
            book.add(child)
    if len(children) == 2:
        first, second = children
        first.partner, second.partner = second, first
    return children


def _child_request(
    parent: OrderRequest, tag: str, type_: OrderType, volume: float, price: float, trigger: float
) -> OrderRequest:
    return replace(
        parent,
        direction=SHORT if parent.direction is LONG else LONG,
        type=type_,
        volume=volume,
        volume_mode=VolumeMode.UNITS,
        price=price,
        trigger_price=trigger,
        offset=Offset.NONE if parent.offset is Offset.NONE else Offset.CLOSE,
        reduce_only=True,
        stop_loss=0.0,
        take_profit=0.0,
        vt_orderid=f"{parent.vt_orderid}-{tag}",
        parent_orderid=parent.vt_orderid,
    )


def cancel_orphans(book: Book, strategy: str) -> Iterator[SimOrder]:
    """Protective orders of a strategy that have nothing left to close."""
    held = book.held.get(strategy, 0)
    for order in book.orders:
        protects = order.protects and order.live and order.request.strategy == strategy
        if protects and held * order.sign >= 0:
            yield order
