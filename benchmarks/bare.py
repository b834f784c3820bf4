"""The bare Python loop: the same decisions as the strategies, on objects built beforehand, and nothing else.

No order, no account, no clock: it is what an event-driven backtest in Python could at most reach, and the reference for
fills and profit. The strategies here know only attribute names, so the floor runs them on Foxtrot's own messages, too.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from foxtrot.data.columns import BarColumns, TickColumns
from foxtrot.data.feed import Columns

FAST, SLOW = 10, 30
EPS = 1e-6
"""Differences of the averages closer to zero than this keep their sign, so that rounding decides nothing."""
PRICETICK = 0.01
EVERY = 100

NEXT_OPEN, SAME_CLOSE, AT_LIMIT, NO_FILLS = "next_open", "same_close", "limit", "none"


class Outcome(NamedTuple):
    """What a run came to under one convention: fills and profit, open positions at the last price."""

    fills: int
    pnl: float


class BareStrategy(Protocol):
    """What the bare loop and the floor call."""

    def on_event(self, message: Any) -> None:
        """Take a bar or a quote."""

    def outcomes(self) -> dict[str, Outcome]:
        """Outcome by convention."""


class Bar:
    """A plain bar."""

    __slots__ = (
        "close_price",
        "high_price",
        "low_price",
        "open_price",
        "ts_event",
        "volume",
        "vt_symbol",
    )

    def __init__(
        self,
        vt_symbol: str,
        ts_event: int,
        prices: tuple[float, float, float, float],
        volume: float,
    ) -> None:
        self.vt_symbol = vt_symbol
        self.ts_event = ts_event
        self.open_price, self.high_price, self.low_price, self.close_price = prices
        self.volume = volume


class Quote:
    """A plain quote."""

    __slots__ = ("ask_price_1", "ask_volume_1", "bid_price_1", "bid_volume_1", "ts_event")

    def __init__(
        self, ts: int, bid: float, ask: float, bid_volume: float, ask_volume: float
    ) -> None:
        self.ts_event = ts
        self.bid_price_1 = bid
        self.ask_price_1 = ask
        self.bid_volume_1 = bid_volume
        self.ask_volume_1 = ask_volume


def prebuilt(series: Sequence[Columns]) -> list[Bar] | list[Quote]:
    """Every row as a plain object, in order of time, instruments in turn."""
    first = series[0]
    if isinstance(first, TickColumns):
        columns = (
            first.ts_event,
            first.bid_price_1,
            first.ask_price_1,
            first.bid_volume_1,
            first.ask_volume_1,
        )
        return [Quote(*row) for row in zip(*(c.tolist() for c in columns), strict=True)]
    rows = [_bars(item) for item in series if isinstance(item, BarColumns)]
    return [bar for minute in zip(*rows, strict=True) for bar in minute]


def _bars(item: BarColumns) -> list[Bar]:
    prices = (item.open_price, item.high_price, item.low_price, item.close_price)
    rows = zip(
        item.ts_event.tolist(),
        zip(*(column.tolist() for column in prices), strict=True),
        item.volume.tolist(),
        strict=True,
    )
    return [Bar(item.vt_symbol, ts, price, volume) for ts, price, volume in rows]


def loop(messages: Sequence[Bar] | Sequence[Quote], on_event: Callable[[Any], None]) -> None:
    """The whole denominator."""
    for message in messages:
        on_event(message)


class Idle:
    """Does nothing."""

    def on_event(self, message: Any) -> None:
        """Nothing."""

    def outcomes(self) -> dict[str, Outcome]:
        """Nothing was traded."""
        return {NO_FILLS: Outcome(0, 0.0)}


class Mean:
    """Mean of the last ``period`` prices, NaN before."""

    __slots__ = ("period", "total", "value", "window")

    def __init__(self, period: int) -> None:
        self.period = period
        self.window: deque[float] = deque()
        self.total = 0.0
        self.value = float("nan")

    def update(self, price: float) -> None:
        """Take the next price."""
        window = self.window
        window.append(price)
        self.total += price
        if len(window) > self.period:
            self.total -= window.popleft()
            self.value = self.total / self.period
        elif len(window) == self.period:
            self.value = self.total / self.period


class Cross:
    """Long one unit while the fast mean is above the slow one, else flat; cash counted in both conventions."""

    def __init__(self) -> None:
        self.fast = Mean(FAST)
        self.slow = Mean(SLOW)
        self.sign = 0
        self.held = 0
        self.waiting = 0
        self.orders = 0
        self.cash_at_close = 0.0
        self.cash_at_open = 0.0
        self.last_price = 0.0

    def on_event(self, bar: Any) -> None:
        """Take a bar."""
        if self.waiting:
            self.cash_at_open -= self.waiting * bar.open_price
            self.waiting = 0
        price = self.last_price = bar.close_price
        fast, slow = self.fast, self.slow
        fast.update(price)
        slow.update(price)
        apart = fast.value - slow.value
        before = self.sign
        if apart > EPS:
            if before <= 0:
                self.sign = 1
                if before and not self.held:
                    self._order(1, price)
        elif apart < -EPS and before >= 0:
            self.sign = -1
            if before and self.held:
                self._order(-1, price)

    def _order(self, units: int, price: float) -> None:
        self.held += units
        self.waiting = units
        self.orders += 1
        self.cash_at_close -= units * price

    def outcomes(self) -> dict[str, Outcome]:
        """An order on the last bar has no next open: there it is not filled."""
        filled = self.held - self.waiting
        return {
            NEXT_OPEN: Outcome(
                self.orders - abs(self.waiting), self.cash_at_open + filled * self.last_price
            ),
            SAME_CLOSE: Outcome(self.orders, self.cash_at_close + self.held * self.last_price),
        }


class Crosses:
    """``Cross`` on several instruments."""

    def __init__(self, vt_symbols: Sequence[str]) -> None:
        self.parts = {vt_symbol: Cross() for vt_symbol in vt_symbols}

    def on_event(self, bar: Any) -> None:
        """Take a bar of any of them."""
        self.parts[bar.vt_symbol].on_event(bar)

    def outcomes(self) -> dict[str, Outcome]:
        """Sums over the instruments."""
        told = [part.outcomes() for part in self.parts.values()]
        return {
            name: Outcome(sum(o[name].fills for o in told), sum(o[name].pnl for o in told))
            for name in (NEXT_OPEN, SAME_CLOSE)
        }


class Replacer:
    """Every hundredth quote replaces the resting limit by one on the other side, a tick behind the touch."""

    def __init__(self) -> None:
        self.seen = 0
        self.side = 1
        self.resting = 0
        self.price = 0.0
        self.cash = 0.0
        self.held = 0
        self.fills = 0
        self.last: Any = None

    def on_event(self, quote: Any) -> None:
        """Fill what the other side of the touch has reached, then decide."""
        side = self.resting
        if side and (
            quote.ask_price_1 <= self.price + 1e-9
            if side > 0
            else quote.bid_price_1 >= self.price - 1e-9
        ):
            self.cash -= side * self.price
            self.held += side
            self.fills += 1
            self.resting = 0
        self.seen += 1
        if self.seen % EVERY == 0:
            side = self.resting = self.side
            self.price = (
                quote.bid_price_1 - PRICETICK if side > 0 else quote.ask_price_1 + PRICETICK
            )
            self.side = -side
        self.last = quote

    def outcomes(self) -> dict[str, Outcome]:
        """What is held counts at the middle of the last quote."""
        middle = (self.last.bid_price_1 + self.last.ask_price_1) / 2.0
        return {AT_LIMIT: Outcome(self.fills, self.cash + self.held * middle)}
