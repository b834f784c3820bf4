"""Volatility: average true range, Bollinger bands and Donchian channel; ``StdDev`` is in ``rolling``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from foxtrot.core.errors import ConfigError
from foxtrot.indicators.averages import SMA
from foxtrot.indicators.base import NAN, Indicator, check_period
from foxtrot.indicators.rolling import Highest, Lowest, StdDev

if TYPE_CHECKING:
    from foxtrot.indicators.base import FloatArray


class ATR(Indicator):
    """Average true range (Wilder 1978), in price units.

    The true range needs a close before it, so it begins with the second bar. The average starts as the mean of the
    first ``period`` true ranges, then is (ATR · (period - 1) + TR) / period.

    Args:
        period: length of the smoothing.
    """

    inputs = ("high_price", "low_price", "close_price")

    def __init__(self, period: int = 14) -> None:
        self.period = check_period(self, "period", period)
        self.warmup = period + 1
        self.reset()

    def _clear(self) -> None:
        self._seen = 0  # counted until the first value
        self._close = NAN
        self._total = -0.0
        self._average = NAN

    def update(self, high: float, low: float, close: float) -> None:
        """Take the next bar's high, low and close."""
        if (high - high) + (low - low) + (close - close) != 0.0:
            self._refuse(high, low, close)
        before = self._close
        self._close = close
        true_range = max(high - low, abs(high - before), abs(low - before))
        if self._seen <= self.period:
            value = self._warm_up(true_range)
        else:
            value = self._average = (self._average * (self.period - 1) + true_range) / self.period
        self.count += 1
        self.previous = self._last
        self.value = self._last = value

    def _warm_up(self, true_range: float) -> float:
        self._seen += 1
        if self._seen > 1:
            self._total += true_range
        if self._seen > self.period:
            self._average = self._total / self.period
        return self._average

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        high, low, close = columns
        before = np.concatenate(([self._close], close[:-1]))
        ranges = np.maximum(
            np.maximum(high - low, np.abs(high - before)), np.abs(low - before)
        ).tolist()
        cold = self.period + 1 - self._seen
        results = [self._warm_up(true_range) for true_range in ranges[:cold]]
        value, period, weight = self._average, self.period, self.period - 1
        results += [value := (value * weight + true_range) / period for true_range in ranges[cold:]]
        self._average = value
        self._close = close.item(-1)
        return (np.array(results),)


class BollingerBands(Indicator):
    """Bollinger bands: SMA ± ``width`` standard deviations; the main output is the middle.

    Args:
        period: length of the window.
        width: distance of the bands in standard deviations.
        ddof: 0 for the population's deviation (Bollinger's own, default), 1 for the sample's.

    Raises:
        ConfigError: an argument is out of range.
    """

    outputs = ("value", "upper", "lower")
    parameters = ("period", "width", "ddof")

    upper: float
    lower: float

    def __init__(self, period: int = 20, width: float = 2.0, ddof: int = 0) -> None:
        self.period = check_period(self, "period", period)
        if not 0.0 < width < math.inf:
            raise ConfigError(f"BollingerBands: width must be a positive number, not {width!r}")
        self.width = float(width)
        self.ddof = ddof
        self._mean, self._deviation = SMA(period), StdDev(period, ddof)
        self.warmup = period
        self.reset()

    @property
    def middle(self) -> float:
        """The simple moving average: the main output."""
        return self.value

    def _clear(self) -> None:
        self._mean.reset()
        self._deviation.reset()

    def update(self, price: float) -> None:
        """Take the next price."""
        if price - price != 0.0:
            self._refuse(price)
        self._mean.update(price)
        self._deviation.update(price)
        middle = self._mean.value
        distance = self.width * self._deviation.value
        self.upper = middle + distance
        self.lower = middle - distance
        self.count += 1
        self.previous = self._last
        self.value = self._last = middle

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        (middle,) = self._mean.batch(*columns)
        distance = self.width * self._deviation.batch(*columns)[0]
        return middle, middle + distance, middle - distance


class DonchianChannel(Indicator):
    """Donchian channel: highest high and lowest low of the last ``period`` bars, and their middle as main output.

    The current bar is part of its own channel; to trade a breakout, compare with the channel of the bar before.

    Args:
        period: length of the window.
    """

    inputs = ("high_price", "low_price")
    outputs = ("value", "upper", "lower")

    upper: float
    lower: float

    def __init__(self, period: int = 20) -> None:
        self.period = check_period(self, "period", period)
        self._highest, self._lowest = Highest(period), Lowest(period)
        self.warmup = period
        self.reset()

    @property
    def middle(self) -> float:
        """Middle of upper and lower: the main output."""
        return self.value

    def _clear(self) -> None:
        self._highest.reset()
        self._lowest.reset()

    def update(self, high: float, low: float) -> None:
        """Take the next bar's high and low."""
        if (high - high) + (low - low) != 0.0:
            self._refuse(high, low)
        self._highest.update(high)
        self._lowest.update(low)
        upper = self.upper = self._highest.value
        lower = self.lower = self._lowest.value
        self.count += 1
        self.previous = self._last
        self.value = self._last = (upper + lower) / 2.0

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        upper = self._highest.batch(columns[0])[0]
        lower = self._lowest.batch(columns[1])[0]
        return (upper + lower) / 2.0, upper, lower
