"""Checks find each kind of fault at its row, and fixes mend exactly what they name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.core.constants import NS_PER_DAY, NS_PER_MINUTE, Interval
from foxtrot.core.errors import DataError
from foxtrot.data import (
    FIXES,
    BarColumns,
    Columns,
    Origin,
    Severity,
    TickColumns,
    apply_fixes,
    check,
)
from foxtrot.data.quality import QualityReport
from tests.unit.data.data_helpers import bars_of, same, ticks_of

NAN = float("nan")


def only(report: QualityReport, code: str) -> str:
    """The one error's message, which must be of this code."""
    assert [issue.code for issue in report.errors] == [code], str(report)
    return report.errors[0].message


def test_sound_bars_have_no_errors() -> None:
    report = check(bars_of([10.0, 11.0, 12.0]))
    assert report.ok
    assert str(report) == "X.LOCAL: 3 rows, nothing found"
    report.raise_for_errors()


def test_high_below_low_names_row_column_values_and_fixes() -> None:
    bars = bars_of([10.0, 10.0], high=[11.0, 9.0], low=[9.0, 9.5])
    origin = Origin("prices.csv", np.array([2, 3]), "line", {"high_price": "High"})
    report = check(bars, origin)
    issue = report.errors[0]
    assert (issue.severity, issue.code, issue.row, issue.column) == (
        Severity.ERROR,
        "high_below_low",
        3,
        "High",
    )
    assert issue.fixes == ("drop_invalid", "clamp_ohlc")
    assert issue.message == (
        "prices.csv, line 3, column 'High': the high 9.0 is below the low 9.5 "
        "(fix: drop_invalid or clamp_ohlc)"
    )


@pytest.mark.parametrize(
    ("bars", "code", "says"),
    [
        (bars_of([12.0], [11.0], [9.0], [10.0]), "open_outside", "the open 12.0 lies outside"),
        (bars_of([10.0], [11.0], [9.0], [8.0]), "close_outside", "the close 8.0 lies outside"),
        (bars_of([10.0], low=[0.0]), "price_not_positive", "the price 0.0 is not positive"),
        (bars_of([10.0], low=[-1.0]), "price_not_positive", "allow_negative=True accepts it"),
        (bars_of([10.0], volume=[-5.0]), "negative_volume", "the value -5.0 is negative"),
        (bars_of([10.0], volume=[NAN]), "not_a_number", "no value (fix: drop_nan or fill_zero)"),
        (bars_of([10.0], volume=[np.inf]), "infinite", "an infinite value (fix: drop_nan)"),
        (bars_of([10.0, 11.0], minutes=[0, 0]), "duplicate", "has the stamp 1970-01-01T00:00:00Z"),
        (bars_of([10.0, 11.0], minutes=[1, 0]), "unsorted", "is earlier than the row before it"),
    ],
)
def test_each_fault_of_bars_is_found_and_told(bars: BarColumns, code: str, says: str) -> None:
    assert says in only(check(bars), code)


def test_a_bar_that_closes_before_it_opens_and_overlapping_bars_are_errors() -> None:
    good = bars_of([10.0, 11.0])
    arrays = [good.open_price, good.high_price, good.low_price, good.close_price, good.volume]
    backward = BarColumns("X.LOCAL", Interval.MINUTE, good.ts_event, good.ts_open, *arrays)
    assert {issue.code for issue in check(backward).errors} == {"bad_span"}
    long = BarColumns(
        "X.LOCAL", Interval.HOUR, good.ts_open, good.ts_open + 60 * NS_PER_MINUTE, *arrays
    )
    assert "give the right interval=, stamp= or tz=" in only(check(long), "overlap")


def test_negative_prices_pass_where_they_are_allowed() -> None:
    bars = bars_of([-10.0, 0.0])
    assert not check(bars).ok
    assert check(bars, allow_negative=True).ok


