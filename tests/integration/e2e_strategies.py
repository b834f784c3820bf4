"""Strategies of the end-to-end tests: each keeps in ``on_save`` all that it decides by."""

from __future__ import annotations

from typing import Any

from foxtrot.core.constants import NS_PER_DAY, Status
from foxtrot.core.objects import BarData, OrderData, TickData, TimerData, TradeData
from foxtrot.indicators import SMA, crossed_above, crossed_below
from foxtrot.strategy import Strategy


class Restless(Strategy):
    """Every kind of order: market, limit, stop, stop-limit, brackets; changes, cancellations, answers to fills.

    What it heard is counted, so that an event that is missing or comes twice leads to other orders.
    """

    fast: int = 3
    slow: int = 6
    ring: bool = True

    def on_start(self) -> None:
        """Declare the averages and a timer."""
        self.fast_sma = self.indicator(SMA(self.fast))
        self.slow_sma = self.indicator(SMA(self.slow))
        self.bars = self.heard = self.fills = 0
        if self.ring:
            self.set_timer("ring", 11 * NS_PER_DAY, start=0)

    def on_bar(self, bar: BarData) -> None:
        """One thing a day."""
        self.bars += 1
        if crossed_above(self.fast_sma, self.slow_sma):
            self.buy(equity=0.2, reference=f"cross {self.heard}")
        elif crossed_below(self.fast_sma, self.slow_sma):
            self.close(reference=f"cross {self.heard}")
        step = self.bars % 12
        if step == 9:
            for order in self.orders():
                if order.price:
                    price = self.round_price(bar.close_price * 0.999)
                    self.modify_order(order.vt_orderid, price=price)
        elif step == 11:
            self.cancel_all()
        else:
            self.enter(step, bar.close_price)

    def enter(self, step: int, price: float) -> None:
        """A new order, of another kind each time."""
        if step == 1:
            self.buy(3 + self.heard % 4, self.round_price(price * 0.995), reference="limit")
        elif step == 3:
            self.short(4, stop=self.round_price(price * 0.99), reference="stop")
        elif step == 5:
            self.buy(
                5,
                stop_loss=self.round_price(price * 0.985),
                take_profit=self.round_price(price * 1.015),
                reference="bracket",
            )
        elif step == 7:
            self.buy(
                2,
                self.round_price(price * 1.01),
                stop=self.round_price(price * 1.005),
                reference="stop-limit",
            )

    def on_order(self, order: OrderData) -> None:
        """Count; a cancelled limit is followed by another."""
        self.heard += 1
        if order.status is Status.CANCELLED and order.reference == "limit":
            self.buy(1, reference="after all")

    def on_trade(self, trade: TradeData) -> None:
        """Half of a limit's fill is sold again at a better price."""
        self.fills += 1
        if trade.reference == "limit":
            self.sell(1, self.round_price(trade.price * 1.01), reference="profit")
        elif trade.reference == "stop" and self.position().volume < 0:
            self.cover(2, self.round_price(trade.price * 0.99), reference="profit")

    def on_timer(self, timer: TimerData) -> None:
        """Now and then a trade between two bars."""
        if timer.ts_due // (11 * NS_PER_DAY) % 2 and self.is_trading:
            self.buy(1, reference=f"ring {timer.ts_due}")

    def on_save(self) -> dict[str, Any]:
        """All counters."""
        return {"bars": self.bars, "heard": self.heard, "fills": self.fills}

    def on_load(self, state: dict[str, Any]) -> None:
        """All counters."""
        self.bars, self.heard, self.fills = state["bars"], state["heard"], state["fills"]


class Quoter(Strategy):
    """Works at the quotes: a passive order at the bid, given up when the price leaves, and a market order at times."""

    def on_start(self) -> None:
        """Nothing has been seen."""
        self.ticks = self.fills = 0

    def on_tick(self, tick: TickData) -> None:
        """A few ticks in a row do nothing."""
        self.ticks += 1
        if self.ticks % 7 == 0:
            self.buy(10, tick.bid_price_1, reference="join")
        elif self.ticks % 11 == 0:
            self.cancel_all()
        elif self.ticks % 13 == 0:
            self.short(5, reference="hit")

    def on_trade(self, trade: TradeData) -> None:
        """What a passive order brought goes out a little higher."""
        self.fills += 1
        if trade.reference == "join":
            self.sell(trade.volume, self.round_price(trade.price + 0.03), reference="out")

    def on_save(self) -> dict[str, Any]:
        """Both counters."""
        return {"ticks": self.ticks, "fills": self.fills}

    def on_load(self, state: dict[str, Any]) -> None:
        """Both counters."""
        self.ticks, self.fills = state["ticks"], state["fills"]
