"""Contracts, and the instruments that are booked in their units.

Invariants: there is one instrument per adapter and contract, shared by all that book it; the units of an instrument
(lot, size, currency, netting) never change while a position is open, whatever a venue says meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import Currency
from foxtrot.core.errors import AccountingError, OrderError
from foxtrot.core.objects import ContractData

UNKNOWN_LOT = 1e-8
"""Lot in units of what is booked without a contract: as fine as any venue's."""

Key = tuple[str, str]


class InstrumentManager:
    """Contracts by ``vt_symbol``, instruments by adapter and ``vt_symbol``.

    Args:
        currency_of: how an adapter's account counts a currency code.
        unknown: told of an instrument that is booked without a contract.
    """

    def __init__(
        self,
        currency_of: Callable[[str, str], Currency],
        unknown: Callable[[str], None],
    ) -> None:
        self._currency_of = currency_of
        self._unknown = unknown
        self._instruments: dict[Key, Instrument] = {}
        self.contracts: dict[str, ContractData] = {}

    def instrument(self, adapter: str, vt_symbol: str) -> Instrument:
        """The instrument of a contract at an adapter; without a contract of size 1, lot 1e-8, in USD.

        Raises:
            OrderError: the contract cannot be booked (its size or lot is not positive, or it is inverse).
        """
        instrument = self._instruments.get((adapter, vt_symbol))
        if instrument is None:
            contract = self.contracts.get(vt_symbol)
            if contract is None:
                contract = ContractData(vt_symbol, min_volume=UNKNOWN_LOT, adapter_name=adapter)
                self._unknown(vt_symbol)
            instrument = self._instruments[adapter, vt_symbol] = self._make(adapter, contract)
        return instrument

    def replace(
        self, contract: ContractData, rebind: Callable[[Instrument, str], bool]
    ) -> tuple[ContractData, str]:
        """Take up a new or changed contract.

        Args:
            contract: as the venue lists it.
            rebind: gives the positions an instrument, or returns False where one is open in other units.

        Returns:
            The contract as taken up (with the old units where a position is open in them), and a warning or nothing.
        """
        adapter, vt_symbol = contract.adapter_name, contract.vt_symbol
        booked = self._instruments.get((adapter, vt_symbol))
        if booked is None:
            self.contracts[vt_symbol] = contract
            return contract, ""
        warning = ""
        try:
            instrument = self._make(adapter, contract)
            if not rebind(instrument, adapter):
                warning = (
                    f"contract {vt_symbol} has changed its lot, size, currency or netting while a position is open; "
                    f"the position goes on in the old ones, and so do new orders until it is flat and the contract "
                    f"is listed again"
                )
                contract = _in_units_of(booked.contract, contract)
                instrument = self._make(adapter, contract)
                rebind(instrument, adapter)
        except OrderError as error:
            return (
                booked.contract,
                f"contract {vt_symbol} cannot be booked and was not taken up: {error}",
            )
        self.contracts[vt_symbol] = contract
        self._instruments[adapter, vt_symbol] = instrument
        return contract, warning

    def restore(self, adapter: str, vt_symbol: str, units: tuple[float, float, str]) -> None:
        """Have an instrument counted in the lot, size and currency that a saved position is counted in."""
        lot, size, currency = units
        contract = self.contracts.get(vt_symbol) or ContractData(vt_symbol, adapter_name=adapter)
        contract = replace(contract, min_volume=lot, size=size, currency=currency)
        self._instruments[adapter, vt_symbol] = self._make(adapter, contract)

    def _make(self, adapter: str, contract: ContractData) -> Instrument:
        try:
            return Instrument(contract, self._currency_of(adapter, contract.currency))
        except AccountingError as error:
            raise OrderError(str(error)) from error


def _in_units_of(old: ContractData, new: ContractData) -> ContractData:
    return replace(
        new,
        min_volume=old.min_volume,
        size=old.size,
        currency=old.currency,
        net_position=old.net_position,
        inverse=old.inverse,
    )
