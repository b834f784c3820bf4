"""The case goog-sma-cross: signal at the close, fill at the next open, reversal, all-in; every fill, bar and figure."""

from __future__ import annotations

import pytest

from foxtrot import Strategy
from foxtrot.indicators import SMA
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel, Finalize
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

CASE = CASES / "goog-sma-cross"
DATA = SHARED / "data" / "equities" / "goog_daily_2004_2013.csv"
SHA = "c9e5df8f9579e99ee5ebc5dce1d73b04b40a1822efa18fdee31265d30d6f769e"

pytestmark = needs(CASE / "expected.json", DATA, CASES / "loader.py")


class SmaCross(Strategy):
    fast: int = 10
    slow: int = 30

    def on_start(self) -> None:
        self.fast_sma = self.indicator(SMA(self.fast))
        self.slow_sma = self.indicator(SMA(self.slow))

    def on_bar(self, bar) -> None:
        fast, slow = self.fast_sma, self.slow_sma
        if fast.previous < slow.previous and fast.value > slow.value:
            self.close()
            self.buy(equity=1.0)
        elif fast.previous > slow.previous and fast.value < slow.value:
            self.close()
            self.short(equity=1.0)


@pytest.fixture(scope="module")
def expected():
    return loader().load_expected("goog-sma-cross")


@pytest.fixture(scope="module")
def backtest():
    backtest = engine()
    backtest.configure(AccountSettings(10_000.0), ExecutionModel(finalize=Finalize.LAST_OPEN))
    backtest.set_strategy(SmaCross)
    backtest.load_data(DATA, vt_symbol="GOOG.NASDAQ")
    backtest.run_backtest()
    return backtest


def test_every_fill(backtest, expected) -> None:
    rows = [{"commission": 0.0, **row} for row in expected["fills"]]
    same_fills(fills_of(backtest.result), expected_fills(rows))


def test_equity_at_every_bar(backtest, expected) -> None:
    same_equity(
        backtest.result, CASE / expected["equity_file"], "equity", expected["tolerance"]["equity"]
    )


def test_every_figure_as_published_and_as_run(backtest, expected) -> None:
    statistics = backtest.calculate_statistics("backtesting.py")
    rel = expected["tolerance"].get("stats_rel", 1e-8)
    same_statistics(statistics, expected["published"], rel)
    same_statistics(statistics, expected["stats"], rel)


def test_the_log_of_the_run_is_what_it_always_was(backtest) -> None:
    assert backtest.result.log_sha256 == SHA
