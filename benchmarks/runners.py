"""The runners that are timed against each other: bare loop, floor, Foxtrot, and Foxtrot without its orders.

Invariants: only the run itself is timed, never the making of its input; the collector has been emptied and is told to
leave everything alone that was there before (bare loop and floor run without it, which only flatters them).
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence

from bare import SAME_CLOSE, Bar, BareStrategy, Outcome, Quote, loop, prebuilt
from workloads import Workload

from foxtrot.analysis.result import BacktestResult
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import ContractData
from foxtrot.data.columns import BarColumns
from foxtrot.data.feed import Columns, blocks
from foxtrot.server.backtest.loop import bars_of, ticks_of
from foxtrot.server.backtester import BacktestEngine
from foxtrot.server.main_engine import MainEngine
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel, MarketFill
from foxtrot.strategy import Strategy

CAPITAL = 10_000_000.0
"""Enough that nothing is ever refused."""

BARE, FLOOR, FOXTROT, MUTED = "bare", "floor", "foxtrot", "muted"


class Bench:
    """One workload's input, and its runners.

    Args:
        workload: what to run.
        scale: part of its full size.
    """

    def __init__(self, workload: Workload, scale: float) -> None:
        self.workload = workload
        self.series = workload.columns(scale)
        self.symbols = [columns.vt_symbol for columns in self.series]
        self.events = sum(len(columns) for columns in self.series)
        self._messages: list[Bar] | list[Quote] = []

    def prebuild(self) -> None:
        """Make the bare loop's objects."""
        self._messages = prebuilt(self.series)

    def bare(self) -> tuple[float, BareStrategy]:
        """Seconds of the bare loop, and its strategy afterwards."""
        strategy = self.workload.bare(self.symbols)
        return _timed(lambda: loop(self._messages, strategy.on_event)), strategy

    def floor(self) -> tuple[float, BareStrategy]:
        """Seconds of building Foxtrot's messages from columns and calling the bare strategy with them."""
        strategy = self.workload.bare(self.symbols)
        return _timed(lambda: _floor(self.series, strategy.on_event)), strategy

    def foxtrot(self, convention: str, *, muted: bool = False) -> tuple[float, BacktestResult]:
        """Seconds of ``run_backtest`` from columns in memory, and its result."""
        workload = self.workload
        strategy = workload.muted if muted and workload.muted else workload.strategy
        engine = _engine(self.series, strategy, convention)
        results: list[BacktestResult] = []
        seconds = _timed(lambda: results.append(engine.run_backtest()), collector=True)
        return seconds, results[0]


def outcome_of(result: BacktestResult) -> Outcome:
    """Fills, and final equity less capital."""
    return Outcome(len(result.trades), float(result.equity[-1]) - result.capital)


def _engine(series: Sequence[Columns], strategy: type[Strategy], convention: str) -> BacktestEngine:
    fill = MarketFill.SAME_CLOSE if convention == SAME_CLOSE else MarketFill.NEXT_OPEN
    engine = MainEngine(EventEngine()).add_engine(BacktestEngine)
    engine.configure(AccountSettings(CAPITAL), ExecutionModel(market_fill=fill))
    engine.set_strategy(strategy)
    for columns in series:
        engine.load_data(columns, contract=ContractData(columns.vt_symbol, pricetick=0.01))
    return engine


def _floor(series: Sequence[Columns], on_event: Callable[[object], None]) -> None:
    for block in blocks(series):
        streams = {
            number: bars_of(part) if isinstance(part, BarColumns) else ticks_of(part)
            for number, part in block.parts
        }
        if block.order is None:
            for message in streams[0]:
                on_event(message)
        else:
            following = [
                streams[number].__next__ if number in streams else None
                for number in range(len(series))
            ]
            for number in block.order.tolist():
                take = following[number]
                assert take is not None  # noqa: S101 - a row's source has a stream
                on_event(take())


def _timed(run: Callable[[], object], *, collector: bool = False) -> float:
    gc.collect()
    gc.freeze()
    if not collector:
        gc.disable()
    try:
        began = time.perf_counter()
        run()
        return time.perf_counter() - began
    finally:
        gc.enable()
        gc.unfreeze()
