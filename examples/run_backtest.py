"""A backtest in Python, from the engines to the statistics, on prices that ship with Foxtrot.

Run it with ``python examples/run_backtest.py``; it needs no arguments and no files.
"""

from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import BarData
from foxtrot.data import sample_bars
from foxtrot.indicators import SMA, crossed_above, crossed_below
from foxtrot.server.backtester import BacktestEngine
from foxtrot.server.main_engine import MainEngine
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel, FeeModel
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


def main() -> None:
    event_engine = EventEngine()
    main_engine = MainEngine(event_engine)
    backtest_engine = main_engine.add_engine(BacktestEngine)

    backtest_engine.configure(AccountSettings(100_000.0), ExecutionModel(fees=FeeModel(rate=0.001)))
    backtest_engine.set_strategy(SmaCross, {"fast": 10, "slow": 30})
    backtest_engine.load_data(sample_bars("GOOG"), "2004-08-19", "2013-03-01")

    result = backtest_engine.run_backtest()
    statistics = backtest_engine.calculate_statistics()

    for trade in result.trades[:4]:
        print(f"{trade.datetime:%Y-%m-%d} {trade.direction} {trade.volume:g} at {trade.price:.2f}")
    print(f"... {len(result.trades)} fills in all")
    print(statistics.to_frame()["text"].to_string())
    main_engine.close()


if __name__ == "__main__":
    main()
