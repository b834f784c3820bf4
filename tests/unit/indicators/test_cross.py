"""Crossings: none is lost in a tie, and each counts once."""

from __future__ import annotations

import math

import numpy as np
import pytest

from foxtrot.core.errors import ConfigError
from foxtrot.indicators import SMA, Cross, crossed_above, crossed_below


def run_functions(values: list[float], level: float = 0.0) -> list[int]:
    indicator = SMA(1)
    signs = []
    for value in values:
        indicator.update(value)
        signs.append(crossed_above(indicator, level) - crossed_below(indicator, level))
    return signs


def run_cross(values: list[float], tolerance: float = 0.0) -> list[int]:
    indicator = SMA(1)
    cross = Cross(indicator, 0.0, tolerance)
    signs = []
    for value in values:
        indicator.update(value)
        signs.append(cross.update())
        assert cross.value == signs[-1]
    return signs


@pytest.mark.parametrize("run", [run_functions, run_cross])
class TestBoth:
    def test_a_plain_crossing_counts_once(self, run: object) -> None:
        assert run([-1.0, 1.0, 2.0, -1.0, -2.0]) == [0, 1, 0, -1, 0]  # type: ignore[operator]

    def test_a_crossing_through_a_tie_counts_once_when_the_tie_is_left(self, run: object) -> None:
        values = [-1.0, 0.0, 0.0, 1.0, 0.0, -1.0]
        assert run(values) == [0, 0, 0, 1, 0, -1]  # type: ignore[operator]

    def test_the_first_value_is_no_crossing(self, run: object) -> None:
        assert run([1.0, 2.0]) == [0, 0]  # type: ignore[operator]


def test_a_touch_is_no_crossing_for_cross_but_two_values_cannot_tell() -> None:
    values = [1.0, 0.0, 1.0]

    assert run_cross(values) == [0, 0, 0]
    assert run_functions(values) == [0, 0, 1]


def test_small_differences_count_as_ties() -> None:
    assert run_cross([-1.0, 0.5, -0.5, 0.6, -2.0, 0.4, 1.5], 0.6) == [0, 0, 0, 0, 0, 0, 1]


def test_nan_neither_crosses_nor_changes_the_side() -> None:
    fast, slow = SMA(1), SMA(2)
    cross = Cross(fast, slow)
    signs = []
    for price in (1.0, 2.0, 3.0, 1.0):
        fast.update(price)
        slow.update(price)
        signs.append(cross.update())

    assert signs == [0, 0, 0, -1]
    assert not crossed_above(SMA(3), 1.0)
    assert not crossed_below(1.0, SMA(3))


def test_two_indicators_cross() -> None:
    fast, slow = SMA(2), SMA(4)
    prices = np.sin(np.arange(60) / 4.0)
    cross = Cross(fast, slow)
    for price in prices.tolist():
        fast.update(price)
        slow.update(price)
        sign = cross.update()
        assert (sign > 0) == crossed_above(fast, slow)
        assert (sign < 0) == crossed_below(fast, slow)
        assert cross.side == (0 if not slow.ready else 1 if fast.value > slow.value else -1)


def test_functions_may_be_watched_and_a_reset_forgets_the_side() -> None:
    values = [1.0, -1.0, 1.0]
    cross = Cross(lambda: values[0], 0)
    cross.update()
    values.pop(0)
    assert cross.update() == -1

    cross.reset()
    values.pop(0)

    assert cross.update() == 0


@pytest.mark.parametrize("tolerance", [-1.0, math.nan])
def test_a_wrong_tolerance_is_named(tolerance: float) -> None:
    with pytest.raises(ConfigError, match="tolerance"):
        Cross(1.0, 2.0, tolerance)