@pytest.mark.parametrize(
    ("ticks", "code", "says"),
    [
        (ticks_of([10.0], [9.0]), "crossed_quote", "the bid 10.0 is above the ask 9.0"),
        (ticks_of([-1.0], [9.0]), "price_not_positive", "is not positive, or 0 for none"),
        (ticks_of([NAN], [9.0]), "not_a_number", "no value (fix: drop_nan or fill_zero)"),
        (ticks_of([1.0, 1.0], [2.0, 2.0], [5, 4]), "unsorted", "is earlier than the row before"),
    ],
)
def test_each_fault_of_ticks_is_found_and_told(ticks: TickColumns, code: str, says: str) -> None:
    assert says in only(check(ticks), code)


def test_one_sided_and_locked_quotes_and_repeated_stamps_of_ticks_are_fine() -> None:
    report = check(ticks_of([0.0, 9.0, 9.0], [9.0, 0.0, 9.0], [1, 1, 1]))
    assert report.ok
    assert report.counts == {"repeated_stamp": 2}


def test_all_faults_are_counted_and_the_first_few_listed() -> None:
    bars = bars_of([10.0] * 100, high=[5.0] * 100, volume=[-1.0] * 100)
    report = check(bars, limit=3)
    assert report.counts["high_below_low"] == 100
    assert sum(issue.code == "high_below_low" for issue in report.errors) == 3
    with pytest.raises(DataError) as caught:
        report.raise_for_errors()
    text = str(caught.value)
    assert text.startswith("X.LOCAL, row 0, column 'high_price'")
    assert "In all 100 high_below_low, 100 negative_volume in 100 rows" in text
    assert "Nothing was changed; to mend: fix=('drop_invalid',), or --fix drop_invalid." in text
    assert len(text.splitlines()) == 6


def test_gaps_and_spikes_are_information_and_no_errors() -> None:
    prices = [10.0] * 40 + [20.0] * 20
    minutes = [*range(30), *range(90, 120)]
    report = check(bars_of(prices, minutes=minutes))
    assert report.ok
    assert report.counts == {"gap": 1, "spike": 1}
    assert "the longest from 1970-01-01T00:30:00Z to 1970-01-01T01:30:00Z" in str(report)
    assert "from 10.0 to 20.0" in str(report)


def test_a_weekend_is_no_gap_of_daily_bars() -> None:
    days = np.array([4, 7, 8, 20], dtype=np.int64) * NS_PER_DAY
    ones = np.ones(4)
    bars = BarColumns(
        "X.LOCAL", Interval.DAILY, days, days + NS_PER_DAY, ones, ones, ones, ones, ones
    )
    assert check(bars).counts == {"gap": 1}


def test_an_unknown_fix_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(DataError, match=r"fix 'sorted' does not exist \(did you mean 'sort'\?\)"):
        apply_fixes(bars_of([1.0]), ["sorted"])


def test_nothing_is_changed_without_a_fix() -> None:
    bars = bars_of([10.0, NAN], minutes=[1, 0])
    assert same(apply_fixes(bars, ()).columns.take(np.array([0])), bars.take(np.array([0])))
    assert apply_fixes(bars, ()).issues == ()


def test_each_fix_counts_what_it_changed_and_rows_keep_their_lines() -> None:
    bars = bars_of([10.0, 11.0, 12.0, 13.0], [11.0, 5.0, 13.0, 14.0], minutes=[2, 1, 0, 3])
    origin = Origin("prices.csv", np.array([2, 3, 4, 5]), "line")
    fixed = apply_fixes(bars, ["drop_invalid", "sort"], origin)
    assert fixed.columns.ts_event.tolist() == [m * NS_PER_MINUTE for m in (1, 3, 4)]
    assert fixed.origin.rows is not None
    assert fixed.origin.rows.tolist() == [4, 2, 5]
    assert [issue.code for issue in fixed.issues] == ["fixed_sort", "fixed_drop_invalid"]
    assert "fix sort changed 2 rows" in fixed.issues[0].message
    assert "fix drop_invalid changed 1 rows" in fixed.issues[1].message


