"""Each thing that can be wrong with a file is told with file, row, column, value and a way to mend it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from foxtrot.core.errors import DataError, MissingExtraError
from foxtrot.data import load, load_bars, load_ticks
from tests.unit.data.data_helpers import DAILY, minute_csv, write

MINUTES = ["2024-03-01T09:30:00Z,10,11,9,10,5", "2024-03-01T09:31:00Z,10,12,9,11,6"]


def refused(path: Path, *says: str, **options: Any) -> str:
    with pytest.raises(DataError) as caught:
        load_bars(path, "X.LOCAL", **options)
    text = str(caught.value)
    for part in says:
        assert part in text
    return text


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "12,14,11,13",
            "12,10,11,13",
            "line 4, column 'High': the high 10.0 is below the low 11.0",
        ),
        ("12,14,11,13", "12,14,11,15", "line 4, column 'Close': the close 15.0 lies outside"),
        ("12,14,11,13", "15,15.5,11,13", ""),
        ("11,13,10,12", "11,13,,12", "line 3, column 'Low': no value (fix: drop_nan)"),
        ("11,13,10,12", "11,abc,10,12", "line 3, column 'High': 'abc' is no number"),
        ("11,13,10,12", "11,13,-10,12", "line 3, column 'Low': the price -10.0 is not positive"),
        (",200", ",-200", "line 3, column 'Volume': the value -200.0 is negative"),
        (",200", ",inf", "line 3, column 'Volume': an infinite value"),
        ("2024-01-04", "2024-01-03", "line 4, column 'Date': another row before it has the stamp"),
        ("2024-01-04", "2023-01-04", "line 4, column 'Date': 2023-01-04T00:00:00Z is earlier than"),
        ("2024-01-04", "", "line 4, column 'Date': no stamp (1 such rows); to drop them: --fix"),
        ("2024-01-04", "4 Jan", "line 4, column 'Date': '4 Jan' is no time in the form ISO 8601"),
        ("2024-01-04", "2024-02-30", "line 4, column 'Date': '2024-02-30' is no time"),
        ("2024-01-04", "9999-01-04", "a stamp lies outside of 1677 to 2262"),
    ],
)
def test_a_fault_in_a_row_is_told_with_its_place(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    path = write(tmp_path, DAILY.replace(old, new))
    if not says:
        assert len(load_bars(path, "X.LOCAL").columns) == 3
        return
    assert refused(path, says).startswith(str(path))


@pytest.mark.parametrize(
    ("old", "new", "fix", "left"),
    [
        ("12,14,11,13", "12,10,11,13", "clamp_ohlc", 3),
        ("12,14,11,13", "12,10,11,13", "drop_invalid", 2),
        ("11,13,10,12", "11,13,,12", "drop_nan", 2),
        ("11,13,10,12", "11,abc,10,12", ["drop_nan"], 2),
        (",200", ",", ("fill_zero",), 3),
        ("2024-01-04", "2024-01-03", "drop_duplicates", 2),
        ("2024-01-04", "2023-01-04", "sort", 3),
        ("2024-01-04", "", "drop_nan", 2),
    ],
)
def test_the_fix_that_is_named_mends_it_and_says_so(
    tmp_path: Path, old: str, new: str, fix: Any, left: int
) -> None:
    loaded = load_bars(write(tmp_path, DAILY.replace(old, new)), "X.LOCAL", fix=fix)
    assert len(loaded.columns) == left
    assert any(issue.code.startswith("fixed_") for issue in loaded.issues)


def test_all_kinds_of_faults_are_told_at_once(tmp_path: Path) -> None:
    text = DAILY.replace("12,14,11,13", "12,10,11,13").replace(",200", ",-200")
    refused(
        write(tmp_path, text),
        "line 4, column 'High'",
        "line 3, column 'Volume'",
        "In all 1 high_below_low, 1 negative_volume in 3 rows",
        "--fix drop_invalid",
    )


def test_intraday_stamps_without_a_zone_are_refused_with_the_remedy(tmp_path: Path) -> None:
    path = write(tmp_path, minute_csv([row.replace("Z", "") for row in MINUTES]))
    refused(path, "line 2, column 'time'", "has no time zone", "tz='UTC'", "--tz UTC")
    with pytest.raises(DataError, match="has no time zone"):
        load_ticks(write(tmp_path, "time,bid,ask\n2024-03-01,1,2\n", "ticks.csv"), "X.LOCAL")


def test_stamps_of_which_only_some_have_an_offset_are_refused(tmp_path: Path) -> None:
    rows = [MINUTES[0], MINUTES[1].replace("Z", "")]
    path = write(tmp_path, minute_csv(rows))
    refused(path, "line 3, column 'time'", "has no offset from UTC, while others have one")


def test_an_hour_that_did_not_happen_is_refused_and_one_that_came_twice_is_told(
    tmp_path: Path,
) -> None:
    skipped = [f"2024-03-31T02:{m}:00,10,11,9,10,5" for m in (30, 31)]
    path = write(tmp_path, minute_csv(skipped))
    refused(
        path, "line 2", "did not happen, or happened twice, in Europe/Berlin", tz="Europe/Berlin"
    )
    hours = ["01:00", "01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    twice = [f"2024-10-27T{hour}:00,10,11,9,10,5" for hour in hours]
    loaded = load_bars(write(tmp_path, minute_csv(twice)), "X.LOCAL", tz="Europe/Berlin")
    assert len({*(loaded.columns.ts_event - loaded.columns.ts_open).tolist()}) == 1
    assert any("4 stamps that happened twice" in note for note in loaded.assumptions)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"tz": "America/NewYork"}, "time zone 'America/NewYork' is unknown (did you mean"),
        ({"stamp": "end"}, "stamp 'end' is neither 'open' nor 'close'"),
        ({"interval": "7x"}, "interval '7x' is none of bars; use one of 1s, 1m"),
        ({"interval": "tick"}, "is none of bars"),
        ({"fix": "drop_nans"}, "fix 'drop_nans' does not exist (did you mean 'drop_nan'?)"),
        ({"columns": {"opne": "Open"}}, "the key 'opne', which is no column of Foxtrot (did you"),
        ({"columns": {"open": "Opn"}}, "the file has no such column (did you mean 'Open'?)"),
        ({"interval": "1w"}, ""),
    ],
)
def test_wrong_arguments_are_refused_with_the_nearest_right_one(
    tmp_path: Path, options: dict[str, Any], says: str
) -> None:
    path = write(tmp_path, DAILY)
    if says:
        refused(path, says, **options)
    else:
        assert len(load_bars(path, "X.LOCAL", **options).columns) == 3


def test_a_wrong_symbol_is_refused(tmp_path: Path) -> None:
    for symbol in ("GOOG", "GOOG.NOWHERE"):
        with pytest.raises(DataError, match=f"vt_symbol '{symbol}'"):
            load_bars(write(tmp_path, DAILY), symbol)


def test_an_interval_longer_than_the_bars_are_apart_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, minute_csv(MINUTES))
    refused(path, "give the right interval=, stamp= or tz=", interval="1h")


def test_one_intraday_row_needs_its_interval(tmp_path: Path) -> None:
    path = write(tmp_path, minute_csv(MINUTES[:1]))
    refused(path, "one stamp does not tell the interval; give it, e.g. interval='1m'")
    assert len(load_bars(path, "X.LOCAL", interval="1m").columns) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: is blank"),
        ("Date,Open,High,Low,Close\n", "has no rows"),
        (
            "Date,Open,High,Low\n2024-01-02,1,2,1\n",
            "no column for 'close_price'; the header (first",
        ),
        ("Open,High,Low,Close\n1,2,1,1\n", "no column for 'time'"),
        ("Date,Open,High,Low,Close\n2024-01-02,1,2,1,1,9\n", "has 6 values, but the header has 5"),
        (DAILY + "2024-01-05,1,2,1,1,1,1,1\n", "line 5, saw 8"),
        ("Date,Close,close,Open,High,Low\n2024-01-02,1,1,1,1,1\n", "could both be 'close_price'"),
        ("2024-01-02,1,2,1,1\n2024-01-03,1,2,1,1\n", "Say which column is meant with columns="),
        ("Date,Open,High,Low,Close\n,1,2,1,1\n", "no stamp"),
    ],
)
def test_files_of_a_wrong_shape_are_refused(tmp_path: Path, text: str, says: str) -> None:
    refused(write(tmp_path, text), says)


def test_files_that_are_not_there_or_not_of_a_known_kind_are_refused(tmp_path: Path) -> None:
    write(tmp_path, DAILY)
    refused(tmp_path / "price.csv", "no such file (did you mean 'prices.csv'?)")
    refused(tmp_path / "prices.xlsx", "use .csv, .txt, .csv.gz, .txt.gz, .parquet, .pq")
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"not parquet at all")
    refused(bad, "is not readable as Parquet")
    packed = tmp_path / "bad.csv.gz"
    packed.write_bytes(b"not gzip")
    refused(packed, "is not readable as UTF-8 text")
    latin = tmp_path / "latin.csv"
    latin.write_bytes("Date,Öpen\n".encode("latin-1"))
    refused(latin, "is not readable as UTF-8 text")


def test_parquet_without_pyarrow_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "", "prices.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"foxtrot-trading\[parquet\]"):
        load(path, "X.LOCAL")


def test_rows_of_a_frame_are_counted_from_zero_and_levels_are_refused() -> None:
    frame = pd.DataFrame(
        {"open": [1.0, 1.0], "high": [1.0, 0.5], "low": [1.0, 1.0], "close": [1.0, 1.0]},
        index=pd.DatetimeIndex(["2024-01-02", "2024-01-03"]),
    )
    with pytest.raises(DataError, match="DataFrame, row 1, column 'high'"):
        load_bars(frame, "X.LOCAL")
    frame.columns = pd.MultiIndex.from_product([frame.columns, ["GOOG"]])
    with pytest.raises(DataError, match="columns of several levels"):
        load_bars(frame, "X.LOCAL")


@pytest.mark.parametrize(
    ("stamp", "says"),
    [("1.7e18", "nanoseconds were read as decimal numbers"), ("1e30", "is no stamp in epoch")],
)
def test_epoch_stamps_that_cannot_be_exact_are_refused(
    tmp_path: Path, stamp: str, says: str
) -> None:
    rows = [f"{stamp},1,1,1,1,1", *("1704067200,1,1,1,1,1",) * (2 if says[0] == "i" else 0)]
    refused(write(tmp_path, minute_csv(rows)), says)


def test_other_forms_of_time_are_read_with_their_format(tmp_path: Path) -> None:
    path = write(tmp_path, minute_csv(["31.01.2024,10,11,9,10,5", "01.02.2024,10,11,9,10,5"]))
    refused(path, "give the form with time_format")
    bars = load_bars(path, "X.LOCAL", time_format="%d.%m.%Y").columns
    assert str(pd.Timestamp(int(bars.ts_open[0]))) == "2024-01-31 00:00:00"


def test_a_missing_close_and_a_column_without_any_stamp_are_refused(tmp_path: Path) -> None:
    header = "open_time,close_time,open,high,low,close"
    row = "2024-03-01T09:30:00Z,2024-03-01T09:31:00Z,10,11,9,10"
    path = write(tmp_path, minute_csv([row, "2024-03-01T09:31:00Z,,10,11,9,10"], header))
    refused(path, "line 3, column 'close_time': no stamp for the bar's close")
    empty = write(tmp_path, minute_csv([",10,11,9,10", ",10,11,9,10"], "time,open,high,low,close"))
    refused(empty, "no row has a stamp; say which column has", fix="drop_nan")


def test_a_side_that_a_file_does_not_have_is_refused(tmp_path: Path) -> None:
    refused(write(tmp_path, DAILY), "no column for 'bid_open', 'bid_high'", price="bid")


def test_dates_and_hours_in_two_columns_lose_the_row_where_one_is_missing(tmp_path: Path) -> None:
    rows = ["2024-01-02,09:30,10,11,9,10", ",09:31,10,11,9,10", "2024-01-02,09:32,10,11,9,10"]
    path = write(tmp_path, minute_csv(rows, "date,time,open,high,low,close"))
    refused(path, "line 3", "no stamp (1 such rows)", tz="UTC")
    loaded = load_bars(path, "X.LOCAL", tz="UTC", interval="1m", fix="drop_nan")
    assert len(loaded.columns) == 2
    assert "dropped 1 rows without a stamp" in loaded.issues[0].message


def test_a_single_symbol_by_another_name_is_loaded_and_told(tmp_path: Path) -> None:
    path = write(tmp_path, minute_csv([f"{MINUTES[0]},BTC/USDT"], "time,o,h,l,c,v,symbol"))
    loaded = load_bars(path, "BTCUSDT.BINANCE", interval="1m")
    assert "Column 'symbol' says 'BTC/USDT'; it is loaded as BTCUSDT.BINANCE." in loaded.assumptions
