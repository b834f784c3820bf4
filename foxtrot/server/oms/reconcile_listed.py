"""Orders that the venue lists: adopted, brought up to date, or set aside where the venue contradicts us or itself.

Invariants: an order is reported only by a move that the transition table has, so folding it ends the
difference; what the venue says of an order that is newer on our side is not used; nothing is ever cancelled
from here.
"""

from __future__ import annotations

from msgspec.structs import replace

from foxtrot.core.constants import Status
from foxtrot.core.objects import OrderData
from foxtrot.server.oms.order_manager import EXTERNAL
from foxtrot.server.oms.reconcile_intake import order_story
from foxtrot.server.oms.reconcile_types import Code
from foxtrot.server.oms.reconcile_work import Work
from foxtrot.server.oms.transitions import TRANSITIONS

CANNOT_TELL = "the venue itself cannot tell its state"
INCONCLUSIVE = frozenset({Status.SUBMITTING, Status.UNKNOWN})


def reconcile_listed(work: Work) -> None:
    """Compare every order that the venue lists with ours."""
    active_venue_ids = {
        order.venue_orderid: order
        for order in work.own.active.values()
        if order.venue_orderid and order.adapter_name == work.adapter
    }
    for vt_orderid, theirs in work.listed.items():
        if vt_orderid in work.aside:
            continue
        own = work.own.order(vt_orderid)
        if own is None:
            _adopt(work, theirs, active_venue_ids.get(theirs.venue_orderid))
        elif _is_comparable(work, own, theirs):
            if TRANSITIONS[own.status]:
                _update(work, own, theirs)
            else:
                _compare_closed(work, own, theirs)


def _adopt(work: Work, theirs: OrderData, twin: OrderData | None) -> None:
    """Take up an order that somebody else sent, unless it is one of ours under another id."""
    vt_orderid = theirs.vt_orderid
    if twin is not None:
        work.aside.add(vt_orderid)
        work.note(
            Code.ORDER_TWO_IDS,
            vt_orderid,
            order_story(twin),
            order_story(theirs),
            f"the venue lists our order {twin.vt_orderid} (venue id {theirs.venue_orderid}) under the id {vt_orderid}; "
            "it is not adopted a second time: the adapter must return the client's id",
            work.block(theirs.vt_symbol),
        )
        return
    concerns = theirs.is_active() or theirs.traded or vt_orderid in work.missing
    if not concerns:
        return
    adopted = replace(theirs, strategy=EXTERNAL)
    work.orders.append(adopted)
    if theirs.status is Status.UNKNOWN:
        work.doubtful[vt_orderid] = (adopted, CANNOT_TELL)
    work.note(
        Code.ORDER_EXTERNAL,
        vt_orderid,
        "unknown",
        order_story(theirs),
        f"order {vt_orderid} was not sent from here; it is adopted as {EXTERNAL} and left alone",
    )


def _is_comparable(work: Work, own: OrderData, theirs: OrderData) -> bool:
    """Whether the two records speak of one order, and the venue's is not behind."""
    vt_orderid = own.vt_orderid
    if own.vt_symbol != theirs.vt_symbol or own.direction is not theirs.direction:
        work.aside.add(vt_orderid)
        for vt_symbol in sorted({own.vt_symbol, theirs.vt_symbol}):
            work.note(
                Code.ORDER_MISMATCH,
                vt_orderid,
                order_story(own),
                order_story(theirs),
                f"id {vt_orderid} is another order at the venue than here; nothing of it is taken over",
                work.block(vt_symbol),
            )
        return False
    if own.ts_event > work.horizon and own.status not in INCONCLUSIVE:
        work.deferred.update((vt_orderid, own.vt_symbol))
        return False
    to_lots = work.lot(own.vt_symbol).to_lots
    told = to_lots(theirs.traded)
    filled = work.sum_lots(own.vt_symbol, work.own.trades_of(vt_orderid))
    if told < max(filled, to_lots(own.traded)):
        work.aside.add(vt_orderid)
        work.note(
            Code.TRADED_FELL,
            vt_orderid,
            order_story(own),
            order_story(theirs),
            f"order {vt_orderid} has traded {max(own.traded, work.lot(own.vt_symbol).from_lots(filled))!r} by our "
            f"record and only {theirs.traded!r} by the venue's; what has traded cannot fall",
            work.block(own.vt_symbol),
        )
        return False
    return True


def _update(work: Work, own: OrderData, theirs: OrderData) -> None:
    """Bring a working or UNKNOWN order of ours up to what the venue says."""
    if theirs.status in INCONCLUSIVE:
        if own.status is Status.UNKNOWN or theirs.status is Status.UNKNOWN:
            work.doubtful[own.vt_orderid] = (own, CANNOT_TELL)
        if work.lots(own.vt_symbol, theirs.traded) == work.lots(own.vt_symbol, own.traded):
            return
    report = _report(work, own, theirs)
    if own.status is Status.UNKNOWN and report.status is not Status.UNKNOWN:
        work.resolved.append(own.vt_orderid)
    same = {"ts_event": own.ts_event, "reason": own.reason, "average_price": own.average_price}
    if replace(report, **same) != own:
        work.orders.append(report)


def _report(work: Work, own: OrderData, theirs: OrderData) -> OrderData:
    """Our order as it stands at the venue.

    The venue's average price stands for what has traded beyond the fills that we have; folding the fills to come sets
    it right. It makes no report by itself.
    """
    legal = theirs.status in TRANSITIONS[own.status]
    status = theirs.status if legal and theirs.status not in INCONCLUSIVE else own.status
    reason = theirs.reason
    if own.status is Status.UNKNOWN and status is not Status.UNKNOWN and not reason:
        reason = "found at the venue by reconciliation"
    return replace(
        own,
        status=status,
        traded=max(own.traded, theirs.traded),
        volume=theirs.volume or own.volume,
        price=theirs.price or own.price,
        trigger_price=theirs.trigger_price or own.trigger_price,
        average_price=theirs.average_price or own.average_price,
        reason=reason or own.reason,
        venue_orderid=theirs.venue_orderid or own.venue_orderid,
        ts_event=min(max(own.ts_event, theirs.ts_event), work.horizon),
    )


def _compare_closed(work: Work, own: OrderData, theirs: OrderData) -> None:
    """A closed order never revives here, so one that works at the venue blocks."""
    if theirs.status is own.status or theirs.status is Status.UNKNOWN:
        return
    if TRANSITIONS[theirs.status]:
        work.note(
            Code.ORDER_STILL_WORKING,
            own.vt_orderid,
            order_story(own),
            order_story(theirs),
            f"order {own.vt_orderid} is {own.status.value} here but works at the venue; a closed order never revives: "
            "cancel it at the venue",
            work.block(own.vt_symbol),
        )
        return
    work.note(
        Code.ORDER_FINAL_STATE,
        own.vt_orderid,
        order_story(own),
        order_story(theirs),
        f"order {own.vt_orderid} ended as {theirs.status.value} at the venue and as {own.status.value} here; its fills "
        "are what counts, and they are folded",
    )
