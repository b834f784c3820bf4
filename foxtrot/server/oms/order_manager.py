"""The life of an order as one transition table.

Invariants: ``traded`` never falls; a terminal order never becomes active again; an order's id is used once. A report
that is late or out of order changes nothing, or only what it still may (a fill that arrives after a cancellation
raises ``traded`` and leaves the order cancelled). Fills and the venue's own cumulated figure are kept apart, so it
does not matter which of the two arrives first: ``traded`` is the larger.

The table (rows are states, entries the states that may follow)::

    SUBMITTING  NOTTRADED TRIGGERED PARTTRADED ALLTRADED CANCELLED REJECTED EXPIRED DENIED UNKNOWN
    NOTTRADED   NOTTRADED TRIGGERED PARTTRADED ALLTRADED CANCELLED REJECTED EXPIRED UNKNOWN
    TRIGGERED   TRIGGERED PARTTRADED ALLTRADED CANCELLED REJECTED EXPIRED UNKNOWN
    PARTTRADED  PARTTRADED ALLTRADED CANCELLED EXPIRED UNKNOWN
    UNKNOWN     every state but SUBMITTING and DENIED
    the others  nothing
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.errors import InvalidTransitionError, OrderError
from foxtrot.core.objects import OrderData, TradeData

SUBMITTING = Status.SUBMITTING
NOTTRADED = Status.NOTTRADED
TRIGGERED = Status.TRIGGERED
PARTTRADED = Status.PARTTRADED
ALLTRADED = Status.ALLTRADED
CANCELLED = Status.CANCELLED
REJECTED = Status.REJECTED
EXPIRED = Status.EXPIRED
DENIED = Status.DENIED
UNKNOWN = Status.UNKNOWN

TRANSITIONS: dict[Status, frozenset[Status]] = {
    SUBMITTING: frozenset(
        {
            NOTTRADED,
            TRIGGERED,
            PARTTRADED,
            ALLTRADED,
            CANCELLED,
            REJECTED,
            EXPIRED,
            DENIED,
            UNKNOWN,
        }
    ),
    NOTTRADED: frozenset(
        {NOTTRADED, TRIGGERED, PARTTRADED, ALLTRADED, CANCELLED, REJECTED, EXPIRED, UNKNOWN}
    ),
    TRIGGERED: frozenset({TRIGGERED, PARTTRADED, ALLTRADED, CANCELLED, REJECTED, EXPIRED, UNKNOWN}),
    PARTTRADED: frozenset({PARTTRADED, ALLTRADED, CANCELLED, EXPIRED, UNKNOWN}),
    UNKNOWN: frozenset(
        {
            NOTTRADED,
            TRIGGERED,
            PARTTRADED,
            ALLTRADED,
            CANCELLED,
            REJECTED,
            EXPIRED,
            UNKNOWN,
        }
    ),
    ALLTRADED: frozenset(),
    CANCELLED: frozenset(),
    REJECTED: frozenset(),
    EXPIRED: frozenset(),
    DENIED: frozenset(),
}

EXTERNAL = "EXTERNAL"
"""Owner of orders that somebody else sent under our account."""

RELATIVE_LOT_ERROR = 1e-9

LotOf = Callable[[str], float]


def check_transition(order: OrderData, to: Status) -> None:
    """Refuse a move that the table does not have.

    Raises:
        InvalidTransitionError: with the order's whole story.
    """
    if to not in TRANSITIONS[order.status]:
        raise InvalidTransitionError(
            f"order {order.vt_orderid} cannot go from {order.status.value} to {to.value}; it stands as {order}"
        )


class OrderManager:
    """Orders by id, and those that still work.

    Args:
        lot_of: lot size (units) of a ``vt_symbol``; partial fills are summed in whole lots.
    """

    def __init__(self, lot_of: LotOf) -> None:
        self._lot_of = lot_of
        self.orders: dict[str, OrderData] = {}
        self.active: dict[str, OrderData] = {}
        self._filled: dict[str, float] = {}
        self._reported: dict[str, float] = {}

    def add(self, order: OrderData) -> None:
        """Take up a new order.

        Raises:
            OrderError: the id was used before.
        """
        if order.vt_orderid in self.orders:
            raise OrderError(
                f"order id {order.vt_orderid} was used before; ids are never used twice"
            )
        self._store(order)

    def restore(self, order: OrderData, filled: float) -> None:
        """Take up an order as it was saved, with the sum of its fills (units)."""
        self._filled[order.vt_orderid] = filled
        self._reported[order.vt_orderid] = order.traded
        self._store(order)

    def fold_report(self, report: OrderData) -> OrderData | None:
        """Fold a venue's report; returns the order's new state, or None where nothing changed."""
        order = self.orders.get(report.vt_orderid)
        if order is None:
            adopted = replace(report, strategy=report.strategy or EXTERNAL)
            self._reported[report.vt_orderid] = report.traded
            self._store(adopted)
            return adopted
        legal = report.status in TRANSITIONS[order.status]
        traded = order.traded
        if report.traded > traded:
            self._reported[order.vt_orderid] = traded = report.traded
        if not legal and traded == order.traded:
            return None
        status = self._status(order, report.status if legal else order.status, traded, report)
        changed = replace(
            order,
            status=status,
            traded=traded,
            volume=report.volume or order.volume,
            price=report.price,
            trigger_price=report.trigger_price,
            average_price=report.average_price or order.average_price,
            reason=report.reason or order.reason,
            venue_orderid=report.venue_orderid or order.venue_orderid,
            ts_event=report.ts_event,
        )
        self._store(changed)
        return changed

    def fold_trade(self, trade: TradeData) -> OrderData:
        """Fold a fill that was not seen before into its order (made up as EXTERNAL where there is none)."""
        vt_orderid = trade.vt_orderid
        order = self.orders.get(vt_orderid)
        if order is None:
            order = _external(trade)
        filled = self._filled.get(vt_orderid, 0.0)
        if filled:
            lot = self._lot_of(trade.vt_symbol)
            total = (round(filled / lot) + round(trade.volume / lot)) * lot
            average = (order.average_price * filled + trade.price * trade.volume) / total
        else:
            total, average = trade.volume, trade.price
        self._filled[vt_orderid] = total
        traded = order.traded if order.traded > total else total
        status = order.status
        if PARTTRADED in TRANSITIONS[status]:
            done = traded >= order.volume * (1.0 - RELATIVE_LOT_ERROR)
            status = ALLTRADED if done else PARTTRADED
        changed = replace(
            order,
            status=status,
            traded=traded,
            average_price=average,
            ts_event=trade.ts_event,
        )
        self._store(changed)
        return changed

    def deny(self, order: OrderData, reason: str) -> OrderData:
        """Close an order that our own side refused.

        Raises:
            InvalidTransitionError: the order is beyond SUBMITTING.
        """
        check_transition(order, DENIED)
        denied = replace(order, status=DENIED, reason=reason)
        self._store(denied)
        return denied

    def filled(self, vt_orderid: str) -> float:
        """Sum of the fills folded into an order, in units."""
        return self._filled.get(vt_orderid, 0.0)

    def _status(self, order: OrderData, status: Status, traded: float, report: OrderData) -> Status:
        """A working order that has traded cannot look untouched again."""
        if status is NOTTRADED or status is TRIGGERED or status is PARTTRADED:
            volume = report.volume or order.volume
            if traded and traded >= volume * (1.0 - RELATIVE_LOT_ERROR):
                return ALLTRADED
            if traded:
                return PARTTRADED
        return status

    def _store(self, order: OrderData) -> None:
        vt_orderid = order.vt_orderid
        self.orders[vt_orderid] = order
        if TRANSITIONS[order.status]:
            self.active[vt_orderid] = order
        else:
            self.active.pop(vt_orderid, None)


def _external(trade: TradeData) -> OrderData:
    """The order behind a fill that nobody here sent."""
    return OrderData(
        trade.vt_orderid,
        trade.vt_symbol,
        Direction(trade.direction),
        OrderType.MARKET,
        trade.volume,
        strategy=EXTERNAL,
        status=NOTTRADED,
        ts_event=trade.ts_event,
        ts_init=trade.ts_init,
    )
