"""Replay, OMS, strategy and paper venue in one process trade as the backtest does: every fill, to the last figure."""

from __future__ import annotations

import numpy as np
import pytest

from foxtrot.adapter.paper import PaperAdapter
from foxtrot.adapter.replay import ReplayAdapter
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import ContractData
from foxtrot.server.backtester import BacktestEngine
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.persistence import NullPersistence
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel, FeeModel, SlippageModel
from foxtrot.strategy import Strategy
from tests.unit.adapter.paper_helpers import START, bar_columns, tick_columns

A, B = "A.LOCAL", "B.LOCAL"
MODEL = ExecutionModel(fees=FeeModel(0.001), slippage=SlippageModel(rate=0.0005))


class Flips(Strategy):
    """Turns over now and then, with resting limits, stops and brackets between."""

    def on_start(self) -> None:
        self.seen = 0

    def on_bar(self, bar) -> None:
        self.act(bar.vt_symbol, bar.close_price)

    def on_tick(self, tick) -> None:
        self.act(tick.vt_symbol, tick.mid_price)

    def act(self, vt_symbol, price) -> None:
        self.seen += 1
        if self.seen % 11 == 0:
            held = self.position(vt_symbol).volume
            self.order_target(-3 if held > 0 else 3, vt_symbol=vt_symbol)
        elif self.seen % 5 == 0:
            low, high = round(price - 2.0, 2), round(price + 2.0, 2)
            self.buy(2, round(price - 0.5, 2), vt_symbol=vt_symbol, stop_loss=low, take_profit=high)
        elif self.seen % 17 == 0:
            self.cancel_all()


def walk(count, seed):
    steps = np.random.default_rng(seed).normal(0.0, 0.4, count)
    return np.round(100.0 + np.cumsum(steps), 2)


def contracts(series, name=""):
    return [
        ContractData(symbol, pricetick=0.01, adapter_name=name)
        for symbol in dict.fromkeys(s.vt_symbol for s in series)
    ]


def backtest(series):
    engine = EventEngine(SimulatedClock())
    main = MainEngine(engine)
    run = main.add_engine(BacktestEngine)
    run.configure(AccountSettings(), MODEL)
    run.set_strategy(Flips, name="flips")
    for item, contract in zip(series, contracts(series), strict=True):
        run.load_data(item, contract=contract)
    trades = run.run_backtest().trades
    main.close()
    return trades


def paper(series, **setting):
    engine = EventEngine(SimulatedClock(START))
    engine.raise_errors = True
    main = MainEngine(engine, persistence=NullPersistence(), reconcile_interval=0)
    replay = main.add_adapter(ReplayAdapter, series=series, contracts=contracts(series))
    main.add_adapter(PaperAdapter, "SIM", source=replay, model=MODEL)
    main.connect({}, "SIM")
    engine.drain()
    main.add_strategy(Flips, "flips", [s.vt_symbol for s in series])
    main.strategies.start_strategy("flips")
    main.strategies.host("flips").begin_trading()
    engine.drain()
    trades = []
    engine.subscribe("eTrade.", trades.append)
    main.connect({"speed": 60.0, **setting}, "REPLAY")
    while replay.is_playing:
        engine.advance(engine.clock.ns + 3600 * 10**9)
    main.close()
    return trades


def figures(trades):
    return [
        (t.vt_tradeid, t.vt_orderid, t.direction, t.price, t.volume, t.ts_event, t.commission)
        for t in trades
    ]


@pytest.mark.parametrize("setting", [{"speed": 0.0}, {"speed": 60.0}])
@pytest.mark.parametrize(
    "series",
    [
        [bar_columns(walk(400, 1), A)],
        [tick_columns(walk(600, 2), A)],
        [bar_columns(walk(300, 3), A), bar_columns(walk(300, 4), B)],
    ],
    ids=["bars", "quotes", "two instruments"],
)
def test_the_fills_are_those_of_the_backtest(series, setting) -> None:
    expected = figures(backtest(series))
    assert len(expected) > 30
    assert figures(paper(series, **setting)) == expected
