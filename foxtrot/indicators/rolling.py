"""Figures over the last ``period`` values, in O(1) a value and without drift.

A running total (add the new value, subtract the old one) carries every rounding error on for ever: one price of 1e16
spoils all later sums. Here the series is cut into blocks of ``period`` values. A window then is the end of the block
before (its *tail*) plus the beginning of the current one (its *prefix*). Prefixes grow by one operation a value; the
tails of a block are computed once, backwards, when the block is complete. Nothing is ever subtracted, so what has left
the window leaves no trace, a sum of zeros is exactly zero, and extremes need no search. (The scheme is that of
van Herk 1992 and Gil & Werman 1993 for running extremes; it works for any associative operation.)

Both forms do the same operations in the same order: the batch form lays the blocks out as the rows of a matrix and
accumulates along them. ``-0.0`` is the neutral element of a float sum, NaN stands for "no block before this one".
"""

from __future__ import annotations

import math
from abc import abstractmethod
from itertools import accumulate
from typing import TYPE_CHECKING, ClassVar

from foxtrot.core.errors import ConfigError
from foxtrot.indicators.base import NAN, Indicator, check_period

if TYPE_CHECKING:
    from foxtrot.indicators.base import FloatArray

INFINITY = float("inf")


class BlockWindow(Indicator):
    """Base of the indicators over a window: keeps the current block and lays out batches.

    Args:
        period: length of the window in values.
    """

    _block: list[float]  # values of the current block, always fewer than ``period``

    def __init__(self, period: int) -> None:
        self.period = check_period(self, "period", period)
        self.warmup = period
        self.reset()

    def _clear(self) -> None:
        self._block = []
        self._start_series()

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        import numpy as np

        (column,) = columns
        period, held = self.period, len(self._block)
        if period > 4 * len(column):  # less work than laying out a block that is mostly known
            return super()._batch(column)
        total = held + len(column)
        full, rest = divmod(total, period)
        rows = np.zeros((full + (rest > 0), period))
        flat = rows.reshape(-1)
        flat[:held] = self._block
        flat[held:total] = column
        results = self._fold(rows, full, rest).reshape(-1)[held:total]
        self._block = flat[full * period : total].tolist()
        return (results,)

    @abstractmethod
    def _start_series(self) -> None:
        """Set tails and prefixes to those of an empty series."""

    @abstractmethod
    def _fold(self, rows: FloatArray, full: int, rest: int) -> FloatArray:
        """Compute the outputs for all cells of the blocks ``rows`` and set tails and prefixes to those at the end.

        Args:
            rows: the blocks, shape (blocks, period); the last one is filled up with zeros.
            full: how many of them are complete.
            rest: values in the incomplete one, 0 where there is none.
        """


def _with_tails(first: list[float], suffixes: FloatArray, neutral: float) -> FloatArray:
    """Put the tails carried from before on top of those of the new blocks.

    Args:
        first: tails of the block before, by position in the block that follows; length ``period``.
        suffixes: of each complete block, results of its last 1, 2 … ``period`` values; shape (full, period).
        neutral: the tail of no values, which belongs to the last position.

    Returns:
        Tails by block and position, shape (full + 1, period).
    """
    import numpy as np

    tails = np.empty((len(suffixes) + 1, len(first)))
    tails[0] = first
    tails[1:, :-1] = suffixes[:, -2::-1]
    tails[1:, -1] = neutral
    return tails


