"""The simulated account: what an order may cost, how large one sized in money becomes, and what a fill does.

Invariant: all money is in whole minor units. A position binds its entry value x margin rate / leverage; what is bound
and the balance change only in ``book_fill``. What is free is the balance less what is bound, plus the unrealised profit
or loss of every position that is not simply paid for (a long without margin is: its value is no money to trade with).
Orders that reduce a position are never refused for money.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from foxtrot.accounting.ledger import DEFAULT_DIGITS, Currency
from foxtrot.core.constants import VolumeMode
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import OrderRequest
from foxtrot.simulation.book import LONG, Book
from foxtrot.simulation.models import FeeModel
from foxtrot.simulation.state import SimAccountState

CASH = VolumeMode.CASH


@dataclass(frozen=True, slots=True)
class AccountSettings:
    """The simulated account: opening balance in ``currency``, counted to ``digits`` decimal places."""

    capital: float = 100_000.0
    currency: str = "USD"
    digits: int = DEFAULT_DIGITS

    def __post_init__(self) -> None:
        if not self.capital > 0.0:
            raise ConfigError(f"capital must be positive, got {self.capital}")


class SimAccount:
    """One account in one currency.

    Args:
        currency: how it is counted.
        capital: opening balance in currency.
        leverage: notional per unit of equity.
        fees: commission model.
    """

    def __init__(self, currency: Currency, capital: float, leverage: float, fees: FeeModel) -> None:
        self._currency = currency
        self._leverage = leverage
        self._in_full = leverage == 1.0
        self._fees = None if fees.is_free else fees
        self.balance = currency.to_minor(capital)
        self.used = 0
        self._margined: dict[str, Book] = {}

    def state(self) -> SimAccountState:
        """The account as plain values."""
        return SimAccountState(self.balance, self.used, tuple(self._margined))

    def restore(self, state: SimAccountState, books: Mapping[str, Book]) -> None:
        """Take up saved values; what positions bind is counted anew, so that the leverage may have changed.

        Args:
            state: the values.
            books: the restored books by ``vt_symbol``.
        """
        self.balance = state.balance
        self._margined = {vt_symbol: books[vt_symbol] for vt_symbol in state.margined}
        self.used = sum(
            self._bound(book, book.position.lots, book.position.cost) for book in books.values()
        )

    def book_fill(self, book: Book, lots: int, price: float, taker: bool) -> float:
        """Book signed lots at a price; returns the fee in currency, as booked."""
        position = book.position
        instrument = book.instrument
        lot = instrument.lot  # Instrument.value_of_lots without its call
        value = round(price * (abs(lots) * lot.numerator / lot.denominator) * instrument.scale)
        fee = self._fee(book, value, lots, taker) if self._fees is not None else 0
        plain = self._in_full and instrument.paid_in_full
        if plain:  # a position binds what it cost
            before = position.cost
            realized = position.apply(lots, value)
            self.used += position.cost - before
        else:
            before = self._bound(book, position.lots, position.cost)
            realized = position.apply(lots, value)
            self.used += self._bound(book, position.lots, position.cost) - before
        self.balance += realized - fee
        if position.lots and (position.lots < 0 or not plain):
            self._margined[book.vt_symbol] = book
        elif self._margined:
            self._margined.pop(book.vt_symbol, None)
        return self._currency.to_amount(fee) if fee else 0.0

    def refusal(self, book: Book, lots: int, price: float, taker: bool) -> str:
        """Why signed lots cannot be afforded at a price; empty where they can."""
        position = book.position
        if not position.lots:
            if self._in_full and not self._margined and self._fees is None:  # the simplest account
                instrument = book.instrument
                value = instrument.value_of_lots(price, lots)
                if instrument.paid_in_full and value <= self.balance - self.used:
                    return ""
        elif abs(lots) <= abs(position.lots) and (position.lots > 0) != (lots > 0):
            return ""
        needed, free = self._margin(book, lots, price, taker)
        if needed <= free:
            return ""
        amount = self._currency.to_amount
        return (
            f"insufficient margin: needs {amount(needed):,.2f} {self._currency.code}, "
            f"free {amount(max(0, free)):,.2f}"
        )

    def _margin(self, book: Book, lots: int, price: float, taker: bool) -> tuple[int, int]:
        """What signed lots would need in margin and fee, and what is free once they have closed what they can."""
        position, instrument = book.position, book.instrument
        held, opening = position.lots, lots
        free = self.balance - self.used
        if held and (held > 0) != (lots > 0):
            if abs(lots) <= abs(held):
                return 0, 0
            opening = lots + held
            free += position.unrealized(instrument.value_of_lots(price, held))
            free += self._bound(book, held, position.cost)
        elif self._margined.get(book.vt_symbol) is book:
            free += position.unrealized(instrument.value_of_lots(price, held))
        if self._margined:
            free += self._unrealized(self._margined.values(), book)
        needed = self._bound(book, opening, instrument.value_of_lots(price, opening))
        if self._fees is not None:
            needed += self._fee(book, instrument.value_of_lots(price, lots), lots, taker)
        return needed, free

    def size(
        self,
        book: Book,
        request: OrderRequest,
        price: float,
        taker: bool,
        books: Iterable[Book],
    ) -> int:
        """Largest number of lots that an order sized in cash or equity may buy or sell at a price, fees included.

        ``EQUITY`` f means f x equity x leverage of notional, ``CASH`` so much notional; neither more than can be
        afforded. An order against the position closes it first, and what that frees counts.
        """
        position, instrument = book.position, book.instrument
        if request.volume_mode is CASH:
            limit = self._currency.to_minor(request.volume)
        else:
            equity = self.balance + self._unrealized(books, book)
            equity += position.unrealized(instrument.value_of_lots(price, position.lots))
            limit = int(equity * request.volume * self._leverage)
        one = price * instrument.lot.from_lots(1) * instrument.scale
        if one <= 0.0 or limit <= 0:
            return 0
        sign = 1 if request.direction is LONG else -1

        def fits(lots: int) -> bool:
            value = instrument.value_of_lots(price, lots)
            needed, free = self._margin(book, sign * lots, price, taker)
            return needed <= free and value + self._fee(book, value, lots, taker) <= limit

        low, high = 0, int(limit / one) + 1
        if high > 1 and fits(high - 1):
            low, high = high - 1, high + 1  # without a fee: all but for rounding
        while high - low > 1:
            middle = (low + high) // 2
            if fits(middle):
                low = middle
            else:
                high = middle
        return low

    def _fee(self, book: Book, value: int, lots: int, taker: bool) -> int:
        if self._fees is None:
            return 0
        volume = book.instrument.lot.from_lots(abs(lots))
        return self._currency.to_minor(
            self._fees.fee(self._currency.to_amount(value), volume, taker)
        )

    def _bound(self, book: Book, lots: int, value: int) -> int:
        """What a position of that entry value binds."""
        if lots == 0:
            return 0
        factor = self._factor(book, lots)
        return value if factor == 1.0 else round(value * factor)

    def _factor(self, book: Book, lots: int) -> float:
        """Share of a position's value that it binds; 1 is paid in full."""
        instrument = book.instrument
        rate = instrument.margin_long if lots > 0 else instrument.margin_short
        return rate / self._leverage

    def _unrealized(self, books: Iterable[Book], but: Book) -> int:
        """Unrealised profit of the positions in ``books`` but one, at their newest prices."""
        total = 0
        for book in books:
            position, mark = book.position, book.market.price()
            if position.lots and mark and book is not but:
                value = book.instrument.value_of_lots(mark, position.lots)
                total += position.unrealized(value)
        return total
