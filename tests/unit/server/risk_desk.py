"""An OMS's state without the OMS, for the tests of risk."""

from __future__ import annotations

from itertools import count
from typing import Any

from msgspec.structs import replace

from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND, Direction, Status
from foxtrot.core.market import MarketView
from foxtrot.core.objects import OrderData, OrderRequest, TradeData
from foxtrot.server.oms.account_manager import AccountManager
from foxtrot.server.oms.instrument_manager import InstrumentManager
from foxtrot.server.oms.order_manager import OrderManager
from foxtrot.server.oms.position_manager import PositionManager
from foxtrot.server.oms.requests import order_of
from foxtrot.server.oms.risk import RiskManager
from foxtrot.server.oms.risk_limits import RiskLimits, RiskSettings
from foxtrot.server.oms.risk_proposal import StrategyPositions
from foxtrot.testing import START, make_contract, make_order_request, make_tick, make_trade

SYMBOL = "AAPL.NASDAQ"
LONG, SHORT = Direction.LONG, Direction.SHORT
SECOND = NS_PER_SECOND


class RiskDesk:
    """What risk reads, and the risk manager that reads it; ``AAPL.NASDAQ`` stands at 120 from the start."""

    def __init__(
        self, settings: RiskSettings | None = None, *, price: float = 120.0, **limits: Any
    ) -> None:
        self.clock = SimulatedClock(START)
        self.orders = OrderManager()
        self.accounts = AccountManager()
        self.instruments = InstrumentManager(self.accounts.currency, lambda _symbol: None)
        self.instrument = self.instruments.instrument
        self.positions = PositionManager(self.instrument)
        self.market = MarketView()
        self.held = StrategyPositions()
        self.risk = RiskManager(settings or RiskSettings(**limits), self.held)
        self._ids = count(1)
        self.add_contract(SYMBOL)
        if price:
            self.quote(price)

    def add_contract(self, vt_symbol: str, **fields: Any) -> None:
        self.instruments.contracts[vt_symbol] = make_contract(vt_symbol, **fields)

    def quote(self, price: float, vt_symbol: str = SYMBOL) -> None:
        self.market.update(make_tick(price, price, vt_symbol, ts_event=self.clock.now()))

    def wait(self, seconds: float) -> None:
        self.clock.advance(self.clock.now() + round(seconds * SECOND))

    def request(self, volume: float = 1.0, price: float = 0.0, **fields: Any) -> OrderRequest:
        fields = {"vt_symbol": SYMBOL, "vt_orderid": f"SIM.o-{next(self._ids)}", **fields}
        return make_order_request(fields.pop("direction", LONG), float(volume), price, **fields)

    def ask(self, volume: float = 1.0, price: float = 0.0, **fields: Any) -> str:
        """Ask for an order as the OMS does, without sending it."""
        return self.risk(self.request(volume, price, **fields), self)

    def send(self, volume: float = 1.0, price: float = 0.0, **fields: Any) -> str:
        """Ask for an order, and have it work where it passes."""
        request = self.request(volume, price, **fields)
        reason = self.risk(request, self)
        if not reason:
            self.orders.add(order_of(request, self.clock.now()))
        return reason

    def work(self, volume: float, price: float = 100.0, **fields: Any) -> OrderData:
        """An order that works, whoever let it pass."""
        order = order_of(self.request(volume, price, **fields), self.clock.now())
        self.orders.add(order)
        return order

    def fill(self, volume: float, price: float = 120.0, **fields: Any) -> TradeData:
        """A fill, of an order that is over unless ``vt_orderid`` says which."""
        fields = {"vt_symbol": SYMBOL, **fields}
        trade = make_trade(float(volume), price, fields.pop("direction", LONG), **fields)
        if trade.vt_orderid in self.orders.orders:
            self.orders.fold_trade(trade)
        self.positions.fold(trade)
        self.held.fold(trade)
        return trade

    def end(self, order: OrderData, status: Status = Status.CANCELLED) -> None:
        self.orders.fold_report(replace(order, status=status))


def of_strategy(name: str, **limits: Any) -> RiskSettings:
    return RiskSettings(strategies={name: RiskLimits(**limits)})
