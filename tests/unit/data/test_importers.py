"""Bars and ticks are loaded as they stand, with every assumption told and every error mendable."""

from __future__ import annotations

import datetime as dt
import gzip
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from foxtrot.core.constants import NS_PER_DAY, NS_PER_MINUTE, Interval
from foxtrot.core.errors import DataError
from foxtrot.data import BarColumns, TickColumns, load, load_bars, load_ticks
from tests.unit.data.data_helpers import DAILY, minute_csv, write

NEW_YORK = ZoneInfo("America/New_York")
MINUTES = ["2024-03-01T09:30:00,10,11,9,10,5", "2024-03-01T09:31:00,10,12,9,11,6"]


def ns(text: str) -> int:
    return int(pd.Timestamp(text).as_unit("ns").value)


def told(loaded: Any) -> str:
    return " ".join(loaded.assumptions)


# -- what is found without being told ------------------------------------------------------------


def test_dates_are_daily_utc_bars_from_midnight_to_midnight(tmp_path: Path) -> None:
    loaded = load_bars(write(tmp_path, DAILY), "X.LOCAL")
    bars = loaded.columns
    assert bars.interval is Interval.DAILY
    assert bars.ts_open[0] == ns("2024-01-02T00:00Z")
    assert (bars.ts_event - bars.ts_open).tolist() == [NS_PER_DAY] * 3
    assert bars.close_price.tolist() == [11.0, 12.0, 13.0]
    assert loaded.assumptions == (
        "Stamps are taken from the column 'Date'.",
        "Stamps are dates, taken as UTC dates, since no time zone was given.",
        "The interval is 1d, found from the stamps (most are 1 d apart).",
        "A stamp is its bar's open, since stamp was not given.",
        "A daily bar closes at the next local midnight in UTC.",
        "Prices are taken as they stand in the source.",
    )


