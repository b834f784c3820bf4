"""Trend strength: the average directional index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from foxtrot.indicators.base import NAN, Indicator, check_period

if TYPE_CHECKING:
    from foxtrot.indicators.base import FloatArray


class ADX(Indicator):
    """Average directional index with the directional indicators +DI and -DI (Wilder 1978), 0 to 100.

    Directional movements and true range are summed over the first ``period - 1`` changes and from then on smoothed by
    S = S - S / period + x, as TA-Lib does (Wilder's own first sum takes ``period`` changes; the difference fades).
    DI = 100 · DM / TR, 0 where the true range is 0. DX = 100 · abs(+DI - -DI) / (+DI + -DI). ADX is the mean of the
    first ``period`` DX and then smoothed as (ADX · (period - 1) + DX) / period; where both DI are 0 there is no
    DX: the seed counts a 0, later ADX stays as it is.

    ``plus_di`` and ``minus_di`` begin after period + 1 updates, the main output after 2 · period.

    Args:
        period: length of the smoothing, at least 2.
    """

    inputs = ("high_price", "low_price", "close_price")
    outputs = ("value", "plus_di", "minus_di")

    plus_di: float
    minus_di: float

    def __init__(self, period: int = 14) -> None:
        self.period = check_period(self, "period", period, 2)
        self.warmup = 2 * period
        self.reset()

    @property
    def adx(self) -> float:
        """The average directional index: the main output."""
        return self.value

    def _clear(self) -> None:
        self._seen = 0  # counted until the first value
        self._high = self._low = self._close = NAN
        self._plus = self._minus = self._range = 0.0
        self._total = 0.0  # of the DX that seed the average
        self._average = NAN

    def update(self, high: float, low: float, close: float) -> None:
        """Take the next bar's high, low and close."""
        if (high - high) + (low - low) + (close - close) != 0.0:
            self._refuse(high, low, close)
        up, down, before = high - self._high, self._low - low, self._close
        self._high, self._low, self._close = high, low, close
        true_range = max(high - low, abs(high - before), abs(low - before))
        plus = up if up > 0.0 and up > down else 0.0
        minus = down if down > 0.0 and down > up else 0.0
        self.count += 1
        self.previous = self._last
        self.value, self.plus_di, self.minus_di = self._push(plus, minus, true_range)
        self._last = self._average

    def _push(self, plus: float, minus: float, true_range: float) -> tuple[float, float, float]:
        period = self.period
        if self._seen < period:
            self._seen += 1
            if self._seen > 1:
                self._plus += plus
                self._minus += minus
                self._range += true_range
            return NAN, NAN, NAN
        self._plus = plus_sum = self._plus - self._plus / period + plus
        self._minus = minus_sum = self._minus - self._minus / period + minus
        self._range = range_sum = self._range - self._range / period + true_range
        plus_di = minus_di = 0.0
        if range_sum != 0.0:
            plus_di = 100.0 * (plus_sum / range_sum)
            minus_di = 100.0 * (minus_sum / range_sum)
        both = plus_di + minus_di
        if self._seen < 2 * period:
            self._seed(100.0 * (abs(minus_di - plus_di) / both) if both != 0.0 else 0.0)
        elif both != 0.0:
            index = 100.0 * (abs(minus_di - plus_di) / both)
            self._average = (self._average * (period - 1) + index) / period
        return self._average, plus_di, minus_di

    def _seed(self, index: float) -> None:
        self._seen += 1
        self._total += index
        if self._seen == 2 * self.period:
            self._average = self._total / self.period

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        high, low, close = columns
        up = high - np.concatenate(([self._high], high[:-1]))
        down = np.concatenate(([self._low], low[:-1])) - low
        before = np.concatenate(([self._close], close[:-1]))
        ranges = np.maximum(np.maximum(high - low, np.abs(high - before)), np.abs(low - before))
        plus = np.where((up > 0.0) & (up > down), up, 0.0)
        minus = np.where((down > 0.0) & (down > up), down, 0.0)
        self._high, self._low, self._close = high.item(-1), low.item(-1), close.item(-1)
        moves = list(zip(plus.tolist(), minus.tolist(), ranges.tolist(), strict=True))
        cold = 2 * self.period - self._seen
        rows = [self._push(*move) for move in moves[:cold]]
        self._run(moves[cold:], rows)
        return tuple(np.array(output) for output in zip(*rows, strict=True))

    def _run(
        self, moves: list[tuple[float, float, float]], rows: list[tuple[float, float, float]]
    ) -> None:
        """Do what ``_push`` does once the average is seeded, with the state in local variables (twice as fast)."""
        period, before = self.period, self.period - 1
        plus_sum, minus_sum, range_sum = self._plus, self._minus, self._range
        average = self._average
        for plus, minus, true_range in moves:
            plus_sum = plus_sum - plus_sum / period + plus
            minus_sum = minus_sum - minus_sum / period + minus
            range_sum = range_sum - range_sum / period + true_range
            plus_di = minus_di = 0.0
            if range_sum != 0.0:
                plus_di = 100.0 * (plus_sum / range_sum)
                minus_di = 100.0 * (minus_sum / range_sum)
            both = plus_di + minus_di
            if both != 0.0:
                index = 100.0 * (abs(minus_di - plus_di) / both)
                average = (average * before + index) / period
            rows.append((average, plus_di, minus_di))
        self._plus, self._minus, self._range = plus_sum, minus_sum, range_sum
        self._average = average
