"""The case goog-weekly-daily-rsi: weeks made of days without a look ahead, and a stop attached to the entry."""

from __future__ import annotations

import pytest

from foxtrot import Strategy
from foxtrot.data import BarGenerator
from foxtrot.indicators import RSI, SMA
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel, FeeModel, Finalize
from tests.golden.backtest_cases import (
    CASES,
    SHARED,
    engine,
    expected_fills,
    fills_of,
    loader,
    needs,
    same_equity,
    same_fills,
    same_statistics,
)

CASE = CASES / "goog-weekly-daily-rsi"
DATA = SHARED / "data" / "equities" / "goog_daily_2004_2013.csv"

pytestmark = needs(CASE / "expected.json", DATA, CASES / "loader.py")


class WeeklyDailyRsi(Strategy):
    daily_rsi: int = 30
    weekly_rsi: int = 10
    level: float = 60.0

    def on_start(self) -> None:
        self.rsi = self.indicator(RSI(self.daily_rsi, smoothing="ewm"))
        self.averages = [self.indicator(SMA(n)) for n in (10, 20, 50, 100)]
        self.week = RSI(self.weekly_rsi, smoothing="ewm")
        self.resample(BarGenerator("1w", self.on_week))

    def on_week(self, bar) -> None:
        self.week.update(bar.close_price)

    def on_bar(self, bar) -> None:
        ten, twenty, fifty, hundred = (average.value for average in self.averages)
        if self.averages[-1].previous != self.averages[-1].previous:
            return  # the first step is the bar after the first at which every indicator has a value
        price = bar.close_price
        if (
            self.position().is_flat
            and self.rsi.value > self.level
            and self.week.value > self.level
            and self.week.value > self.rsi.value
            and price > ten > twenty > fifty > hundred
        ):
            self.buy(equity=1.0, stop_loss=0.92 * price)
        elif price < 0.98 * ten:
            self.close()


def run(**setting):
    backtest = engine()
    model = ExecutionModel(finalize=Finalize.LAST_OPEN, fees=FeeModel(rate=0.002))
    backtest.configure(AccountSettings(10_000.0), model)
    backtest.set_strategy(WeeklyDailyRsi, setting)
    backtest.load_data(DATA, vt_symbol="GOOG.NASDAQ")
    backtest.run_backtest()
    return backtest


@pytest.fixture(scope="module")
def expected():
    return loader().load_expected("goog-weekly-daily-rsi")


@pytest.fixture(scope="module")
def backtest(expected):
    return run(**expected["parameters"])


def test_every_fill(backtest, expected) -> None:
    same_fills(fills_of(backtest.result), expected_fills(expected["fills"]))


def test_equity_at_every_bar(backtest, expected) -> None:
    same_equity(
        backtest.result,
        CASE / expected["equity_file"],
        "equity",
        expected["tolerance"].get("equity", 1e-6),
    )


def test_every_figure(backtest, expected) -> None:
    statistics = backtest.calculate_statistics("backtesting.py")
    same_statistics(statistics, expected["stats"], expected["tolerance"].get("stats_rel", 1e-8))


def test_the_second_run(expected) -> None:
    second = expected["second_run"]
    backtest = run(**second["parameters"])
    same_fills(fills_of(backtest.result), expected_fills(second["fills"]))
    statistics = backtest.calculate_statistics("backtesting.py")
    assert statistics.trades == second["trades"]
    assert statistics.equity_final == pytest.approx(second["final_equity"], abs=1e-6)
    assert statistics.max_drawdown * 100 == pytest.approx(second["max_drawdown_pct"], abs=1e-8)
