"""Time stamps of files as nanoseconds UTC, and what can be known from them: zone, dates, interval.

Invariants:

* Stamps without offset are never guessed at: intraday ones need ``tz``; dates are UTC dates unless
  ``tz`` says otherwise, and either is told in a note.
* Nothing is rounded; what cannot be an int64 of nanoseconds is refused.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd
from pandas.errors import OutOfBoundsDatetime

from foxtrot.core.constants import NS_PER_DAY
from foxtrot.core.errors import DataError
from foxtrot.data.columns import Array, IntArray
from foxtrot.data.names import nearest

Place = Callable[[int], str]

_OFFSET = r"(?:[zZ]|[+-]\d{2}:?\d{2})\s*$"
_EPOCHS = (
    ("seconds", 10**11, 10**9),
    ("milliseconds", 10**14, 10**6),
    ("microseconds", 10**17, 1000),
)


@dataclass(frozen=True, slots=True)
class Stamps:
    """Parsed stamps.

    Attributes:
        ns: nanoseconds UTC, shape (n,).
        zone: zone in which days begin and bare dates are meant.
        dates: the stamps are calendar dates, not instants.
        notes: what was assumed, as sentences.
    """

    ns: IntArray
    zone: dt.tzinfo
    dates: bool
    notes: tuple[str, ...]


def find_zone(tz: str | dt.tzinfo | None) -> dt.tzinfo | None:
    """A zone by IANA name, or as it is.

    Raises:
        DataError: no zone has the name; tells the nearest.
    """
    if tz is None or isinstance(tz, dt.tzinfo):
        return tz
    if tz.upper() in {"UTC", "Z"}:
        return dt.UTC
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        near = nearest(tz, sorted(available_timezones()))
        raise DataError(
            f"time zone {tz!r} is unknown{near}; use an IANA name such as 'America/New_York'"
        ) from error


def parse_stamps(
    values: pd.Series[Any],
    place: Place,
    *,
    tz: dt.tzinfo | None,
    time_format: str | None = None,
    dates_allowed: bool = True,
) -> Stamps:
    """Read a column of stamps: text, datetimes, dates or epoch numbers, none of them missing.

    Args:
        values: the column, shape (n,).
        place: tells the place of a row for errors.
        tz: zone of stamps without offset, and of days.
        time_format: ``strptime`` format of text that is not ISO 8601.
        dates_allowed: stamps without offset that are all midnight are dates (bars), else instants.

    Raises:
        DataError: unreadable or out of range, no zone given, or a local time that never was.
    """
    try:
        if pd.api.types.is_numeric_dtype(values.dtype) and time_format is None:
            return _from_numbers(values, place, tz)
        index = _to_index(values, place, time_format)
        if index.tz is not None:
            zone = tz or index.tz
            told = f"Stamps carry an offset; days are those of {zone_name(zone)}."
            return Stamps(_utc_ns(index), zone, False, (told,))
        return _from_naive(index, place, tz, dates_allowed)
    except OutOfBoundsDatetime as error:
        raise DataError(f"{place(0)}: a stamp lies outside of 1677 to 2262: {error}") from error


def zone_name(zone: dt.tzinfo) -> str:
    """Name of a zone for people."""
    return "UTC" if zone is dt.UTC else str(zone)


def is_utc(zone: dt.tzinfo) -> bool:
    """Whether days of the zone are UTC days all year."""
    return zone is dt.UTC or str(zone).upper() in {"UTC", "ETC/UTC"}


def local_index(ns: IntArray, zone: dt.tzinfo) -> pd.DatetimeIndex:
    """Wall-clock times (without zone) of instants in ns UTC."""
    index = pd.DatetimeIndex(ns.view("datetime64[ns]"))
    return index if is_utc(zone) else index.tz_localize("UTC").tz_convert(zone).tz_localize(None)


def from_local(index: pd.DatetimeIndex, zone: dt.tzinfo) -> IntArray:
    """Instants in ns UTC of wall-clock times.

    A time skipped by the clock becomes the next that was; of one that came twice the first is meant
    (which matters for midnights in zones that change the clock then).
    """
    index = index.as_unit("ns")
    if is_utc(zone):
        return index.asi8
    first = np.ones(len(index), dtype=np.bool_)
    return _utc_ns(index.tz_localize(zone, ambiguous=first, nonexistent="shift_forward"))


def add_days(ns: IntArray, days: int, zone: dt.tzinfo) -> IntArray:
    """The same wall-clock time ``days`` calendar days later, ns UTC."""
    if is_utc(zone):
        return ns + days * NS_PER_DAY
    return from_local(local_index(ns, zone) + pd.Timedelta(days=days), zone)


def all_midnight(ns: IntArray, zone: dt.tzinfo) -> bool:
    """Whether every instant is a local midnight."""
    index = local_index(ns, zone)
    return bool((index.as_unit("ns").asi8 % NS_PER_DAY == 0).all())


def _utc_ns(index: pd.DatetimeIndex) -> IntArray:
    return index.tz_convert("UTC").tz_localize(None).as_unit("ns").asi8


def _from_numbers(values: pd.Series[Any], place: Place, tz: dt.tzinfo | None) -> Stamps:
    numbers: Array = values.to_numpy()
    middle = float(np.median(np.abs(numbers)))
    whole = bool((numbers == np.floor(numbers)).all())
    if whole and numbers.min() >= 19_000_101 and numbers.max() <= 21_001_231:
        text = pd.Series(numbers.astype(np.int64).astype(str))
        return _from_naive(_to_index(text, place, "%Y%m%d"), place, tz, True)
    unit, factor = next(((u, f) for u, top, f in _EPOCHS if middle < top), ("nanoseconds", 1))
    if numbers.dtype.kind == "f" and factor == 1:
        raise DataError(
            f"{place(0)}: stamps in nanoseconds were read as decimal numbers, which cannot hold them "
            f"exactly; write them as whole numbers and leave out rows without a stamp"
        )
    if np.abs(numbers).max() > (2**63 - 1) // factor:
        at = int(np.abs(numbers).argmax())
        raise DataError(f"{place(at)}: {numbers[at]} is no stamp in epoch {unit} like the others")
    ns = _scaled(numbers, factor)
    zone = tz or dt.UTC
    told = (
        f"Stamps are numbers, taken as epoch {unit} by their size; days are {zone_name(zone)} days."
    )
    return Stamps(ns, zone, False, (told,))


def _scaled(numbers: Array, factor: int) -> IntArray:
    if numbers.dtype.kind != "f":
        return numbers.astype(np.int64) * factor
    # Decimal seconds are only good to about 0.2 us: round to the microsecond, as their writers do.
    micros = np.rint(numbers * (factor / 1000)).astype(np.int64)
    return micros * 1000


def _to_index(values: pd.Series[Any], place: Place, time_format: str | None) -> pd.DatetimeIndex:
    if isinstance(values.dtype, pd.DatetimeTZDtype) or values.dtype.kind == "M":
        return pd.DatetimeIndex(values)
    form = time_format or "ISO8601"
    try:
        return pd.DatetimeIndex(pd.to_datetime(values, format=form))
    except OutOfBoundsDatetime:
        raise
    except (ValueError, TypeError) as error:
        coerced = pd.to_datetime(values, format=form, utc=True, errors="coerce")
        bad = np.flatnonzero(coerced.isna().to_numpy())
        if len(bad):
            at = int(bad[0])
            wanted = repr(time_format) if time_format else "ISO 8601 (2024-01-31T09:30:00Z)"
            raise DataError(
                f"{place(at)}: {values.iloc[at]!r} is no time in the form {wanted}; "
                f"give the form with time_format, for example time_format='%d.%m.%Y %H:%M'"
            ) from error
        _refuse_mixed(values, place)
        return pd.DatetimeIndex(coerced)


def _refuse_mixed(values: pd.Series[Any], place: Place) -> None:
    bare = np.flatnonzero(~values.astype(str).str.contains(_OFFSET, regex=True).to_numpy())
    if len(bare):
        at = int(bare[0])
        raise DataError(
            f"{place(at)}: {values.iloc[at]!r} has no offset from UTC, while others have one; "
            f"write all of them in one way"
        )


def _from_naive(
    index: pd.DatetimeIndex, place: Place, tz: dt.tzinfo | None, dates_allowed: bool
) -> Stamps:
    intraday = np.flatnonzero(index != index.normalize())
    zone = tz or dt.UTC
    if dates_allowed and not len(intraday):
        taken = "as tz says" if tz else "since no time zone was given"
        told = f"Stamps are dates, taken as {zone_name(zone)} dates, {taken}."
        return Stamps(from_local(index, zone), zone, True, (told,))
    if tz is None:
        at = int(intraday[0]) if len(intraday) else 0
        raise DataError(
            f"{place(at)}: {index[at].isoformat()} has no time zone; say which one is meant with "
            f"tz='UTC', tz='America/New_York' and so on (on the command line: --tz UTC)"
        )
    ns, notes = _localised(index.as_unit("ns"), place, tz)
    told = f"Stamps have no offset and are {zone_name(zone)} times, as tz says."
    return Stamps(ns, zone, False, (told, *notes))


def _localised(
    index: pd.DatetimeIndex, place: Place, zone: dt.tzinfo
) -> tuple[IntArray, tuple[str, ...]]:
    if is_utc(zone):
        return index.asi8, ()
    aware = index.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    lost = np.flatnonzero(aware.isna())
    if not len(lost):
        return _utc_ns(aware), ()
    try:
        ns = _utc_ns(index.tz_localize(zone, ambiguous="infer", nonexistent="raise"))
    except ValueError as error:
        at = int(lost[0])
        raise DataError(
            f"{place(at)}: {index[at].isoformat()} did not happen, or happened twice, in "
            f"{zone_name(zone)}, where the clock was changed; write the stamps in UTC or with offset"
        ) from error
    return ns, (f"{len(lost)} stamps that happened twice were told apart by the order of rows.",)
