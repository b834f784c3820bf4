"""What the accounts need to know of a contract, computed once: lots, value in minor units, currency.

Invariant: two parties that are given the same contract and currency (the OMS and the simulated exchange) book the
same fill to the same minor unit.
"""

from __future__ import annotations

from foxtrot.accounting.ledger import Currency
from foxtrot.core.errors import AccountingError
from foxtrot.core.objects import ContractData
from foxtrot.core.rounding import LotSize, TickSize


class Instrument:
    """A contract ready for arithmetic.

    Args:
        contract: the contract.
        currency: how the account counts the contract's currency.

    Raises:
        AccountingError: the contract's size is not positive, or it is inverse (its profit is in the base coin, which
            the accounts cannot book yet).
    """

    __slots__ = (
        "contract",
        "currency",
        "lot",
        "margin_long",
        "margin_short",
        "paid_in_full",
        "scale",
        "tick",
        "vt_symbol",
    )

    def __init__(self, contract: ContractData, currency: Currency) -> None:
        if contract.inverse:
            raise AccountingError(
                f"{contract.vt_symbol} is an inverse contract; only linear ones can be booked"
            )
        if not contract.size > 0.0:
            raise AccountingError(
                f"{contract.vt_symbol}: size must be positive, got {contract.size}"
            )
        self.vt_symbol = contract.vt_symbol
        self.contract = contract
        self.currency = currency
        self.lot = LotSize(contract.min_volume)
        self.tick = TickSize(contract.pricetick)
        self.scale = contract.size * currency.scale
        self.margin_long = contract.margin_rate_long or 1.0
        self.margin_short = contract.margin_rate_short or 1.0
        self.paid_in_full = self.margin_long == 1.0 and self.margin_short == 1.0

    def value(self, price: float, volume: float) -> int:
        """Price x volume (units) x size, in whole minor units, half to even."""
        return round(price * volume * self.scale)

    def value_of_lots(self, price: float, lots: int) -> int:
        """Like ``value``, for a number of lots of either sign; the result is not negative for positive prices."""
        lot = self.lot  # lot.from_lots without its two calls: every fill comes here thrice
        return round(price * (abs(lots) * lot.numerator / lot.denominator) * self.scale)

    def price_of(self, cost: int, lots: int) -> float:
        """Average price behind a cost in minor units for so many lots; 0 when flat."""
        if lots == 0:
            return 0.0
        return cost / (self.lot.from_lots(abs(lots)) * self.scale)
