"""How bars and quotes meet resting orders. Pure control flow: what a fill does is the exchange's business.

Bars: first everything executable at the open (market orders before the others, each in order of placement), then the
way open -> extreme -> extreme -> close, on which orders are met in the order of their prices. A stop or target that an
entry brings with it lives from that point of the way on. An order takes part only if it reached the exchange at or
before the bar's ``ts_open``; so nothing is filled with hindsight. Fills are stamped along the way: the open at
``ts_open``, the first leg a third of the bar later, the second two thirds, the last at ``ts_event``.

Quotes: an order meets the present quote as it arrives, or the first one that has its side, and takes the touch; from
then on it rests: a limit fills at its price when the other side of the touch reaches it, a stop at the touch.

A stop that is triggered where the volume share leaves nothing (or too little) goes on as a market order.
"""

from __future__ import annotations

from collections.abc import Callable

from foxtrot.core.objects import BarData, TickData
from foxtrot.simulation.book import MARKET, STOP_LIMIT, Book, SimOrder
from foxtrot.simulation.models import (
    ExecutionModel,
    GapFill,
    IntrabarPath,
    LimitFill,
    MarketFill,
)

Execute = Callable[[Book, SimOrder, float, bool, int], None]
"""``execute(book, order, price, taker, ts)``: fill, shrink or refuse the order; it may change ``book.orders``."""

Trigger = Callable[[SimOrder], None]
"""``trigger(order)``: its stop was reached; it works as a limit (or what is left of a stop, at market) from here on."""


