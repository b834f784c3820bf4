"""Each indicator that TA-Lib has, against it, on real daily bars: 1e-9 relative.

Differences by definition: TA-Lib's MACD seeds its fast average later (compared once that has faded); it gives 0 where
a stochastic's or an RSI's definition divides by zero (no such bar in these data).
"""

from __future__ import annotations

import numpy as np
import pytest
import talib

from foxtrot.indicators import (
    ADX,
    ATR,
    CCI,
    EMA,
    MACD,
    OBV,
    ROC,
    RSI,
    SMA,
    WMA,
    BollingerBands,
    DonchianChannel,
    Highest,
    Indicator,
    Lowest,
    RollingSum,
    StdDev,
    Stochastic,
    WilliamsR,
)
from tests.unit.indicators.series import Columns, real_bars

FILES = ["equities/us_daily/spy.csv", "equities/goog_daily_2004_2013.csv"]


@pytest.fixture(params=FILES)
def bars(request: pytest.FixtureRequest) -> Columns:
    return real_bars(request.param)


def compare(indicator: Indicator, columns: Columns, *expected: np.ndarray, skip: int = 0) -> None:
    results = indicator.batch(*(columns[name] for name in indicator.inputs))
    for result, reference in zip(results, expected, strict=True):
        shown = ~np.isnan(reference) & ~np.isnan(result)
        assert shown.sum() == len(result) - indicator.warmup + 1 or result is not results[0]
        assert np.isnan(reference[: indicator.warmup - 1]).all() or result is not results[0]
        shown[:skip] = False
        np.testing.assert_allclose(
            result[shown], reference[shown], rtol=1e-9, atol=1e-9 * np.abs(reference[shown]).mean()
        )


def test_averages(bars: Columns) -> None:
    close = bars["close_price"]
    compare(SMA(30), bars, talib.SMA(close, 30))
    compare(RollingSum(30), bars, talib.SUM(close, 30))
    compare(EMA(30), bars, talib.EMA(close, 30))
    compare(WMA(30), bars, talib.WMA(close, 30))


def test_macd_once_the_seed_of_its_fast_average_has_faded(bars: Columns) -> None:
    compare(MACD(), bars, *talib.MACD(bars["close_price"], 12, 26, 9), skip=300)


def test_deviations_and_bands(bars: Columns) -> None:
    close = bars["close_price"]
    compare(StdDev(20), bars, talib.STDDEV(close, 20))
    upper, middle, lower = talib.BBANDS(close, 20, 2.0, 2.0)
    compare(BollingerBands(), bars, middle, upper, lower)


def test_extremes(bars: Columns) -> None:
    high, low = talib.MAX(bars["high_price"], 20), talib.MIN(bars["low_price"], 20)
    compare(Highest(20), bars, high)
    compare(Lowest(20), bars, low)
    compare(DonchianChannel(20), bars, (high + low) / 2, high, low)


def test_oscillators(bars: Columns) -> None:
    high, low, close = bars["high_price"], bars["low_price"], bars["close_price"]
    compare(RSI(14), bars, talib.RSI(close, 14))
    compare(ROC(10), bars, talib.ROC(close, 10))
    compare(WilliamsR(14), bars, talib.WILLR(high, low, close, 14))
    compare(CCI(20), bars, talib.CCI(high, low, close, 20))
    compare(Stochastic(14, 3, 3), bars, *talib.STOCH(high, low, close, 14, 3, 0, 3, 0))
    compare(Stochastic(14, 1, 3), bars, *talib.STOCHF(high, low, close, 14, 3, 0))


def test_ranges_and_trend(bars: Columns) -> None:
    three = bars["high_price"], bars["low_price"], bars["close_price"]
    compare(ATR(14), bars, talib.ATR(*three, 14))
    compare(
        ADX(14), bars, talib.ADX(*three, 14), talib.PLUS_DI(*three, 14), talib.MINUS_DI(*three, 14)
    )


def test_on_balance_volume(bars: Columns) -> None:
    compare(OBV(), bars, talib.OBV(bars["close_price"], bars["volume"]))
