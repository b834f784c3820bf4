"""Which day, month and year a point of the equity curve belongs to.

A point is stamped at the end of its step, so one at exactly midnight belongs to the day that ends there. Where the
point is the close of a bar the day is the one in which the *middle* of that bar lies: a daily bar from midnight to
midnight, in whatever time zone between UTC−11 and UTC+11, so falls on its own date, also when days are cut in UTC.

Days are counted as in numpy's ``datetime64[D]``: whole days since 1970-01-01 in the time zone asked for.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from foxtrot.analysis.result import PriceSeries
from foxtrot.core.constants import NS_PER_DAY, NS_PER_HOUR, NS_PER_SECOND
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import ns_to_datetime

_WEEKEND_SHARE = (
    0.2  # Saturdays and Sundays are 2/7 of a market that trades daily, Sunday evenings alone 1/6
)


@dataclass(frozen=True, slots=True, eq=False)
class DailyCurve:
    """The curve's last value of each day that has one.

    Attributes:
        days: Days since 1970-01-01, shape (n,), ascending.
        last: Index of each day's last point in the full curve, shape (n,).
        equity: Equity at that point, shape (n,).
        capital: Equity before the first day.
    """

    days: NDArray[np.int64]
    last: NDArray[np.int64]
    equity: NDArray[np.float64]
    capital: float

    @property
    def returns(self) -> NDArray[np.float64]:
        """Simple return of each day, the first against the capital, shape (n,).

        After the first day that ends with nothing (equity ≤ 0) there is nothing to earn a return on: those days
        are left out, so the array may be shorter.
        """
        if not len(self.equity):
            return np.zeros(0)
        before = np.concatenate(([self.capital], self.equity[:-1]))
        dead = np.flatnonzero(self.equity <= 0.0)
        stop = int(dead[0]) + 1 if len(dead) else len(self.equity)
        return self.equity[:stop] / before[:stop] - 1.0


def session_days(
    ts: NDArray[np.int64], prices: Sequence[PriceSeries] = (), timezone: str = "UTC"
) -> NDArray[np.int64]:
    """Return the day of each point as days since 1970-01-01, shape (n,).

    Args:
        ts: Ends of steps, ns UTC, ascending.
        prices: Bars; a point that is the close of a bar takes the day of the bar's middle.
        timezone: Name of the zone in which days begin at midnight.

    Raises:
        ConfigError: there is no such time zone.
    """
    moment = ts - 1
    open_ = np.ones(len(ts), dtype=np.bool_)
    for series in prices:
        if not len(series) or not open_.any():
            continue
        at = np.minimum(np.searchsorted(series.ts_event, ts), len(series) - 1)
        hit = open_ & (series.ts_event[at] == ts)
        moment = np.where(hit, (series.ts_open[at] + series.ts_event[at]) // 2, moment)
        open_ &= ~hit
    days: NDArray[np.int64] = (moment + _utc_offsets(moment, timezone)) // NS_PER_DAY
    return np.maximum.accumulate(days) if len(days) else days


def daily_curve(
    ts: NDArray[np.int64],
    equity: NDArray[np.float64],
    capital: float,
    prices: Sequence[PriceSeries] = (),
    timezone: str = "UTC",
) -> DailyCurve:
    """Take the last point of each day of a curve; see :func:`session_days` for what a day is."""
    days = session_days(ts, prices, timezone)
    if not len(days):
        return DailyCurve(days, np.zeros(0, dtype=np.int64), np.zeros(0), capital)
    last = np.append(np.flatnonzero(np.diff(days)), len(days) - 1)
    return DailyCurve(days[last], last, equity[last], capital)


def periods_per_year(days: NDArray[np.int64]) -> int:
    """Guess how many of these days make a year, from days that have a value.

    365 where weekends trade (more than a fifth of the days), 252 where they do not; for sparser curves 52 (a week
    between values), 12 (a month), 4 (a quarter) or 1 (a year), by the median distance.
    """
    if len(days) < 2:
        return 252
    distance = float(np.median(np.diff(days)))
    for least, periods in ((300.0, 1), (80.0, 4), (25.0, 12), (5.0, 52)):
        if distance >= least:
            return periods
    weekday = (days + 3) % 7
    return 365 if float((weekday >= 5).mean()) > _WEEKEND_SHARE else 252


def monthly_returns(curve: DailyCurve) -> dict[tuple[int, int], float]:
    """Return (year, month) → the month's return as a fraction, in order; months without a value are absent.

    A period that begins with nothing left (equity ≤ 0) has no return and is absent too.
    """
    months = curve.days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
    return {
        (1970 + month // 12, month % 12 + 1): value for month, value in _by_period(curve, months)
    }


def yearly_returns(curve: DailyCurve) -> dict[int, float]:
    """Return year → the year's return as a fraction, in order; see :func:`monthly_returns`."""
    years = curve.days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64)
    return {1970 + year: value for year, value in _by_period(curve, years)}


def _by_period(curve: DailyCurve, period: NDArray[np.int64]) -> list[tuple[int, float]]:
    if not len(period):
        return []
    last = np.append(np.flatnonzero(np.diff(period)), len(period) - 1)
    ends = curve.equity[last]
    begins = np.concatenate(([curve.capital], ends[:-1]))
    return [
        (int(number), float(end / begin - 1.0))
        for number, begin, end in zip(period[last], begins, ends, strict=True)
        if begin > 0.0
    ]


def _utc_offsets(moment: NDArray[np.int64], timezone: str) -> NDArray[np.int64]:
    """Return local minus UTC time at each moment, ns; offsets are looked up once an hour that occurs."""
    if timezone == "UTC" or not len(moment):
        return np.zeros(len(moment), dtype=np.int64)
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigError(
            f"timezone {timezone!r} is unknown; use a name such as 'America/New_York' or 'UTC'"
        ) from error
    hours, where = np.unique(moment // NS_PER_HOUR, return_inverse=True)
    seconds = [
        ns_to_datetime(int(hour) * NS_PER_HOUR, zone).utcoffset() or dt.timedelta()
        for hour in hours
    ]
    offsets = np.array([int(span.total_seconds()) for span in seconds], dtype=np.int64)
    return offsets[where] * NS_PER_SECOND
