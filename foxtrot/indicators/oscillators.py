"""Oscillators: RSI, Stochastic, Williams %R, CCI and rate of change.

Where a definition divides by zero, the neutral value is given and not the extreme one, so that a market that does not
move signals nothing: RSI 50, Stochastic 50, Williams %R -50, CCI 0. (TA-Lib gives 0 for all of them.)
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from foxtrot.indicators.averages import SMA
from foxtrot.indicators.base import NAN, Indicator, check_choice, check_period
from foxtrot.indicators.rolling import Highest, Lowest

if TYPE_CHECKING:
    from foxtrot.indicators.base import FloatArray

HIGH_LOW_CLOSE = ("high_price", "low_price", "close_price")


class RSI(Indicator):
    """Relative strength index, 100 · G / (G + L), with G and L the smoothed gains and losses of the price changes.

    Args:
        period: length of the smoothing.
        smoothing: ``"wilder"`` (default; Wilder 1978, as TA-Lib): G starts as the mean of the first ``period`` gains,
            then G = (G · (period - 1) + gain) / period. ``"ewm"``: exponential weights (1 - a)^k with
            a = 1 / (period + 1), normalised by their sum, as pandas' ``ewm(com=period, adjust=True).mean()``.
        warmup: updates before the first value is shown; by default as soon as there is one, that is ``period + 1``
            with ``"wilder"`` and 2 with ``"ewm"``.

    Raises:
        ConfigError: an argument is out of range.
    """

    parameters = ("period", "smoothing")

    def __init__(
        self, period: int = 14, smoothing: str = "wilder", warmup: int | None = None
    ) -> None:
        self.period = check_period(self, "period", period)
        self.smoothing = check_choice(self, "smoothing", smoothing, ("wilder", "ewm"))
        self._wilder = smoothing == "wilder"
        earliest = period + 1 if self._wilder else 2
        self.warmup = check_period(self, "warmup", earliest if warmup is None else warmup, earliest)
        self._decay = 1.0 - 1.0 / (1.0 + period)
        self.reset()

    def _clear(self) -> None:
        self._seen = 0  # counted until the first value is shown
        self._price = NAN
        self._gain = self._loss = 0.0
        self._weight = 0.0  # sum of the exponential weights so far

    def update(self, price: float) -> None:
        """Take the next price."""
        if price - price != 0.0:
            self._refuse(price)
        self.count += 1
        self.previous = self._last
        self.value = self._last = self._push(price)

    def _push(self, price: float) -> float:
        change = price - self._price
        self._price = price
        gain = change if change > 0.0 else 0.0
        loss = -change if change < 0.0 else 0.0
        if self._seen < self.warmup:
            self._seen += 1
            if self._seen == 1:
                return NAN
        if not self._wilder:
            weight = self._weight * self._decay
            self._weight = weight + 1.0
            self._gain = (weight * self._gain + gain) / self._weight
            self._loss = (weight * self._loss + loss) / self._weight
        elif self._seen <= self.period:
            self._gain += gain
            self._loss += loss
        elif self._seen == self.period + 1 and self._weight == 0.0:
            self._gain = (self._gain + gain) / self.period
            self._loss = (self._loss + loss) / self.period
            self._weight = 1.0
        else:
            self._gain = (self._gain * (self.period - 1) + gain) / self.period
            self._loss = (self._loss * (self.period - 1) + loss) / self.period
        if self._seen < self.warmup:
            return NAN
        both = self._gain + self._loss
        return 100.0 * self._gain / both if both != 0.0 else 50.0

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        prices = columns[0]
        cold = len(prices) if not self._wilder else self.warmup + 1 - self._seen
        results = [self._push(price) for price in prices[:cold].tolist()]
        if cold < len(prices):
            results += self._run(np.diff(prices[cold - 1 :]))
            self._price = prices.item(-1)
        return (np.array(results),)

    def _run(self, changes: FloatArray) -> list[float]:
        import numpy as np

        gains = np.where(changes > 0.0, changes, 0.0).tolist()
        losses = np.where(changes < 0.0, -changes, 0.0).tolist()
        period, before = self.period, self.period - 1
        gain, loss = self._gain, self._loss
        results: list[float] = []
        append = results.append
        for up, down in zip(gains, losses, strict=True):
            gain = (gain * before + up) / period
            loss = (loss * before + down) / period
            both = gain + loss
            append(100.0 * gain / both if both != 0.0 else 50.0)
        self._gain, self._loss = gain, loss
        return results


class Stochastic(Indicator):
    """Stochastic oscillator (Lane): where the close lies in the range of the last ``period`` bars, 0 to 100.

    The main output is %K = SMA(raw %K, ``slowing``); ``d`` is %D = SMA(%K, ``d_period``). Both begin together. A range
    of zero gives a raw %K of 50.

    Args:
        period: bars of the range.
        slowing: smoothing of %K; 1 is the fast stochastic, 3 the usual slow one.
        d_period: smoothing of %D.

    Raises:
        ConfigError: an argument is out of range.
    """

    inputs = HIGH_LOW_CLOSE
    outputs = ("value", "d")
    parameters = ("period", "slowing", "d_period")

    d: float

    def __init__(self, period: int = 14, slowing: int = 3, d_period: int = 3) -> None:
        self.period = check_period(self, "period", period)
        self.slowing = check_period(self, "slowing", slowing)
        self.d_period = check_period(self, "d_period", d_period)
        self._highest, self._lowest = Highest(period), Lowest(period)
        self._k, self._d = SMA(slowing), SMA(d_period)
        self.warmup = period + slowing + d_period - 2
        self.reset()

    @property
    def k(self) -> float:
        """%K: the main output."""
        return self.value

    def _clear(self) -> None:
        for part in (self._highest, self._lowest, self._k, self._d):
            part.reset()

    def update(self, high: float, low: float, close: float) -> None:
        """Take the next bar's high, low and close."""
        if (high - high) + (low - low) + (close - close) != 0.0:
            self._refuse(high, low, close)
        self._highest.update(high)
        self._lowest.update(low)
        k = d = NAN
        lowest = self._lowest.value
        span = self._highest.value - lowest
        if span == span:
            self._k.update(100.0 * (close - lowest) / span if span != 0.0 else 50.0)
            k = self._k.value
            if k == k:
                self._d.update(k)
                d = self._d.value
        self.d = d
        self.count += 1
        self.previous = self._last
        self.value = self._last = k if d == d else NAN

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        high, low, close = columns
        rows = len(close)
        cold = max(0, min(self.period - 1 - self._lowest.count, rows))
        cold_d = max(0, min(self.period + self.slowing - 2 - self._lowest.count, rows))
        lowest = self._lowest.batch(low)[0]
        span = self._highest.batch(high)[0] - lowest
        raw = 100.0 * (close - lowest) / span
        raw[span == 0.0] = 50.0
        k, d = np.full(rows, NAN), np.full(rows, NAN)
        k[cold:] = self._k.batch(raw[cold:])[0]
        d[cold_d:] = self._d.batch(k[cold_d:])[0]
        k[np.isnan(d)] = NAN
        return k, d