class FoldWindow(BlockWindow):
    """A window folded with one associative operation, named by its numpy function."""

    _operation: ClassVar[str]
    _neutral: ClassVar[float]
    _tail: list[float]
    _prefix: float

    def _start_series(self) -> None:
        self._tail = [NAN] * (self.period - 1) + [self._neutral]
        self._prefix = self._neutral

    def _fold(self, rows: FloatArray, full: int, rest: int) -> FloatArray:
        import numpy as np

        operation: np.ufunc = getattr(np, self._operation)
        prefixes = operation.accumulate(rows, axis=1)
        suffixes = operation.accumulate(rows[:full, ::-1], axis=1)
        tails = _with_tails(self._tail, suffixes, self._neutral)
        if full:
            self._tail = tails[full].tolist()
        self._prefix = prefixes.item(full, rest - 1) if rest else self._neutral
        results: FloatArray = operation(tails[: len(rows)], prefixes)
        return results


class RollingSum(FoldWindow):
    """Sum of the last ``period`` values.

    Args:
        period: length of the window.
    """

    _operation = "add"
    _neutral = -0.0

    def update(self, price: float) -> None:
        """Take the next value."""
        if price - price != 0.0:
            self._refuse(price)
        block = self._block
        prefix = self._prefix = self._prefix + price
        value = self._tail[len(block)] + prefix
        block.append(price)
        if len(block) == self.period:
            self._close_block(block)
        self.count += 1
        self.previous = self._last
        self.value = self._last = value

    def _close_block(self, block: list[float]) -> None:
        self._tail = [*accumulate(block[:0:-1])][::-1]
        self._tail.append(-0.0)
        self._prefix = -0.0
        self._block = []


class Highest(FoldWindow):
    """Highest of the last ``period`` values, by default of the bars' highs; -0.0 counts as 0.0.

    Args:
        period: length of the window.
    """

    inputs = ("high_price",)
    _operation = "maximum"
    _neutral = -INFINITY

    def update(self, price: float) -> None:
        """Take the next value."""
        if price - price != 0.0:
            self._refuse(price)
        price += 0.0
        block, prefix = self._block, self._prefix
        tail = self._tail[len(block)]
        prefix = self._prefix = price if price > prefix else prefix
        block.append(price)
        if len(block) == self.period:
            self._close_block(block)
        self.count += 1
        self.previous = self._last
        self.value = self._last = prefix if tail < prefix else tail  # a NaN tail stays NaN

    def _close_block(self, block: list[float]) -> None:
        self._tail = [*accumulate(block[:0:-1], max)][::-1]
        self._tail.append(-INFINITY)
        self._prefix = -INFINITY
        self._block = []

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        return super()._batch(columns[0] + 0.0)


class Lowest(FoldWindow):
    """Lowest of the last ``period`` values, by default of the bars' lows; -0.0 counts as 0.0.

    Args:
        period: length of the window.
    """

    inputs = ("low_price",)
    _operation = "minimum"
    _neutral = INFINITY

    def update(self, price: float) -> None:
        """Take the next value."""
        if price - price != 0.0:
            self._refuse(price)
        price += 0.0
        block, prefix = self._block, self._prefix
        tail = self._tail[len(block)]
        prefix = self._prefix = price if price < prefix else prefix
        block.append(price)
        if len(block) == self.period:
            self._close_block(block)
        self.count += 1
        self.previous = self._last
        self.value = self._last = prefix if tail > prefix else tail

    def _close_block(self, block: list[float]) -> None:
        self._tail = [*accumulate(block[:0:-1], min)][::-1]
        self._tail.append(INFINITY)
        self._prefix = INFINITY
        self._block = []

    def _batch(self, *columns: FloatArray) -> tuple[FloatArray, ...]:
        return super()._batch(columns[0] + 0.0)


