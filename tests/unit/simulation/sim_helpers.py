"""A simulated exchange by hand: a clock, one account, and every report that it makes."""

from __future__ import annotations

import itertools

from msgspec.structs import replace

from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import Direction, Offset, OrderType, Status, VolumeMode
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    BarData,
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderRequest,
    TickData,
)
from foxtrot.simulation.exchange import AccountSettings, Reports, SimulatedExchange
from foxtrot.simulation.models import ExecutionModel

LONG, SHORT = Direction.LONG, Direction.SHORT
SYMBOL = "A.LOCAL"
BAR_NS = 60


class Venue:
    """An exchange with one instrument or several; ``bar`` and ``tick`` move it on as the backtest's loop does."""

    def __init__(
        self, capital=100_000.0, *, contracts=(), on_ticks=False, digits=8, **model
    ) -> None:
        self.clock = SimulatedClock(0)
        self.market = MarketView()
        self.orders, self.trades, self.accounts = [], [], []
        self.exchange = SimulatedExchange(
            "SIM",
            self.clock,
            self.market,
            AccountSettings(capital, digits=digits),
            ExecutionModel(**model),
            Reports(self.orders.append, self.trades.append, self.accounts.append),
        )
        for contract in contracts or (ContractData(SYMBOL),):
            self.exchange.list_contract(contract, on_ticks=on_ticks)
        self._ids = itertools.count(1)

    # --- market data

    def bar(self, open_, high, low, close, volume=1000.0, vt_symbol=SYMBOL):
        """The next bar, ``BAR_NS`` long, opening where the clock stands."""
        start = self.clock.ns
        self.clock.ns = start + BAR_NS
        bar = BarData(vt_symbol, start, self.clock.ns, open_, high, low, close, volume)
        book = self.exchange.books[vt_symbol]
        self.exchange.on_bar(book, bar)
        self.market.record(vt_symbol).last = bar
        return bar

    def tick(self, bid, ask, bid_volume=1000.0, ask_volume=1000.0, vt_symbol=SYMBOL):
        self.clock.ns += 1
        tick = TickData(vt_symbol, self.clock.ns, bid, ask, bid_volume, ask_volume)
        self.market.record(vt_symbol).last = tick
        self.exchange.on_tick(self.exchange.books[vt_symbol], tick)
        return tick

    # --- orders

    def send(self, direction, volume=1.0, price=0.0, stop=0.0, **fields):
        if stop:
            type_ = OrderType.STOP_LIMIT if price else OrderType.STOP
        else:
            type_ = OrderType.LIMIT if price else OrderType.MARKET
        values = {
            "vt_symbol": SYMBOL,
            "type": type_,
            "strategy": "s",
            "vt_orderid": f"SIM.s-{next(self._ids)}",
            **fields,
        }
        request = OrderRequest(
            direction=direction, volume=volume, price=price, trigger_price=stop, **values
        )
        self.exchange.submit(request)
        return request.vt_orderid

    def buy(self, volume=1.0, price=0.0, stop=0.0, **fields):
        return self.send(LONG, volume, price, stop, **fields)

    def short(self, volume=1.0, price=0.0, stop=0.0, **fields):
        return self.send(SHORT, volume, price, stop, **fields)

    def sell(self, volume=1.0, price=0.0, stop=0.0, **fields):
        """Close a long position."""
        return self.send(
            SHORT, volume, price, stop, reduce_only=True, offset=Offset.CLOSE, **fields
        )

    def cover(self, volume=1.0, price=0.0, stop=0.0, **fields):
        """Close a short position."""
        return self.send(LONG, volume, price, stop, reduce_only=True, offset=Offset.CLOSE, **fields)

    def buy_equity(self, fraction=1.0, **fields):
        return self.buy(fraction, volume_mode=VolumeMode.EQUITY, **fields)

    def short_equity(self, fraction=1.0, **fields):
        return self.short(fraction, volume_mode=VolumeMode.EQUITY, **fields)

    def modify(self, vt_orderid, **changes):
        self.exchange.modify(ModifyRequest(vt_orderid, **changes))

    def cancel(self, vt_orderid):
        self.exchange.cancel(CancelRequest(vt_orderid))

    # --- what came of it

    @property
    def fills(self):
        """Signed volume and price of each fill."""
        return [(t.volume if t.direction is LONG else -t.volume, t.price) for t in self.trades]

    @property
    def stamps(self):
        return [t.ts_event for t in self.trades]

    def last(self, vt_orderid):
        """The last report of an order, with what has traded since folded in."""
        report = next(o for o in reversed(self.orders) if o.vt_orderid == vt_orderid)
        order = self.exchange.orders.get(vt_orderid)
        if order is None or report.status in (Status.CANCELLED, Status.REJECTED):
            return report
        lot = self.exchange.books[report.vt_symbol].instrument.lot
        status = report.status
        if order.filled:
            status = Status.ALLTRADED if not order.live else Status.PARTTRADED
        return replace(report, traded=lot.from_lots(order.filled), status=status)

    def status(self, vt_orderid):
        return self.last(vt_orderid).status

    def reason(self, vt_orderid):
        return self.last(vt_orderid).reason

    def held(self, strategy="s", vt_symbol=SYMBOL):
        book = self.exchange.books[vt_symbol]
        return book.instrument.lot.from_lots(book.held.get(strategy, 0))

    @property
    def balance(self):
        return self.exchange.account.balance / 10**8

    @property
    def used(self):
        return self.exchange.account.used / 10**8
