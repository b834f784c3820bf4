"""The hot loop of the backtest: every nanosecond here is paid once per bar or quote.

One event at a time, to quiescence: advance the clock and due timers, let the exchange match resting orders against the
new data, drain the reports through the OMS, show the data to the strategies, drain what they sent. The market record
holds a quote from its first moment on (an order sent in answer to a fill meets that quote, never the one before), but a
bar only once it has been matched: its close is not known at its open. Bars of an instrument that has quotes inform the
strategies and leave the record alone.

What the tricks buy (``benchmarks/run.py``, Python 3.11):

* messages are built by ``map`` over columns: no Python frame per bar; of a column only a few rows at a time become
  Python numbers, so they are still in the processor's cache when they are used;
* the exchange is asked only when the book's reach is touched: two comparisons (four on quotes) for a call;
* handlers are called straight from the resolved topic, and the queue is looked at, not entered, when it is empty;
* the clock is a plain attribute, set to the event's own time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.clock import SimulatedClock
from foxtrot.core.event_engine import EventEngine, Topic
from foxtrot.core.market import MarketRecord
from foxtrot.core.objects import BarData, TickData
from foxtrot.core.values import ROWS_ALONE, ROWS_TOGETHER, values_of
from foxtrot.data.columns import BarColumns, TickColumns
from foxtrot.data.feed import Block, Columns
from foxtrot.simulation.book import Book
from foxtrot.simulation.exchange import SimulatedExchange
from foxtrot.strategy.leg_handler import LegHandler


class Source(NamedTuple):
    """One loaded series with everything the loop needs of its instrument."""

    topic: Topic
    book: Book
    record: MarketRecord
    is_bars: bool
    leg_handlers: tuple[LegHandler, ...]


_BAR_FIELDS = (
    "ts_open",
    "ts_event",
    "open_price",
    "high_price",
    "low_price",
    "close_price",
    "volume",
)
"""Columns in the order of the fields of ``BarData`` between its instrument and its interval."""


def bars_of(columns: BarColumns, rows: int = ROWS_ALONE) -> Iterator[BarData]:
    """Bars built from columns, one at a time."""
    return map(
        BarData,
        repeat(columns.vt_symbol),
        values_of(columns.ts_open, rows),
        values_of(columns.ts_event, rows),
        values_of(columns.open_price, rows),
        values_of(columns.high_price, rows),
        values_of(columns.low_price, rows),
        values_of(columns.close_price, rows),
        values_of(columns.volume, rows),
        repeat(columns.interval),
        *_optional(rows, columns.turnover, columns.open_interest),
    )


def bars_in_order(block: Block) -> Iterator[BarData]:
    """The bars of a block that has bars alone, in order of time; their columns are merged before they become messages.

    So one stream is read and not one of each instrument, whose numbers have left the cache before its next turn.
    """
    if block.order is None:
        raise AssertionError("a block of one series is in order")
    parts = [part for _, part in block.parts if isinstance(part, BarColumns)]
    place = np.argsort(block.order, kind="stable")  # of each row, source by source

    def merged(name: str) -> Iterator[Any]:
        arrays = [getattr(part, name) for part in parts]
        if all(array is None for array in arrays):
            return repeat(0.0)
        rows = np.concatenate(
            [_floats(part, name) if a is None else a for part, a in zip(parts, arrays, strict=True)]
        )
        inorder = np.empty_like(rows)
        inorder[place] = rows
        return values_of(inorder)

    symbols = {number: part.vt_symbol for number, part in block.parts}
    intervals = {
        number: part.interval for number, part in block.parts if isinstance(part, BarColumns)
    }
    numbers = block.order.tolist()
    return map(
        BarData,
        map(symbols.__getitem__, numbers),
        *map(merged, _BAR_FIELDS),
        map(intervals.__getitem__, numbers),
        merged("turnover"),
        merged("open_interest"),
    )


def ticks_of(columns: TickColumns, rows: int = ROWS_ALONE) -> Iterator[TickData]:
    """Quotes built from columns, one at a time."""
    return map(
        TickData,
        repeat(columns.vt_symbol),
        values_of(columns.ts_event, rows),
        values_of(columns.bid_price_1, rows),
        values_of(columns.ask_price_1, rows),
        values_of(columns.bid_volume_1, rows),
        values_of(columns.ask_volume_1, rows),
        *_optional(rows, columns.last_price, columns.last_volume, columns.volume),
    )


def _floats(columns: BarColumns, name: str) -> NDArray[np.float64]:
    """A field of the bars as an indicator's input; zeros where the source has none, as in the bars themselves."""
    values = getattr(columns, name, None)
    return np.zeros(len(columns)) if values is None else values.astype(np.float64, copy=False)


def _optional(rows: int, *arrays: Any) -> list[Any]:
    """Trailing columns up to the last that is there; gaps before it are zeros."""
    last = max((i for i, array in enumerate(arrays) if array is not None), default=-1)
    return [
        repeat(0.0) if array is None else values_of(array, rows) for array in arrays[: last + 1]
    ]


