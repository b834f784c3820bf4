"""The intake of a snapshot: orders and fills as the venue lists them, sorted out before anything is compared.

Invariants: each order and each execution id is there once; what contradicts itself, or an earlier record of the
same id, is set aside with its whole order and blocks the instrument.
"""

from __future__ import annotations

from math import isfinite

from msgspec.structs import replace

from foxtrot.core.constants import Status
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.oms.reconcile_synthetic import absorbed_volume
from foxtrot.server.oms.reconcile_types import Code
from foxtrot.server.oms.reconcile_work import Work
from foxtrot.server.oms.transitions import TRANSITIONS

WORKING = frozenset({Status.NOTTRADED, Status.PARTTRADED, Status.TRIGGERED})


def read_listed(work: Work) -> None:
    """Take up the venue's orders: one listed twice once, in its most advanced state; set aside what cannot be true."""
    for order in work.venue.orders:
        known = work.listed.get(order.vt_orderid)
        if known is None or _advance(order) > _advance(known):
            work.listed[order.vt_orderid] = order
    for vt_orderid, order in work.listed.items():
        fault = _contradiction(work, order)
        if not fault:
            work.listed[vt_orderid] = _straighten(work, order)
            continue
        work.aside.add(vt_orderid)
        work.note(
            Code.ORDER_INCONSISTENT,
            vt_orderid,
            order_story(work.own.order(vt_orderid)),
            order_story(order),
            f"the venue's record of order {vt_orderid} contradicts itself: {fault}; nothing of it is taken over",
            work.block(order.vt_symbol),
        )


def read_fills(work: Work) -> None:
    """Sort out the venue's fills: known ones are compared, new ones collected by order, oldest first."""
    seen: dict[str, TradeData] = {}
    changed: set[str] = set()
    for fill in work.venue.fills:
        known = seen.setdefault(fill.vt_tradeid, fill)
        stored = work.own.trade(fill.vt_tradeid)
        if _fault(work, fill):
            continue
        if not _is_same(work, known, fill) or (stored and not _is_same(work, stored, fill)):
            changed.add(fill.vt_tradeid)
            _note_changed(work, stored or known, fill)
    for vt_tradeid, fill in seen.items():
        fault = _fault(work, fill)
        if fault:
            work.note(
                Code.FILL_MALFORMED,
                vt_tradeid,
                "none",
                fill_story(fill),
                f"fill {vt_tradeid} of order {fill.vt_orderid} cannot be booked: {fault}",
                work.block(fill.vt_symbol),
            )
            work.aside.add(fill.vt_orderid)
        elif vt_tradeid in changed:
            work.aside.add(fill.vt_orderid)
        elif work.own.trade(vt_tradeid) is None:
            work.missing.setdefault(fill.vt_orderid, []).append(fill)
    for fills in work.missing.values():
        fills.sort(key=by_time)


def order_story(order: OrderData | None) -> str:
    """Status and figures of an order in words."""
    if order is None:
        return "unknown"
    return f"{order.status.value}, traded {order.traded!r} of {order.volume!r}"


def fill_story(fill: TradeData) -> str:
    """A fill in words."""
    return f"{fill.direction.value} {fill.volume!r} {fill.vt_symbol} at {fill.price!r} of {fill.vt_orderid}"


def by_time(fill: TradeData) -> tuple[int, str]:
    """Sort key: when it traded, then its id."""
    return fill.ts_event, fill.vt_tradeid


def _advance(order: OrderData) -> tuple[bool, float, int]:
    """How far an order has come: closed, then traded, then latest."""
    return (not TRANSITIONS[order.status], order.traded, order.ts_event)


def _straighten(work: Work, order: OrderData) -> OrderData:
    """The order with a status that fits its figures."""
    volume, traded = work.lots(order.vt_symbol, order.volume), order.traded
    status = order.status
    if status is Status.ALLTRADED and not traded:
        return replace(order, traded=order.volume)
    if status in WORKING and traded:
        done = volume and work.lots(order.vt_symbol, traded) == volume
        return replace(order, status=Status.ALLTRADED if done else Status.PARTTRADED)
    if status in (Status.REJECTED, Status.DENIED):
        return replace(order, status=Status.CANCELLED if traded else Status.REJECTED)
    return order


def _contradiction(work: Work, order: OrderData) -> str:
    """What of an order's record cannot be true; empty where all can."""
    volume = work.lots(order.vt_symbol, order.volume)
    traded = work.lots(order.vt_symbol, order.traded)
    if volume is None or traded is None or volume < 0 or traded < 0:
        return f"volume {order.volume!r} or traded {order.traded!r} is not whole lots"
    if not isfinite(order.price) or not isfinite(order.trigger_price):
        return f"price {order.price!r} or trigger {order.trigger_price!r} is not a number"
    if volume and traded > volume:
        return f"traded {order.traded!r} is more than its volume {order.volume!r}"
    if order.status is Status.ALLTRADED and traded and traded < volume:
        return f"it is filled, yet only {order.traded!r} of {order.volume!r} traded"
    if order.status is Status.PARTTRADED and not traded:
        return "it is partly filled, yet nothing traded"
    return ""


def _fault(work: Work, fill: TradeData) -> str:
    """Why a fill cannot be booked; empty where it can."""
    lots = work.lots(fill.vt_symbol, fill.volume)
    if lots is None or lots <= 0:
        return f"volume {fill.volume!r} is not a positive number of whole lots"
    if not isfinite(fill.price) or not isfinite(fill.commission):
        return f"price {fill.price!r} or commission {fill.commission!r} is not a finite number"
    return work.unbookable(fill.vt_symbol)


def _is_same(work: Work, ours: TradeData, theirs: TradeData) -> bool:
    """Whether two records of one execution id agree."""
    if (ours.vt_orderid, ours.vt_symbol, ours.direction, ours.price) != (
        theirs.vt_orderid,
        theirs.vt_symbol,
        theirs.direction,
        theirs.price,
    ):
        return False
    whole = (work.lots(ours.vt_symbol, ours.volume) or 0) + (
        work.lots(ours.vt_symbol, absorbed_volume(ours)) or 0
    )
    return whole == work.lots(theirs.vt_symbol, theirs.volume)


def _note_changed(work: Work, ours: TradeData, theirs: TradeData) -> None:
    for vt_symbol in sorted({ours.vt_symbol, theirs.vt_symbol}):
        work.note(
            Code.FILL_CHANGED,
            theirs.vt_tradeid,
            fill_story(ours),
            fill_story(theirs),
            f"execution id {theirs.vt_tradeid} stands for two different fills; a folded fill is never changed and the "
            "other one cannot be told apart",
            work.block(vt_symbol),
        )
