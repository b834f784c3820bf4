"""Merges series of several instruments into one stream in order of time, a block of rows at a time.

Invariants: rows come out in order of ``ts_event``; at equal stamps in the order of the sources, and within a source in
its own order. Every row comes out exactly once, however its source is cut into chunks. A block holds at most about
``rows`` rows, so what is in memory does not grow with the length of a history that is read in chunks. Of each
source the chunk at hand and the one after it are held.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.errors import DataError
from foxtrot.data.columns import Columns, join_columns
from foxtrot.data.series import Series

__all__ = ["MERGED_ROWS", "SINGLE_ROWS", "Block", "Columns", "blocks"]

SINGLE_ROWS = 16_384
"""Rows a block of a single source: so many that the work of a block does not count against that of its rows."""

MERGED_ROWS = 65_536
"""Rows a block of merged sources: large enough that each source has a worthwhile part in it."""


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive rows of the merged stream.

    Attributes:
        parts: per source that has rows here: its number and those rows.
        order: the source number of each row in order of time, int64 of shape (n,); None for a single source.
        rows: number of rows.
        last_ts: stamp of the last row, ns UTC.
    """

    parts: tuple[tuple[int, Columns], ...]
    order: NDArray[np.int64] | None
    rows: int
    last_ts: int


def blocks(sources: Sequence[Series], rows: int | None = None) -> Iterator[Block]:
    """Cut the merged stream of ``sources`` into blocks of about ``rows`` rows.

    Raises:
        DataError: a source is not in order of time.
    """
    cursors = [_Cursor(source) for source in sources]
    if len(cursors) == 1:
        yield from _single(cursors[0], rows or SINGLE_ROWS)
    else:
        yield from _merged(cursors, rows or MERGED_ROWS)


class _Cursor:
    """Where the merge stands in one series: the rows at hand, and how many of them are out already."""

    def __init__(self, series: Series) -> None:
        self._vt_symbol = series.vt_symbol
        self._chunks = (chunk for chunk in series.chunks() if len(chunk))
        self._last: int | None = None
        self._read = 0
        self._taken = 0
        self._at_hand: Columns | None = None
        self._following = self._next()
        self._refill()

    @property
    def is_open(self) -> bool:
        """Whether rows are left."""
        return self._at_hand is not None

    def end_of(self, rows: int) -> int:
        """Stamp of the row ``rows`` rows on, or of the last at hand."""
        ts = self._columns().ts_event
        return int(ts[min(self._taken + rows, len(ts)) - 1])

    def take_rows(self, rows: int) -> Columns:
        """The next ``rows`` rows, or what is left at hand."""
        return self._take(min(self._taken + rows, len(self._columns())))

    def take_until(self, ts: int) -> Columns | None:
        """All rows up to and with stamp ``ts``; None where there are none."""
        while self._following is not None and int(self._columns().ts_event[-1]) <= ts:
            rest = self._columns().slice(self._taken, len(self._columns()))
            self._at_hand = join_columns([rest, self._following])
            self._taken = 0
            self._following = self._next()
        stop = int(np.searchsorted(self._columns().ts_event, ts, side="right"))
        return self._take(stop) if stop > self._taken else None

    def _columns(self) -> Columns:
        if self._at_hand is None:
            raise AssertionError("the series is at its end")
        return self._at_hand

    def _take(self, stop: int) -> Columns:
        part = self._columns().slice(self._taken, stop)
        self._taken = stop
        if stop == len(self._columns()):
            self._refill()
        return part

    def _refill(self) -> None:
        self._at_hand, self._taken = self._following, 0
        self._following = self._next() if self._at_hand is not None else None

    def _next(self) -> Columns | None:
        """The next chunk, checked for order.

        Raises:
            DataError: names the instrument and the first row out of order.
        """
        chunk = next(self._chunks, None)
        if chunk is None:
            return None
        ts = chunk.ts_event
        back = np.flatnonzero(np.diff(ts) < 0)
        if len(back) or (self._last is not None and int(ts[0]) < self._last):
            row = self._read + (int(back[0]) + 1 if len(back) else 0)
            raise DataError(
                f"{self._vt_symbol}: row {row} (0-based) is earlier than the row before it; "
                "sort the data, or load it with fix=('sort',)"
            )
        self._last = int(ts[-1])
        self._read += len(ts)
        return chunk


def _single(cursor: _Cursor, rows: int) -> Iterator[Block]:
    while cursor.is_open:
        part = cursor.take_rows(rows)
        yield Block(((0, part),), None, len(part), int(part.ts_event[-1]))


def _merged(cursors: Sequence[_Cursor], rows: int) -> Iterator[Block]:
    while True:
        open_ = [i for i, cursor in enumerate(cursors) if cursor.is_open]
        if not open_:
            return
        share = max(1, rows // len(open_))
        cut = min(cursors[i].end_of(share) for i in open_)
        taken = [(i, cursors[i].take_until(cut)) for i in open_]
        parts = tuple((i, part) for i, part in taken if part is not None)
        numbers = np.repeat([i for i, _ in parts], [len(part) for _, part in parts])
        stamps = np.concatenate([part.ts_event for _, part in parts])
        order = numbers.astype(np.int64)[np.argsort(stamps, kind="stable")]
        yield Block(parts, order, len(order), cut)
