"""Moving averages, and the difference of two of them.

Source of the formulas: the usual ones, with the seeds that TA-Lib's classic mode uses unless told otherwise.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

from foxtrot.core.errors import ConfigError
from foxtrot.indicators.base import NAN, Indicator, check_choice, check_period
from foxtrot.indicators.rolling import BlockWindow, RollingSum, _with_tails

if TYPE_CHECKING:
    from foxtrot.indicators.base import FloatArray


class SMA(RollingSum):
    """Simple moving average: the mean of the last ``period`` values.

    Args:
        period: length of the window.
    """

    def update(self, price: float) -> None:
        """Take the next value."""
        if price - price != 0.0:
            self._refuse(price)
        block = self._block
        prefix = self._prefix = self._prefix + price
        value = (self._tail[len(block)] + prefix) / self.period
        block.append(price)
        if len(block) == self.period:
            self._close_block(block)
        self.count += 1
        self.previous = self._last
        self.value = self._last = value

    def _fold(self, rows: FloatArray, full: int, rest: int) -> FloatArray:
        results = super()._fold(rows, full, rest)
        results /= self.period
        return results


class WMA(BlockWindow):
    """Linearly weighted moving average: weights 1 … ``period``, the newest value the heaviest.

    Args:
        period: length of the window.
    """

    _tail: list[float]

    def __init__(self, period: int) -> None:
        super().__init__(period)
        self._divisor = period * (period + 1) / 2

    def _start_series(self) -> None:
        self._tail = [NAN] * (self.period - 1) + [-0.0]
        self._sum = self._weighted = -0.0

    def update(self, price: float) -> None:
        """Take the next value."""
        if price - price != 0.0:
            self._refuse(price)
        block = self._block
        position = len(block)
        total = self._sum = self._sum + price
        weighted = self._weighted = self._weighted + (position + 1) * price
        older = self.period - 1 - position
        block.append(price)
        self.count += 1
        self.previous = self._last
        self.value = self._last = (
            self._tail[position] + (weighted + older * total)
        ) / self._divisor
        if not older:
            # Each older value has weight 1 and adds 1 to the weight of all newer ones: a sum of sums.
            self._tail = [*accumulate(accumulate(block[:0:-1]))][::-1]
            self._tail.append(-0.0)
            self._sum = self._weighted = -0.0
            self._block = []

    def _fold(self, rows: FloatArray, full: int, rest: int) -> FloatArray:
        import numpy as np

        weights = np.arange(1.0, self.period + 1.0)
        totals = np.cumsum(rows, axis=1)
        weighted = np.cumsum(rows * weights, axis=1)
        suffixes = np.cumsum(np.cumsum(rows[:full, ::-1], axis=1), axis=1)
        tails = _with_tails(self._tail, suffixes, -0.0)
        if full:
            self._tail = tails[full].tolist()
        self._sum = totals.item(full, rest - 1) if rest else -0.0
        self._weighted = weighted.item(full, rest - 1) if rest else -0.0
        results: FloatArray = tails[: len(rows)] + (weighted + (self.period - weights) * totals)
        results /= self._divisor
        return results


class EMA(Indicator):
    """Exponential moving average: v += 2 / (period + 1) · (x - v).

    Args:
        period: defines the smoothing; a constant price gives exactly that price.
        seed: ``"sma"``: the first value is the mean of the first ``period`` inputs (TA-Lib's classic default);
            ``"first"``: the first value is the first input.
        warmup: updates before the first value is shown; by default as soon as there is one, that is ``period``
            with seed ``"sma"`` and 1 with ``"first"``.

    Raises:
        ConfigError: an argument is out of range.
    """

    parameters = ("period", "seed")

    def __init__(self, period: int, seed: str = "sma", warmup: int | None = None) -> None:
        self.period = check_period(self, "period", period)
        self.seed = check_choice(self, "seed", seed, ("sma", "first"))
        earliest = period if seed == "sma" else 1
        self.warmup = check_period(self, "warmup", earliest if warmup is None else warmup, earliest)
        self._alpha = 2.0 / (period + 1.0)
        self.reset()

    def _clear(self) -> None:
        self._seen = 0  # counted until the first value is shown
        self._total = -0.0
        self._average = NAN

    def update(self, price: float) -> None:
        """Take the next value."""
        if price - price != 0.0:
            self._refuse(price)
        if self._seen < self.warmup:
            value = self._warm_up(price)
        else:
            value = self._average
            value += self._alpha * (price - value)
            self._average = value
        self.count += 1
        self.previous = self._last
        self.value = self._last = value

    def _warm_up(self, price: float) -> float:
        self._seen += 1
        if self._seen == 1 and self.seed == "first":
            self._average = price
        elif self.seed == "first" or self._seen > self.period:
            self._average += self._alpha * (price - self._average)
        else:
            self._total += price
            if self._seen == self.period:
                self._average = self._total / self.period
        return self._average if self._seen >= self.warmup else NAN

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        prices = columns[0].tolist()
        cold = min(self.warmup - self._seen, len(prices))
        results = [self._warm_up(price) for price in prices[:cold]]
        value, alpha = self._average, self._alpha
        results += [value := value + alpha * (price - value) for price in prices[cold:]]
        self._average = value
        return (np.array(results),)


class MACD(Indicator):
    """Moving average convergence/divergence: EMA(fast) - EMA(slow), its EMA as signal, and their difference.

    All averages are seeded with simple means, the fast one with the first ``fast`` prices. (TA-Lib seeds its fast
    average with the last ``fast`` of the first ``slow`` prices; the difference fades exponentially.) All outputs begin
    together, after slow + signal - 1 updates.

    Args:
        fast: period of the fast average.
        slow: period of the slow average, larger than ``fast``.
        signal: period of the signal line.

    Raises:
        ConfigError: an argument is out of range.
    """

    outputs = ("value", "signal", "histogram")
    parameters = ("fast", "slow", "signal_period")

    signal: float
    histogram: float

    def __init__(self, fast: int = 12, slow: int = 26, signal: int = 9) -> None:
        self.fast = check_period(self, "fast", fast)
        self.slow = check_period(self, "slow", slow)
        self.signal_period = check_period(self, "signal", signal)
        if slow <= fast:
            raise ConfigError(f"MACD: slow must be larger than fast {fast}, not {slow}")
        self._fast, self._slow, self._signal = EMA(fast), EMA(slow), EMA(signal)
        self.warmup = slow + signal - 1
        self.reset()

    @property
    def macd(self) -> float:
        """The MACD line: the main output."""
        return self.value

    def _clear(self) -> None:
        for average in (self._fast, self._slow, self._signal):
            average.reset()

    def update(self, price: float) -> None:
        """Take the next price."""
        if price - price != 0.0:
            self._refuse(price)
        self._fast.update(price)
        self._slow.update(price)
        value = self._fast.value - self._slow.value
        signal = NAN
        if value == value:
            self._signal.update(value)
            signal = self._signal.value
        self.signal = signal
        self.histogram = value - signal
        self.count += 1
        self.previous = self._last
        self.value = self._last = value if signal == signal else NAN

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        (prices,) = columns
        cold = max(0, min(self.slow - 1 - self._slow.count, len(prices)))
        values = self._fast.batch(prices)[0] - self._slow.batch(prices)[0]
        signals = np.full(len(prices), NAN)
        signals[cold:] = self._signal.batch(values[cold:])[0]
        values[np.isnan(signals)] = NAN
        return values, signals, values - signals
