"""One position: what is held of an instrument at an adapter, netted or on one side, and how much since yesterday.

Invariants: lots and money are whole numbers; ``yesterday`` is never more than what is held. A leg's row carries lot,
size and currency of its contract, so that its whole numbers are never read in other units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.position import PositionBook
from foxtrot.core.constants import Direction, Offset
from foxtrot.core.objects import PositionData

LONG = Direction.LONG
NET = Direction.NET
CLOSETODAY = Offset.CLOSETODAY


FrozenOf = Callable[["PositionLeg"], float]
"""Units of a LONG or SHORT leg that closing orders bind."""


def nothing_frozen(_leg: PositionLeg) -> float:
    """Nobody counts what orders bind."""
    return 0.0


class PositionLeg:
    """One position: its key, its book, and how much of it is since yesterday (lots, unsigned).

    Args:
        adapter: where it is held.
        instrument: what is held.
        direction: NET, LONG or SHORT.
        frozen_of: what closing orders bind of a LONG or SHORT leg.
    """

    __slots__ = (
        "adapter",
        "book",
        "direction",
        "frozen_of",
        "instrument",
        "key",
        "ts_event",
        "yesterday",
    )

    def __init__(
        self,
        adapter: str,
        instrument: Instrument,
        direction: Direction,
        frozen_of: FrozenOf = nothing_frozen,
    ) -> None:
        self.adapter = adapter
        self.key = f"{adapter}.{instrument.vt_symbol}.{direction.value}"
        self.instrument = instrument
        self.direction = direction
        self.frozen_of = frozen_of
        self.book = PositionBook()
        self.yesterday = 0
        self.ts_event = 0

    def apply(self, lots: int, value: int, offset: Offset, ts: int) -> int:
        """Fold signed lots worth ``value`` (minor units); returns the realised profit."""
        book = self.book
        before = book.lots
        realized = book.apply(lots, value)
        self.ts_event = ts
        if self.yesterday:
            held = book.lots
            if (held > 0) != (before > 0):
                self.yesterday = 0
            elif self.direction is not NET and abs(held) < abs(before) and offset != CLOSETODAY:
                self.yesterday = max(0, self.yesterday - abs(lots))
            self.yesterday = min(self.yesterday, abs(held))
        return realized

    def excess(self, lots: int) -> int:
        """How many of these signed lots would close more than a LONG or SHORT leg holds."""
        held = self.book.lots
        if self.direction is NET or (lots > 0) == (self.direction is LONG):
            return 0
        return max(0, abs(lots) - abs(held))

    def state(self) -> tuple[Any, ...]:
        """Everything that the leg remembers, in whole numbers, and the units it is counted in, for ``restore``."""
        book, instrument = self.book, self.instrument
        return (
            book.lots,
            book.cost,
            book.realized,
            book.commission,
            book.opened,
            book.closed,
            self.yesterday,
            self.ts_event,
            instrument.lot.value,
            instrument.contract.size,
            instrument.currency.code,
        )

    def restore(self, state: Sequence[Any]) -> None:
        """Take up what ``state`` returned; the leg's instrument must count in the same units (``units_of``)."""
        book = self.book = PositionBook(*state[:4])
        book.opened, book.closed, self.yesterday, self.ts_event = state[4:8]

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
            0.0 if self.direction is NET else self.frozen_of(self),
            instrument.price_of(book.cost, lots),
            to_amount(pnl),
            from_lots(self.yesterday),
            to_amount(book.realized),
            to_amount(book.commission),
            self.ts_event,
            ts_init,
        )


def units_of(state: Sequence[Any]) -> tuple[float, float, str]:
    """Lot (units), contract size and currency that a leg's ``state`` is counted in."""
    lot, size, currency = state[8:11]
    return float(lot), float(size), str(currency)
