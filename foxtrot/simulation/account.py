"""The simulated account: what an order may cost, how large one sized in money becomes, and what a fill does.

Invariant: all money is in whole minor units. A position binds its entry value x margin rate / leverage; what is bound
and the balance change only in ``book_fill``. Orders that reduce a position are never refused for money.
"""

from __future__ import annotations

from collections.abc import Iterable

from foxtrot.accounting.ledger import Currency
from foxtrot.core.constants import VolumeMode
from foxtrot.core.objects import OrderRequest
from foxtrot.simulation.book import Book
from foxtrot.simulation.models import FeeModel

CASH = VolumeMode.CASH


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
        self._fees = None if fees.is_free else fees
        self.balance = currency.to_minor(capital)
        self.used = 0

    def book_fill(self, book: Book, lots: int, price: float, taker: bool) -> float:
        """Book signed lots at a price; returns the fee in currency, as booked."""
        position = book.position
        instrument = book.instrument
        value = instrument.value_of_lots(price, lots)
        fee = self._fee(book, value, lots, taker)
        before = self._bound(book, position.lots, position.cost)
        realized = position.apply(lots, value)
        self.used += self._bound(book, position.lots, position.cost) - before
        self.balance += realized - fee
        return self._currency.to_amount(fee) if fee else 0.0

    def refusal(
        self, book: Book, lots: int, price: float, taker: bool, books: Iterable[Book]
    ) -> str:
        """Why signed lots cannot be afforded at a price; empty where they can."""
        position = book.position
        held = position.lots
        if held and (held > 0) != (lots > 0):
            if abs(lots) <= abs(held):
                return ""
            opening = lots + held
            after_close = position.unrealized(book.instrument.value_of_lots(price, held))
            freed = self._bound(book, held, position.cost)
        else:
            opening, after_close, freed = lots, 0, 0
        value = book.instrument.value_of_lots(price, opening)
        needed = self._bound(book, opening, value)
        fee = self._fee(book, book.instrument.value_of_lots(price, lots), lots, taker)
        free = self.balance - self.used + after_close + freed + self._floating(books, book, price)
        if needed + fee <= free:
            return ""
        amount = self._currency.to_amount
        return (
            f"insufficient margin: needs {amount(needed + fee):,.2f} {self._currency.code}, "
            f"free {amount(max(0, free)):,.2f}"
        )

    def size(
        self,
        book: Book,
        request: OrderRequest,
        price: float,
        taker: bool,
        books: Iterable[Book],
    ) -> int:
        """Largest number of lots that an order sized in cash or equity may buy or sell at a price, fees included.

        ``EQUITY`` f means f x equity x leverage of notional, ``CASH`` so much notional; neither more than is free.
        """
        free = self.balance - self.used + self._floating(books, book, price)
        if request.volume_mode is CASH:
            limit = self._currency.to_minor(request.volume)
        else:
            equity = self.balance + self._unrealized(books, book, price)
            limit = int(equity * request.volume * self._leverage)
        one = book.instrument.value_of_lots(price, 1)
        if one <= 0 or free <= 0 or limit <= 0:
            return 0
        bound = self._bound(book, 1 if request.direction == "LONG" else -1, one)
        most = min(limit // one, free // bound if bound else limit // one)
        return self._affordable(book, request, price, taker, int(most), free, limit)

    def _affordable(
        self,
        book: Book,
        request: OrderRequest,
        price: float,
        taker: bool,
        most: int,
        free: int,
        limit: int,
    ) -> int:
        """Bisect for the most lots whose margin and fee are free and whose notional and fee keep the limit."""
        sign = 1 if request.direction == "LONG" else -1

        def fits(lots: int) -> bool:
            value = book.instrument.value_of_lots(price, lots)
            fee = self._fee(book, value, lots, taker)
            return self._bound(book, sign * lots, value) + fee <= free and value + fee <= limit

        low, high = 0, most
        if high > 0 and fits(high):
            return high
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
        instrument = book.instrument
        rate = instrument.margin_long if lots > 0 else instrument.margin_short
        factor = rate / self._leverage
        return value if factor == 1.0 else round(value * factor)

    def _floating(self, books: Iterable[Book], book: Book, price: float) -> int:
        """Unrealised profit as far as it counts for margin: a cash account (leverage 1) ignores it."""
        return 0 if self._leverage == 1.0 else self._unrealized(books, book, price)

    def _unrealized(self, books: Iterable[Book], book: Book, price: float) -> int:
        """Unrealised profit of all positions, this book at ``price``, the others at their newest price."""
        total = 0
        for other in books:
            position = other.position
            if position.lots:
                mark = price if other is book else other.market.price()
                value = other.instrument.value_of_lots(mark, position.lots)
                total += position.unrealized(value)
        return total
