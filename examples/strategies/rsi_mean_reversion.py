"""Buy what has fallen fast, sell it when it has recovered, and let a stop end what goes on falling."""

from foxtrot.core.objects import BarData
from foxtrot.indicators import RSI, SMA
from foxtrot.strategy import Strategy


class RsiMeanReversion(Strategy):
    """Buys oversold days of a rising instrument; the stop comes with the entry and works from its fill on."""

    period: int = 2
    oversold: float = 10.0
    recovered: float = 70.0
    trend: int = 200
    stop: float = 0.1  # fraction of the price below which the stop lies

    def on_start(self) -> None:
        """Declare the indicators."""
        self.rsi = self.indicator(RSI(self.period))
        self.average = self.indicator(SMA(self.trend))

    def on_bar(self, bar: BarData) -> None:
        """Enter when oversold in a rising trend, leave when recovered."""
        if not self.average.ready:
            return
        if self.position().is_long:
            if self.rsi.value > self.recovered:
                self.close()
        elif self.rsi.value < self.oversold and bar.close_price > self.average.value:
            stop_loss = self.round_price(bar.close_price * (1.0 - self.stop))
            self.buy(equity=1.0, stop_loss=stop_loss)
