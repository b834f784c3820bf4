"""One position as a pure fold of fills: whole lots and whole minor units, so that nothing drifts.

Invariants: ``lots`` is signed and exact; ``cost`` is the entry value of what is held, never negative, in minor units
(10**-digits of the currency), and 0 when flat; the sum of all realised profits plus the value of what is left equals
the sum of all fills to the unit. Closing part of a position releases cost in proportion (average cost), rounded half
to even once, with the rest left in the position, so no unit is lost or made.
"""

from __future__ import annotations


def divide_half_even(numerator: int, denominator: int) -> int:
    """Round the quotient of two integers to the nearest, ties to even; ``denominator`` > 0."""
    quotient, rest = divmod(numerator, denominator)
    double = rest * 2
    if double > denominator or (double == denominator and quotient & 1):
        quotient += 1
    return quotient


class PositionBook:
    """Net position of one instrument (or one leg of a hedged one).

    Attributes:
        lots: signed lots held.
        cost: entry value of the lots held, in minor units, >= 0.
        realized: profit of everything closed so far, before commissions, in minor units.
        commission: commissions paid so far, in minor units.
        opened: lots ever opened; closed: lots ever closed (both positive).
    """

    __slots__ = ("closed", "commission", "cost", "lots", "opened", "realized")

    def __init__(
        self, lots: int = 0, cost: int = 0, realized: int = 0, commission: int = 0
    ) -> None:
        self.lots = lots
        self.cost = cost
        self.realized = realized
        self.commission = commission
        self.opened = abs(lots)
        self.closed = 0

    def apply(self, lots: int, value: int) -> int:
        """Fold one fill and return the profit that it realises, in minor units.

        Args:
            lots: signed lots of the fill (buy positive).
            value: price x volume x contract size of the fill, in minor units, with the sign of the price.
        """
        held = self.lots
        if held == 0 or (held > 0) == (lots > 0):
            self.lots = held + lots
            self.cost += value
            self.opened += lots if lots > 0 else -lots
            return 0
        if lots == -held:  # all of it: the usual way to close
            gain = self.cost - value if held < 0 else value - self.cost
            self.lots = self.cost = 0
            self.closed += lots if lots > 0 else held
            self.realized += gain
            return gain
        size = abs(lots)
        have = abs(held)
        if size < have:
            released = divide_half_even(self.cost * size, have)
            self.cost -= released
            self.closed += size
            gain = value - released
        else:
            closing = divide_half_even(value * have, size)
            gain = closing - self.cost
            self.cost = value - closing
            self.closed += have
            self.opened += size - have
        self.lots = held + lots
        if held < 0:
            gain = -gain
        self.realized += gain
        return gain

    def unrealized(self, value: int) -> int:
        """Profit if the whole position were closed for ``value`` (minor units, positive)."""
        if self.lots > 0:
            return value - self.cost
        if self.lots < 0:
            return self.cost - value
        return 0