class WilliamsR(Indicator):
    """Williams %R: -100 · (highest - close) / (highest - lowest) of the last ``period`` bars, -100 to 0.

    A range of zero gives -50.

    Args:
        period: bars of the range.
    """

    inputs = HIGH_LOW_CLOSE

    def __init__(self, period: int = 14) -> None:
        self.period = check_period(self, "period", period)
        self._highest, self._lowest = Highest(period), Lowest(period)
        self.warmup = period
        self.reset()

    def _clear(self) -> None:
        self._highest.reset()
        self._lowest.reset()

    def update(self, high: float, low: float, close: float) -> None:
        """Take the next bar's high, low and close."""
        if (high - high) + (low - low) + (close - close) != 0.0:
            self._refuse(high, low, close)
        self._highest.update(high)
        self._lowest.update(low)
        highest = self._highest.value
        span = highest - self._lowest.value
        self.count += 1
        self.previous = self._last
        self.value = self._last = -100.0 * (highest - close) / span if span != 0.0 else -50.0

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        high, low, close = columns
        highest = self._highest.batch(high)[0]
        span = highest - self._lowest.batch(low)[0]
        values = -100.0 * (highest - close) / span
        values[span == 0.0] = -50.0
        return (values,)


class CCI(Indicator):
    """Commodity channel index (Lambert 1980): (tp - mean) / (0.015 · mean deviation), tp = (high + low + close) / 3.

    A mean deviation of zero gives 0.

    Args:
        period: length of the mean and of the deviation.
        deviation: ``"window"`` (default; Lambert, TA-Lib): mean of abs(tp_i - mean) over the window, with the window's
            own mean; costs O(period) a value, the only indicator here that does. ``"rolling"``: SMA of
            abs(tp - SMA(tp)), each at its own bar; first value after 2 · period - 1 updates.

    Raises:
        ConfigError: an argument is out of range.
    """

    inputs = HIGH_LOW_CLOSE
    parameters = ("period", "deviation")

    def __init__(self, period: int = 20, deviation: str = "window") -> None:
        self.period = check_period(self, "period", period)
        self.deviation = check_choice(self, "deviation", deviation, ("window", "rolling"))
        self._mean, self._rolling = SMA(period), SMA(period)
        self._whole_window = deviation == "window"
        self.warmup = period if self._whole_window else 2 * period - 1
        self.reset()

    def _clear(self) -> None:
        self._mean.reset()
        self._rolling.reset()
        self._window: deque[float] = deque(maxlen=self.period)

    def update(self, high: float, low: float, close: float) -> None:
        """Take the next bar's high, low and close."""
        if (high - high) + (low - low) + (close - close) != 0.0:
            self._refuse(high, low, close)
        typical = (high + low + close) / 3.0
        self._mean.update(typical)
        distance = typical - self._mean.value
        self.count += 1
        self.previous = self._last
        self.value = self._last = self._scaled(typical, distance)

    def _scaled(self, typical: float, distance: float) -> float:
        if self._whole_window:
            window, mean = self._window, self._mean.value
            window.append(typical)
            total = 0.0
            for held in window:
                total += abs(held - mean)
            deviation = total / self.period
        elif distance == distance:
            self._rolling.update(abs(distance))
            deviation = self._rolling.value
        else:
            return NAN
        return distance / (0.015 * deviation) if deviation != 0.0 else 0.0

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        high, low, close = columns
        typical = (high + low + close) / 3.0
        rows = len(typical)
        cold = max(0, min(self.period - 1 - self._mean.count, rows))
        means = self._mean.batch(typical)[0]
        distances = typical - means
        if self._whole_window:
            deviations = self._window_deviations(typical, means)
        else:
            deviations = np.full(rows, NAN)
            deviations[cold:] = self._rolling.batch(np.abs(distances[cold:]))[0]
        values = distances / (0.015 * deviations)
        values[deviations == 0.0] = 0.0
        return (values,)

    def _window_deviations(self, typical: FloatArray, means: FloatArray) -> FloatArray:
        import numpy as np

        rows, period = len(typical), self.period
        before = list(self._window)[1:] if len(self._window) == period else list(self._window)
        series = np.full(period - 1 + rows, NAN)
        series[period - 1 - len(before) : period - 1] = before
        series[period - 1 :] = typical
        totals = np.zeros(rows)
        for age in range(period):  # oldest first, as in streaming
            totals += np.abs(series[age : age + rows] - means)
        self._window.extend(typical[-period:].tolist())
        return totals / period


class ROC(Indicator):
    """Rate of change: (price / price ``period`` updates ago - 1) · 100; NaN where the old price is zero.

    Args:
        period: how many updates ago.
    """

    def __init__(self, period: int = 10) -> None:
        self.period = check_period(self, "period", period)
        self.warmup = period + 1
        self.reset()

    def _clear(self) -> None:
        self._window: deque[float] = deque([NAN] * self.period, maxlen=self.period)

    def update(self, price: float) -> None:
        """Take the next price."""
        if price - price != 0.0:
            self._refuse(price)
        base = self._window[0]
        self._window.append(price)
        self.count += 1
        self.previous = self._last
        self.value = self._last = (price / base - 1.0) * 100.0 if base != 0.0 else NAN

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        (prices,) = columns
        base = np.concatenate((self._window, prices))[: len(prices)]
        values = (prices / base - 1.0) * 100.0
        values[base == 0.0] = NAN
        self._window.extend(prices[-self.period :].tolist())
        return (values,)
