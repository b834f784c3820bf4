"""Orders of ours that work or are UNKNOWN, and that the venue does not list.

Invariants: silence is never a reject. An order is closed as "never arrived" only where the venue would have to
know it: the question came later, by the grace period, than the submit and than the end of our command that was on its
way; the venue lists all open orders and all orders closed since before the submit, nobody ever acknowledged it and
nothing traded. Where its fills add up to its volume they explain it. In all other cases it is UNKNOWN and blocks its
strategy in its instrument; it is never dropped.
"""

from __future__ import annotations

from msgspec.structs import replace

from foxtrot.core.constants import Status
from foxtrot.core.objects import OrderData
from foxtrot.server.oms.reconcile_types import Code
from foxtrot.server.oms.reconcile_work import Work

NEVER_ARRIVED = "never arrived at the venue"
MISSING = "missing at the venue"
_IN_FLIGHT = frozenset({Status.SUBMITTING, Status.UNKNOWN})


def reconcile_unlisted(work: Work) -> None:
    """Decide on every active order of the adapter that the venue does not list."""
    prefix = work.adapter + "."
    for vt_orderid, own in work.own.active.items():
        if not vt_orderid.startswith(prefix) or vt_orderid in work.listed:
            continue
        if _is_filled(work, own):
            _close_filled(work, own)
        elif own.status in _IN_FLIGHT and not _was_acknowledged(work, own):
            _judge_in_flight(work, own)
        elif own.ts_event > work.horizon and own.status is not Status.UNKNOWN:
            work.deferred.update((vt_orderid, own.vt_symbol))
        elif own.status is Status.UNKNOWN or work.venue.open_orders_complete:
            work.doubtful[vt_orderid] = (own, "the venue lists it neither as open nor as closed")
        else:
            _note_unlisted(work, own)


def mark_doubtful(work: Work) -> None:
    """Mark as UNKNOWN what nobody can tell, after its fills; and block it."""
    for vt_orderid, (own, why) in work.doubtful.items():
        if _is_filled(work, own):
            if own.status is Status.UNKNOWN:
                work.resolved.append(vt_orderid)
            continue
        acknowledged = _was_acknowledged(work, own)
        if own.status is not Status.UNKNOWN or vt_orderid in work.new_fills:
            work.marks.append(
                replace(
                    own,
                    status=Status.UNKNOWN,
                    average_price=0.0,  # the fold keeps that of the fills
                    reason=f"{MISSING if acknowledged else 'no word of it'}: {why}",
                )
            )
        work.note(
            Code.ORDER_MISSING if acknowledged else Code.ORDER_UNKNOWN,
            vt_orderid,
            f"{own.status.value}, traded {own.traded!r} of {own.volume!r}",
            "not listed" if vt_orderid not in work.listed else "cannot tell",
            f"order {vt_orderid}: {why}; it is UNKNOWN until the venue tells more, and "
            f"{own.strategy or 'its owner'} may not trade {own.vt_symbol} before",
            work.block(own.vt_symbol, own.strategy),
        )


def _is_filled(work: Work, own: OrderData) -> bool:
    """Whether the fills, ours and the new ones, add up to the order's volume."""
    volume = work.lots(own.vt_symbol, own.volume)
    if not volume:
        return False
    fills = (*work.own.trades_of(own.vt_orderid), *work.new_fills.get(own.vt_orderid, ()))
    return work.sum_lots(own.vt_symbol, fills) >= volume


def _close_filled(work: Work, own: OrderData) -> None:
    """The fills explain it: folding them closes it; where we had them all already, say so."""
    if own.vt_orderid not in work.new_fills:
        work.orders.append(replace(own, status=Status.ALLTRADED, traded=own.volume))
    if own.status is Status.UNKNOWN:
        work.resolved.append(own.vt_orderid)


def _was_acknowledged(work: Work, own: OrderData) -> bool:
    """Whether the venue ever showed that it had the order.

    Until then its ``ts_event`` is that of the submit, which marking it UNKNOWN does not change.
    """
    vt_orderid = own.vt_orderid
    return bool(
        own.venue_orderid
        or own.status not in _IN_FLIGHT
        or own.ts_event != own.ts_init
        or own.reason.startswith(MISSING)
        or own.traded
        or vt_orderid in work.missing
        or vt_orderid in work.aside
        or work.own.trades_of(vt_orderid)
    )


def _judge_in_flight(work: Work, own: OrderData) -> None:
    """An order of which nobody has heard since it was submitted."""
    venue, vt_orderid = work.venue, own.vt_orderid
    submitted = own.ts_init or own.ts_event
    # Taken by the adapter long after the submit, it may have reached the venue behind this snapshot.
    due = max(submitted, work.own.settled(vt_orderid)) + work.policy.grace
    patient = venue.ts >= due and (not work.own.now or work.own.now >= due)
    if not patient and own.status is Status.SUBMITTING:
        work.deferred.update((vt_orderid, own.vt_symbol))
        return
    closed_listed = venue.history_since is not None and venue.history_since <= submitted
    if not (patient and venue.open_orders_complete and closed_listed):
        lacking = (
            "the grace period after its submit is not over"
            if not patient
            else "the venue's lists of open and closed orders are not complete"
        )
        work.doubtful[vt_orderid] = (own, f"in flight, and {lacking}")
        return
    work.orders.append(replace(own, status=Status.REJECTED, reason=NEVER_ARRIVED))
    if own.status is Status.UNKNOWN:
        work.resolved.append(vt_orderid)
    work.note(
        Code.ORDER_NEVER_ARRIVED,
        vt_orderid,
        own.status.value,
        "not listed",
        f"order {vt_orderid} {NEVER_ARRIVED}: its lists of open and closed orders are complete since before the submit "
        "and do not hold it; it is closed as REJECTED",
    )


def _note_unlisted(work: Work, own: OrderData) -> None:
    work.note(
        Code.ORDER_UNLISTED,
        own.vt_orderid,
        f"{own.status.value}, traded {own.traded!r} of {own.volume!r}",
        "not listed",
        f"order {own.vt_orderid} is not listed, but the venue's list of open orders is not complete; it stays "
        f"{own.status.value}",
    )