def test_a_day_of_a_zone_is_as_long_as_it_was_there(tmp_path: Path) -> None:
    text = DAILY.replace("2024-01-02", "2024-03-09").replace("2024-01-03", "2024-03-10")
    text = text.replace("2024-01-04", "2024-03-11")
    bars = load_bars(write(tmp_path, text), "X.LOCAL", tz="America/New_York").columns
    assert ((bars.ts_event - bars.ts_open) // (60 * NS_PER_MINUTE)).tolist() == [24, 23, 24]
    assert bars.ts_open[0] == ns("2024-03-09T05:00Z")


@pytest.mark.parametrize(
    "header",
    [
        "time,open,high,low,close,volume",
        "TS,O,H,L,C,V",
        " Timestamp ,Open Price,High,Low,Close,Vol",
    ],
)
def test_usual_column_names_are_recognised_in_any_case(tmp_path: Path, header: str) -> None:
    bars = load_bars(write(tmp_path, minute_csv(MINUTES, header)), "X.LOCAL", tz="UTC").columns
    assert bars.high_price.tolist() == [11.0, 12.0]
    assert bars.interval is Interval.MINUTE


@pytest.mark.parametrize(
    ("factor", "unit"),
    [(1, "seconds"), (10**3, "milliseconds"), (10**6, "microseconds"), (10**9, "nanoseconds")],
)
def test_the_unit_of_epoch_stamps_is_found_by_size_and_told(
    tmp_path: Path, factor: int, unit: str
) -> None:
    rows = [f"{(1_704_067_200 + 60 * i) * factor},10,11,9,10,1" for i in range(3)]
    loaded = load_bars(write(tmp_path, minute_csv(rows)), "X.LOCAL")
    assert loaded.columns.ts_open[1] == ns("2024-01-01T00:01Z")
    assert f"taken as epoch {unit} by their size" in told(loaded)


def test_numbers_like_20240102_are_dates(tmp_path: Path) -> None:
    loaded = load_bars(write(tmp_path, DAILY.replace("-", "")), "X.LOCAL")
    assert loaded.columns.ts_open[0] == ns("2024-01-02T00:00Z")
    assert loaded.columns.interval is Interval.DAILY


def test_date_and_time_in_two_columns_are_joined(tmp_path: Path) -> None:
    rows = ["2024-01-02,09:30,10,11,9,10", "2024-01-02,09:31,10,11,9,10"]
    path = write(tmp_path, minute_csv(rows, "Date,Time,Open,High,Low,Close"))
    loaded = load_bars(path, "X.LOCAL", tz="America/New_York")
    assert loaded.columns.ts_open[0] == ns("2024-01-02T14:30Z")
    assert "joined from the columns 'Date' and 'Time'" in told(loaded)
    assert "no column for volume, so it is 0" in told(loaded)


def test_offsets_that_change_with_the_season_are_read_row_by_row(tmp_path: Path) -> None:
    rows = [
        "2024-03-08 00:00:00-05:00,10,11,9,10,5",
        "2024-03-09 00:00:00-05:00,10,11,9,10,5",
        "2024-03-10 00:00:00-05:00,10,11,9,10,5",
        "2024-03-11 00:00:00-04:00,10,12,9,11,6",
    ]
    path = write(tmp_path, minute_csv(rows))
    bars = load_bars(path, "X.LOCAL", tz="America/New_York").columns
    assert bars.interval is Interval.DAILY
    assert bars.ts_open[3] == ns("2024-03-11T04:00Z")
    assert (bars.ts_event[:-1] == bars.ts_open[1:]).all()


def test_a_close_stamp_moves_intraday_bars_and_not_daily_dates(tmp_path: Path) -> None:
    path = write(tmp_path, minute_csv(MINUTES))
    bars = load_bars(path, "X.LOCAL", tz="UTC", stamp="close").columns
    assert bars.ts_event[0] == ns("2024-03-01T09:30Z")
    assert bars.ts_open[0] == ns("2024-03-01T09:29Z")
    daily = load_bars(write(tmp_path, DAILY), "X.LOCAL", stamp="close").columns
    assert daily.ts_open[0] == ns("2024-01-02T00:00Z")
    assert daily.ts_event[0] == ns("2024-01-03T00:00Z")


def test_month_ends_span_from_the_bar_before(tmp_path: Path) -> None:
    rows = [f"{day},10,11,9,10,1" for day in ("2024-01-31", "2024-02-29", "2024-03-31")]
    path = write(tmp_path, minute_csv(rows))
    bars = load_bars(path, "X.LOCAL", stamp="close").columns
    assert bars.interval is Interval.OTHER
    assert bars.ts_event[1] == ns("2024-03-01T00:00Z")
    assert bars.ts_open[1] == ns("2024-02-01T00:00Z")
    opened = load_bars(path, "X.LOCAL").columns
    assert opened.ts_event[0] == opened.ts_open[1]


def test_weekly_bars_of_a_short_week_do_not_overlap_the_next(tmp_path: Path) -> None:
    days = ("2024-01-08", "2024-01-16", "2024-01-22", "2024-01-29")
    path = write(tmp_path, minute_csv([f"{day},10,11,9,10,1" for day in days]))
    weekly = load_bars(path, "X.LOCAL", interval="1w").columns
    assert (weekly.ts_event - weekly.ts_open).tolist() == [d * NS_PER_DAY for d in (7, 6, 7, 7)]


def test_separators_byte_order_mark_and_blank_lines_are_taken_and_told(tmp_path: Path) -> None:
    text = "\ufeff" + DAILY.replace(",", ";") + "\n\n"
    loaded = load_bars(write(tmp_path, text), "X.LOCAL")
    assert len(loaded.columns) == 3
    assert "separated by ';'" in told(loaded)
    assert "2 blank lines were skipped (line 5 and others)" in told(loaded)


def test_opens_and_closes_of_their_own_columns_are_taken_exactly(tmp_path: Path) -> None:
    rows = [
        "2024-03-01T09:30:00Z,2024-03-01T09:30:59.999Z,10,11,9,10",
        "2024-03-01T09:31:00Z,2024-03-01T09:31:59.999Z,10,11,9,10",
    ]
    path = write(tmp_path, minute_csv(rows, "open_time,close_time,open,high,low,close"))
    bars = load_bars(path, "X.LOCAL").columns
    assert bars.interval is Interval.MINUTE
    assert bars.ts_event[0] == ns("2024-03-01T09:30:59.999Z")


def test_a_file_with_closes_only_is_stamped_at_the_close(tmp_path: Path) -> None:
    path = write(tmp_path, minute_csv(MINUTES, "close_time,open,high,low,close,volume"))
    bars = load_bars(path, "X.LOCAL", tz="UTC").columns
    assert bars.ts_event[0] == ns("2024-03-01T09:30Z")


def test_of_several_symbols_the_one_asked_for_is_loaded_with_its_own_lines(tmp_path: Path) -> None:
    rows = [
        "2024-01-02,AAA,10,11,9,10",
        "2024-01-02,BBB,20,21,19,20",
        "2024-01-03,BBB,20,15,19,20",
    ]
    path = write(tmp_path, minute_csv(rows, "date,ticker,open,high,low,close"))
    assert load_bars(path, "AAA.NYSE").columns.open_price.tolist() == [10.0]
    with pytest.raises(DataError, match="line 4, column 'high'"):
        load_bars(path, "BBB.NYSE")
    with pytest.raises(DataError, match=r"holds 2 symbols, none of them 'BB' \(did you mean 'BBB'"):
        load_bars(path, "BB.NYSE")


def test_adjustment_is_only_done_when_asked_for_and_scales_all_four_prices(tmp_path: Path) -> None:
    rows = ["2024-01-02,10,12,8,10,5,100", "2024-01-03,10,12,8,11,11,100"]
    path = write(tmp_path, minute_csv(rows, "Date,Open,High,Low,Close,Adj Close,Volume"))
    raw, adjusted = load_bars(path, "X.LOCAL"), load_bars(path, "X.LOCAL", adjust=True)
    assert raw.columns.close_price.tolist() == [10.0, 11.0]
    assert "'Adj Close' is not used (adjust=True uses it)" in told(raw)
    assert adjusted.columns.open_price.tolist() == [5.0, 10.0]
    assert adjusted.columns.high_price.tolist() == [6.0, 12.0]
    assert adjusted.columns.volume.tolist() == [100.0, 100.0]
    assert "scaled by 'Adj Close' / 'Close'; volume is not" in told(adjusted)
    with pytest.raises(DataError, match="no column for 'adj_close'"):
        load_bars(write(tmp_path, DAILY), "X.LOCAL", adjust=True)


def test_bars_of_quotes_need_to_be_told_which_side(tmp_path: Path) -> None:
    header = "time," + ",".join(
        f"{side}_{part}" for side in ("bid", "ask") for part in ("open", "high", "low", "close")
    )
    row = "2024-03-01T09:30:00Z,10,12,8,10,11,13,9,11"
    path = write(tmp_path, minute_csv([row, row.replace(":30:", ":31:")], header))
    with pytest.raises(DataError, match="price='bid', price='ask' or price='mid'"):
        load_bars(path, "X.LOCAL")
    assert load_bars(path, "X.LOCAL", price="ask").columns.open_price[0] == 11.0
    assert load_bars(path, "X.LOCAL", price="mid").columns.open_price[0] == 10.5
    with pytest.raises(DataError, match="price 'last' is none of"):
        load_bars(path, "X.LOCAL", price="last")  # type: ignore[arg-type]


# -- sources -------------------------------------------------------------------------------------


def test_csv_gz_parquet_and_frames_give_the_same_bars(tmp_path: Path) -> None:
    text = minute_csv(MINUTES)
    plain = load_bars(write(tmp_path, text), "X.LOCAL", tz="UTC").columns
    packed = tmp_path / "prices.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    frame = pd.read_csv(tmp_path / "prices.csv", parse_dates=["time"])
    frame.to_parquet(tmp_path / "prices.parquet")
    indexed = frame.set_index("time")
    aware = indexed.tz_localize("UTC").tz_convert("Asia/Tokyo")
    for source in (packed, tmp_path / "prices.parquet", frame, indexed):
        assert (load_bars(source, "X.LOCAL", tz="UTC").columns.ts_open == plain.ts_open).all()
    assert (load_bars(aware, "X.LOCAL").columns.ts_open == plain.ts_open).all()


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_frames_of_any_time_resolution_give_nanoseconds(unit: str) -> None:
    index = pd.DatetimeIndex(["2024-03-01T09:30", "2024-03-01T09:31"], tz="UTC").as_unit(unit)
    frame = pd.DataFrame({n: [1.0, 1.0] for n in ("open", "high", "low", "close")}, index=index)
    assert load_bars(frame, "X.LOCAL").columns.ts_open[0] == ns("2024-03-01T09:30Z")


def test_the_zone_of_an_aware_index_decides_where_days_begin() -> None:
    index = pd.DatetimeIndex(["2024-07-01", "2024-07-02"], tz="America/New_York")
    frame = pd.DataFrame({n: [1.0, 1.0] for n in ("Open", "High", "Low", "Close")}, index=index)
    loaded = load_bars(frame, "X.LOCAL", end="2024-07-01")
    assert loaded.columns.interval is Interval.DAILY
    assert loaded.columns.ts_open.tolist() == [ns("2024-07-01T04:00Z")]
    assert "The end 2024-07-01 is a bare date: that day is included." in loaded.assumptions


def test_load_decides_by_the_columns(tmp_path: Path) -> None:
    ticks = write(tmp_path, "time,bid,ask\n2024-03-01T09:30:00.25Z,1.0,1.1\n", "ticks.csv")
    loaded = load(ticks, "X.LOCAL")
    assert isinstance(loaded.columns, TickColumns)
    assert loaded.columns.ts_event[0] == ns("2024-03-01T09:30:00.25Z")
    assert isinstance(load(write(tmp_path, DAILY), "X.LOCAL").columns, BarColumns)
    with pytest.raises(DataError, match="holds ticks, which have no stamp; leave stamp out"):
        load(ticks, "X.LOCAL", stamp="close")


def test_ticks_take_sizes_last_trade_and_volume_where_they_are(tmp_path: Path) -> None:
    header = "ts,bid,ask,bid_size,ask_size,last,last_size,volume"
    path = write(tmp_path, f"{header}\n2024-03-01T09:30:00Z,1.0,1.1,5,6,1.05,2,100\n")
    ticks = load_ticks(path, "X.LOCAL").columns
    assert (ticks.bid_volume_1[0], ticks.ask_volume_1[0]) == (5.0, 6.0)
    assert ticks.last_price is not None and ticks.last_price[0] == 1.05
    assert ticks.volume is not None and ticks.volume[0] == 100.0


# -- start and end -------------------------------------------------------------------------------


def test_an_aware_start_date_loses_no_bar(tmp_path: Path) -> None:
    # Midnight in New York is five hours into the UTC date: the bar of that date still belongs.
    path = write(tmp_path, DAILY)
    for zone in (NEW_YORK, ZoneInfo("Asia/Tokyo"), dt.UTC):
        loaded = load_bars(path, "X.LOCAL", start=dt.datetime(2024, 1, 3, tzinfo=zone))
        assert loaded.columns.close_price.tolist() == [12.0, 13.0]
    minutes = write(tmp_path, minute_csv(MINUTES), "minutes.csv")
    exact = dt.datetime(2024, 3, 1, 9, 30, tzinfo=NEW_YORK)
    assert len(load_bars(minutes, "X.LOCAL", tz="America/New_York", start=exact).columns) == 2


def test_the_first_day_of_a_month_belongs_to_the_range(tmp_path: Path) -> None:
    text = DAILY.replace("2024-01-02", "2024-01-31").replace("2024-01-03", "2024-02-01")
    path = write(tmp_path, text.replace("2024-01-04", "2024-02-02"))
    for start in ("2024-02-01", dt.date(2024, 2, 1), ns("2024-02-01T00:00Z")):
        assert len(load_bars(path, "X.LOCAL", start=start).columns) == 2


@pytest.mark.parametrize(
    ("start", "end", "rows"),
    [
        ("2024-01-03", None, 2),
        (None, "2024-01-03", 2),
        (None, dt.date(2024, 1, 3), 2),
        (None, pd.Timestamp("2024-01-03").to_pydatetime(), 1),
        (None, "2024-01-03T00:00Z", 1),
        (None, ns("2024-01-03T00:00Z"), 1),
        (np.datetime64("2024-01-03"), None, 2),
        (pd.Timestamp("2024-01-03 15:00"), None, 2),
        (dt.datetime(2024, 1, 3, 16, tzinfo=NEW_YORK), None, 2),
        (None, dt.datetime(2024, 1, 3, 16, tzinfo=NEW_YORK), 2),
    ],
)
def test_start_and_end_of_daily_bars(tmp_path: Path, start: Any, end: Any, rows: int) -> None:
    assert len(load_bars(write(tmp_path, DAILY), "X.LOCAL", start=start, end=end).columns) == rows


def test_naive_bounds_are_times_of_the_data_s_own_zone(tmp_path: Path) -> None:
    path = write(tmp_path, minute_csv(MINUTES))
    loaded = load_bars(path, "X.LOCAL", tz="America/New_York", start="2024-03-01T09:31")
    assert loaded.columns.ts_open.tolist() == [ns("2024-03-01T14:31Z")]
    assert "1 of 2 rows lie in the range asked for." in loaded.assumptions


@pytest.mark.parametrize("bad", ["yesterday", "", True, 3.5, "2024-13-01"])
def test_a_bound_that_is_no_time_is_refused(tmp_path: Path, bad: Any) -> None:
    with pytest.raises(DataError, match=r"start .* is no time"):
        load_bars(write(tmp_path, DAILY), "X.LOCAL", start=bad)


def test_an_empty_range_says_what_there_is(tmp_path: Path) -> None:
    path = write(tmp_path, DAILY)
    with pytest.raises(DataError, match="the data reach from 2024-01-02T00:00:00Z to 2024-01-04"):
        load_bars(path, "X.LOCAL", start="2030-01-01")
    with pytest.raises(DataError, match="start 2024-01-04 is not before end 2024-01-02"):
        load_bars(path, "X.LOCAL", start="2024-01-04", end="2024-01-02")
