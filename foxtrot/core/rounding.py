"""Exact steps: prices on ticks, volumes in lots, money in minor units.

A tick, a lot and a currency's digits are decimals, while the API's numbers are binary doubles.
Everything here reads a step as the decimal that its shortest ``repr`` shows (0.1 is one tenth),
keeps it as a fraction of two integers, and forms ``k * step`` as one integer division, which Python
rounds correctly. So a checked price is always *the* double nearest to the decimal ``k *
pricetick``, equal bit for bit however it was reached.

Invariants:

* ``check_price`` accepts what is within ``max(4 ulp, 1e-6 * pricetick)`` of such a double, but
  never farther than a quarter of a tick: half a tick is refused at every tick size (where doubles
  lie closer together than ticks).
* ``round_price`` leaves alone (normalises) whatever ``check_price`` accepts, and otherwise never
  moves a buy up nor a sell down.
* A volume is accepted within ``max(4 ulp, min(1e-9 * volume, 1e-6 * min_volume))`` of whole lots,
  again at most a quarter of a lot; so sums such as 0.1 + 0.2 count as 0.3.
* NaN and infinities are refused. Signs are not judged: spreads trade at negative prices, net
  positions are signed.
* Pure: no state but caches of constants.

``TickSize`` and ``LotSize`` hold the constants of one step for hot code; the functions look them up
in a cache.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from functools import lru_cache

from foxtrot.core.constants import Direction
from foxtrot.core.errors import AccountingError, OrderError

_LONG = Direction.LONG
_SHORT = Direction.SHORT

# Up to this many steps a product of two doubles is within 2**-12 of the true count of steps, so
# that rounding it gives the right integer unless the value is far off every step; beyond, integers
# decide.
_FAST = float(2**40)
_NEAR_HALF = 0.001
_SMALLEST_STEP = 1e-30
_LARGEST_STEP = 1e30
_MAX_DIGITS = 18
_CACHED_STEPS = 4096


def _divide_half_even(numerator: int, denominator: int) -> int:
    """Round ``numerator / denominator`` (denominator > 0) to the nearest integer, ties to even."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    return whole + (twice > denominator or (twice == denominator and whole & 1))


def _decimal_ratio(value: float) -> tuple[int, int]:
    """Return the decimal that ``repr(value)`` shows as a fraction of two integers."""
    return Decimal(repr(float(value))).as_integer_ratio()


class _Step:
    """The decimal grid ``k * numerator / denominator``; base of ``TickSize`` and ``LotSize``."""

    __slots__ = ("_per_unit", "denominator", "numerator", "value")

    value: float
    numerator: int
    denominator: int

    def _set(self, value: float, field: str) -> None:
        if not _SMALLEST_STEP <= value <= _LARGEST_STEP:  # false for NaN, too
            raise OrderError(
                f"{field} is {value!r}; it must be a positive number from {_SMALLEST_STEP:g} to "
                f"{_LARGEST_STEP:g}: mend the contract's {field}"
            )
        self.value = float(value)
        self.numerator, self.denominator = _decimal_ratio(value)
        self._per_unit = self.denominator / self.numerator

    def at(self, steps: int) -> float:
        """Return the double nearest to the decimal ``steps * step``.

        Raises:
            OrderError: the product is beyond the range of doubles.
        """
        try:
            return steps * self.numerator / self.denominator
        except OverflowError:
            raise OrderError(f"{steps} steps of {self.value!r} are beyond any double") from None

    def _nearest(self, value: float, field: str) -> int:
        """Count the steps nearest to ``value``; a tie of its decimal goes to the even count."""
        ratio = value * self._per_unit
        if -_FAST < ratio < _FAST:
            steps = round(ratio)
            if abs(abs(ratio - steps) - 0.5) > _NEAR_HALF:
                return steps
        if not math.isfinite(value):
            raise OrderError(f"{field} is {value!r}; it must be a finite number")
        numerator, denominator = _decimal_ratio(value)
        return _divide_half_even(numerator * self.denominator, denominator * self.numerator)

    def _below(self, value: float, steps: int) -> int:
        """Turn the nearest count into the largest one that does not exceed ``value``."""
        return steps - 1 if self.at(steps) > value else steps


