"""From stamps to the span of each bar, and from a caller's start and end to bounds in ns UTC.

Invariants:

* ``ts_open < ts_event`` for every span made here.
* A daily bar runs from its stamp to the same local time on the next calendar day, which for dates is
  from local midnight to the next local midnight, however long that day is.
* A bound never loses a row: of daily bars, a start with a time or another zone counts from its own date.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd

from foxtrot.core.constants import (
    NS_PER_DAY,
    NS_PER_HOUR,
    NS_PER_MINUTE,
    NS_PER_SECOND,
    Interval,
)
from foxtrot.core.errors import DataError
from foxtrot.data.columns import IntArray
from foxtrot.data.stamps import Stamps, add_days, all_midnight, from_local, zone_name

Moment: TypeAlias = str | int | dt.date | dt.datetime | np.datetime64 | None
Stamp: TypeAlias = Literal["open", "close"]

INTERVAL_NS = {
    Interval.SECOND: NS_PER_SECOND,
    Interval.MINUTE: NS_PER_MINUTE,
    Interval.MINUTE_3: 3 * NS_PER_MINUTE,
    Interval.MINUTE_5: 5 * NS_PER_MINUTE,
    Interval.MINUTE_10: 10 * NS_PER_MINUTE,
    Interval.MINUTE_15: 15 * NS_PER_MINUTE,
    Interval.MINUTE_30: 30 * NS_PER_MINUTE,
    Interval.HOUR: NS_PER_HOUR,
    Interval.HOUR_2: 2 * NS_PER_HOUR,
    Interval.HOUR_4: 4 * NS_PER_HOUR,
    Interval.DAILY: NS_PER_DAY,
    Interval.WEEKLY: 7 * NS_PER_DAY,
}
"""Nominal length of the named intervals in ns."""

_NAMED = {length: interval for interval, length in INTERVAL_NS.items()}
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_RARE = 0.01


@dataclass(frozen=True, slots=True)
class Spans:
    """Opens and closes in ns UTC, shape (n,) each, with what was assumed."""

    ts_open: IntArray
    ts_event: IntArray
    interval: Interval
    notes: tuple[str, ...]


def find_interval(interval: Interval | str) -> Interval:
    """An interval of bars by member or value (``1m``, ``1h``, ``1d``).

    Raises:
        DataError: unknown, or not one of bars.
    """
    bars = [member for member in Interval if member is not Interval.TICK]
    try:
        found = Interval(interval)
    except ValueError:
        found = Interval.TICK
    if found is Interval.TICK:
        raise DataError(
            f"interval {str(interval)!r} is none of bars; use one of "
            f"{', '.join(member.value for member in bars)}"
        )
    return found


def bar_spans(
    stamps: Stamps,
    closes: IntArray | None,
    *,
    interval: Interval | None,
    stamp: Stamp | None,
    source: str,
) -> Spans:
    """Work out when each bar opens and closes; rows may be in any order.

    Args:
        stamps: the file's stamps.
        closes: closes in ns UTC, where the file has a column of its own for them; then ``stamps`` opens.
        interval: the bars' interval; None to find it from the distances between stamps.
        stamp: whether a stamp is its bar's open or close; None for open.
        source: name for errors.

    Raises:
        DataError: the interval cannot be found, or ``stamp`` is neither open nor close.
    """
    if stamp not in {None, "open", "close"}:
        raise DataError(f"stamp {stamp!r} is neither 'open' nor 'close'")
    if closes is not None:
        return _spans_between(stamps.ns, closes, interval)
    step = _common_step(stamps, interval, source)
    found = interval or _NAMED.get(step, Interval.OTHER)
    told = f"The interval is {found.value}, " + (
        "as given." if interval else f"found from the stamps (most are {_length(step)} apart)."
    )
    if step >= NS_PER_DAY:
        spans = _calendar_spans(stamps, found, stamp or "open")
    elif stamp == "close":
        spans = Spans(stamps.ns - step, stamps.ns, found, ())
    else:
        spans = Spans(stamps.ns, stamps.ns + step, found, ())
    why = "as stamp says" if stamp else "since stamp was not given"
    asked = f"A stamp is its bar's {stamp or 'open'}, {why}."
    return Spans(spans.ts_open, spans.ts_event, found, (told, asked, *spans.notes))


def _spans_between(opens: IntArray, closes: IntArray, interval: Interval | None) -> Spans:
    lengths, counts = np.unique(closes - opens, return_counts=True)
    length = int(lengths[counts.argmax()])
    found = (
        interval or _NAMED.get(length) or _NAMED.get(-(-length // NS_PER_SECOND) * NS_PER_SECOND)
    )
    found = found or Interval.OTHER
    told = f"The interval is {found.value}, " + (
        "as given." if interval else f"found from the spans (most are {_length(length)} long)."
    )
    return Spans(opens, closes, found, (told, "Opens and closes are columns of their own."))


def _common_step(stamps: Stamps, interval: Interval | None, source: str) -> int:
    """The distance of neighbours in ns: the given interval's, the usual one, or the least that is not rare."""
    if interval is not None and interval in INTERVAL_NS:
        return INTERVAL_NS[interval]
    distances = np.diff(np.sort(stamps.ns))
    distances = distances[distances > 0]
    if not len(distances):
        if stamps.dates and interval is None:
            return NS_PER_DAY
        raise DataError(
            f"{source}: one stamp does not tell the interval; give it, e.g. interval='1m'"
        )
    steps, counts = np.unique(distances, return_counts=True)
    usual = int(steps[counts.argmax()])
    if usual >= NS_PER_DAY or stamps.dates:
        days = round(usual / NS_PER_DAY)
        return days * NS_PER_DAY if days in {1, 7} else usual
    return int(steps[counts >= _RARE * counts.sum()][0])


