"""Merges columns of several instruments into one stream in order of time, a block of rows at a time.

Invariants: rows come out in order of ``ts_event``; at equal stamps in the order of the sources, and within a source in
its own order. Every row comes out exactly once. A block holds at most about ``rows`` rows, whatever the length of the
history.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.errors import DataError
from foxtrot.data.columns import BarColumns, TickColumns

Columns = BarColumns | TickColumns

SINGLE_ROWS = 1_024
"""Rows a block of a single source: small enough to stay in the processor's cache."""

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


def check_sorted(columns: Columns) -> None:
    """Refuse columns that are not in order of time.

    Raises:
        DataError: names the instrument and the first row out of order.
    """
    ts = columns.ts_event
    if len(ts) > 1:
        back = np.flatnonzero(np.diff(ts) < 0)
        if len(back):
            row = int(back[0]) + 1
            raise DataError(
                f"{columns.vt_symbol}: row {row} (0-based) is earlier than the row before it; "
                "sort the data, or load it with fix=('sort',)"
            )


def blocks(sources: Sequence[Columns], rows: int | None = None) -> Iterator[Block]:
    """Cut the merged stream of ``sources`` into blocks of about ``rows`` rows.

    Raises:
        DataError: a source is not in order of time.
    """
    for source in sources:
        check_sorted(source)
    if len(sources) == 1:
        yield from _single(sources[0], rows or SINGLE_ROWS)
    else:
        yield from _merged(sources, rows or MERGED_ROWS)


def _single(source: Columns, rows: int) -> Iterator[Block]:
    for start in range(0, len(source), rows):
        part = source.slice(start, min(start + rows, len(source)))
        yield Block(((0, part),), None, len(part), int(part.ts_event[-1]))


def _merged(sources: Sequence[Columns], rows: int) -> Iterator[Block]:
    starts = [0] * len(sources)
    while True:
        open_ = [i for i, source in enumerate(sources) if starts[i] < len(source)]
        if not open_:
            return
        share = max(1, rows // len(open_))
        ends = [min(starts[i] + share, len(sources[i])) - 1 for i in open_]
        cut = min(int(sources[i].ts_event[end]) for i, end in zip(open_, ends, strict=True))
        parts: list[tuple[int, Columns]] = []
        stamps: list[NDArray[np.int64]] = []
        for i in open_:
            stop = int(np.searchsorted(sources[i].ts_event, cut, side="right"))
            if stop > starts[i]:
                part = sources[i].slice(starts[i], stop)
                parts.append((i, part))
                stamps.append(part.ts_event)
                starts[i] = stop
        numbers = np.repeat([i for i, _ in parts], [len(s) for s in stamps]).astype(np.int64)
        order = numbers[np.argsort(np.concatenate(stamps), kind="stable")]
        yield Block(tuple(parts), order, len(order), cut)