class TickSize(_Step):
    """Price step of one contract with its constants worked out once.

    Attributes:
        value: the step in price units; 0 leaves prices unchecked (adjusted data).
        numerator: with ``denominator``, the step as a decimal fraction.
        denominator: see ``numerator``.

    Raises:
        OrderError: the step is negative, NaN, infinite or of an absurd size.
    """

    __slots__ = ()

    def __init__(self, pricetick: float) -> None:
        if pricetick == 0.0:
            self.value = 0.0
            self.numerator, self.denominator = 0, 1
            self._per_unit = math.nan  # sends every price down the slow path
        else:
            self._set(pricetick, "pricetick")

    def check(self, price: float, field: str = "price") -> float:
        """Return the double nearest to the decimal ``k * pricetick`` that ``price`` stands for.

        Args:
            price: in price units; of either sign.
            field: the request's field, for the error's text.

        Raises:
            OrderError: NaN, infinite, or off the tick; the text names the nearest good prices.
        """
        ratio = price * self._per_unit
        if -_FAST < ratio < _FAST:
            good = round(ratio) * self.numerator / self.denominator
            if good == price:
                return good
        return self._check_slowly(price, field)

    def round(self, price: float, side: Direction | None = None, field: str = "price") -> float:
        """Move ``price`` onto the tick: down for LONG, up for SHORT, to the nearest for ``None``.

        A price that ``check`` accepts is only normalised. Ties of the price's decimal go to the
        even tick.

        Raises:
            OrderError: NaN, infinite, or ``side`` is NET.
        """
        if not self.value:
            return _finite(price, field)
        steps = self._nearest(price, field)
        good = self.at(steps)
        if side is None or self._accepts(price, good):
            return good
        if side is _LONG:
            return self.at(steps - 1) if good > price else good
        if side is _SHORT:
            return self.at(steps + 1) if good < price else good
        raise OrderError(f"side is {side!r}; round a price for LONG, SHORT or None (nearest)")

    def _accepts(self, price: float, good: float) -> bool:
        slack = max(4.0 * math.ulp(good), 1e-6 * self.value)
        return good == price or abs(price - good) <= min(slack, 0.25 * self.value)

    def _check_slowly(self, price: float, field: str) -> float:
        if not self.value:
            return _finite(price, field)
        steps = self._nearest(price, field)
        good = self.at(steps)
        if self._accepts(price, good):
            return good
        below = self._below(price, steps)
        raise OrderError(
            f"{field} {float(price)!r} is not a multiple of the price tick {self.value!r}; "
            f"the nearest good values are {self.at(below)!r} and {self.at(below + 1)!r}"
        )


class LotSize(_Step):
    """Volume step (smallest tradable volume) of one contract with its constants worked out once.

    Attributes:
        value: units a lot.
        numerator: with ``denominator``, the lot as a decimal fraction.
        denominator: see ``numerator``.
        known_units: the last volume that ``to_lots`` was asked for and took.
        known_lots: its lots; on its way an order's volume is asked for again and again.

    The last answer of ``from_lots`` is kept, too.

    Raises:
        OrderError: the lot is not a positive finite number.
    """

    __slots__ = ("_lots_asked", "_units_told", "known_lots", "known_units")

    def __init__(self, min_volume: float) -> None:
        self._set(min_volume, "min_volume")
        self.known_units = self._units_told = 0.0
        self._lots_asked = self.known_lots = 0

    def to_lots(self, volume: float, field: str = "volume") -> int:
        """Count the whole lots of ``volume`` units (signed).

        Raises:
            OrderError: NaN, infinite, or not whole lots; the text names the nearest good volumes.
        """
        if volume == self.known_units:
            return self.known_lots
        ratio = volume * self._per_unit
        lots = round(ratio) if -_FAST < ratio < _FAST else 0
        if lots * self.numerator / self.denominator != volume:
            lots = self._nearest(volume, field)
        if self._accepts(volume, lots):
            self.known_units, self.known_lots = volume, lots
            return lots
        below = self._below(volume, lots)
        raise OrderError(
            f"{field} {float(volume)!r} is not whole lots of {self.value!r}; "
            f"the nearest good values are {self.at(below)!r} and {self.at(below + 1)!r}"
        )

    def from_lots(self, lots: int) -> float:
        """Return the units of ``lots`` whole lots: the nearest double to the decimal product."""
        if lots == self._lots_asked:
            return self._units_told
        units = self.at(lots)
        self._lots_asked, self._units_told = lots, units
        return units

    def round(self, volume: float, field: str = "volume") -> float:
        """Cut ``volume`` units towards zero to whole lots.

        A volume that ``to_lots`` accepts is only normalised.

        Raises:
            OrderError: NaN or infinite.
        """
        lots = self._nearest(volume, field)
        if abs(self.at(lots)) > abs(volume) and not self._accepts(volume, lots):
            lots += -1 if lots > 0 else 1
        return self.at(lots)

    def _accepts(self, volume: float, lots: int) -> bool:
        good = self.at(lots)
        slack = max(4.0 * math.ulp(good), min(1e-9 * abs(good), 1e-6 * self.value))
        return good == volume or abs(volume - good) <= min(slack, 0.25 * self.value)


