"""Fills: those of the venue that we miss are added, and a gap that no fill explains is closed by a synthetic one.

Invariants: after the fold an order's fills add up to what the venue says it traded, or the instrument is
blocked; a fill is known by (adapter, execution id), so one listed twice or in another order counts once; fills
that would make an order trade more than the venue says are not folded, since a fill can never be taken back.
"""

from __future__ import annotations

from msgspec.structs import replace

from foxtrot.core.constants import OrderType, Status
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.oms.order_manager import EXTERNAL
from foxtrot.server.oms.reconcile_intake import by_time, fill_story
from foxtrot.server.oms.reconcile_listed import INCONCLUSIVE
from foxtrot.server.oms.reconcile_synthetic import (
    absorb,
    average_price,
    implied_price,
    synthetic_fill,
)
from foxtrot.server.oms.reconcile_types import Code
from foxtrot.server.oms.reconcile_work import Work


def reconcile_fills(work: Work) -> None:
    """Decide for every order that the venue tells of which fills to fold."""
    for vt_orderid in dict.fromkeys((*work.listed, *work.missing)):
        if vt_orderid in work.aside or vt_orderid in work.deferred:
            continue
        own, theirs = work.own.order(vt_orderid), work.listed.get(vt_orderid)
        missing = work.missing.get(vt_orderid, [])
        if own is not None and own.ts_event > work.horizon and own.status not in INCONCLUSIVE:
            work.deferred.update((vt_orderid, own.vt_symbol))
            continue
        order = own or theirs or _made_up(missing)
        if _fits(work, order, missing):
            if own is None and theirs is None:
                work.orders.append(order)
            _fold(work, order, theirs, missing)
    work.fills.sort(key=by_time)


def _fold(work: Work, order: OrderData, theirs: OrderData | None, missing: list[TradeData]) -> None:
    """Add an order's missing fills and close its gap."""
    lot = work.lot(order.vt_symbol)
    known = list(work.own.trades_of(order.vt_orderid))
    owner = work.own.order(order.vt_orderid)
    strategy = owner.strategy if owner is not None else EXTERNAL
    before = len(known)
    for fill in missing:
        rest = absorb(replace(fill, strategy=strategy), known, lot)
        known.append(rest.trade)
        if rest.absorbed:
            _note_absorbed(work, fill, rest.absorbed, rest.price_difference)
    folded = work.sum_lots(order.vt_symbol, known)
    told = theirs if theirs is not None else order
    bound = lot.to_lots(told.traded if theirs is not None else told.volume)
    if len(known) > before and (theirs is not None or bound) and folded > bound:
        what = "has traded" if theirs is not None else "was sent for"
        work.note(
            Code.FILLS_EXCEED_ORDER,
            order.vt_orderid,
            repr(lot.from_lots(work.sum_lots(order.vt_symbol, known[:before]))),
            f"{lot.from_lots(bound)!r}, {len(missing)} fills new to us",
            f"with the venue's new fills order {order.vt_orderid} would come to {lot.from_lots(folded)!r}, but it "
            f"{what} {lot.from_lots(bound)!r}; none of them is folded, since one fill may be listed under two ids",
            work.block(order.vt_symbol),
        )
        return
    new = known[before:]
    if theirs is not None and folded < bound:
        made = _close_gap(work, replace(theirs, strategy=strategy), known, bound, folded)
        new.extend(made)
    elif theirs is not None:
        _check_average(work, theirs, known)
    if new:
        work.new_fills[order.vt_orderid] = new
        work.fills.extend(new)


def _close_gap(
    work: Work, theirs: OrderData, known: list[TradeData], told: int, folded: int
) -> list[TradeData]:
    """One synthetic fill for what the venue says has traded beyond the fills that we know."""
    lot = work.lot(theirs.vt_symbol)
    gap = lot.from_lots(told - folded)
    price, source = implied_price(theirs, known, gap)
    ours, say = repr(lot.from_lots(folded)), repr(theirs.traded)
    fault = work.unbookable(theirs.vt_symbol)
    if fault or not source:
        work.note(
            Code.FILL_UNPRICED,
            theirs.vt_orderid,
            ours,
            say,
            f"order {theirs.vt_orderid} has traded {gap!r} more than its fills tell; they cannot be booked: "
            + (fault or "neither the venue's average price nor a limit tells their price"),
            work.block(theirs.vt_symbol),
        )
        return []
    fill = synthetic_fill(theirs, work.adapter, told, gap, price, work.horizon)
    work.note(
        Code.FILL_SYNTHETIC,
        theirs.vt_orderid,
        ours,
        say,
        f"order {theirs.vt_orderid} has traded {gap!r} more than the listed fills tell; booked as {fill.vt_tradeid} "
        f"at {price!r} ({source})",
    )
    return [fill]


def _fits(work: Work, order: OrderData, missing: list[TradeData]) -> bool:
    """Whether the fills are of the order that they name."""
    for fill in missing:
        if fill.vt_symbol != order.vt_symbol or fill.direction is not order.direction:
            for vt_symbol in sorted({fill.vt_symbol, order.vt_symbol}):
                work.note(
                    Code.FILL_MISMATCH,
                    fill.vt_tradeid,
                    f"{order.direction.value} {order.vt_symbol}",
                    fill_story(fill),
                    f"fill {fill.vt_tradeid} says that it is of order {order.vt_orderid}, which is of another side or "
                    "instrument; none of the order's new fills is folded",
                    work.block(vt_symbol),
                )
            return False
    return True


def _made_up(fills: list[TradeData]) -> OrderData:
    """The order behind fills that nobody here sent and that the venue does not list."""
    first = fills[0]
    return OrderData(
        first.vt_orderid,
        first.vt_symbol,
        first.direction,
        OrderType.MARKET,
        sum(fill.volume for fill in fills),
        status=Status.NOTTRADED,
        strategy=EXTERNAL,
        ts_event=first.ts_event,
        ts_init=first.ts_event,
        venue_orderid=first.venue_orderid,
        account=first.account,
    )


def _check_average(work: Work, theirs: OrderData, known: list[TradeData]) -> None:
    """Say where the venue's average price is not that of its fills."""
    ours = average_price(known)
    if not ours or not theirs.average_price:
        return
    if abs(ours - theirs.average_price) > abs(ours) * work.policy.price_tolerance:
        work.note(
            Code.AVERAGE_PRICE,
            theirs.vt_orderid,
            repr(ours),
            repr(theirs.average_price),
            f"order {theirs.vt_orderid}: its fills average {ours!r}, the venue says {theirs.average_price!r}; the "
            "fills are what is booked",
        )


def _note_absorbed(work: Work, fill: TradeData, absorbed: float, difference: float) -> None:
    work.note(
        Code.FILL_ABSORBED,
        fill.vt_tradeid,
        f"{absorbed!r} booked as synthetic",
        fill_story(fill),
        f"fill {fill.vt_tradeid} arrived after {absorbed!r} of it had been booked as synthetic, {difference:+.10g} off "
        "its price; only the rest and its commission are folded",
    )
