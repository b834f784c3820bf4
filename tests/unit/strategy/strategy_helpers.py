"""Small runs: bars out of closes, an engine as a user gets one, and strategies out of functions."""

from __future__ import annotations

import numpy as np

from foxtrot.core.constants import NS_PER_MINUTE, Interval
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import ContractData
from foxtrot.data.columns import BarColumns, TickColumns
from foxtrot.server.backtester import BacktestEngine
from foxtrot.server.main_engine import MainEngine
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel
from foxtrot.strategy import Strategy

A, B = "A.LOCAL", "B.LOCAL"
MINUTE = NS_PER_MINUTE
START = 1_700_000_040 * 1_000_000_000


def bars(closes, vt_symbol=A, start=START, step=MINUTE, spread=0.5, volume=1000.0, **columns):
    """Bars that open at the close before, with extremes ``spread`` beyond; ``step`` long without gaps."""
    close = np.asarray(closes, dtype=np.float64)
    open_ = np.concatenate((close[:1], close[:-1])) if len(close) else close
    ts_open = start + step * np.arange(len(close), dtype=np.int64)
    return BarColumns(
        vt_symbol,
        Interval.MINUTE,
        ts_open,
        ts_open + step,
        open_,
        np.maximum(open_, close) + spread,
        np.minimum(open_, close) - spread,
        close,
        np.full(len(close), volume),
        **columns,
    )


def ticks(mids, vt_symbol=A, start=START, step=MINUTE // 4, spread=1.0, volume=1000.0):
    """Quotes ``spread`` to each side of the middle."""
    mid = np.asarray(mids, dtype=np.float64)
    size = np.full(len(mid), volume)
    ts = start + step * np.arange(1, len(mid) + 1, dtype=np.int64)
    return TickColumns(vt_symbol, ts, mid - spread, mid + spread, size, size.copy())


def walk(rows, seed=1, price=100.0):
    """A random walk in steps of a cent."""
    moves = np.random.default_rng(seed).integers(-50, 51, rows) / 100
    return np.round(price + np.cumsum(moves), 2)


def engine(*data, capital=100_000.0, contract=None, warmup_until=None, **model):
    """A backtest engine with data loaded."""
    backtest = MainEngine(EventEngine()).add_engine(BacktestEngine)
    backtest.configure(AccountSettings(capital), ExecutionModel(**model), warmup_until)
    for columns in data:
        backtest.load_data(columns, contract=contract)
    return backtest


def run(strategy_class, *data, setting=None, **options):
    """Run one strategy; returns the engine. The strategy is ``the(engine)``."""
    backtest = engine(*data, **options)
    backtest.set_strategy(strategy_class, setting)
    backtest.run_backtest()
    return backtest


def the(backtest, number=0):
    """The strategy object of the last run."""
    return backtest.world.hosts[number].strategy


def at_bars(steps, **hooks):
    """A strategy that does ``steps[n](strategy)`` on its nth bar (from 0) and notes what it hears."""

    class Steps(Strategy):
        def on_start(self) -> None:
            self.bars, self.heard_orders, self.heard_trades, self.out = [], [], [], {}

        def on_bar(self, bar) -> None:
            n = len(self.bars)
            self.bars.append(bar)
            if n in steps:
                self.out[n] = steps[n](self)

        def on_order(self, order) -> None:
            self.heard_orders.append(order)

        def on_trade(self, trade) -> None:
            self.heard_trades.append(trade)

    for name, hook in hooks.items():
        setattr(Steps, name, hook)
    return Steps


def contract(vt_symbol=A, **fields):
    return ContractData(vt_symbol, **fields)


def fills(backtest):
    """Signed volume and price of each fill."""
    return [
        (t.volume if t.direction == "LONG" else -t.volume, t.price) for t in backtest.result.trades
    ]