def _finite(value: float, field: str) -> float:
    if not math.isfinite(value):
        raise OrderError(f"{field} is {value!r}; it must be a finite number")
    return float(value)


# Typed by hand: the cache's own type loses the argument, and the lookup is on the way of every
# order.
tick_size: Callable[[float], TickSize] = lru_cache(maxsize=_CACHED_STEPS)(TickSize)
lot_size: Callable[[float], LotSize] = lru_cache(maxsize=_CACHED_STEPS)(LotSize)


def check_price(price: float, pricetick: float, field: str = "price") -> float:
    """Return the double nearest to the decimal ``k * pricetick`` that ``price`` stands for.

    Args:
        price: in price units; of either sign.
        pricetick: price step; 0 leaves the price unchecked.
        field: the request's field, for the error's text.

    Raises:
        OrderError: NaN, infinite, or off the tick; the text names the nearest good prices.
    """
    return tick_size(pricetick).check(price, field)


def round_price(price: float, pricetick: float, side: Direction | None = None) -> float:
    """Move ``price`` onto the tick: down for LONG, up for SHORT, to the nearest for ``None``.

    So a buy never pays more, and a sell never takes less, than was asked. A price that
    ``check_price`` accepts is only normalised; ties go to the even tick; pricetick 0 returns the
    price.

    Raises:
        OrderError: NaN, infinite, or ``side`` is NET.
    """
    return tick_size(pricetick).round(price, side)


def round_volume(volume: float, min_volume: float) -> float:
    """Cut ``volume`` (units, signed) towards zero to whole lots of ``min_volume`` units.

    Raises:
        OrderError: NaN or infinite, or a lot that is not positive.
    """
    return lot_size(min_volume).round(volume)


def to_lots(volume: float, min_volume: float, field: str = "volume") -> int:
    """Count the whole lots of ``min_volume`` units in ``volume`` (units, signed).

    Raises:
        OrderError: not whole lots (the text names the nearest good volumes), NaN or infinite.
    """
    return lot_size(min_volume).to_lots(volume, field)


def from_lots(lots: int, min_volume: float) -> float:
    """Return the units of ``lots`` lots: the double nearest to the decimal product."""
    return lot_size(min_volume).at(lots)


def _power_of_ten(digits: int) -> int:
    if not 0 <= digits <= _MAX_DIGITS:
        raise AccountingError(
            f"digits is {digits!r}; a currency has 0 to {_MAX_DIGITS} decimal places"
        )
    return int(10**digits)


def money_to_minor(amount: float, digits: int) -> int:
    """Round an amount of money to whole minor units (cents where ``digits`` is 2).

    To the nearest; a tie of the amount's shortest decimal goes to the even unit (half-even, as IEEE
    754 and most ledgers do), so that rounding many fees has no drift: 1.005 becomes 100 cents,
    1.015 becomes 102.

    Args:
        amount: in currency units, of either sign.
        digits: decimal places of the minor unit, 0 to 18.

    Raises:
        AccountingError: NaN, infinite, or ``digits`` out of range.
    """
    scale = _power_of_ten(digits)
    scaled = amount * scale
    if -_FAST < scaled < _FAST:
        minor = round(scaled)
        if abs(abs(scaled - minor) - 0.5) > _NEAR_HALF:
            return minor
    if not math.isfinite(amount):
        raise AccountingError(f"amount is {amount!r}; it must be a finite number")
    numerator, denominator = _decimal_ratio(amount)
    return _divide_half_even(numerator * scale, denominator)


def minor_to_money(minor: int, digits: int) -> float:
    """Return whole minor units as an amount: the double nearest to ``minor / 10**digits``.

    ``money_to_minor`` gives the same count back up to 10**15 minor units (15 digits fit a double).

    Raises:
        AccountingError: ``digits`` out of range, or the amount is beyond any double.
    """
    try:
        return minor / _power_of_ten(digits)
    except OverflowError:
        raise AccountingError(f"{minor} minor units are beyond any double") from None
