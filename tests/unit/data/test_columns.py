"""Columns refuse what does not fit, and cut without copying."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import foxtrot.data
from foxtrot.core.constants import NS_PER_MINUTE, Interval
from foxtrot.core.errors import DataError
from foxtrot.data import BarColumns, TickColumns
from tests.unit.data.data_helpers import bars_of, same, ticks_of


def test_importing_the_package_loads_neither_numpy_nor_pandas() -> None:
    code = (
        "import sys, foxtrot.data as d; d.sample_names(); "
        "sys.exit(bool({'numpy', 'pandas'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_exists_and_others_do_not() -> None:
    for name in foxtrot.data.__all__:
        assert getattr(foxtrot.data, name) is not None
    assert set(foxtrot.data.__all__) <= set(dir(foxtrot.data))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = foxtrot.data.no_such_name


def test_columns_of_unequal_length_are_refused_by_name() -> None:
    good = bars_of([10.0, 11.0])
    with pytest.raises(DataError, match=r"X\.LOCAL: column 'volume' has 1 rows.* 2; all columns"):
        BarColumns(
            "X.LOCAL",
            Interval.MINUTE,
            good.ts_open,
            good.ts_event,
            good.open_price,
            good.high_price,
            good.low_price,
            good.close_price,
            good.volume[:1],
        )


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (np.array([1, 2]), r"int64 of shape \(2,\)"),
        (np.array([[1.0, 2.0]]), r"float64 of shape \(1, 2\)"),
        ([1.0, 2.0], "list"),
        (None, "NoneType"),
    ],
)
def test_a_column_of_a_wrong_type_is_refused_and_told_how_to_convert(
    bad: object, found: str
) -> None:
    good = ticks_of([1.0, 2.0], [2.0, 3.0])
    with pytest.raises(DataError, match=f"column 'bid_price_1' is {found}.*numpy.asarray"):
        TickColumns(
            "X.LOCAL", good.ts_event, bad, good.ask_price_1, good.bid_volume_1, good.ask_volume_1
        )


def test_slices_are_views_and_keep_symbol_and_interval() -> None:
    bars = bars_of([10.0, 11.0, 12.0])
    part = bars.slice(1, 3)
    assert (len(part), part.vt_symbol, part.interval) == (2, "X.LOCAL", Interval.MINUTE)
    assert np.shares_memory(part.close_price, bars.close_price)
    assert part.turnover is None


def test_between_takes_the_start_and_leaves_the_end() -> None:
    bars = bars_of([10.0, 11.0, 12.0, 13.0])
    part = bars.between(NS_PER_MINUTE, 3 * NS_PER_MINUTE)
    assert part.open_price.tolist() == [11.0, 12.0]
    assert len(bars.between(None, None)) == 4
    assert len(bars.between(5 * NS_PER_MINUTE, None)) == 0
    assert len(bars.between(3 * NS_PER_MINUTE, NS_PER_MINUTE)) == 0


def test_ticks_cut_by_their_time_and_take_rows_by_mask() -> None:
    ticks = ticks_of([1.0, 2.0, 3.0], [2.0, 3.0, 4.0], [10, 20, 30])
    assert ticks.between(20, 30).bid_price_1.tolist() == [2.0]
    assert ticks.take(np.array([True, False, True])).ts_event.tolist() == [10, 30]
    assert same(ticks.slice(0, 3), ticks)


def test_a_frame_has_utc_times_and_all_columns() -> None:
    frame = bars_of([10.0, 11.0]).to_frame()
    assert frame.index.name == "ts_open"
    assert str(frame.index.dtype) == "datetime64[ns, UTC]"
    assert str(frame["ts_event"].dtype) == "datetime64[ns, UTC]"
    assert list(frame.columns)[1:] == [
        "open_price",
        "high_price",
        "low_price",
        "close_price",
        "volume",
    ]
    assert "bid_price_1" in ticks_of([1.0], [2.0]).to_frame().columns
