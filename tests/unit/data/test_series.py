"""A series of a catalog has the rows, the ends and the split of the same columns in memory, and holds none of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from foxtrot.core.constants import Interval
from foxtrot.core.errors import DataError
from foxtrot.data import BarColumns, Catalog, CatalogSeries, make_bars, make_ticks
from foxtrot.data.columns import TickColumns, join_columns
from tests.unit.data.data_helpers import same

pytest.importorskip("pyarrow")
BARS, TICKS = make_bars(3, 500), make_ticks(3, 300)


def stored(tmp_path: Path, columns: BarColumns | TickColumns) -> CatalogSeries:
    catalog = Catalog(tmp_path)
    catalog.write(columns.slice(0, 120))
    catalog.write(columns.slice(120, len(columns)))
    interval = columns.interval if isinstance(columns, BarColumns) else Interval.TICK
    return CatalogSeries(catalog, columns.vt_symbol, interval, rows=64)


@pytest.mark.parametrize("columns", [BARS, TICKS], ids=["bars", "ticks"])
def test_rows_and_ends_are_those_in_memory(tmp_path: Path, columns) -> None:
    series = stored(tmp_path, columns)
    assert series.is_bars is columns.is_bars
    assert (len(series), series.vt_symbol) == (len(columns), columns.vt_symbol)
    assert (series.first_ts, series.last_ts) == (columns.first_ts, columns.last_ts)
    for _ in range(2):
        chunks = list(series.chunks())
        assert max(len(chunk) for chunk in chunks) == 64
        assert same(join_columns(chunks), columns)
    assert [same(chunk, columns) for chunk in columns.chunks()] == [True]


@pytest.mark.parametrize("columns", [BARS, TICKS], ids=["bars", "ticks"])
def test_a_split_is_where_it_is_in_memory(tmp_path: Path, columns) -> None:
    series = stored(tmp_path, columns)
    rows = (0, 1, 63, 64, 119, 120, 121, 250, len(columns) - 1)
    moments = [int(columns.ts_event[row]) + off for row in rows for off in (-1, 0, 1)]
    for moment in (0, *moments, moments[-1] + 10**12):
        found, wanted = series.split(moment), columns.split(moment)
        assert sum(len(part) for part in wanted) == len(columns)
        for part, other in zip(found, wanted, strict=True):
            assert len(part) == len(other)
            assert same(join_columns(list(part.chunks())), other)


def test_a_range_is_cut_by_row_times(tmp_path: Path) -> None:
    whole = stored(tmp_path, BARS)
    begin, end = int(BARS.ts_open[50]), int(BARS.ts_open[350])
    series = CatalogSeries(whole.catalog, BARS.vt_symbol, "1m", begin, end)
    wanted = BARS.slice(50, 350)
    assert (len(series), series.first_ts, series.last_ts) == (300, begin, wanted.last_ts)
    assert same(join_columns(list(series.chunks())), wanted)
    with pytest.raises(DataError, match="in the range asked for; it holds 2024-01-01T00:00:00Z"):
        CatalogSeries(whole.catalog, BARS.vt_symbol, "1m", int(BARS.ts_open[-1]) + 1)


def test_files_with_different_columns_are_refused_before_a_run(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write(BARS.slice(0, 2))
    late = BARS.slice(2, 4)
    arrays = [getattr(late, name) for name in BarColumns.__slots__[2:9]]
    catalog.write(BarColumns(BARS.vt_symbol, Interval.MINUTE, *arrays, turnover=late.volume))
    with pytest.raises(DataError, match="files hold different columns"):
        CatalogSeries(catalog, BARS.vt_symbol, "1m")


@pytest.mark.parametrize("rows", [(90, 100), (10, 20)], ids=["more", "replaced"])
def test_rows_that_changed_since_are_refused(tmp_path: Path, rows) -> None:
    catalog = Catalog(tmp_path)
    catalog.write(BARS.slice(0, 90))
    series = CatalogSeries(catalog, BARS.vt_symbol, "1m", rows=16)
    new = BARS.slice(*rows) if rows[0] == 90 else BARS.slice(*rows).take(np.arange(0, 10, 2))
    if rows[0] == 90:
        catalog.write(new)
    else:
        catalog.write(new, replace=True)
    with pytest.raises(DataError, match="have changed since they were loaded"):
        list(series.chunks())


def test_columns_without_rows_have_no_ends() -> None:
    for empty in (BARS.slice(0, 0), TICKS.slice(0, 0)):
        assert (empty.first_ts, empty.last_ts) == (0, 0)
