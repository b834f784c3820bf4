"""Positions, folded from fills: netting, or long and short legs with today's and yesterday's part.

Invariants: lots and money are whole numbers; a fill is folded once (the caller asks the ``TradeManager`` first); the
realised profit that ``fold`` returns is what the account is booked with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.position import PositionBook
from foxtrot.core.constants import Direction, Offset
from foxtrot.core.objects import PositionData, TradeData, split_vt_id

LONG = Direction.LONG
SHORT = Direction.SHORT
NET = Direction.NET
OPEN = Offset.OPEN
CLOSETODAY = Offset.CLOSETODAY

MarkOf = Callable[[str], float]


class PositionLeg:
    """One position: its key, its book, and how much of it is since yesterday (lots, unsigned)."""

    __slots__ = ("adapter", "book", "direction", "instrument", "key", "ts_event", "yesterday")

    def __init__(self, adapter: str, instrument: Instrument, direction: Direction) -> None:
        self.adapter = adapter
        self.key = f"{adapter}.{instrument.vt_symbol}.{direction.value}"
        self.instrument = instrument
        self.direction = direction
        self.book = PositionBook()
        self.yesterday = 0
        self.ts_event = 0

    def apply(self, lots: int, value: int, offset: Offset, ts: int) -> int:
        """Fold signed lots worth ``value`` (minor units); returns the realised profit."""
        realized = self.book.apply(lots, value)
        self.ts_event = ts
        held = abs(self.book.lots)
        closing = self.direction is not NET and offset is not OPEN
        if closing and offset is not CLOSETODAY:
            self.yesterday = max(0, self.yesterday - abs(lots))
        self.yesterday = min(self.yesterday, held)
        return realized

    def state(self) -> tuple[int, ...]:
        """Everything that the leg remembers, in whole numbers, for ``restore``."""
        book = self.book
        return (
            book.lots,
            book.cost,
            book.realized,
            book.commission,
            book.opened,
            book.closed,
            self.yesterday,
            self.ts_event,
        )

    def restore(self, state: Sequence[int]) -> None:
        """Take up what ``state`` returned."""
        book = self.book = PositionBook(*state[:4])
        book.opened, book.closed, self.yesterday, self.ts_event = state[4:]

    def snapshot(self, mark: float, ts_init: int) -> PositionData:
        """The leg as a message, valued at ``mark`` (0 for unknown: no unrealised profit)."""
        book, instrument = self.book, self.instrument
        lots = book.lots
        pnl = book.unrealized(instrument.value_of_lots(mark, lots)) if mark and lots else 0
        to_amount = instrument.currency.to_amount
        from_lots = instrument.lot.from_lots
        return PositionData(
            self.key,
            instrument.vt_symbol,
            self.direction,
            from_lots(lots if self.direction is NET else abs(lots)),
            0.0,
            instrument.price_of(book.cost, lots),
            to_amount(pnl),
            from_lots(self.yesterday),
            to_amount(book.realized),
            to_amount(book.commission),
            self.ts_event,
            ts_init,
        )


class PositionManager:
    """Position legs by ``vt_positionid`` (``ADAPTER.vt_symbol.DIRECTION``).

    Args:
        instrument_of: the instrument of a ``vt_symbol`` at an adapter.
    """

    def __init__(self, instrument_of: Callable[[str, str], Instrument]) -> None:
        self._instrument_of = instrument_of
        self.legs: dict[str, PositionLeg] = {}
        self._net: dict[tuple[str, str], PositionLeg] = {}

    def fold(self, trade: TradeData) -> tuple[PositionLeg, int]:
        """Fold a fill; returns the leg it changed and the realised profit in minor units."""
        leg = self._leg_of(trade)
        instrument = leg.instrument
        lots = instrument.lot.to_lots(trade.volume)
        value = instrument.value(trade.price, trade.volume)
        signed = lots if trade.direction is LONG else -lots
        return leg, leg.apply(signed, value, trade.offset, trade.ts_event)

    def fold_report(self, report: PositionData) -> PositionLeg | None:
        """Open a position that the venue held before our first fill; None where we have one already.

        The leg starts from the venue's volume and price (an opening balance entry, no realised profit).
        """
        adapter, _ = split_vt_id(report.vt_positionid)
        leg = self.leg(adapter, report.vt_symbol, report.direction)
        if leg.book.opened or leg.book.lots or not report.volume:
            return None
        lots = leg.instrument.lot.to_lots(report.volume)
        signed = -lots if report.direction is SHORT else lots
        leg.book = PositionBook(signed, leg.instrument.value_of_lots(report.price, lots))
        leg.yesterday = leg.instrument.lot.to_lots(report.yd_volume)
        leg.ts_event = report.ts_event
        return leg

    def leg(self, adapter: str, vt_symbol: str, direction: Direction) -> PositionLeg:
        """The leg of that key, made flat where there is none."""
        key = f"{adapter}.{vt_symbol}.{direction.value}"
        leg = self.legs.get(key)
        if leg is None:
            leg = PositionLeg(adapter, self._instrument_of(adapter, vt_symbol), direction)
            self.legs[key] = leg
        return leg

    def roll_day(self) -> None:
        """A new trading day: all that is held is now yesterday's."""
        for leg in self.legs.values():
            leg.yesterday = abs(leg.book.lots)

    def snapshots(self, mark_of: MarkOf, ts_init: int) -> list[PositionData]:
        """Every leg as a message, valued at the marks."""
        return [
            leg.snapshot(mark_of(leg.instrument.vt_symbol), ts_init) for leg in self.legs.values()
        ]

    def _leg_of(self, trade: TradeData) -> PositionLeg:
        """A netting contract has one leg; else a fill opens its own side's leg or closes the other's."""
        adapter = trade.vt_tradeid.partition(".")[0]
        key = (adapter, trade.vt_symbol)
        leg = self._net.get(key)
        if leg is not None:
            return leg
        if self._instrument_of(adapter, trade.vt_symbol).contract.net_position:
            leg = self._net[key] = self.leg(adapter, trade.vt_symbol, NET)
            return leg
        opening = trade.offset is OPEN or trade.offset is Offset.NONE
        return self.leg(adapter, trade.vt_symbol, _other_if(trade.direction, not opening))


def _other_if(direction: Direction, flip: bool) -> Direction:
    """The direction, or its opposite."""
    if not flip:
        return direction
    return SHORT if direction is LONG else LONG
