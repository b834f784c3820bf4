"""Recorded series as one numbered stream of messages, once or round and round, from any place in it.

Invariants: messages are in order of ``ts_event`` (the feed's order at equal stamps) and numbered from 1 without a
hole; the n-th message is the same whenever it is read, so a number is all that a reader has to remember. Each further
time round is shifted by the length of the whole, so that time never goes back. Of each series the chunk at hand
and the one after it are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice, repeat
from typing import Any

from foxtrot.core.errors import DataError
from foxtrot.core.objects import BarData, TickData
from foxtrot.core.values import ROWS_TOGETHER, values_of
from foxtrot.data.columns import BarColumns, Columns
from foxtrot.data.feed import Block, blocks
from foxtrot.data.series import Series

BLOCK_ROWS = 8_192
"""Rows that are merged at a time: the pause that a block costs stays short."""


class ReplayStream:
    """What there is to play.

    Args:
        series: bars and quotes, one instrument (and kind) each.
        loop: begin again at the end.

    Attributes:
        rows: messages of one time round.
        first_ts: first ``ts_open`` of bars or ``ts_event`` of quotes, ns UTC.
        last_ts: last ``ts_event``, ns UTC.
        period: ns by which each further time round is shifted.

    Raises:
        DataError: there are no rows.
    """

    def __init__(self, series: Sequence[Series], *, loop: bool = False) -> None:
        self.series = tuple(s for s in series if len(s))
        if not self.series:
            raise DataError("there are no rows to replay; load a series with at least one")
        self.loop = loop
        self.rows = sum(len(s) for s in self.series)
        self.first_ts = min(s.first_ts for s in self.series)
        self.last_ts = max(s.last_ts for s in self.series)
        self.period = max(1, self.last_ts - self.first_ts)

    def messages(self, shift: int = 0, after: int = 0) -> Iterator[tuple[int, BarData | TickData]]:
        """Numbers and messages, endless where it loops.

        Args:
            shift: ns added to all stamps.
            after: number of the last message that is not wanted any more.

        Raises:
            DataError: a series is not in order of time, or has changed since it was loaded.
        """
        turn, skip = divmod(after, self.rows)
        number = after
        while turn == 0 or self.loop:
            for message in self._round(shift + turn * self.period, skip):
                number += 1
                yield number, message
            turn, skip = turn + 1, 0

    def _round(self, shift: int, skip: int) -> Iterator[BarData | TickData]:
        """The messages of one time round, without the first ``skip``."""
        for block in blocks(self.series, BLOCK_ROWS):
            if skip >= block.rows:
                skip -= block.rows
                continue
            yield from islice(_merged(block, shift), skip, None)
            skip = 0


def _merged(block: Block, shift: int) -> Iterator[BarData | TickData]:
    """The rows of a block in order of time."""
    streams = {number: messages_of(columns, shift) for number, columns in block.parts}
    if block.order is None:
        yield from streams[block.parts[0][0]]
    else:
        for number in block.order.tolist():
            yield next(streams[number])


def messages_of(columns: Columns, shift: int = 0) -> Iterator[BarData | TickData]:
    """Bars or quotes built from columns, with ``shift`` (ns) added to their stamps."""
    if isinstance(columns, BarColumns):
        return map(
            BarData,
            repeat(columns.vt_symbol),
            values_of(columns.ts_open + shift, ROWS_TOGETHER),
            values_of(columns.ts_event + shift, ROWS_TOGETHER),
            values_of(columns.open_price, ROWS_TOGETHER),
            values_of(columns.high_price, ROWS_TOGETHER),
            values_of(columns.low_price, ROWS_TOGETHER),
            values_of(columns.close_price, ROWS_TOGETHER),
            values_of(columns.volume, ROWS_TOGETHER),
            repeat(columns.interval),
            _values(columns.turnover),
            _values(columns.open_interest),
        )
    return map(
        TickData,
        repeat(columns.vt_symbol),
        values_of(columns.ts_event + shift, ROWS_TOGETHER),
        values_of(columns.bid_price_1, ROWS_TOGETHER),
        values_of(columns.ask_price_1, ROWS_TOGETHER),
        values_of(columns.bid_volume_1, ROWS_TOGETHER),
        values_of(columns.ask_volume_1, ROWS_TOGETHER),
        _values(columns.last_price),
        _values(columns.last_volume),
        _values(columns.volume),
    )


def _values(column: Any) -> Iterator[float]:
    """A column's numbers; zeros where the source has none, as in the messages themselves."""
    return repeat(0.0) if column is None else values_of(column, ROWS_TOGETHER)
