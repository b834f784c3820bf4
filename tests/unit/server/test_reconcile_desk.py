"""A desk: the real managers, folded as the OMS does it, and the lookups that reconciliation wants of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from foxtrot.core.constants import NS_PER_SECOND, Direction, OrderType, Status
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData
from foxtrot.server.oms.books import Books
from foxtrot.server.oms.reconciler import (
    OwnState,
    ReconcilePolicy,
    Reconciliation,
    Report,
    VenueSnapshot,
    absorb,
    reconcile,
)

LONG, SHORT, NET = Direction.LONG, Direction.SHORT, Direction.NET
SECOND = NS_PER_SECOND
T0 = 1_000 * SECOND
NOW = 2_000 * SECOND
GOLD = "GOLD.SIM"  # netting, lot 1, size 1
COIN = "COIN.SIM"  # netting, lot 0.1, size 10
RICE = "RICE.SIM"  # long and short legs, lot 1, size 5
CONTRACTS = {
    GOLD: ContractData(GOLD, min_volume=1.0),
    COIN: ContractData(COIN, min_volume=0.1, size=10.0),
    RICE: ContractData(RICE, min_volume=1.0, size=5.0, net_position=False),
}
POLICY = ReconcilePolicy(digits={"USD": 2})


class Desk:
    """Managers of one OMS; ``fold`` is ``OmsEngine.on_*_report`` without shell."""

    def __init__(self) -> None:
        self.books = Books({"USD": 2})
        self.orders, self.trades = self.books.orders, self.books.trades
        self.accounts, self.positions = self.books.accounts, self.books.positions
        self.books.contracts.update(CONTRACTS)

    def fold(self, *reports: Report) -> None:
        for report in reports:
            if isinstance(report, OrderData):
                self.orders.fold_report(report)
            elif isinstance(report, TradeData):
                self._fold_trade(report)
            elif isinstance(report, PositionData):
                self.positions.fold_report(report)
            else:
                self.accounts.fold_report(report)

    def _fold_trade(self, trade: TradeData) -> None:
        if not self.trades.fold(trade):
            return
        order = self.orders.fold_trade(trade)
        if trade.strategy != order.strategy:
            self.trades.restore(replace(trade, strategy=order.strategy))
        self.books.book(trade)

    def live(self, *reports: Report) -> None:
        """Fold reports of the live stream: a new fill is matched against synthetic ones first."""
        for report in reports:
            if isinstance(report, TradeData) and report.vt_tradeid not in self.trades.trades:
                lot = self.books.instrument("SIM", report.vt_symbol).lot
                self.fold(absorb(report, self.trades_of(report.vt_orderid), lot).trade)
            else:
                self.fold(report)

    def trades_of(self, vt_orderid: str) -> list[TradeData]:
        return [t for t in self.trades.trades.values() if t.vt_orderid == vt_orderid]

    def last_fill_ts(self, vt_symbol: str) -> int:
        times = [t.ts_event for t in self.trades.trades.values() if t.vt_symbol == vt_symbol]
        return max(times, default=0)

    def own(self) -> OwnState:
        accounts = [
            account
            for account in self.accounts.snapshots(NOW)
            if self.accounts.is_used(account.adapter_name, account.currency)
        ]
        return OwnState(
            dict(self.orders.active),
            self.orders.orders.get,
            self.trades.trades.get,
            self.trades_of,
            CONTRACTS.get,
            self.last_fill_ts,
            self.positions.snapshots(lambda _: 0.0, NOW),
            accounts,
        )

    def reconcile(self, venue: VenueSnapshot, policy: ReconcilePolicy = POLICY) -> Reconciliation:
        """One pass; the reports are folded, and a second pass must find nothing to fold and the same blocks."""
        first = reconcile(venue, self.own(), policy)
        self.fold(*first.reports)
        second = reconcile(venue, self.own(), policy)
        assert second.reports == (), f"a second pass must add nothing; the first found {first}"
        assert second.blocks == first.blocks
        return first

    def net(self, vt_symbol: str) -> float:
        """What we hold, long less short, in units."""
        signs = {LONG: 1.0, SHORT: -1.0, NET: 1.0}
        held = [p for p in self.own().positions if p.vt_symbol == vt_symbol]
        return sum(signs[p.direction] * p.volume for p in held)

    def balance(self) -> float:
        return self.accounts.balance("SIM", "USD")


def order(n: int | str = 1, volume: float = 10.0, side: Direction = LONG, **more: Any) -> OrderData:
    """A limit order at 100 by strategy s1, submitted at T0."""
    values: dict[str, Any] = {
        "vt_symbol": GOLD,
        "type": OrderType.LIMIT,
        "price": 100.0,
        "strategy": "s1",
        "ts_event": T0,
        "ts_init": T0,
    }
    return OrderData(f"SIM.{n}", direction=side, volume=volume, **(values | more))


def at_venue(sent: OrderData, status: Status, traded: float = 0.0, **more: Any) -> OrderData:
    """The same order as the venue lists it."""
    more = {"ts_event": T0 + SECOND, "strategy": "", "ts_init": 0} | more
    return replace(sent, status=status, traded=traded, **more)


def fill(
    n: int | str, of: OrderData, volume: float, price: float = 100.0, **more: Any
) -> TradeData:
    """A fill of an order, two seconds after its submit."""
    values = {"ts_event": T0 + 2 * SECOND, "offset": of.offset} | more
    return TradeData(f"SIM.{n}", of.vt_orderid, of.vt_symbol, of.direction, price, volume, **values)


def position(
    volume: float, price: float = 100.0, vt_symbol: str = GOLD, **more: Any
) -> PositionData:
    direction = more.pop("direction", NET)
    key = f"SIM.{vt_symbol}.{direction.value}"
    return PositionData(key, vt_symbol, direction, volume, price=price, **more)


def account(balance: float) -> AccountData:
    return AccountData("SIM.USD", balance, currency="USD", ts_event=NOW)


def snapshot(
    orders: Iterable[OrderData] = (), fills: Iterable[TradeData] = (), **more: Any
) -> VenueSnapshot:
    """A venue that can tell everything, unless said otherwise."""
    values: dict[str, Any] = {
        "positions": (),
        "open_orders_complete": True,
        "history_since": 0,
        "fills_since": 0,
    }
    return VenueSnapshot("SIM", more.pop("ts", NOW), tuple(orders), tuple(fills), **(values | more))


@dataclass
class Story:
    """Shorthand for a desk with one order of ours."""

    desk: Desk = field(default_factory=Desk)

    def sent(self, one: OrderData, *reports: Report) -> OrderData:
        self.desk.orders.add(one)
        self.desk.fold(*reports)
        return one


def test_a_desk_folds_fills_into_order_position_and_account_once() -> None:
    desk = Desk()
    one = order()
    desk.fold(account(1000.0))
    desk.orders.add(one)
    desk.fold(fill(1, one, 4.0, commission=1.0), fill(1, one, 4.0, commission=1.0))
    assert desk.net(GOLD) == 4.0
    assert desk.balance() == 999.0
    assert desk.orders.orders["SIM.1"].status is Status.PARTTRADED


def test_a_desk_that_agrees_with_the_venue_has_nothing_to_reconcile() -> None:
    desk = Desk()
    one = order()
    desk.orders.add(one)
    desk.fold(account(1000.0), fill(1, one, 4.0))
    venue = snapshot(
        [at_venue(one, Status.PARTTRADED, 4.0)],
        [fill(1, one, 4.0)],
        positions=(position(4.0),),
        accounts=(account(1000.0),),
    )
    assert reconcile(venue, desk.own(), POLICY) == Reconciliation()
