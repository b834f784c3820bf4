"""What is written is read back bit for bit; real files load with their known rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.core.constants import NS_PER_MINUTE, Interval
from foxtrot.core.errors import DataError
from foxtrot.data import (
    BarColumns,
    Columns,
    TickColumns,
    load,
    load_bars,
    make_bars,
    make_ticks,
    sample_bars,
    write_csv,
)
from tests.unit.data.data_helpers import SHARED_DATA, bars_of, same


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
@pytest.mark.parametrize("columns", [make_bars(5, 200), make_ticks(5, 200), sample_bars("FB")])
def test_a_written_csv_is_read_back_bit_for_bit(
    tmp_path: Path, columns: Columns, suffix: str
) -> None:
    path = write_csv(columns, tmp_path / f"x{suffix}")
    assert same(load(path, columns.vt_symbol).columns, columns)


def test_the_same_columns_give_the_same_bytes(tmp_path: Path) -> None:
    one = write_csv(make_bars(5, 20), tmp_path / "one.csv.gz").read_bytes()
    assert write_csv(make_bars(5, 20), tmp_path / "two.csv.gz").read_bytes() == one
    text = write_csv(make_bars(5, 2), tmp_path / "x.csv").read_text(encoding="utf-8")
    assert text.splitlines()[0].startswith("ts_open,ts_event,open_price,")
    assert text.splitlines()[1].startswith("2024-01-01T00:00:00Z,2024-01-01T00:01:00Z,")


def test_a_csv_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"its name must end in \.csv or \.csv\.gz"):
        write_csv(make_bars(5, 2), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="cannot be written"):
        write_csv(make_bars(5, 2), tmp_path / "no" / "x.csv")


price = st.floats(1e-6, 1e9, allow_nan=False)


@given(st.lists(price, min_size=2, max_size=20), st.integers(0, 10**18))
def test_any_prices_and_nanoseconds_survive_csv(
    tmp_path_factory: pytest.TempPathFactory, prices: list[float], first: int
) -> None:
    base = bars_of(prices)
    times = first + base.ts_open
    same_price = [base.open_price] * 4
    bars = BarColumns(
        "X.LOCAL", Interval.MINUTE, times, times + NS_PER_MINUTE, *same_price, base.volume
    )
    path = write_csv(bars, tmp_path_factory.mktemp("csv") / "x.csv")
    assert same(load_bars(path, "X.LOCAL").columns, bars)


def test_a_large_file_loads_quickly(tmp_path: Path) -> None:
    bars = make_bars(5, 200_000, start_price=1000.0)
    path = write_csv(bars, tmp_path / "big.csv")
    loaded = load_bars(path, bars.vt_symbol).columns
    assert same(loaded, bars)


REAL: list[tuple[str, dict[str, Any], int, str]] = [
    ("equities/goog_daily_2004_2013.csv", {}, 2148, "1d"),
    ("equities/us_minute/spy_quotes_201310.csv", {"price": "mid"}, 5412, "1m"),
    ("equities/us_minute/ibm_trades_201310.csv", {}, 2566, "1m"),
    ("equities/us_hourly/spy.parquet", {"tz": "UTC"}, 40832, "1h"),
    ("equities/us_second/spy_trades_201310.parquet", {"tz": "UTC"}, 100184, "1s"),
    ("fx/eurusd_daily_oanda.csv", {"price": "bid"}, 3738, "1d"),
    ("fx/eurusd_h1_2017_2018.csv", {}, 5000, "1h"),
    ("fx/gbpusd_m1_fxcm_201202.parquet", {"tz": "UTC", "price": "ask"}, 30117, "1m"),
    ("crypto/btcusd_monthly.csv", {"stamp": "close"}, 156, "other"),
    ("index/eurostoxx50_m5_2006.csv", {}, 2142, "5m"),
    ("futures/6e_h4_m1_202401.parquet", {"tz": "UTC"}, 29996, "1m"),
    ("fx/eurusd_ticks_oanda_201405.parquet", {"tz": "UTC"}, 532903, "tick"),
    ("fx/usdjpy_ticks_truefx_20130101.csv", {}, 1000, "tick"),
    ("crypto/btcusdt_quotes_binance_spot.csv", {}, 451, "tick"),
    ("l2/btcusdt_perp_quotes_20240809.parquet", {"tz": "UTC"}, 66089, "tick"),
]


@pytest.mark.parametrize(("name", "options", "rows", "interval"), REAL)
def test_real_files_load_whole(
    name: str, options: dict[str, Any], rows: int, interval: str
) -> None:
    path = SHARED_DATA / name
    if not path.exists():
        pytest.skip("the sibling folder 'shared' with real data is not there")
    columns = load(path, "X.LOCAL", **options).columns
    assert len(columns) == rows
    found = columns.interval.value if isinstance(columns, BarColumns) else "tick"
    assert found == interval
    assert isinstance(columns, TickColumns) or (columns.ts_event > columns.ts_open).all()


def test_a_real_file_with_empty_quotes_is_refused_and_mended_on_request() -> None:
    path = SHARED_DATA / "futures" / "es_z13_m1_quotes_201310.csv"
    if not path.exists():
        pytest.skip("the sibling folder 'shared' with real data is not there")
    with pytest.raises(DataError, match=r"line 3, column 'bid_open and ask_open': no value"):
        load_bars(path, "ESZ3.CME", price="mid")
    loaded = load_bars(path, "ESZ3.CME", price="mid", fix="drop_nan")
    assert len(loaded.columns) == 7073 - 68
    assert not np.isnan(loaded.columns.close_price).any()
