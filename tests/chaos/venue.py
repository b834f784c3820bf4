"""A venue that outlives the OMS processes connected to it: it counts what arrives, and its word is the truth.

It matches nothing; chance, or the test, says what becomes of an order. Volumes are in tenths of a unit (the lot of its
contracts), prices in hundredths, both whole numbers, so that its books are exact.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from msgspec.structs import replace

from foxtrot.core.constants import Direction, Status
from foxtrot.core.objects import CancelRequest, OrderData, OrderRequest, PositionData, TradeData
from foxtrot.core.venue import VenueSnapshot

Report = OrderData | TradeData

OUTCOMES = ("lost", "accepted", "part", "filled", "rejected")
CLOSED = (Status.ALLTRADED, Status.CANCELLED, Status.REJECTED, Status.EXPIRED)
LOT = 10
CENT = 100


class Venue:
    """One account.

    Args:
        rng: its chance.
        outcome: what becomes of every order; empty for chance.

    Attributes:
        orders: as they stand, by id.
        fills: by id, in order.
        arrivals: how often each order id came in; more than once would be an order doubled.
        lots: what the account holds, by instrument.
        lost: ids of orders that never came in, because the line lost them.
    """

    def __init__(self, rng: Random, outcome: str = "") -> None:
        self.rng = rng
        self.outcome = outcome
        self.orders: dict[str, OrderData] = {}
        self.fills: dict[str, TradeData] = {}
        self.arrivals: Counter[str] = Counter()
        self.lots: Counter[str] = Counter()
        self.lost: set[str] = set()
        self._filled: Counter[str] = Counter()

    @property
    def doubled(self) -> int:
        """Orders that came in more than once."""
        return sum(count - 1 for count in self.arrivals.values())

    def on_request(self, request: OrderRequest, now: int) -> list[Report]:
        """An order has come in; what the venue reports of it."""
        outcome = self.outcome or self.rng.choices(OUTCOMES, (2, 10, 8, 75, 5))[0]
        vt_orderid = request.vt_orderid
        if outcome == "lost":
            self.lost.add(vt_orderid)
            return []
        self.arrivals[vt_orderid] += 1
        order = OrderData(
            vt_orderid,
            request.vt_symbol,
            request.direction,
            request.type,
            request.volume,
            request.price,
            status=Status.NOTTRADED,
            ts_event=now,
            venue_orderid=f"v{len(self.orders)}-{self.arrivals[vt_orderid]}",
        )
        if outcome == "rejected":
            return [self._put(replace(order, status=Status.REJECTED, reason="not today"))]
        reports: list[Report] = [self._put(order)]
        lots = round(request.volume * LOT)
        if outcome == "filled":
            first = self.rng.randint(1, max(1, lots - 1))
            reports += self.fill(vt_orderid, first, now)
            if first < lots:
                reports += self.fill(vt_orderid, lots - first, now)
        elif outcome == "part":
            reports += self.fill(vt_orderid, max(1, lots // 2), now)
        return reports

    def fill(self, vt_orderid: str, lots: int, now: int) -> list[Report]:
        """Fill so much of an order."""
        order = self.orders[vt_orderid]
        number = self._filled[vt_orderid]
        self._filled[vt_orderid] += 1
        trade = TradeData(
            f"{vt_orderid}-f{number}",
            vt_orderid,
            order.vt_symbol,
            order.direction,
            (10_000 + self.rng.randint(-500, 500)) / CENT,
            lots / LOT,
            now,
            commission=0.01,
            venue_orderid=order.venue_orderid,
        )
        self.fills[trade.vt_tradeid] = trade
        self.lots[order.vt_symbol] += lots if order.direction is Direction.LONG else -lots
        traded = round(order.traded * LOT) + lots
        done = traded >= round(order.volume * LOT)
        paid = order.average_price * order.traded + trade.price * trade.volume
        status = Status.ALLTRADED if done else Status.PARTTRADED
        order = replace(
            order,
            status=status if order.status not in CLOSED else order.status,
            traded=traded / LOT,
            average_price=paid / (traded / LOT),
            ts_event=now,
        )
        return [trade, self._put(order)]

    def on_cancel(self, request: CancelRequest, now: int) -> list[Report]:
        """A cancellation has come in."""
        order = self.orders.get(request.vt_orderid)
        if order is None or order.status in CLOSED:
            return []
        return [self._put(replace(order, status=Status.CANCELLED, ts_event=now))]

    def snapshot(self, now: int) -> VenueSnapshot:
        """How the account stands: all of it."""
        held = tuple(
            PositionData(
                f"SIM.{symbol}.NET", symbol, Direction.NET, lots / LOT, price=100.0, ts_event=now
            )
            for symbol, lots in self.lots.items()
            if lots
        )
        return VenueSnapshot(
            "SIM",
            now,
            tuple(self.orders.values()),
            tuple(self.fills.values()),
            held,
            (),
            open_orders_complete=True,
            history_since=0,
            fills_since=0,
        )

    def _put(self, order: OrderData) -> OrderData:
        self.orders[order.vt_orderid] = order
        return order
