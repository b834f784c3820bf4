"""The catalog gives back what was written, never overlaps, and reads in bounded pieces."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from foxtrot.core.constants import NS_PER_MINUTE, Interval
from foxtrot.core.errors import DataError, MissingExtraError
from foxtrot.data import BarColumns, Catalog, make_bars, make_ticks, sample_bars
from tests.unit.data.data_helpers import bars_of, same

BARS = make_bars(3, 500)


def test_bars_and_ticks_come_back_bit_for_bit(tmp_path: Path) -> None:
    catalog, ticks = Catalog(tmp_path), make_ticks(3, 300)
    goog = sample_bars("GOOG")
    for columns in (BARS, ticks, goog):
        catalog.write(columns)
    assert same(catalog.read("SYNTH.LOCAL", Interval.MINUTE), BARS)
    assert same(catalog.read("SYNTH.LOCAL", "tick"), ticks)
    assert same(catalog.read("GOOG.NASDAQ", "1d"), goog)


def test_the_list_tells_rows_ends_and_how_the_source_was_stamped(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    assert catalog.list() == ()
    catalog.write(BARS.slice(0, 200), stamp="close", tz="America/New_York", source="a.csv")
    catalog.write(BARS.slice(200, 500), stamp="close", tz="America/New_York", source="b.csv")
    catalog.write(make_ticks(3, 10, vt_symbol="BTC/USDT.BINANCE"))
    first, second = catalog.list()
    assert (first.vt_symbol, first.interval, first.rows) == ("BTC/USDT.BINANCE", Interval.TICK, 10)
    assert (second.rows, second.start, second.end) == (500, BARS.ts_open[0], BARS.ts_open[-1])
    assert (second.stamp, second.tz, second.source) == ("close", "America/New_York", "a.csv, b.csv")


def test_ranges_are_cut_exactly_across_files(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    for start in (300, 0, 100):
        catalog.write(BARS.slice(start, start + (100 if start == 0 else 200)))
    begin, end = int(BARS.ts_open[50]), int(BARS.ts_open[350])
    assert same(catalog.read("SYNTH.LOCAL", "1m", begin, end), BARS.slice(50, 350))
    assert same(catalog.read("SYNTH.LOCAL", "1m", begin + 1), BARS.slice(51, 500))


def test_chunks_are_bounded_and_complete(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write(BARS.slice(0, 450))
    catalog.write(BARS.slice(450, 500))
    chunks = list(catalog.chunks("SYNTH.LOCAL", "1m", rows=64))
    assert max(len(chunk) for chunk in chunks) == 64
    assert np.concatenate([c.ts_event for c in chunks]).tolist() == BARS.ts_event.tolist()


def test_an_overlap_is_refused_and_replaced_on_request(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write(BARS.slice(0, 200))
    catalog.write(BARS.slice(200, 400))
    new = make_bars(9, 500).slice(150, 250)
    with pytest.raises(DataError, match=r"overlap the new ones.*replace=True puts the new ones"):
        catalog.write(new)
    catalog.write(new, replace=True)
    read = catalog.read("SYNTH.LOCAL", "1m")
    assert isinstance(read, BarColumns)
    assert same(read.slice(150, 250), new)
    assert same(read.slice(0, 150), BARS.slice(0, 150))
    assert same(read.slice(250, 400), BARS.slice(250, 400))
    catalog.write(read, replace=True)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_faulty_and_empty_rows_are_not_written(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    with pytest.raises(DataError, match=r"the high 5.0 is below the low"):
        catalog.write(bars_of([10.0], high=[5.0]))
    with pytest.raises(DataError, match="there are no rows to write"):
        catalog.write(BARS.slice(0, 0))
    catalog.write(bars_of([-10.0]), allow_negative=True)


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    with pytest.raises(DataError, match=r"holds no 1m data of A.LOCAL; it has nothing"):
        catalog.read("A.LOCAL", "1m")
    catalog.write(BARS)
    with pytest.raises(DataError, match=r"holds no 1h data of SYNTH.LOCAL; it has SYNTH.LOCAL 1m"):
        catalog.read("SYNTH.LOCAL", "1h")
    with pytest.raises(DataError, match=r"in the range asked for; it holds 2024-01-01T00:00:00Z"):
        catalog.read("SYNTH.LOCAL", "1m", int(BARS.ts_open[-1]) + 1)


def test_files_that_overlap_after_a_crash_are_found(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    path = catalog.write(BARS.slice(0, 200))
    path.with_name(f"{BARS.ts_open[100]}_{BARS.ts_open[300]}.parquet").write_bytes(
        path.read_bytes()
    )
    with pytest.raises(DataError, match="delete the one that is not wanted"):
        catalog.read("SYNTH.LOCAL", "1m")


def test_files_with_different_columns_are_not_joined(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    catalog.write(BARS.slice(0, 2))
    late = BARS.slice(2, 4)
    arrays = [getattr(late, name) for name in BarColumns.__slots__[2:9]]
    catalog.write(BarColumns("SYNTH.LOCAL", Interval.MINUTE, *arrays, turnover=late.volume))
    with pytest.raises(DataError, match="files hold different columns"):
        catalog.read("SYNTH.LOCAL", "1m")
    assert len(list(catalog.chunks("SYNTH.LOCAL", "1m"))) == 2


def test_times_before_1970_are_kept(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    old = bars_of([10.0, 11.0], minutes=[-5, -4])
    catalog.write(old)
    assert same(catalog.read("X.LOCAL", "1m", -5 * NS_PER_MINUTE), old)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"the data catalog needs .*\[parquet\]"):
        Catalog(tmp_path).write(BARS)
