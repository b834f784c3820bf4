"""Accounts: one ledger per adapter, booked with what fills realise and cost, corrected by what venues report.

Invariants: a ledger changes only through ``book`` and ``fold_report``, in whole minor units; a saved row carries the
digits that it is counted in, and keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence

from foxtrot.accounting.ledger import DEFAULT_DIGITS, Currency, Ledger
from foxtrot.core.objects import AccountData, split_vt_id


class AccountManager:
    """Ledgers by adapter name; account ids are ``ADAPTER.CURRENCY``.

    Args:
        digits: decimal places per currency code; 8 where none is given.
    """

    def __init__(self, digits: dict[str, int] | None = None) -> None:
        self._digits = dict(digits or {})
        self.ledgers: dict[str, Ledger] = {}
        self._venue: dict[tuple[str, str], AccountData] = {}
        self._opened: set[tuple[str, str]] = set()

    def currency(self, adapter: str, code: str) -> Currency:
        """How an adapter's account counts a currency, opened with 0 where it was not known."""
        ledger = self.ledgers.get(adapter)
        if ledger is None:
            ledger = self.ledgers[adapter] = Ledger()
        if code not in ledger.balances:
            ledger.open(Currency(code, self._digits.get(code, DEFAULT_DIGITS)))
        return ledger.currency(code)

    def count_in(self, digits: dict[str, int]) -> None:
        """Count currencies that are opened from here on in these digits; those that are open stay as they are."""
        self._digits = dict(digits)

    def book(self, adapter: str, code: str, realized: int, fee: int) -> None:
        """Book a fill's realised profit and fee, both in minor units."""
        self.ledgers[adapter].book(code, realized, fee)

    def fold_report(self, report: AccountData) -> float:
        """Take over what a venue says of an account; returns by how much our balance was off.

        The first report opens the account; its figure is the opening balance and counts as no difference.
        """
        key = adapter, code = key_of(report)
        currency = self.currency(adapter, code)
        minor = currency.to_minor(report.balance)
        opening = key not in self._opened
        self._opened.add(key)
        self._venue[key] = report
        difference = self.ledgers[adapter].correct(code, minor, opening=opening)
        return 0.0 if opening else currency.to_amount(difference)

    def state(self, adapter: str, code: str) -> tuple[int, ...]:
        """What ``restore`` needs.

        Balance, opening balance, realised profit, fees and corrections in minor units; their digits; whether a venue
        has reported the account (0 or 1).
        """
        ledger = self.ledgers[adapter]
        return (
            ledger.balances[code],
            ledger.opening[code],
            ledger.realized[code],
            ledger.fees[code],
            ledger.corrected[code],
            ledger.currency(code).digits,
            int((adapter, code) in self._opened),
        )

    def restore(self, adapter: str, code: str, state: Sequence[int]) -> None:
        """Take up what ``state`` returned, in the digits that it was counted in."""
        balance, opening, realized, fees, corrected, digits, opened = state
        ledger = self.ledgers.get(adapter)
        if ledger is None:
            ledger = self.ledgers[adapter] = Ledger()
        if code not in ledger.balances:
            ledger.open(Currency(code, digits))
        ledger.balances[code], ledger.opening[code] = balance, opening
        ledger.realized[code], ledger.fees[code] = realized, fees
        ledger.corrected[code] = corrected
        if opened:
            self._opened.add((adapter, code))

    def is_used(self, adapter: str, code: str) -> bool:
        """Whether anything was ever booked on an account, or a venue has reported it."""
        state = self.state(adapter, code)
        return any(state[:5]) or bool(state[6])

    def balance(self, adapter: str, code: str) -> float:
        """Balance in currency units; 0 where the account is unknown."""
        ledger = self.ledgers.get(adapter)
        return ledger.balance(code) if ledger and code in ledger.balances else 0.0

    def snapshot(self, adapter: str, code: str, ts: int) -> AccountData:
        """The account as a message; ``frozen`` and ``margin`` as the venue last said."""
        venue = self._venue.get((adapter, code))
        return AccountData(
            f"{adapter}.{code}",
            self.balance(adapter, code),
            venue.frozen if venue else 0.0,
            venue.margin if venue else 0.0,
            code,
            ts,
            ts,
        )

    def snapshots(self, ts: int) -> list[AccountData]:
        """Every account as a message."""
        return [
            self.snapshot(adapter, code, ts)
            for adapter, ledger in list(self.ledgers.items())
            for code in ledger.codes()
        ]


def key_of(report: AccountData) -> tuple[str, str]:
    """Adapter and currency that a report is about; without a currency the id's second part is taken for it."""
    adapter, rest = split_vt_id(report.vt_accountid)
    return adapter, report.currency or rest