def test_of_bars_with_one_stamp_the_last_row_stays() -> None:
    fixed = apply_fixes(bars_of([1.5, 2.5, 3.5], minutes=[0, 0, 1]), "drop_duplicates")
    assert isinstance(fixed.columns, BarColumns)
    assert fixed.columns.open_price.tolist() == [2.5, 3.5]


def test_of_equal_ticks_in_a_row_the_first_stays_and_different_ones_all_stay() -> None:
    ticks = ticks_of([1.0, 1.0, 1.5, 1.0], [2.0] * 4, [1, 1, 1, 2])
    fixed = apply_fixes(ticks, "drop_duplicates").columns
    assert isinstance(fixed, TickColumns)
    assert fixed.bid_price_1.tolist() == [1.0, 1.5, 1.0]


def test_clamping_widens_high_and_low_only() -> None:
    bars = bars_of([10.0], [9.0], [9.5], [12.0])
    fixed = apply_fixes(bars, "clamp_ohlc").columns
    assert isinstance(fixed, BarColumns)
    assert (fixed.high_price[0], fixed.low_price[0]) == (12.0, 9.0)
    assert (fixed.open_price[0], fixed.close_price[0]) == (10.0, 12.0)
    assert bars.high_price[0] == 9.0


def test_missing_volumes_become_zero_on_request_and_prices_do_not() -> None:
    bars = bars_of([10.0, NAN], volume=[NAN, 1.0])
    fixed = apply_fixes(bars, "fill_zero")
    assert isinstance(fixed.columns, BarColumns)
    assert fixed.columns.volume.tolist() == [0.0, 1.0]
    assert np.isnan(fixed.columns.open_price[1])
    assert "changed 1 values" in fixed.issues[0].message


def test_fixes_that_leave_no_row_are_an_error() -> None:
    with pytest.raises(DataError, match="no row is left after the fixes drop_nan"):
        apply_fixes(bars_of([NAN]), "drop_nan")


numbers = st.sampled_from([NAN, float("inf"), -1.0, 0.0, 1.0, 2.0, 3.0])
bar_rows = st.tuples(st.integers(0, 5), numbers, numbers, numbers, numbers, numbers)
tick_rows = st.tuples(st.integers(0, 3), numbers, numbers)
fix_sets = st.sets(st.sampled_from(sorted(FIXES)))


def fixed_twice(columns: Columns, fixes: set[str]) -> None:
    try:
        once = apply_fixes(columns, fixes)
    except DataError as error:
        assert "no row is left" in str(error)
        return
    again = apply_fixes(once.columns, fixes, once.origin)
    assert str(again.columns.to_frame().to_dict()) == str(once.columns.to_frame().to_dict())
    assert all("changed 0 " in issue.message for issue in again.issues)
    if fixes >= FIXES.keys():
        assert check(once.columns).ok


@given(st.lists(bar_rows, min_size=1, max_size=12), fix_sets)
def test_fixing_bars_twice_is_fixing_them_once_and_all_fixes_leave_no_error(
    rows: list[tuple[int, float, float, float, float, float]], fixes: set[str]
) -> None:
    minutes, opens, high, low, close, volume = (list(part) for part in zip(*rows, strict=True))
    bars = bars_of(opens, high, low, close, volume, minutes)
    fixed_twice(bars, fixes)
    fixed_twice(bars, set(FIXES))


@given(st.lists(tick_rows, min_size=1, max_size=12), fix_sets)
def test_fixing_ticks_twice_is_fixing_them_once_and_all_fixes_leave_no_error(
    rows: list[tuple[int, float, float]], fixes: set[str]
) -> None:
    times, bid, ask = (list(part) for part in zip(*rows, strict=True))
    ticks = ticks_of(bid, ask, times)
    fixed_twice(ticks, fixes)
    fixed_twice(ticks, set(FIXES))
