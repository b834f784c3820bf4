"""The workloads as Foxtrot strategies, written as a user would write them."""

from __future__ import annotations

from typing import Any

from bare import EPS, EVERY, FAST, PRICETICK, SLOW

from foxtrot.core.objects import BarData, TickData
from foxtrot.indicators import SMA
from foxtrot.strategy import Strategy


class Empty(Strategy):
    """Overrides both hooks and does nothing in them."""

    def on_bar(self, bar: BarData) -> None:
        """Nothing."""

    def on_tick(self, tick: TickData) -> None:
        """Nothing."""


class SmaCross(Strategy):
    """Long one unit while the fast average is above the slow one, else flat."""

    def on_start(self) -> None:
        """Declare the averages."""
        self.fast = self.indicator(SMA(FAST))
        self.slow = self.indicator(SMA(SLOW))
        self.sign = 0

    def on_bar(self, bar: BarData) -> None:  # noqa: ARG002 - the averages know it
        """Trade on a change of sign."""
        apart = self.fast.value - self.slow.value
        before = self.sign
        if apart > EPS:
            if before <= 0:
                self.sign = 1
                if before and self.position().is_flat:
                    self.buy(1.0)
        elif apart < -EPS and before >= 0:
            self.sign = -1
            if before and self.position().is_long:
                self.sell(1.0)


class SmaCrosses(Strategy):
    """``SmaCross`` on every instrument that was loaded."""

    def on_start(self) -> None:
        """Declare the averages of each."""
        self.averages = {
            vt_symbol: (
                self.indicator(SMA(FAST), vt_symbol),
                self.indicator(SMA(SLOW), vt_symbol),
            )
            for vt_symbol in self.vt_symbols
        }
        self.signs = dict.fromkeys(self.vt_symbols, 0)

    def on_bar(self, bar: BarData) -> None:
        """Trade on a change of sign."""
        vt_symbol = bar.vt_symbol
        fast, slow = self.averages[vt_symbol]
        apart = fast.value - slow.value
        before = self.signs[vt_symbol]
        if apart > EPS:
            if before <= 0:
                self.signs[vt_symbol] = 1
                if before and self.position(vt_symbol).is_flat:
                    self.buy(1.0, vt_symbol=vt_symbol)
        elif apart < -EPS and before >= 0:
            self.signs[vt_symbol] = -1
            if before and self.position(vt_symbol).is_long:
                self.sell(1.0, vt_symbol=vt_symbol)


class Replacer(Strategy):
    """Every hundredth quote replaces the resting limit by one on the other side, a tick behind the touch."""

    def on_start(self) -> None:
        """Begin with a purchase."""
        self.seen = 0
        self.buys = True

    def on_tick(self, tick: TickData) -> None:
        """Count, and replace."""
        self.seen += 1
        if self.seen % EVERY == 0:
            self.cancel_all()
            if self.buys:
                self.buy(1.0, price=tick.bid_price_1 - PRICETICK)
            else:
                self.short(1.0, price=tick.ask_price_1 + PRICETICK)
            self.buys = not self.buys


class _Muted(Strategy):
    """Decides the same and sends nothing: the difference to the real run is what orders cost."""

    def buy(self, *_args: Any, **_named: Any) -> str:
        """Not sent."""
        return ""

    def sell(self, *_args: Any, **_named: Any) -> str:
        """Not sent."""
        return ""

    def short(self, *_args: Any, **_named: Any) -> str:
        """Not sent."""
        return ""


class MutedSmaCross(_Muted, SmaCross):
    """``SmaCross`` without orders."""


class MutedSmaCrosses(_Muted, SmaCrosses):
    """``SmaCrosses`` without orders."""


class MutedReplacer(_Muted, Replacer):
    """``Replacer`` without orders."""