class StdDev(BlockWindow):
    """Standard deviation of the last ``period`` values.

    Each part of a window keeps the sum s and the sum of squares q of the distances to one of its own values, so that
    q is at most about twice its number of values times the sum of squares about the mean, m = q - s²/n: no digits are
    lost to a large offset. The parts are joined by m = m_a + m_b + (mean_b - mean_a)² n_a n_b / n (Chan, Golub &
    LeVeque 1979), which only adds.

    Args:
        period: length of the window.
        ddof: 0 for the population's deviation (divide by n), 1 for the sample's (by n - 1).

    Raises:
        ConfigError: ``period`` is not larger than ``ddof``, or ``ddof`` is negative.
    """

    parameters = ("period", "ddof")

    def __init__(self, period: int, ddof: int = 0) -> None:
        self.ddof = check_period(self, "ddof", ddof, 0)
        if check_period(self, "period", period) <= ddof:
            raise ConfigError(f"StdDev: period must be larger than ddof {ddof}, not {period!r}")
        self._weights = [(period - j - 1) * (j + 1) / period for j in range(period)]
        self._divisor = period - ddof
        super().__init__(period)

    def _start_series(self) -> None:
        self._tail_anchor = 0.0
        self._tail_mean = [0.0] * self.period
        self._tail_squares = [NAN] * (self.period - 1) + [0.0]
        self._anchor = self._sum = self._squares = 0.0

    def update(self, price: float) -> None:
        """Take the next value."""
        if price - price != 0.0:
            self._refuse(price)
        block = self._block
        position = len(block)
        if not position:
            self._anchor = price
        distance = price - self._anchor
        total = self._sum = self._sum + distance
        squares = self._squares = self._squares + distance * distance
        block.append(price)
        held = position + 1
        delta = (self._anchor - self._tail_anchor) + (total / held - self._tail_mean[position])
        about_mean = self._tail_squares[position] + (squares - total * total / held)
        about_mean += delta * delta * self._weights[position]
        self.count += 1
        self.previous = self._last
        self.value = self._last = (
            0.0 if about_mean <= 0.0 else math.sqrt(about_mean / self._divisor)
        )
        if held == self.period:
            self._close_block(block)

    def _close_block(self, block: list[float]) -> None:
        anchor = self._tail_anchor = block[-1]
        distances = [price - anchor for price in block[:0:-1]]
        means, squares = [0.0], [0.0]
        total = square = 0.0
        for held, distance in enumerate(distances, 1):
            total += distance
            square += distance * distance
            means.append(total / held)
            squares.append(square - total * total / held)
        self._tail_mean = means[::-1]
        self._tail_squares = squares[::-1]
        self._anchor = self._sum = self._squares = 0.0
        self._block = []

    def _fold(self, rows: FloatArray, full: int, rest: int) -> FloatArray:
        import numpy as np

        held = np.arange(1.0, self.period + 1.0)
        anchors = rows[:, 0]
        distances = rows - anchors[:, None]
        totals = np.cumsum(distances, axis=1)
        squares = np.cumsum(distances * distances, axis=1)
        tail_anchors = np.empty(full + 1)
        tail_anchors[0] = self._tail_anchor
        tail_anchors[1:] = rows[:full, -1]
        backward = rows[:full, ::-1] - tail_anchors[1:, None]
        tail_totals = np.cumsum(backward, axis=1)
        tail_squares = np.cumsum(backward * backward, axis=1) - tail_totals * tail_totals / held
        mean_tails = _with_tails(self._tail_mean, tail_totals / held, 0.0)
        square_tails = _with_tails(self._tail_squares, tail_squares, 0.0)
        size = len(rows)
        delta = (anchors - tail_anchors[:size])[:, None] + (totals / held - mean_tails[:size])
        about_mean = square_tails[:size] + (squares - totals * totals / held)
        about_mean += delta * delta * np.array(self._weights)
        if full:
            self._tail_anchor = tail_anchors.item(full)
            self._tail_mean = mean_tails[full].tolist()
            self._tail_squares = square_tails[full].tolist()
        self._anchor = anchors.item(full) if rest else 0.0
        self._sum = totals.item(full, rest - 1) if rest else 0.0
        self._squares = squares.item(full, rest - 1) if rest else 0.0
        about_mean[about_mean <= 0.0] = 0.0
        deviation: FloatArray = np.sqrt(about_mean / self._divisor)
        return deviation
