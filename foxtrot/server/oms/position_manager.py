"""Positions, folded from fills: netting, or long and short legs with today's and yesterday's part.

Invariants: lots and money are whole numbers; a fill is folded once (the caller asks the ``TradeManager`` first) and
wholly or, where it raises, not at all; the realised profit that ``fold`` returns is what the account is booked with.
A LONG or SHORT leg is never negative: what a fill closes beyond what is known was held before we looked, so it is taken
as opened at the fill's own price, and ``unmatched`` is told. A fill of no volume is one that a made-up fill stood for,
and changes nothing. Closing takes the oldest first, ``CLOSETODAY`` today's.
"""

from __future__ import annotations

from collections.abc import Callable

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.position import PositionBook, divide_half_even
from foxtrot.core.constants import Direction, Offset
from foxtrot.core.errors import AccountingError
from foxtrot.core.objects import PositionData, TradeData, split_vt_id
from foxtrot.server.oms.position_leg import FrozenOf, PositionLeg, nothing_frozen
from foxtrot.server.oms.reconcile_synthetic import absorbed_volume

LONG = Direction.LONG
SHORT = Direction.SHORT
NET = Direction.NET
OPEN = Offset.OPEN

MarkOf = Callable[[str], float]
Unmatched = Callable[[TradeData, float], None]


def _ignore(_trade: TradeData, _units: float) -> None:
    """Nobody wants to know."""


class PositionManager:
    """Position legs by ``vt_positionid`` (``ADAPTER.vt_symbol.DIRECTION``).

    Args:
        instrument_of: the instrument of a ``vt_symbol`` at an adapter.
        unmatched: told of a fill that closes more than is known, and of the units in excess.
    """

    def __init__(
        self,
        instrument_of: Callable[[str, str], Instrument],
        unmatched: Unmatched = _ignore,
    ) -> None:
        self._instrument_of = instrument_of
        self._unmatched = unmatched
        self.frozen_of: FrozenOf = nothing_frozen
        self.legs: dict[str, PositionLeg] = {}
        self._net: dict[tuple[str, str], PositionLeg] = {}

    def fold(self, trade: TradeData) -> tuple[PositionLeg, int]:
        """Fold a fill; returns the leg it changed and the realised profit in minor units.

        Raises:
            AccountingError: the volume is not positive, or the direction is neither LONG nor SHORT.
            OrderError: the volume is no whole number of lots.
            ValueError: the price is NaN.
            OverflowError: the price is infinite.
        """
        key = (trade.vt_tradeid.partition(".")[0], trade.vt_symbol)
        leg = self._net.get(key) or self._leg_of(key, trade)
        instrument = leg.instrument
        lot, volume, direction = instrument.lot, trade.volume, trade.direction
        lots = lot.known_lots if volume == lot.known_units else lot.to_lots(volume)
        value = round(trade.price * volume * instrument.scale)  # Instrument.value
        if lots <= 0 or direction == NET:
            if not lots and absorbed_volume(trade):
                leg.ts_event = trade.ts_event
                return leg, 0
            raise AccountingError(
                f"fill {trade.vt_tradeid}: needs a positive volume and a side, got {volume} {direction}"
            )
        signed = lots if direction == LONG else -lots
        if leg.direction is not NET:
            excess = leg.excess(signed)
            if excess:
                self._unmatched(trade, lot.from_lots(excess))
                known = divide_half_even(value * (lots - excess), lots)
                signed, value = (lots - excess if signed > 0 else excess - lots), known
                if not signed:
                    leg.ts_event = trade.ts_event
                    return leg, 0
        if leg.yesterday:
            return leg, leg.apply(signed, value, trade.offset, trade.ts_event)
        leg.ts_event = trade.ts_event
        return leg, leg.book.apply(signed, value)

    def fold_report(self, report: PositionData) -> PositionLeg | None:
        """Open a position that the venue held before our first fill; None where we have one already.

        The leg starts from the venue's volume and price (an opening balance entry, no realised profit).
        """
        adapter, _ = split_vt_id(report.vt_positionid)
        leg = self.leg(adapter, report.vt_symbol, report.direction)
        if leg.book.opened or leg.book.lots or not report.volume:
            return None
        lots = leg.instrument.lot.to_lots(report.volume)
        yesterday = leg.instrument.lot.to_lots(report.yd_volume)
        signed = -lots if report.direction == SHORT else lots
        leg.book = PositionBook(signed, leg.instrument.value_of_lots(report.price, lots))
        leg.yesterday = min(abs(yesterday), abs(lots))
        leg.ts_event = report.ts_event
        return leg

    def rebind(self, instrument: Instrument, adapter: str) -> bool:
        """Give the legs of an instrument its new terms; False (and nothing done) where one is open in other units."""
        legs = [
            leg
            for leg in self.legs.values()
            if leg.adapter == adapter and leg.instrument.vt_symbol == instrument.vt_symbol
        ]
        if any(leg.book.lots and not _same_units(leg.instrument, instrument) for leg in legs):
            return False
        for leg in legs:
            leg.instrument = instrument
        self._net.pop((adapter, instrument.vt_symbol), None)
        return True

    def leg(self, adapter: str, vt_symbol: str, direction: Direction) -> PositionLeg:
        """The leg of that key, made flat where there is none."""
        key = f"{adapter}.{vt_symbol}.{direction.value}"
        leg = self.legs.get(key)
        if leg is None:
            instrument = self._instrument_of(adapter, vt_symbol)
            leg = PositionLeg(adapter, instrument, direction, self.frozen_of)
            self.legs[key] = leg
        return leg

    def roll_day(self) -> None:
        """A new trading day: all that is held is now yesterday's."""
        for leg in list(self.legs.values()):
            leg.yesterday = abs(leg.book.lots)

    def snapshots(self, mark_of: MarkOf, ts_init: int) -> list[PositionData]:
        """Every leg as a message, valued at the marks."""
        return [
            leg.snapshot(mark_of(leg.instrument.vt_symbol), ts_init)
            for leg in list(self.legs.values())
        ]

    def _leg_of(self, key: tuple[str, str], trade: TradeData) -> PositionLeg:
        """A netting contract has one leg; else a fill opens its own side's leg or closes the other's."""
        adapter, _ = key
        if self._instrument_of(adapter, trade.vt_symbol).contract.net_position:
            leg = self._net[key] = self.leg(adapter, trade.vt_symbol, NET)
            return leg
        opening = trade.offset in (OPEN, Offset.NONE)
        return self.leg(adapter, trade.vt_symbol, _other_if(trade.direction, not opening))


def _same_units(one: Instrument, other: Instrument) -> bool:
    """Whether whole lots and minor units of one mean the same in the other."""
    a, b = one.contract, other.contract
    return (a.min_volume, a.size, a.currency, a.net_position) == (
        b.min_volume,
        b.size,
        b.currency,
        b.net_position,
    )


def _other_if(direction: Direction, flip: bool) -> Direction:
    """The direction, or its opposite."""
    if not flip:
        return direction
    return SHORT if direction == LONG else LONG
