"""Follow breakouts of several instruments at once, each with its share of the account."""

from foxtrot.core.objects import BarData
from foxtrot.indicators import Highest, Lowest
from foxtrot.strategy import Strategy


class DonchianBreakout(Strategy):
    """Buys a close above the highest high of ``entry`` bars, sells a close below the lowest low of ``leave`` bars."""

    entry: int = 55
    leave: int = 20

    def on_start(self) -> None:
        """Declare a channel for each instrument."""
        self.share = 1.0 / len(self.vt_symbols)
        self.upper = {s: self.indicator(Highest(self.entry), s) for s in self.vt_symbols}
        self.lower = {s: self.indicator(Lowest(self.leave), s) for s in self.vt_symbols}

    def on_bar(self, bar: BarData) -> None:
        """Compare the close with the channel of the bars before it (``previous``)."""
        symbol = bar.vt_symbol
        if self.position(symbol).is_flat:
            if bar.close_price > self.upper[symbol].previous:
                self.buy(equity=self.share, vt_symbol=symbol)
        elif bar.close_price < self.lower[symbol].previous:
            self.close(symbol)
