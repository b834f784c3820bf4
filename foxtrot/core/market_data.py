"""Market data as messages: quotes, bars, the public tape, and books.

They keep the invariants of ``foxtrot.core.objects``, which has them, too. The first fields of ``BarData`` and
``TickData`` are in the order in which the backtest builds them from columns.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from foxtrot.core.constants import Direction, Exchange, Interval
from foxtrot.core.keys import ns_to_datetime


class Depth(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Depth"):
    """Levels two to five of a book, best first; prices and volumes (in units) per side."""

    bid_prices: tuple[float, ...] = ()
    bid_volumes: tuple[float, ...] = ()
    ask_prices: tuple[float, ...] = ()
    ask_volumes: tuple[float, ...] = ()


class SessionData(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Session"
):
    """Figures of the trading day that some venues send with each tick; 0 where the venue has none."""

    open_price: float = 0.0
    high_price: float = 0.0
    low_price: float = 0.0
    pre_close: float = 0.0
    limit_up: float = 0.0
    limit_down: float = 0.0
    turnover: float = 0.0
    open_interest: float = 0.0


class TickData(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Tick"
):
    """Best bid and offer, the last trade, and optionally four more levels and the day's figures.

    Prices are 0 where the venue sent none; ``volume`` is the day's cumulated volume in units.
    """

    vt_symbol: str
    ts_event: int
    bid_price_1: float
    ask_price_1: float
    bid_volume_1: float = 0.0
    ask_volume_1: float = 0.0
    last_price: float = 0.0
    last_volume: float = 0.0
    volume: float = 0.0
    depth: Depth | None = None
    session: SessionData | None = None
    ts_init: int = 0
    adapter_name: str = ""

    @property
    def symbol(self) -> str:
        """The venue's own symbol, without the exchange."""
        return self.vt_symbol.rpartition(".")[0]

    @property
    def exchange(self) -> Exchange:
        """The exchange, the part after the last dot."""
        return Exchange(self.vt_symbol.rpartition(".")[2])

    @property
    def datetime(self) -> dt.datetime:
        """``ts_event`` as an aware UTC datetime."""
        return ns_to_datetime(self.ts_event)

    @property
    def mid_price(self) -> float:
        """Middle of bid and ask; the last price where one side is missing."""
        if self.bid_price_1 > 0.0 and self.ask_price_1 > 0.0:
            return (self.bid_price_1 + self.ask_price_1) / 2.0
        return self.last_price or self.bid_price_1 or self.ask_price_1


class BarData(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Bar"):
    """Open, high, low, close and volume of the span from ``ts_open`` to ``ts_event`` (its close)."""

    vt_symbol: str
    ts_open: int
    ts_event: int
    open_price: float
    high_price: float
    low_price: float
    close_price: float
    volume: float = 0.0
    interval: Interval = Interval.MINUTE
    turnover: float = 0.0
    open_interest: float = 0.0
    ts_init: int = 0
    adapter_name: str = ""

    @property
    def symbol(self) -> str:
        """The venue's own symbol, without the exchange."""
        return self.vt_symbol.rpartition(".")[0]

    @property
    def exchange(self) -> Exchange:
        """The exchange, the part after the last dot."""
        return Exchange(self.vt_symbol.rpartition(".")[2])

    @property
    def datetime(self) -> dt.datetime:
        """``ts_event``, the bar's close, as an aware UTC datetime."""
        return ns_to_datetime(self.ts_event)

    @property
    def datetime_open(self) -> dt.datetime:
        """``ts_open`` as an aware UTC datetime."""
        return ns_to_datetime(self.ts_open)


class TradeTick(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="TradeTick"
):
    """One print of the public tape; ``aggressor`` is the taker's side, NET where unknown."""

    vt_symbol: str
    ts_event: int
    price: float
    volume: float
    aggressor: Direction = Direction.NET
    tradeid: str = ""
    ts_init: int = 0
    adapter_name: str = ""


class BookDelta(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="BookDelta"
):
    """New volume of one price level; volume 0 removes it."""

    vt_symbol: str
    ts_event: int
    direction: Direction
    price: float
    volume: float
    sequence: int = 0
    ts_init: int = 0
    adapter_name: str = ""


class BookSnapshot(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="BookSnapshot"
):
    """A whole book, best levels first."""

    vt_symbol: str
    ts_event: int
    bid_prices: tuple[float, ...] = ()
    bid_volumes: tuple[float, ...] = ()
    ask_prices: tuple[float, ...] = ()
    ask_volumes: tuple[float, ...] = ()
    sequence: int = 0
    ts_init: int = 0
    adapter_name: str = ""
