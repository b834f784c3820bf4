"""Buy when a fast average crosses above a slow one, sell when it crosses below: the "hello, world" of trading."""

from foxtrot.core.objects import BarData
from foxtrot.indicators import SMA, crossed_above, crossed_below
from foxtrot.strategy import Strategy


class SmaCross(Strategy):
    """Holds one instrument while its fast average is above its slow one."""

    fast: int = 10
    slow: int = 30

    def on_start(self) -> None:
        """Declare the averages; they are updated before each ``on_bar``."""
        self.fast_sma = self.indicator(SMA(self.fast))
        self.slow_sma = self.indicator(SMA(self.slow))

    def on_bar(self, bar: BarData) -> None:
        """Decide on the bar's close; the order fills at the next bar's open."""
        if crossed_above(self.fast_sma, self.slow_sma):
            self.buy(equity=1.0)
        elif crossed_below(self.fast_sma, self.slow_sma):
            self.close()
