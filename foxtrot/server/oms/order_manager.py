"""Orders, folded from the reports and fills of venues.

Invariants: ``traded`` never falls; a terminal order never becomes active again; an order's id is used once. A report
that is late or out of order changes nothing, or only what it still may (a fill that arrives after a cancellation
raises ``traded`` and leaves the order cancelled). Fills and the venue's own cumulated figure are kept apart, so it
does not matter which of the two arrives first: ``traded`` is the larger, and ``average_price`` belongs to the larger.
Volumes are added as the decimals that they stand for (0.1 + 0.2 is 0.3), so partial fills sum to the order exactly.
A fill whose order nobody here knows makes one up: owned by ``EXTERNAL``, of unknown volume (0) and ``UNKNOWN``, so that
it can still be cancelled, until the venue says more of it.

Which state may follow which is in ``transitions``.
"""

from __future__ import annotations

from decimal import Decimal

from msgspec.structs import replace

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.errors import OrderError
from foxtrot.core.objects import ACTIVE_STATUSES, OrderData, TradeData
from foxtrot.server.oms.transitions import (
    ALLTRADED,
    DENIED,
    NOTTRADED,
    PARTTRADED,
    SUBMITTING,
    TRANSITIONS,
    TRIGGERED,
    UNKNOWN,
    check_transition,
)

EXTERNAL = "EXTERNAL"
"""Owner of orders that somebody else sent under our account."""

RELATIVE_LOT_ERROR = 1e-9

Fills = tuple[float, float]
"""Sum of an order's fills: units, and units x price."""


def add_fill(fills: Fills | None, trade: TradeData) -> Fills:
    """Add a fill to the sum of an order's fills."""
    if fills is None:
        return trade.volume, trade.price * trade.volume
    volume, paid = fills
    return _sum(volume, trade.volume), paid + trade.price * trade.volume


def _sum(one: float, other: float) -> float:
    """Add two volumes as the decimals that their shortest forms show."""
    if one.is_integer() and other.is_integer():
        return one + other
    return float(Decimal(repr(one)) + Decimal(repr(other)))