def _calendar_spans(stamps: Stamps, interval: Interval, stamp: Stamp) -> Spans:
    """Spans of a day and more, counted in calendar days of the zone."""
    zone = stamps.zone
    if stamp == "close":
        notes = [f"A date's bar closes at the end of that day in {zone_name(zone)}."]
        ends = add_days(stamps.ns, 1, zone) if stamps.dates else stamps.ns
        if interval is Interval.DAILY:
            begins = add_days(ends, -1, zone)
        else:
            week = add_days(ends, -7, zone) if interval is Interval.WEEKLY else None
            begins = _since_previous(ends, week)
            notes.append(
                "A bar opens when the one before it closes, a weekly one at most a week ago."
            )
        return Spans(begins, ends, interval, tuple(notes if stamps.dates else notes[1:]))
    if interval is Interval.DAILY:
        when = "next local midnight" if all_midnight(stamps.ns, zone) else "same time a day later"
        told = f"A daily bar closes at the {when} in {zone_name(zone)}."
        return Spans(stamps.ns, add_days(stamps.ns, 1, zone), interval, (told,))
    week = add_days(stamps.ns, 7, zone) if interval is Interval.WEEKLY else None
    ends = -_since_previous(-stamps.ns, None if week is None else -week)
    told = f"A bar closes when the next one opens{_at_most(interval)}."
    return Spans(stamps.ns, ends, interval, (told,))


def _at_most(interval: Interval) -> str:
    return ", but is never longer than a week" if interval is Interval.WEEKLY else ""


def _since_previous(ends: IntArray, begins: IntArray | None) -> IntArray:
    """Begin of each span: the end before it, but not earlier than ``begins``; rows in any order.

    The first span, which has no predecessor, is as long as the second.
    """
    moments, places = np.unique(ends, return_inverse=True)
    if len(moments) < 2:
        return ends - 7 * NS_PER_DAY if begins is None else begins
    previous = np.concatenate([[2 * moments[0] - moments[1]], moments[:-1]]).astype(np.int64)[
        places
    ]
    return previous if begins is None else np.maximum(previous, begins)


def _length(ns: int) -> str:
    for size, unit in ((NS_PER_DAY, "d"), (NS_PER_HOUR, "h"), (NS_PER_MINUTE, "min")):
        if ns >= size and ns % size == 0:
            return f"{ns // size} {unit}"
    return f"{ns / NS_PER_SECOND:g} s"


def find_bounds(
    start: Moment, end: Moment, zone: dt.tzinfo, *, by_day: bool
) -> tuple[int | None, int | None, tuple[str, ...]]:
    """Turn a caller's start and end into ns UTC: from start (included) to end (excluded).

    Args:
        start: ISO text, date, datetime or ns UTC; a bare date begins at its local midnight.
        end: the same; a bare date includes that whole day.
        zone: zone of what has none.
        by_day: rows are dates: a bound's own calendar date counts, and the start's whole day belongs.

    Returns:
        Start and end in ns UTC (None for open) and what was assumed.

    Raises:
        DataError: not a time, or start is not before end.
    """
    notes: list[str] = []
    first = None if start is None else _bound("start", start, zone, by_day, notes)
    last = None if end is None else _bound("end", end, zone, by_day, notes)
    if first is not None and last is not None and first >= last:
        raise DataError(
            f"start {start!s} is not before end {end!s}; exchange them or widen the range"
        )
    return first, last, tuple(notes)


def _bound(
    word: str,
    value: str | int | dt.date | np.datetime64,
    zone: dt.tzinfo,
    by_day: bool,
    notes: list[str],
) -> int:
    moment = _timestamp(word, value)
    if isinstance(value, int | np.integer):
        # An instant, not somebody's date: look at it in the data's own zone.
        moment = moment.tz_convert(zone)
    elif _is_bare(value) and word == "end":
        notes.append(f"The end {moment.date()} is a bare date: that day is included.")
        moment += pd.Timedelta(days=1)
    elif moment.tzinfo is not None and by_day:
        notes.append(f"Bars are dates, so of the {word} {value!s} its own date and time count.")
    if moment.tzinfo is not None and not by_day:
        return int(moment.as_unit("ns").value)
    if by_day and word == "start":
        moment = moment.normalize()
    return int(from_local(pd.DatetimeIndex([moment.tz_localize(None)]), zone)[0])


def _is_bare(value: object) -> bool:
    if isinstance(value, str):
        return bool(_DATE.fullmatch(value.strip()))
    return isinstance(value, dt.date) and not isinstance(value, dt.datetime)


def _timestamp(word: str, value: str | int | dt.date | np.datetime64) -> pd.Timestamp:
    moment: pd.Timestamp | None = None
    if not isinstance(value, bool | float):
        try:
            if isinstance(value, int | np.integer):
                return pd.Timestamp(int(value), unit="ns", tz="UTC")
            moment = pd.Timestamp(value)
        except (ValueError, TypeError, OverflowError):
            moment = None
    if moment is None or pd.isna(moment):
        raise DataError(
            f"{word} {value!r} is no time; give a date such as '2024-01-31', ISO text, a datetime, "
            f"or nanoseconds UTC"
        )
    return moment