class EventLoop:
    """Runs blocks of market data through one in-process world.

    Args:
        event_engine: with a ``SimulatedClock``.
        exchange: the venue.
        sources: one per loaded series, in the feed's order.
    """

    def __init__(
        self, event_engine: EventEngine, exchange: SimulatedExchange, sources: list[Source]
    ) -> None:
        clock = event_engine.clock
        if not isinstance(clock, SimulatedClock):
            raise TypeError("a backtest needs an event engine with a SimulatedClock")
        self._clock = clock
        self._event_engine = event_engine
        self._exchange = exchange
        self._sources = sources
        self._only_bars = all(source.is_bars for source in sources)

    def run(self, block: Block) -> None:
        """Handle every row of a block."""
        rows = ROWS_ALONE if block.order is None else ROWS_TOGETHER
        for number, columns in block.parts:
            self._prepare(self._sources[number], columns, rows)
        if block.order is None:
            ((number, columns),) = block.parts
            source = self._sources[number]
            if isinstance(columns, BarColumns):
                self._run_bars(source, bars_of(columns))
            else:
                self._run_ticks(source, ticks_of(columns))
        else:
            order = block.order.tolist()
            if self._only_bars:
                self._run_merged_bars(order, bars_in_order(block))
            else:
                self._run_mixed(order, self._streams(block))

    def _prepare(self, source: Source, columns: Columns, rows: int) -> None:
        """Compute the declared indicators of these rows."""
        if isinstance(columns, BarColumns):
            for handler in source.leg_handlers:
                named = {name: _floats(columns, name) for name in handler.inputs()}
                handler.prepare(named, columns.ts_event, rows)

    def _streams(self, block: Block) -> list[Any]:
        """Per source its next message, and what the merged loops need of it; holes for sources without rows."""
        streams: list[Any] = [None] * len(self._sources)
        for number, columns in block.parts:
            source = self._sources[number]
            messages = (
                bars_of(columns, ROWS_TOGETHER)
                if isinstance(columns, BarColumns)
                else ticks_of(columns, ROWS_TOGETHER)
            )
            meet = self._meeting(source)
            streams[number] = (messages.__next__, source.topic, meet)
        return streams

    def _meeting(self, source: Source) -> Callable[[Any], None]:
        """What a message of a source does before strategies see it, where quotes and bars are mixed."""
        book, record, exchange = source.book, source.record, self._exchange

        def tick_moves(tick: TickData) -> None:
            record.last = tick
            if book.orders:
                exchange.on_tick(book, tick)

        def bar_moves(bar: BarData) -> None:
            if book.orders:
                exchange.on_bar(book, bar)
                self._event_engine.drain()
            record.last = bar

        def bar_informs(_bar: BarData) -> None:
            """Quotes move this book."""

        if not source.is_bars:
            return tick_moves
        return bar_informs if book.on_ticks else bar_moves

    def _run_bars(self, source: Source, bars: Iterator[BarData]) -> None:
        clock, drain, advance = self._clock, self._event_engine.drain, self._event_engine.advance
        queue = self._event_engine.queue
        match = self._exchange.on_bar
        topic, book, record, _, _ = source
        for bar in bars:
            ts = bar.ts_event
            if clock.next_due <= ts:
                advance(ts)
            clock.ns = ts
            if book.orders and (
                bar.low_price <= book.low_reach or bar.high_price >= book.high_reach
            ):
                match(book, bar)
                if queue:
                    drain()
            record.last = bar
            for handler in topic.handlers:
                handler(bar)
            if queue:
                drain()

    def _run_ticks(self, source: Source, ticks: Iterator[TickData]) -> None:
        clock, drain, advance = self._clock, self._event_engine.drain, self._event_engine.advance
        queue = self._event_engine.queue
        match = self._exchange.on_tick
        topic, book, record, _, _ = source
        for tick in ticks:
            ts = tick.ts_event
            if clock.next_due <= ts:
                advance(ts)
            clock.ns = ts
            record.last = tick
            bid, ask = tick.bid_price_1, tick.ask_price_1
            if book.orders and (
                ask <= book.buy_limit
                or bid >= book.sell_limit
                or bid <= book.sell_stop
                or ask >= book.buy_stop
            ):
                match(book, tick)
                if queue:
                    drain()
            for handler in topic.handlers:
                handler(tick)
            if queue:
                drain()

    def _run_merged_bars(self, order: list[int], bars: Iterator[BarData]) -> None:
        """``_run_bars`` for several instruments without quotes."""
        sources = [(source.topic, source.book, source.record) for source in self._sources]
        clock, drain, advance = self._clock, self._event_engine.drain, self._event_engine.advance
        queue = self._event_engine.queue
        match = self._exchange.on_bar
        for number, bar in zip(order, bars, strict=True):
            topic, book, record = sources[number]
            ts = bar.ts_event
            if clock.next_due <= ts:
                advance(ts)
            clock.ns = ts
            if book.orders and (
                bar.low_price <= book.low_reach or bar.high_price >= book.high_reach
            ):
                match(book, bar)
                if queue:
                    drain()
            record.last = bar
            for handler in topic.handlers:
                handler(bar)
            if queue:
                drain()

    def _run_mixed(self, order: list[int], streams: list[Any]) -> None:
        """Quotes and bars of any instruments, merged."""
        clock, drain, advance = self._clock, self._event_engine.drain, self._event_engine.advance
        queue = self._event_engine.queue
        for number in order:
            following, topic, meet = streams[number]
            message = following()
            ts = message.ts_event
            if clock.next_due <= ts:
                advance(ts)
            clock.ns = ts
            meet(message)
            if queue:
                drain()
            for handler in topic.handlers:
                handler(message)
            if queue:
                drain()


Progress = Callable[[int, int, int], None]
"""``progress(done, total, ts)``: rows handled, rows in all, the clock's time."""
