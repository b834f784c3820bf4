"""The shipped samples are what they are said to be, complete and reproducible."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from foxtrot.core.constants import NS_PER_DAY, Interval
from foxtrot.core.errors import DataError
from foxtrot.core.objects import split_vt_symbol
from foxtrot.data import SAMPLE_SYMBOLS, check, load_bars, sample_bars, sample_names, sample_path
from tests.unit.data.data_helpers import SHARED_DATA

ROOT = Path(__file__).resolve().parents[3]


def day(ns: int) -> str:
    return str(np.datetime64(int(ns), "ns").astype("datetime64[D]"))


@pytest.mark.parametrize(
    ("name", "rows", "first"),
    [
        ("AAPL", 3270, "2000-03-01"),
        ("FB", 196, "2012-05-18"),
        ("GOOG", 2148, "2004-08-19"),
        ("IBM", 3270, "2000-03-01"),
        ("MSFT", 3270, "2000-03-01"),
    ],
)
def test_each_sample_has_its_known_rows_and_dates(name: str, rows: int, first: str) -> None:
    bars = sample_bars(name)
    assert (len(bars), day(bars.ts_open[0]), day(bars.ts_open[-1])) == (rows, first, "2013-03-01")
    assert (bars.vt_symbol, bars.interval) == (SAMPLE_SYMBOLS[name], Interval.DAILY)
    assert (bars.ts_event - bars.ts_open == NS_PER_DAY).all()
    assert check(bars).ok


def test_names_are_tickers_and_symbols_are_valid() -> None:
    assert sample_names() == ("AAPL", "FB", "GOOG", "IBM", "MSFT")
    for name, symbol in SAMPLE_SYMBOLS.items():
        assert split_vt_symbol(symbol)[0] == name
    assert len(sample_bars("ibm.nyse")) == 3270
    with pytest.raises(DataError, match="there is no sample 'TSLA'; there are AAPL, FB"):
        sample_bars("TSLA")


def test_raw_and_adjusted_prices_of_the_first_day_of_google() -> None:
    raw, adjusted = sample_bars("GOOG", adjusted=False), sample_bars("GOOG")
    assert raw.open_price[0] == 100.01
    assert raw.close_price[0] == 100.335
    assert raw.volume[0] == adjusted.volume[0] == 44_659_000.0
    assert adjusted.close_price[0] == pytest.approx(50.32284179174976, rel=1e-15)
    factor = adjusted.close_price / raw.close_price
    assert np.allclose(adjusted.open_price, raw.open_price * factor, rtol=1e-15)


def test_adjustment_takes_the_apple_split_of_2000_out() -> None:
    raw, adjusted = sample_bars("AAPL", adjusted=False), sample_bars("AAPL")
    assert (raw.close_price[1:] / raw.close_price[:-1]).min() < 0.52
    after = adjusted.between(pd.Timestamp("2000-06-19", tz="UTC").value, None)
    assert abs(after.close_price[2] / after.close_price[1] - 1.0) < 0.2


def test_a_range_of_a_sample_includes_its_last_date() -> None:
    bars = sample_bars("GOOG", start="2013-02-01", end="2013-02-28")
    assert (day(bars.ts_open[0]), day(bars.ts_open[-1])) == ("2013-02-01", "2013-02-28")


def test_the_sample_file_is_small_and_its_origin_is_told_beside_it() -> None:
    assert sample_path().stat().st_size < 600_000
    text = sample_path().with_name("ATTRIBUTION.md").read_text(encoding="utf-8")
    for word in ("Quandl WIKI Prices", "public domain", "bokeh_sampledata", *sample_names()):
        assert word in text


def test_the_sample_file_is_made_again_byte_for_byte(tmp_path: Path) -> None:
    pytest.importorskip("bokeh_sampledata", reason="needs the development dependencies")
    tool = ROOT / "tools" / "make_sample_data.py"
    subprocess.run([sys.executable, str(tool), str(tmp_path)], check=True)
    assert (tmp_path / "us_daily.csv.gz").read_bytes() == sample_path().read_bytes()


def test_closes_agree_with_another_source_of_the_same_share() -> None:
    path = SHARED_DATA / "equities" / "goog_daily_2004_2013.csv"
    if not path.exists():
        pytest.skip("the sibling folder 'shared' with real data is not there")
    other, mine = load_bars(path, "GOOG.NASDAQ").columns, sample_bars("GOOG", adjusted=False)
    assert (other.ts_open == mine.ts_open).all()
    assert np.median(np.abs(other.close_price / mine.close_price - 1.0)) < 1e-4
