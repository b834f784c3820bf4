"""Money of one account: whole minor units per currency, so every account adds up to the last digit.

Invariant: ``balance`` equals the opening balance plus every realised profit less every fee that was booked plus every
correction; amounts enter through ``to_minor``, which rounds once (half to even) and refuses what is not finite.
"""

from __future__ import annotations

from foxtrot.core.errors import AccountingError
from foxtrot.core.rounding import money_to_minor

DEFAULT_DIGITS = 8
"""Decimal places that a currency is counted in unless the account says otherwise (as fine as any venue's)."""


class Currency:
    """A currency as one account counts it.

    Args:
        code: for example ``USD``.
        digits: decimal places of the minor unit.
    """

    __slots__ = ("code", "digits", "scale")

    def __init__(self, code: str, digits: int = DEFAULT_DIGITS) -> None:
        if not 0 <= digits <= 12:
            raise AccountingError(
                f"currency {code}: digits must lie between 0 and 12, got {digits}"
            )
        self.code = code
        self.digits = digits
        self.scale = float(10**digits)

    def to_minor(self, amount: float) -> int:
        """Amount in currency units as whole minor units; a tie of its decimal goes to the even unit.

        Raises:
            AccountingError: the amount is NaN or infinite.
        """
        try:
            return money_to_minor(amount, self.digits)
        except AccountingError:
            raise AccountingError(
                f"{self.code}: cannot book the amount {amount}; it must be finite"
            ) from None

    def to_amount(self, minor: int) -> float:
        """Whole minor units as the nearest float amount."""
        return minor / self.scale


class Ledger:
    """Balances of one account, one entry a currency, in minor units."""

    __slots__ = ("_currencies", "balances", "corrected", "fees", "opening", "realized")

    def __init__(self) -> None:
        self._currencies: dict[str, Currency] = {}
        self.balances: dict[str, int] = {}
        self.opening: dict[str, int] = {}
        self.realized: dict[str, int] = {}
        self.fees: dict[str, int] = {}
        self.corrected: dict[str, int] = {}

    def open(self, currency: Currency, balance: float = 0.0) -> None:
        """Take up a currency with its opening balance (currency units).

        Raises:
            AccountingError: the ledger has it already.
        """
        code = currency.code
        if code in self._currencies:
            raise AccountingError(f"the ledger already has the currency {code}")
        self._currencies[code] = currency
        self.balances[code] = self.opening[code] = currency.to_minor(balance)
        self.realized[code] = 0
        self.fees[code] = 0
        self.corrected[code] = 0

    def currency(self, code: str) -> Currency:
        """The way this ledger counts ``code``.

        Raises:
            AccountingError: the ledger does not have it.
        """
        try:
            return self._currencies[code]
        except KeyError:
            known = ", ".join(self._currencies) or "none"
            raise AccountingError(
                f"the account has no {code} (it has: {known}); open it with a balance first"
            ) from None

    def book(self, code: str, realized: int, fee: int) -> None:
        """Book a fill's realised profit and fee (minor units; the fee positive when paid)."""
        self.balances[code] += realized - fee
        if realized:
            self.realized[code] += realized
        if fee:
            self.fees[code] += fee

    def correct(self, code: str, minor: int, *, opening: bool = False) -> int:
        """Set a balance (minor units) to what its keeper says; returns by how much ours was off.

        The difference counts as a correction, or as part of the opening balance.
        """
        difference = minor - self.balances[code]
        self.balances[code] = minor
        target = self.opening if opening else self.corrected
        target[code] += difference
        return difference

    def balance(self, code: str) -> float:
        """Balance in currency units."""
        return self.currency(code).to_amount(self.balances[code])

    def codes(self) -> tuple[str, ...]:
        """The currencies of this ledger in order of opening."""
        return tuple(self._currencies)
