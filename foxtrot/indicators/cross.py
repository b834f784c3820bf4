"""Crossings of two lines.

``crossed_above`` and ``crossed_below`` look at the last two values only. They lose no crossing: below, tie, above
crosses once, when the tie is left. But two values cannot tell it from above, tie, above, which they report too.
``Cross`` remembers on which side the first line was before the tie and reports exactly the changes of side.
"""

from __future__ import annotations

from collections.abc import Callable

from foxtrot.core.errors import ConfigError
from foxtrot.indicators.base import Indicator

Operand = Indicator | float | Callable[[], float]


def crossed_above(a: Indicator | float, b: Indicator | float) -> bool:
    """Whether ``a`` was at or below ``b`` one update ago and is above it now; NaN never crosses.

    Both should be updated by the same bars.
    """
    before, now = _values(a)
    before_b, now_b = _values(b)
    return before <= before_b and now > now_b


def crossed_below(a: Indicator | float, b: Indicator | float) -> bool:
    """Whether ``a`` was at or above ``b`` one update ago and is below it now; NaN never crosses.

    Both should be updated by the same bars.
    """
    before, now = _values(a)
    before_b, now_b = _values(b)
    return before >= before_b and now < now_b


def _values(operand: Indicator | float) -> tuple[float, float]:
    if isinstance(operand, Indicator):
        return operand.previous, operand.value
    return operand, operand


class Cross:
    """Watches on which side of ``b`` the line ``a`` is; call ``update`` once a bar, after the indicators.

    The side changes only when the lines are more than ``tolerance`` apart: a tie keeps the side that was before, so
    below, tie, above is one crossing and above, tie, above none. The first side seen is no crossing; while a line is
    NaN nothing happens.

    Args:
        a: an indicator (its ``value``), a number, or a function that returns one, for example ``lambda: macd.signal``.
        b: likewise.
        tolerance: differences up to this many price units count as ties.

    Raises:
        ConfigError: ``tolerance`` is negative or NaN.

    Attributes:
        side: +1 while ``a`` is above ``b``, -1 while below, 0 before the first difference.
        value: what the last ``update`` returned.
    """

    def __init__(self, a: Operand, b: Operand, tolerance: float = 0.0) -> None:
        if not tolerance >= 0.0:
            raise ConfigError(f"Cross: tolerance must not be negative, but is {tolerance!r}")
        self._a = _reader(a)
        self._b = _reader(b)
        self.tolerance = tolerance
        self.reset()

    def reset(self) -> None:
        """Forget the side."""
        self.side = 0
        self.value = 0

    def update(self) -> int:
        """Look at both lines.

        Returns:
            +1 if ``a`` has just crossed above ``b``, -1 if below, else 0.
        """
        difference = self._a() - self._b()
        side = self.side
        if difference > self.tolerance:
            self.side = 1
        elif difference < -self.tolerance:
            self.side = -1
        self.value = self.side if side and side != self.side else 0
        return self.value


def _reader(operand: Operand) -> Callable[[], float]:
    if isinstance(operand, Indicator):
        return lambda: operand.value
    if callable(operand):
        return operand
    number = float(operand)
    return lambda: number
