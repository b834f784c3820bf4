"""The books of one OMS: all managers together, and how a fill goes through those that keep money and holdings.

Invariants: live messages and journaled facts are booked by the same code, so state made from the journal is the state
that was; a fill is booked wholly or, where it raises, not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from foxtrot.core.constants import Direction
from foxtrot.core.objects import ContractData, TradeData, split_vt_id
from foxtrot.server.oms.account_manager import AccountManager
from foxtrot.server.oms.instrument_manager import InstrumentManager
from foxtrot.server.oms.order_manager import OrderManager
from foxtrot.server.oms.position_leg import PositionLeg, units_of
from foxtrot.server.oms.position_manager import PositionManager, Unmatched
from foxtrot.server.oms.trade_manager import TradeManager


class Booking(Struct, frozen=True, gc=False):
    """What a fill has changed: the position, and the currencies of its adapter's account."""

    leg: PositionLeg
    codes: tuple[str, ...]


def nobody(_what: object, _units: float = 0.0) -> None:
    """Nobody wants to know."""


class Books:
    """Orders, fills, positions, accounts and contracts.

    Args:
        digits: decimal places per currency code; 8 by default.
        unknown: told of an instrument that is booked without a contract.
        unmatched: told of a fill that closes more than is known to be held, and of the units in excess.
    """

    def __init__(
        self,
        digits: dict[str, int] | None = None,
        unknown: Callable[[str], None] = nobody,
        unmatched: Unmatched = nobody,
    ) -> None:
        self.orders = OrderManager()
        self.trades = TradeManager()
        self.accounts = AccountManager(digits)
        self.instruments = InstrumentManager(self.accounts.currency, unknown)
        self.contracts = self.instruments.contracts
        self.instrument = self.instruments.instrument
        self.positions = PositionManager(self.instrument, unmatched)

    def book(self, trade: TradeData) -> Booking:
        """Book a fill that was not seen before in its position and account; its order is not looked at.

        A fee in another currency than the contract's is booked there, and is no part of the position's own result. A
        fill without volume (all of it was booked before by a made-up one) brings its fee alone.

        Raises:
            AccountingError: volume or direction cannot be booked.
            OrderError: the volume is no whole number of lots, or the contract cannot be booked.
            ValueError: the price is NaN.
            OverflowError: the price is infinite.
        """
        accounts = self.accounts
        fee, fee_code = self._fee_of(trade) if trade.commission else (0, "")
        leg, realized = self.positions.fold(trade)
        code = leg.instrument.currency.code
        adapter = leg.adapter
        if fee and fee_code != code:
            accounts.book(adapter, fee_code, 0, fee)
            accounts.book(adapter, code, realized, 0)
            return Booking(leg, (code, fee_code))
        if fee:
            leg.book.commission += fee
        accounts.ledgers[adapter].book(code, realized, fee)
        return Booking(leg, (code,))

    def take_contract(self, contract: ContractData) -> tuple[ContractData, str]:
        """Take up a contract; returns it as taken up, and a warning or nothing (``InstrumentManager.replace``)."""
        return self.instruments.replace(contract, self.positions.rebind)

    def restore_position(self, key: str, row: Sequence[Any]) -> None:
        """Take up a saved position (``PositionLeg.state``) by its ``vt_positionid``, in the units it is counted in."""
        adapter, rest = split_vt_id(key)
        vt_symbol, _, direction = rest.rpartition(".")
        self.instruments.restore(adapter, vt_symbol, units_of(row))
        self.positions.leg(adapter, vt_symbol, Direction(direction)).restore(row)

    def _fee_of(self, trade: TradeData) -> tuple[int, str]:
        """A fill's commission in minor units, and the currency it was paid in (the contract's where none is said)."""
        adapter = trade.adapter_name
        code = trade.commission_currency
        if not code:
            code = self.instrument(adapter, trade.vt_symbol).currency.code
        return self.accounts.currency(adapter, code).to_minor(trade.commission), code
