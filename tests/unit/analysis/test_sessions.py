"""Days, months and years of a curve; drawdown episodes."""

import datetime as dt

import numpy as np
import pytest

from foxtrot.analysis.drawdowns import drawdown_episodes, drawdown_money, drawdown_series
from foxtrot.analysis.sessions import (
    daily_curve,
    monthly_returns,
    periods_per_year,
    session_days,
    yearly_returns,
)
from foxtrot.core.constants import NS_PER_DAY, NS_PER_HOUR
from foxtrot.core.errors import ConfigError
from tests.unit.analysis.helpers import MONDAY, business_days, daily_prices


def day(text):
    return (dt.date.fromisoformat(text) - dt.date(1970, 1, 1)).days


def test_midnight_belongs_to_the_day_that_ends_there():
    ts = np.array([MONDAY + NS_PER_DAY - 1, MONDAY + NS_PER_DAY, MONDAY + NS_PER_DAY + 1])

    assert session_days(ts).tolist() == [day("2024-01-01"), day("2024-01-01"), day("2024-01-02")]


@pytest.mark.parametrize("offset_hours", [-5, 0, 8, 9])
def test_a_daily_bar_of_any_zone_falls_on_its_own_date(offset_hours):
    # Given daily bars from local midnight to local midnight
    ts_open = business_days(10) - offset_hours * NS_PER_HOUR
    prices = daily_prices(np.ones(10), ts_open=ts_open)

    days = session_days(prices.ts_event, [prices])

    assert days.tolist() == (business_days(10) // NS_PER_DAY).tolist()
    assert periods_per_year(days) == 252


def test_days_of_another_zone():
    # 03:00 UTC is the evening before in New York
    ts = np.array([MONDAY + 3 * NS_PER_HOUR])

    assert session_days(ts, timezone="America/New_York").tolist() == [day("2023-12-31")]
    with pytest.raises(ConfigError, match="Nowhere"):
        session_days(ts, timezone="Nowhere/At_All")


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (np.arange(100), 365),
        (business_days(100) // NS_PER_DAY, 252),
        (np.arange(20) * 7, 52),
        (np.arange(20) * 30, 12),
        (np.arange(20) * 91, 4),
        (np.arange(20) * 365, 1),
        (np.array([5]), 252),
    ],
)
def test_periods_of_a_year(days, expected):
    assert periods_per_year(days) == expected


def test_sunday_evenings_do_not_make_a_market_that_trades_weekends():
    days = np.array([d for d in range(350) if (d + 3) % 7 != 5])

    assert periods_per_year(days) == 252


def test_returns_by_month_and_year_compound_to_the_total():
    rng = np.random.default_rng(5)
    equity = 1000.0 * np.cumprod(1.0 + rng.normal(0.0, 0.01, 400))
    curve = daily_curve(business_days(400) + NS_PER_DAY, equity, 1000.0)

    months, years = monthly_returns(curve), yearly_returns(curve)

    assert next(iter(months)) == (2024, 1)
    assert list(years) == [2024, 2025]
    total = equity[-1] / 1000.0
    assert np.prod([1 + v for v in months.values()]) == pytest.approx(total)
    assert np.prod([1 + v for v in years.values()]) == pytest.approx(total)
    assert np.prod(1.0 + curve.returns) == pytest.approx(total)


def test_daily_curve_keeps_the_last_point_of_each_day():
    ts = MONDAY + np.array([1, 2, 25, 26, 30]) * NS_PER_HOUR
    curve = daily_curve(ts, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 1.0)

    assert curve.equity.tolist() == [2.0, 5.0]
    assert curve.last.tolist() == [1, 4]


def test_returns_end_with_the_day_that_lost_everything():
    curve = daily_curve(business_days(4) + NS_PER_DAY, np.array([10.0, 0.0, 0.0, 5.0]), 10.0)

    assert curve.returns.tolist() == [0.0, -1.0]
    assert monthly_returns(curve) == {(2024, 1): -0.5}


def test_episodes_run_from_peak_to_recovery():
    equity = np.array([10.0, 9.0, 8.0, 10.0, 11.0, 10.0, 11.0, 10.5, 9.9])
    fall = drawdown_series(equity)

    episodes = drawdown_episodes(fall)

    assert episodes.start.tolist() == [0, 4, 6]
    assert episodes.end.tolist() == [3, 6, 8]
    assert episodes.trough.tolist() == [2, 5, 8]
    assert episodes.depth.tolist() == pytest.approx([-0.2, -1 / 11, -0.1])
    assert episodes.recovered.tolist() == [True, True, False]
    assert episodes.durations(np.arange(9) * 7).tolist() == [21, 14, 14]


def test_a_fall_in_the_last_step_alone_counts_when_asked():
    fall = drawdown_series(np.array([10.0, 11.0, 9.0]))

    assert len(drawdown_episodes(fall)) == 0
    assert len(drawdown_episodes(fall, min_points=1)) == 1
    assert len(drawdown_episodes(np.zeros(0))) == 0


def test_drawdown_of_a_curve_below_its_capital_and_below_zero():
    equity = np.array([90.0, -10.0])

    assert drawdown_series(equity, 100.0).tolist() == pytest.approx([-0.1, -1.1])
    assert drawdown_money(equity, 100.0).tolist() == [-10.0, -110.0]
    assert drawdown_series(np.array([-5.0])).tolist() == [-1.0]
    assert len(drawdown_series(np.zeros(0))) == len(drawdown_money(np.zeros(0))) == 0