class Matcher:
    """Meets market data with resting orders under one set of conventions.

    Args:
        model: the conventions.
        execute: called for each order that can be filled, with its price.
        trigger: called for each stop-limit whose trigger was reached.
    """

    def __init__(self, model: ExecutionModel, execute: Execute, trigger: Trigger) -> None:
        self._execute = execute
        self._trigger = trigger
        self._path = model.intrabar_path
        self._cross = model.limit_fill is LimitFill.CROSS
        self._gap_at_trigger = model.gap_fill is GapFill.TRIGGER
        self._share = model.volume_share
        self._same_close = model.market_fill is MarketFill.SAME_CLOSE

    # --- bars -----------------------------------------------------------------------------------------------

    def match_bar(self, book: Book, bar: BarData) -> None:
        """Lead the book through a bar."""
        if self._share is not None:
            book.open_budget(bar, self._share, 1)
        ts_open = bar.ts_open
        price = bar.open_price
        alone = book.orders[0] if len(book.orders) == 1 else None
        if alone is not None and alone.type is MARKET:
            if alone.arrival <= ts_open:  # the usual case: nothing else can happen on the way
                self._execute(book, alone, price, True, ts_open)
            if not alone.live and len(book.orders) == 1:
                book.clear()
                return
        else:
            self._market_orders(book, price, ts_open)
        for order in book.orders:  # grows while an entry brings its stop and target
            if order.live and order.arrival <= ts_open and order.type is not MARKET:
                self._at_open(book, order, price, ts_open)
        if book.orders and any(order.live for order in book.orders):
            first, second = self._extremes(bar)
            third = (bar.ts_event - ts_open) // 3
            self._walk(book, price, first, ts_open, ts_open + third)
            self._walk(book, first, second, ts_open, ts_open + 2 * third)
            self._walk(book, second, bar.close_price, ts_open, bar.ts_event)
            if self._same_close:
                self._at_close(book, bar)
        book.refresh()

    def _at_close(self, book: Book, bar: BarData) -> None:
        """Fill at the close what came too late for the open, say in answer to another instrument's bar."""
        for order in list(book.orders):
            if order.live and bar.ts_open < order.arrival <= bar.ts_event:
                self._touch(book, order, bar.close_price, bar.ts_event)

    def _market_orders(self, book: Book, price: float, ts_open: int) -> None:
        for order in book.orders:  # grows while an entry brings its stop and target
            if order.type is MARKET and order.live and order.arrival <= ts_open:
                self._execute(book, order, price, True, ts_open)

    def _at_open(self, book: Book, order: SimOrder, price: float, ts: int) -> None:
        """Fill what the open has reached or jumped over."""
        if not self._reaches(order, price):
            return
        if order.is_limit:
            self._execute(book, order, price, True, ts)
        elif order.type is STOP_LIMIT:
            self._triggered(book, order, price, ts)
        else:
            self._stop(book, order, order.level if self._gap_at_trigger else price, ts)

    def _walk(self, book: Book, start: float, stop: float, ts_open: int, ts: int) -> None:
        """Move the price from ``start`` to ``stop``, meeting orders nearest first."""
        falling = stop < start
        price = start
        while True:
            order = self._next(book, falling, price, stop, ts_open)
            if order is None:
                return
            level = order.level
            price = min(level, price) if falling else max(level, price)
            if order.is_limit:
                self._execute(book, order, price, False, ts)
            elif order.type is STOP_LIMIT:
                self._triggered(book, order, price, ts)
            else:
                self._stop(book, order, price, ts)

    def _next(
        self, book: Book, falling: bool, price: float, stop: float, ts_open: int
    ) -> SimOrder | None:
        """The first order met on the way from ``price`` to ``stop``; limits only while volume is left for them."""
        found: SimOrder | None = None
        best = 0.0
        for order in book.orders:
            if not order.live or order.falling is not falling or order.arrival > ts_open:
                continue
            if order.type is MARKET or (order.is_limit and book.budget == 0):
                continue
            if not self._reaches(order, stop):
                continue
            distance = price - order.level if falling else order.level - price
            if found is None or distance < best:
                found, best = order, distance
        return found

    def _reaches(self, order: SimOrder, price: float) -> bool:
        """Whether the price has come as far as the order's level (beyond it, for limits that must be crossed)."""
        level = order.level
        if self._cross and order.is_limit:
            return price < level if order.falling else price > level
        return price <= level if order.falling else price >= level

    def _triggered(self, book: Book, order: SimOrder, price: float, ts: int) -> None:
        """A stop-limit becomes a limit, and fills at once where its limit allows the present price."""
        self._trigger(order)
        limit = order.request.price
        if (price <= limit) if order.sign > 0 else (price >= limit):
            self._execute(book, order, price, True, ts)

    def _stop(self, book: Book, order: SimOrder, price: float, ts: int) -> None:
        """A stop was reached: it fills, and what the volume share leaves of it goes on as a market order."""
        self._execute(book, order, price, True, ts)
        if order.live:
            order.type = MARKET
            self._trigger(order)

    def _extremes(self, bar: BarData) -> tuple[float, float]:
        high, low, start = bar.high_price, bar.low_price, bar.open_price
        if self._path is IntrabarPath.HIGH_FIRST:
            return high, low
        if self._path is IntrabarPath.LOW_FIRST:
            return low, high
        return (high, low) if high - start < start - low else (low, high)

    # --- quotes and arrivals --------------------------------------------------------------------------------

    def match_tick(self, book: Book, tick: TickData) -> None:
        """Meet resting orders with a quote."""
        bid, ask, ts = tick.bid_price_1, tick.ask_price_1, tick.ts_event
        for order in book.orders:  # grows while an entry brings its stop and target
            if order.live and order.arrival <= ts:
                touch = ask if order.sign > 0 else bid
                if touch > 0.0:
                    if self._share is not None:
                        book.open_budget(tick, self._share, order.sign)
                    self._touch(book, order, touch, ts)
        book.refresh()

    def match_arrival(
        self, book: Book, order: SimOrder, present: BarData | TickData, ts: int
    ) -> None:
        """Meet an order that has just come, and the stop and target it may bring, with the present quote (or close)."""
        order.rested = False
        self._meet(book, order, present, ts)
        for child in order.children:
            if child.live and not child.rested:
                self._meet(book, child, present, ts)
        book.refresh()

    def _meet(self, book: Book, order: SimOrder, present: BarData | TickData, ts: int) -> None:
        if isinstance(present, BarData):
            touch = present.close_price
        else:
            touch = present.ask_price_1 if order.sign > 0 else present.bid_price_1
        if touch > 0.0:
            if self._share is not None:
                book.open_budget(present, self._share, order.sign)
            self._touch(book, order, touch, ts)

    def _touch(self, book: Book, order: SimOrder, touch: float, ts: int) -> None:
        """Fill against the other side of the touch where it has come far enough; what is left rests from now on."""
        resting = order.rested
        order.rested = True
        if order.type is MARKET:
            self._execute(book, order, touch, True, ts)
        elif not self._reaches(order, touch):
            return
        elif order.is_limit:
            price = order.level if resting else touch
            self._execute(book, order, price, not resting, ts)
        elif order.type is STOP_LIMIT:
            self._triggered(book, order, touch, ts)
        else:
            self._stop(book, order, touch, ts)
