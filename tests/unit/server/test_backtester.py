"""The backtest engine: what it takes, what it refuses, and that a run is the same each time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from foxtrot.core.constants import Direction, Interval
from foxtrot.core.errors import ConfigError, DataError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import ContractData
from foxtrot.server.backtest.loop import EventLoop
from foxtrot.server.backtester import BacktestEngine
from foxtrot.server.main_engine import MainEngine
from foxtrot.simulation.models import MarketFill
from foxtrot.strategy import Strategy
from tests.unit.strategy.strategy_helpers import (
    MINUTE,
    START,
    A,
    B,
    at_bars,
    bars,
    contract,
    engine,
    fills,
    run,
    the,
    ticks,
    walk,
)

ROOT = Path(__file__).resolve().parents[3]


class Flips(Strategy):
    """Turns over now and then, on every instrument."""

    size: int = 1
    every: int = 7

    def on_start(self) -> None:
        self.seen = 0

    def on_bar(self, bar) -> None:
        self.seen += 1
        if self.seen % self.every == 0:
            held = self.position(bar.vt_symbol).volume
            self.order_target(-self.size if held > 0 else self.size, vt_symbol=bar.vt_symbol)
        elif self.seen % 5 == 0:
            self.buy(1, bar.low_price, vt_symbol=bar.vt_symbol, stop_loss=bar.low_price - 2)


# --- what it takes


def test_path_frame_columns_and_catalog_give_the_same_run(tmp_path) -> None:
    pytest.importorskip("pyarrow")
    from foxtrot.data.catalog import Catalog

    columns = bars(walk(300))
    frame = columns.to_frame().reset_index()
    names = {f"{n}_price": n for n in ("open", "high", "low", "close")}
    frame = frame.rename(columns={**names, "ts_open": "timestamp"}).drop(columns="ts_event")
    csv = tmp_path / "a.csv"
    frame.to_csv(csv, index=False)
    catalog = Catalog(tmp_path / "catalog")
    catalog.write(columns)

    def sha(data, **options):
        backtest = engine()
        backtest.set_strategy(Flips, name="flips")
        backtest.load_data(data, vt_symbol=A, **options)
        return backtest.run_backtest().log_sha256

    assert (
        sha(columns)
        == sha(csv)
        == sha(str(csv))
        == sha(frame)
        == sha(catalog, interval=Interval.MINUTE)
    )


def test_a_file_names_its_instrument_and_a_frame_must_be_told(tmp_path) -> None:
    frame = bars(walk(5)).to_frame().reset_index()
    frame = frame.rename(columns={"ts_open": "timestamp"}).drop(columns="ts_event")
    path = tmp_path / "my data-1.min.csv"
    frame.to_csv(path, index=False)
    assert engine().load_data(path).columns.vt_symbol == "MY_DATA-1.LOCAL"
    with pytest.raises(ConfigError, match="say which instrument"):
        engine().load_data(frame)


def test_start_and_end_cut_the_data() -> None:
    columns = bars(walk(120))  # from 22:14
    series = engine().load_data(columns, "2023-11-14T22:20:00Z", "2023-11-14T22:30:00Z")
    assert len(series.columns) == 10
    assert len(engine().load_data(columns, end_date="2023-11-14").columns) == 106
    with pytest.raises(DataError, match="no data between 2030-01-01 and the end"):
        engine().load_data(columns, "2030-01-01")


def test_contracts_are_the_accounts_or_given() -> None:
    backtest = engine()
    assert backtest.load_data(bars(walk(3))).contract == ContractData(A)
    with pytest.raises(ConfigError, match="the contract is B"):
        backtest.load_data(bars(walk(3)), vt_symbol=A, contract=contract(B))
    backtest = engine(bars(walk(3)), contract=contract(currency="EUR"))
    backtest.set_strategy(Strategy)
    with pytest.raises(ConfigError, match="is in EUR"):
        backtest.run_backtest()


def test_a_second_series_of_bars_of_one_instrument_is_refused() -> None:
    """A repeated notebook cell would otherwise deliver, and match, every bar twice."""
    backtest = engine(bars(walk(5)))
    with pytest.raises(ConfigError, match="is loaded already; clear_data"):
        backtest.load_data(bars(walk(5)))
    backtest.load_data(ticks(walk(5)))
    with pytest.raises(ConfigError, match="is loaded already"):
        backtest.load_data(ticks(walk(5)))
    backtest.clear_data()
    backtest.load_data(bars(walk(5)))
    assert len(backtest.series) == 1


def test_an_unknown_exchange_is_refused() -> None:
    with pytest.raises(ValueError, match="no known exchange"):
        engine().load_data(bars(walk(3), "A.NOWHERE"))


# --- what it refuses to run


def test_without_data_or_strategy_there_is_nothing_to_run() -> None:
    backtest = engine()
    with pytest.raises(ConfigError, match="call load_data first"):
        backtest.run_backtest()
    backtest.load_data(bars(walk(3)))
    with pytest.raises(ConfigError, match="call set_strategy first"):
        backtest.run_backtest()
    with pytest.raises(ConfigError, match="call run_backtest first"):
        backtest.calculate_statistics()


def test_two_strategies_need_two_names_and_set_replaces_all() -> None:
    backtest = engine(bars(walk(30)))
    backtest.set_strategy(Flips)
    with pytest.raises(ConfigError, match="a strategy named 'flips' already"):
        backtest.add_strategy(Flips)
    backtest.add_strategy(Flips, name="other")
    assert [spec.name for spec in backtest.specs] == ["flips", "other"]
    backtest.set_strategy(Strategy)
    assert [spec.name for spec in backtest.specs] == ["strategy"]


def test_an_unknown_instrument_or_parameter_is_refused() -> None:
    backtest = engine(bars(walk(30)))
    backtest.set_strategy(Flips, vt_symbols="X.LOCAL")
    with pytest.raises(ConfigError, match=r"no contract 'X\.LOCAL' is known"):
        backtest.run_backtest()
    backtest.set_strategy(Flips, {"sise": 2})
    with pytest.raises(ConfigError, match="did you mean 'size'"):
        backtest.run_backtest()


@pytest.mark.parametrize("others", [[], [bars(walk(5), B)]], ids=["alone", "merged"])
def test_unsorted_columns_are_refused(others) -> None:
    data = bars(walk(5))
    order = np.array([0, 2, 1, 3, 4])
    backtest = engine(data.take(order), *others)
    backtest.set_strategy(Strategy)
    with pytest.raises(DataError, match=r"A\.LOCAL: row 2 \(0-based\) is earlier"):
        backtest.run_backtest()


def test_the_loop_needs_a_simulated_clock() -> None:
    with pytest.raises(TypeError, match="SimulatedClock"):
        EventLoop(EventEngine(), None, [])


# --- several at once


def test_strategies_trade_only_their_instruments_and_keep_their_own_positions() -> None:
    backtest = engine(bars(walk(60)), bars(walk(60, 2), B))
    backtest.set_strategy(Flips, {"size": 3}, name="one", vt_symbols=A)
    backtest.add_strategy(Flips, {"every": 4}, name="two", vt_symbols=[B])
    backtest.add_strategy(Flips, name="both")
    result = backtest.run_backtest()
    one, two, both = (the(backtest, n) for n in range(3))
    assert (one.seen, two.seen, both.seen) == (60, 60, 120)
    traded = {(t.strategy, t.vt_symbol) for t in result.trades}
    assert traded == {("one", A), ("two", B), ("both", A), ("both", B)}
    assert result.strategies["two"] == {"class": "Flips", "size": 1, "every": 4}
    books = backtest.world.adapter.exchange.books
    for symbol in (A, B):
        held = [
            the(backtest, n).position(symbol).volume
            for n in range(3)
            if symbol in the(backtest, n).vt_symbols
        ]
        assert sum(held) == books[symbol].position.lots


def test_bars_and_quotes_of_one_instrument_orders_meet_the_quotes() -> None:
    backtest = run(
        at_bars({1: lambda s: s.buy(1), 3: lambda s: s.short(2, 200.0)}),
        bars([100.0] * 6, spread=50),
        ticks([300.0] * 30, spread=2),
        market_fill=MarketFill.SAME_CLOSE,
    )
    assert fills(backtest) == [(1, 302), (-2, 298)]
    assert backtest.result.trades[0].ts_event == START + 2 * MINUTE


def test_an_order_in_answer_to_a_fill_meets_the_quote_of_that_fill() -> None:
    """Never the quote before it, which is history by then."""

    class Reverses(Strategy):
        def on_tick(self, tick) -> None:
            if not self.position() and not self.orders() and self.last_price() == 100:
                self.buy(1, stop=105)

        def on_trade(self, trade) -> None:
            if trade.direction is Direction.LONG:
                self.short(2)

    backtest = run(Reverses, ticks([100.0, 100.0, 110.0, 111.0]))
    assert fills(backtest) == [(1, 111), (-2, 109)]
    assert {t.ts_event for t in backtest.result.trades} == {START + 3 * (MINUTE // 4)}


def test_the_clock_never_goes_back_and_no_bar_is_shown_before_its_close() -> None:
    """A long bar that is open when the warm-up ends must not be shown with it."""
    shown = []

    class Looks(Strategy):
        def on_start(self) -> None:
            self.resample(self)  # a generator of our own: hears of the warm-up, too

        def update_bar(self, bar) -> None:
            shown.append((self.now, bar.ts_event))

        def update_tick(self, tick) -> None: ...

    class Both(Looks):
        def on_start(self) -> None:
            for symbol in (A, B):
                self.resample(self, symbol)

    long = bars(walk(4), B, step=60 * MINUTE)
    run(Both, bars(walk(240)), long, warmup_until=START + 90 * MINUTE)
    assert len(shown) == 244
    assert all(now == ts for now, ts in shown)
    assert [ts for ts, _ in shown] == sorted(ts for ts, _ in shown)


# --- the same each time


def test_running_again_gives_the_same() -> None:
    backtest = engine(bars(walk(400)), ticks(walk(900, 2), B))
    backtest.set_strategy(Flips)
    first, second = backtest.run_backtest(), backtest.run_backtest()
    assert first is not second
    assert len(first.trades) > 20
    assert (first.log_sha256, first.trades) == (second.log_sha256, second.trades)
    assert np.array_equal(first.equity, second.equity)


CODE = """
from tests.unit.server.test_backtester import Flips
from tests.unit.strategy.strategy_helpers import B, bars, engine, ticks, walk
backtest = engine(bars(walk(400)), ticks(walk(900, 2), B))
backtest.set_strategy(Flips, name="z")
backtest.add_strategy(Flips, {"every": 3}, name="a")
print(backtest.run_backtest().log_sha256)
"""


def test_the_hash_seed_makes_no_difference() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", CODE],
            cwd=ROOT,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(found) == 1
    assert len(found.pop().strip()) == 64


def test_the_outer_engine_is_untouched() -> None:
    event_engine = EventEngine()
    main_engine = MainEngine(event_engine)
    backtest = main_engine.add_engine(BacktestEngine)
    backtest.load_data(bars(walk(100)))
    backtest.set_strategy(Flips)
    backtest.run_backtest()
    assert main_engine.oms.get_all_orders() == main_engine.oms.get_all_contracts() == []
    assert (main_engine.adapters, main_engine.strategies.hosts) == ({}, {})
    assert not event_engine.queue
    assert backtest.world.main_engine is not main_engine
    assert backtest.world.oms.persistence is not main_engine.oms.persistence
