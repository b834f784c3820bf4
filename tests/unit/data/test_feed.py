"""The merged stream: every row once, in order of time, sources in order at equal stamps, blocks of bounded size."""

from __future__ import annotations

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


def test_blocks_are_of_bounded_size() -> None:
    one = source(0, range(5000))
    assert [b.rows for b in blocks([one])] == [SINGLE_ROWS] * 4 + [5000 - 4 * SINGLE_ROWS]
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
