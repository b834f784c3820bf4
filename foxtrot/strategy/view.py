"""A strategy's local view: one leg per instrument, folded from the events that were delivered to it.

Invariants: nothing here reads the OMS or the exchange; a position changes when the trade event arrives, an order when
its order event does. So a strategy sees the same in one process and across many.
"""

from __future__ import annotations

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import Currency
from foxtrot.accounting.position import PositionBook
from foxtrot.core.constants import Direction
from foxtrot.core.objects import BarData, ContractData, TickData, TradeData

LONG = Direction.LONG


class StrategyPosition:
    """What one strategy holds of one instrument; read it, do not keep or change it.

    Attributes:
        volume: signed units, positive long.
    """

    __slots__ = ("_book", "_instrument", "volume")

    def __init__(self, instrument: Instrument) -> None:
        self._instrument = instrument
        self._book = PositionBook()
        self.volume = 0.0

    @property
    def price(self) -> float:
        """Average entry price; 0 when flat."""
        return self._instrument.price_of(self._book.cost, self._book.lots)

    @property
    def is_flat(self) -> bool:
        """Whether nothing is held."""
        return self._book.lots == 0

    @property
    def is_long(self) -> bool:
        """Whether the position is long."""
        return self._book.lots > 0

    @property
    def is_short(self) -> bool:
        """Whether the position is short."""
        return self._book.lots < 0

    @property
    def realized_pnl(self) -> float:
        """Profit of what was closed, before commissions, in the contract's currency."""
        return self._instrument.currency.to_amount(self._book.realized)

    @property
    def commission(self) -> float:
        """Commissions paid, in the contract's currency."""
        return self._instrument.currency.to_amount(self._book.commission)

    def unrealized_pnl(self, price: float) -> float:
        """Profit if everything were closed at a price, before commissions."""
        value = self._instrument.value_of_lots(price, self._book.lots)
        return self._instrument.currency.to_amount(self._book.unrealized(value))

    def fold(self, trade: TradeData) -> None:
        """Fold a fill that was delivered."""
        instrument, book = self._instrument, self._book
        volume, lot = trade.volume, instrument.lot
        lots = lot.known_lots if volume == lot.known_units else lot.to_lots(volume)
        value = round(trade.price * volume * instrument.scale)  # Instrument.value
        book.apply(lots if trade.direction is LONG else -lots, value)
        if trade.commission:
            book.commission += instrument.currency.to_minor(trade.commission)
        self.volume = book.lots * lot.numerator / lot.denominator  # LotSize.from_lots

    def state(self) -> list[int]:
        """Everything remembered, for ``restore``."""
        book = self._book
        return [book.lots, book.cost, book.realized, book.commission]

    def restore(self, state: list[int]) -> None:
        """Take up what ``state`` returned."""
        self._book = PositionBook(*state)
        self.volume = self._instrument.lot.from_lots(self._book.lots)

    def __bool__(self) -> bool:
        return self._book.lots != 0

    def __repr__(self) -> str:
        return f"StrategyPosition({self._instrument.vt_symbol}, {self.volume:g} @ {self.price:g})"


class Leg:
    """One instrument as one strategy sees it: contract, position, newest data."""

    __slots__ = ("adapter_name", "bar", "contract", "instrument", "position", "tick", "vt_symbol")

    def __init__(self, contract: ContractData) -> None:
        self.vt_symbol = contract.vt_symbol
        self.contract = contract
        self.adapter_name = contract.adapter_name
        self.instrument = Instrument(contract, Currency(contract.currency))
        self.position = StrategyPosition(self.instrument)
        self.bar: BarData | None = None
        self.tick: TickData | None = None

    def price(self) -> float:
        """Newest close, or middle of the newest quote where that is newer; 0 before the first."""
        bar, tick = self.bar, self.tick
        if tick is not None and (bar is None or tick.ts_event >= bar.ts_event):
            return tick.mid_price
        return bar.close_price if bar is not None else 0.0