class OrderManager:
    """Orders by id, and those that still work."""

    def __init__(self) -> None:
        self.orders: dict[str, OrderData] = {}
        self.active: dict[str, OrderData] = {}
        self._fills: dict[str, Fills] = {}

    def add(self, order: OrderData) -> None:
        """Take up a new order.

        Raises:
            OrderError: the id was used before.
        """
        vt_orderid = order.vt_orderid
        if vt_orderid in self.orders:
            raise OrderError(f"order id {vt_orderid} was used before; ids are never used twice")
        self.orders[vt_orderid] = order
        if order.status in ACTIVE_STATUSES:
            self.active[vt_orderid] = order

    def restore(self, order: OrderData, fills: Fills | None) -> None:
        """Take up an order as it was saved, with the sum of its fills (``add_fill``), None where it has none."""
        if fills is not None:
            self._fills[order.vt_orderid] = fills
        self._store(order)

    def count_fill(self, trade: TradeData) -> None:
        """Count a fill of an order whose state, as saved or journaled, tells already what it made of it."""
        self._fills[trade.vt_orderid] = add_fill(self._fills.get(trade.vt_orderid), trade)

    def fills(self, vt_orderid: str) -> Fills | None:
        """The sum of an order's fills, for ``restore``."""
        return self._fills.get(vt_orderid)

    def fold_report(self, report: OrderData) -> OrderData | None:
        """Fold a venue's report; returns the order's new state, or None where nothing changed."""
        order = self.orders.get(report.vt_orderid)
        if order is None:
            adopted = replace(report, strategy=report.strategy or EXTERNAL)
            self._store(adopted)
            return adopted
        if (  # the usual first report: the venue has taken the order as it was sent
            report.status is NOTTRADED
            and order.status is SUBMITTING
            and report.volume == order.volume
            and report.price == order.price
            and report.trigger_price == order.trigger_price
            and not (report.traded or report.average_price or report.reason or report.venue_orderid)
            and not order.traded
        ):
            taken = replace(order, status=NOTTRADED, ts_event=report.ts_event)
            self.orders[order.vt_orderid] = self.active[order.vt_orderid] = taken
            return taken
        if report.status in TRANSITIONS[order.status]:
            volume, price, trigger = (
                report.volume or order.volume,
                report.price,
                report.trigger_price,
            )
            reason, moved = report.reason or order.reason, report.status
        else:  # late: what it says of the order's terms is out of date
            volume = order.volume or report.volume
            price, trigger = order.price, order.trigger_price
            reason, moved = order.reason, order.status
        traded = order.traded if order.traded > report.traded else report.traded
        status = _with_traded(moved, traded, volume) if traded else moved
        venue_orderid = report.venue_orderid or order.venue_orderid
        if (
            status == order.status
            and traded == order.traded
            and (volume, price, trigger) == (order.volume, order.price, order.trigger_price)
            and (reason, venue_orderid) == (order.reason, order.venue_orderid)
        ):
            return None
        average = order.average_price
        if report.average_price and (not average or traded > self.filled(order.vt_orderid)):
            average = report.average_price
        changed = replace(
            order,
            status=status,
            traded=traded,
            volume=volume,
            price=price,
            trigger_price=trigger,
            average_price=average,
            reason=reason,
            venue_orderid=venue_orderid,
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
        before = self._fills.get(vt_orderid)
        if before is None:
            total, average = trade.volume, trade.price
            self._fills[vt_orderid] = total, average * total
        else:
            self._fills[vt_orderid] = total, paid = add_fill(before, trade)
            average = paid / total
        traded = total
        if order.traded > total:  # the venue's own figure is ahead of its fills
            traded, average = order.traded, order.average_price or average
        status = order.status
        if PARTTRADED in TRANSITIONS[status]:
            if order.volume:
                done = traded >= order.volume * (1.0 - RELATIVE_LOT_ERROR)
                status = ALLTRADED if done else PARTTRADED
            elif status is not UNKNOWN:
                status = PARTTRADED
        changed = replace(
            order,
            status=status,
            traded=traded,
            average_price=average,
            ts_event=trade.ts_event,
        )
        self.orders[vt_orderid] = changed  # _store without its call
        if status in ACTIVE_STATUSES:
            self.active[vt_orderid] = changed
        else:
            self.active.pop(vt_orderid, None)
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

    def forget(self, vt_orderid: str) -> None:
        """Drop a closed order from memory; ``restore`` takes it up again."""
        self.orders.pop(vt_orderid, None)
        self._fills.pop(vt_orderid, None)

    def filled(self, vt_orderid: str) -> float:
        """Sum of the fills folded into an order, in units."""
        fills = self._fills.get(vt_orderid)
        return fills[0] if fills is not None else 0.0

    def _store(self, order: OrderData) -> None:
        vt_orderid = order.vt_orderid
        self.orders[vt_orderid] = order
        if order.status in ACTIVE_STATUSES:
            self.active[vt_orderid] = order
        else:
            self.active.pop(vt_orderid, None)


def _with_traded(status: Status, traded: float, volume: float) -> Status:
    """A working order that has traded cannot look untouched again."""
    if traded and (status is NOTTRADED or status is TRIGGERED or status is PARTTRADED):
        done = volume and traded >= volume * (1.0 - RELATIVE_LOT_ERROR)
        return ALLTRADED if done else PARTTRADED
    return status


def _external(trade: TradeData) -> OrderData:
    """The order behind a fill that nobody here sent; how much it asked for is not known."""
    return OrderData(
        trade.vt_orderid,
        trade.vt_symbol,
        Direction(trade.direction),
        OrderType.MARKET,
        0.0,
        strategy=trade.strategy or EXTERNAL,
        status=UNKNOWN,
        offset=trade.offset,
        ts_event=trade.ts_event,
        ts_init=trade.ts_init,
    )
