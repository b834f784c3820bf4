"""The merged stream: every row once, in order of time, sources in order at equal stamps, blocks of bounded size."""

from __future__ import annotations

from itertools import chain, repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.core.constants import Interval
from foxtrot.core.errors import DataError
from foxtrot.data.columns import BarColumns, TickColumns
from foxtrot.data.feed import MERGED_ROWS, SINGLE_ROWS, blocks


def source(number, stamps, kind="bars"):
    """Columns whose close (or bid) is the row's number, so that a row is known wherever it turns up."""
    ts = np.array(stamps, dtype=np.int64)
    rows = np.arange(len(ts), dtype=np.float64)
    symbol = f"S{number}.LOCAL"
    if kind == "bars":
        return BarColumns(symbol, Interval.MINUTE, ts - 1, ts, rows, rows, rows, rows, rows)
    return TickColumns(symbol, ts, rows, rows, rows, rows)


class Chunked:
    """A series that comes in chunks of given sizes, the last of them again and again."""

    def __init__(self, columns, sizes) -> None:
        self.columns, self.sizes = columns, sizes
        self.vt_symbol, self.is_bars = columns.vt_symbol, columns.is_bars
        self.first_ts, self.last_ts = columns.first_ts, columns.last_ts

    def __len__(self) -> int:
        return len(self.columns)

    def chunks(self):
        start = 0
        for size in chain(self.sizes, repeat(max(1, self.sizes[-1]))):
            if start >= len(self.columns):
                return
            yield self.columns.slice(start, start + size)
            start += size

    def split(self, ts):
        return self.columns.split(ts)


def rows_of(block):
    """(stamp, source, row) of a block in order of delivery."""
    streams = {
        number: iter(
            zip(
                columns.ts_event.tolist(),
                (
                    columns.close_price if isinstance(columns, BarColumns) else columns.bid_price_1
                ).tolist(),
                strict=True,
            )
        )
        for number, columns in block.parts
    }
    order = block.order.tolist() if block.order is not None else [block.parts[0][0]] * block.rows
    out = []
    for number in order:
        ts, row = next(streams[number])
        out.append((ts, number, int(row)))
    assert all(next(stream, None) is None for stream in streams.values())
    return out


stamps = st.lists(st.integers(1, 40), max_size=60).map(sorted)


@given(st.lists(stamps, min_size=1, max_size=5), st.integers(1, 50))
def test_the_merged_stream_is_the_sorted_union(several, rows) -> None:
    sources = [source(n, ts, "bars" if n % 2 == 0 else "ticks") for n, ts in enumerate(several)]
    oracle = sorted((t, n, i) for n, ts in enumerate(several) for i, t in enumerate(ts))

    found = list(blocks(sources, rows))

    assert [row for block in found for row in rows_of(block)] == oracle
    for block in found:
        assert block.rows == sum(len(part) for _, part in block.parts) > 0
        assert block.last_ts == max(int(part.ts_event[-1]) for _, part in block.parts)
    if len(sources) > 1:
        assert [b.last_ts for b in found] == sorted({b.last_ts for b in found})


sizes = st.lists(st.integers(0, 9), min_size=1, max_size=8)


@given(st.lists(st.tuples(stamps, sizes), min_size=1, max_size=4), st.integers(1, 50))
def test_however_a_series_is_cut_into_chunks_the_stream_is_the_same(several, rows) -> None:
    whole = [source(n, ts, "ticks" if n % 2 else "bars") for n, (ts, _) in enumerate(several)]
    cut = [Chunked(one, sizes) for one, (_, sizes) in zip(whole, several, strict=True)]

    found = list(blocks(cut, rows))

    expected = [row for block in blocks(whole, rows) for row in rows_of(block)]
    assert [row for block in found for row in rows_of(block)] == expected
    if len(cut) > 1:
        assert [b.last_ts for b in found] == sorted({b.last_ts for b in found})


def test_a_chunk_that_goes_back_behind_the_one_before_is_refused() -> None:
    cut = Chunked(source(7, [1, 2, 5, 6, 4, 8]), [2])
    with pytest.raises(DataError, match=r"S7\.LOCAL: row 4 \(0-based\)"):
        list(blocks([cut]))


def test_blocks_are_of_bounded_size() -> None:
    one = source(0, range(4 * SINGLE_ROWS + 904))
    assert [b.rows for b in blocks([one])] == [SINGLE_ROWS] * 4 + [904]
    several = [source(n, np.arange(0, 100_000) * 3 + n) for n in range(3)]
    sizes = [b.rows for b in blocks(several)]
    assert sum(sizes) == 300_000
    assert max(sizes) <= MERGED_ROWS + len(several)


def test_no_rows_make_no_blocks() -> None:
    assert list(blocks([source(0, [])])) == []
    assert list(blocks([source(0, []), source(1, [])])) == []
    assert [b.rows for b in blocks([source(0, []), source(1, [5])])] == [1]


@pytest.mark.parametrize("several", [1, 2])
def test_unsorted_rows_are_refused_by_name_and_row(several) -> None:
    sources = [source(n, [1, 2, 3]) for n in range(several - 1)]
    sources.append(source(7, [1, 5, 4]))
    with pytest.raises(DataError, match=r"S7\.LOCAL: row 2 \(0-based\)"):
        next(blocks(sources))
