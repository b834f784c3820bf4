"""Drawdowns of an equity curve: the series, its episodes, and how long they lasted.

An episode runs from the peak before a fall to the point that reaches it again; one that has not recovered runs to the
last point. Depths are fractions ≤ 0 of the peak; an account that falls to nothing is at −1, below zero beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, eq=False)
class Drawdowns:
    """Episodes in order of time: indices into the curve, depth (≤ 0) and whether the peak was reached again.

    ``start`` is the peak's index, ``end`` the recovery's (or the last point's), ``trough`` the deepest point's.
    """

    start: NDArray[np.int64]
    trough: NDArray[np.int64]
    end: NDArray[np.int64]
    depth: NDArray[np.float64]
    recovered: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.start)

    def durations(self, ts: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how long each episode lasted from peak to recovery, ns, given the time of each point."""
        spans: NDArray[np.int64] = ts[self.end] - ts[self.start]
        return spans


def drawdown_series(
    equity: NDArray[np.float64], capital: float | None = None
) -> NDArray[np.float64]:
    """Return equity / running peak − 1 at each point (≤ 0), shape (n,); ``capital`` counts as the first peak."""
    if not len(equity):
        return np.zeros(0)
    peak = np.maximum.accumulate(equity)
    if capital is not None:
        peak = np.maximum(peak, capital)
    with np.errstate(divide="ignore", invalid="ignore"):
        fall = equity / peak - 1.0
    return np.where(peak > 0.0, fall, -1.0)


def drawdown_money(
    equity: NDArray[np.float64], capital: float | None = None
) -> NDArray[np.float64]:
    """Return equity − running peak at each point (≤ 0), in currency, shape (n,)."""
    if not len(equity):
        return np.zeros(0)
    peak = np.maximum.accumulate(equity)
    if capital is not None:
        peak = np.maximum(peak, capital)
    return equity - peak


def drawdown_episodes(drawdown: NDArray[np.float64], min_points: int = 2) -> Drawdowns:
    """Cut a drawdown series (from :func:`drawdown_series`) into episodes.

    Args:
        drawdown: Fractions ≤ 0, shape (n,).
        min_points: Fewest steps from the peak to the end that make an episode. 2 leaves out a fall that began in
            the very last step, 1 counts it too.
    """
    n = len(drawdown)
    if n == 0:
        empty = np.zeros(0, dtype=np.int64)
        return Drawdowns(empty, empty, empty, np.zeros(0), np.zeros(0, dtype=np.bool_))
    marks = np.flatnonzero(drawdown == 0.0)
    if not len(marks) or marks[0] != 0:
        marks = np.concatenate(([0], marks))
    if marks[-1] != n - 1:
        marks = np.append(marks, n - 1)
    gap = np.diff(marks)
    unfinished_last = drawdown[-1] != 0.0
    keep = gap >= 2
    if unfinished_last and len(gap) and gap[-1] >= min_points:
        keep[-1] = True
    start, end = marks[:-1][keep], marks[1:][keep]
    depth = np.zeros(len(start))
    trough = np.zeros(len(start), dtype=np.int64)
    if len(start):
        spans = np.column_stack((start, end + 1)).ravel()
        depth = np.minimum.reduceat(np.append(drawdown, 0.0), spans)[::2]
        trough = _troughs(drawdown, start, end)
    recovered = drawdown[end] == 0.0
    return Drawdowns(start, trough, end, depth, recovered)


def _troughs(
    drawdown: NDArray[np.float64], start: NDArray[np.int64], end: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the first index at which each episode is at its deepest."""
    found = [
        int(first) + int(np.argmin(drawdown[first : last + 1]))
        for first, last in zip(start, end, strict=True)
    ]
    return np.array(found, dtype=np.int64)
