"""Bars and ticks as columns: what importers return, the catalog stores and the feed reads.

Invariants:

* All columns of one object have the same length n: int64 nanoseconds UTC for times, float64 for
  prices and volumes. Constructors check type, shape and length, at no cost per row.
* Contents are not checked here (order, prices, NaN): that is the job of ``foxtrot.data.quality``.
* ``slice``, ``between`` and ``split`` return views, never copies; treat columns as read-only.
* Columns are a ``foxtrot.data.series.Series`` of one chunk.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.constants import Interval
from foxtrot.core.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

IntArray: TypeAlias = NDArray[np.int64]
FloatArray: TypeAlias = NDArray[np.float64]
Array: TypeAlias = NDArray[Any]

_TIME_COLUMNS = frozenset({"ts_open", "ts_event"})
_INT64 = np.dtype(np.int64)
_FLOAT64 = np.dtype(np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class BarColumns:
    """Bars of one instrument and interval.

    Attributes:
        vt_symbol: the instrument, ``SYMBOL.EXCHANGE``.
        interval: nominal length of a bar.
        ts_open: begin of each bar, ns UTC, shape (n,).
        ts_event: close of each bar, ns UTC, shape (n,); the moment at which the bar is known.
        open_price: first price, shape (n,).
        high_price: highest price, shape (n,).
        low_price: lowest price, shape (n,).
        close_price: last price, shape (n,).
        volume: units traded, shape (n,); zeros where the source has none.
        turnover: money traded, shape (n,), or None.
        open_interest: open contracts at the close, shape (n,), or None.

    Raises:
        DataError: a column is no one-dimensional array of its type, or lengths differ.
    """

    vt_symbol: str
    interval: Interval
    ts_open: IntArray
    ts_event: IntArray
    open_price: FloatArray
    high_price: FloatArray
    low_price: FloatArray
    close_price: FloatArray
    volume: FloatArray
    turnover: FloatArray | None = None
    open_interest: FloatArray | None = None

    def __post_init__(self) -> None:
        _check_arrays(self)

    def __len__(self) -> int:
        return len(self.ts_open)

    def slice(self, start: int, stop: int) -> BarColumns:
        """Rows ``start`` to before ``stop`` as views (Python's slice rules)."""
        return BarColumns(self.vt_symbol, self.interval, **_taken(self, slice(start, stop)))

    def take(self, rows: Array) -> BarColumns:
        """Rows by boolean mask of shape (n,) or by row numbers, as copies."""
        return BarColumns(self.vt_symbol, self.interval, **_taken(self, rows))

    def between(self, start_ns: int | None, end_ns: int | None) -> BarColumns:
        """Bars with ``start_ns <= ts_open < end_ns`` (ns UTC, None for open), of sorted rows."""
        return self.slice(*bounds(self.ts_open, start_ns, end_ns))

    @property
    def is_bars(self) -> bool:
        """True."""
        return True

    @property
    def first_ts(self) -> int:
        """First ``ts_open``, ns UTC; 0 without rows."""
        return int(self.ts_open[0]) if len(self) else 0

    @property
    def last_ts(self) -> int:
        """Last ``ts_event``, ns UTC; 0 without rows."""
        return int(self.ts_event[-1]) if len(self) else 0

    def chunks(self) -> Iterator[BarColumns]:
        """All rows, as one chunk."""
        yield self

    def split(self, ts: int) -> tuple[BarColumns, BarColumns]:
        """Bars that had closed at ``ts`` (ns UTC), and the others, of sorted rows."""
        cut = known_rows(self, ts)
        return self.slice(0, cut), self.slice(cut, len(self))

    def to_frame(self) -> pd.DataFrame:
        """All columns as a DataFrame with the UTC index ``ts_open``; ``ts_event`` is aware too."""
        return _to_frame(self, "ts_open")


@dataclass(frozen=True, slots=True, eq=False)
class TickColumns:
    """Quotes of one instrument, best level, and optionally the last trade and the day's volume.

    Attributes:
        vt_symbol: the instrument, ``SYMBOL.EXCHANGE``.
        ts_event: moment of each tick, ns UTC, shape (n,).
        bid_price_1: best bid, shape (n,); 0 where there is none.
        ask_price_1: best offer, shape (n,); 0 where there is none.
        bid_volume_1: units bid, shape (n,).
        ask_volume_1: units offered, shape (n,).
        last_price: last trade's price, shape (n,), or None.
        last_volume: last trade's units, shape (n,), or None.
        volume: the day's cumulated units, shape (n,), or None.

    Raises:
        DataError: a column is no one-dimensional array of its type, or lengths differ.
    """

    vt_symbol: str
    ts_event: IntArray
    bid_price_1: FloatArray
    ask_price_1: FloatArray
    bid_volume_1: FloatArray
    ask_volume_1: FloatArray
    last_price: FloatArray | None = None
    last_volume: FloatArray | None = None
    volume: FloatArray | None = None

    def __post_init__(self) -> None:
        _check_arrays(self)

    def __len__(self) -> int:
        return len(self.ts_event)

    def slice(self, start: int, stop: int) -> TickColumns:
        """Rows ``start`` to before ``stop`` as views (Python's slice rules)."""
        return TickColumns(self.vt_symbol, **_taken(self, slice(start, stop)))

    def take(self, rows: Array) -> TickColumns:
        """Rows by boolean mask of shape (n,) or by row numbers, as copies."""
        return TickColumns(self.vt_symbol, **_taken(self, rows))

    def between(self, start_ns: int | None, end_ns: int | None) -> TickColumns:
        """Ticks with ``start_ns <= ts_event < end_ns`` (ns UTC, None for open), of sorted rows."""
        return self.slice(*bounds(self.ts_event, start_ns, end_ns))

    @property
    def is_bars(self) -> bool:
        """False."""
        return False

    @property
    def first_ts(self) -> int:
        """First ``ts_event``, ns UTC; 0 without rows."""
        return int(self.ts_event[0]) if len(self) else 0

    @property
    def last_ts(self) -> int:
        """Last ``ts_event``, ns UTC; 0 without rows."""
        return int(self.ts_event[-1]) if len(self) else 0

    def chunks(self) -> Iterator[TickColumns]:
        """All rows, as one chunk."""
        yield self

    def split(self, ts: int) -> tuple[TickColumns, TickColumns]:
        """Ticks before ``ts`` (ns UTC), and the others, of sorted rows."""
        cut = known_rows(self, ts)
        return self.slice(0, cut), self.slice(cut, len(self))

    def to_frame(self) -> pd.DataFrame:
        """A DataFrame of all columns with the UTC index ``ts_event``."""
        return _to_frame(self, "ts_event")


Columns: TypeAlias = BarColumns | TickColumns


def iter_arrays(columns: Columns) -> Iterator[tuple[str, Array]]:
    """Yield name and array of every column that is present, times first."""
    for field in fields(columns):
        value = getattr(columns, field.name)
        if isinstance(value, np.ndarray):
            yield field.name, value


def row_times(columns: Columns) -> IntArray:
    """The times by which rows are ordered and cut: ``ts_open`` of bars, ``ts_event`` of ticks."""
    return columns.ts_open if isinstance(columns, BarColumns) else columns.ts_event


def known_rows(columns: Columns, ts: int) -> int:
    """Number of sorted rows known before the step at ``ts`` (ns UTC): bars closed by then, ticks before it.

    So bars and ticks cut at one moment are in order of time together, and no bar counts before it has closed.
    """
    side: Literal["left", "right"] = "right" if columns.is_bars else "left"
    return int(np.searchsorted(columns.ts_event, ts, side=side))


def join_columns(parts: Sequence[Columns]) -> Columns:
    """Rows of one instrument one after the other, as copies (a single part as it is).

    Raises:
        DataError: the parts have different columns.
    """
    first = parts[0]
    if len(parts) == 1:
        return first
    names = [name for name, _ in iter_arrays(first)]
    for part in parts[1:]:
        check_same_columns(first.vt_symbol, names, [name for name, _ in iter_arrays(part)])
    arrays: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in names
    }
    if isinstance(first, BarColumns):
        return BarColumns(first.vt_symbol, first.interval, **arrays)
    return TickColumns(first.vt_symbol, **arrays)


def check_same_columns(vt_symbol: str, names: Sequence[str], other: Sequence[str]) -> None:
    """Refuse parts of one series that have different columns.

    Raises:
        DataError: names both sets and the instrument.
    """
    if set(other) != set(names):
        raise DataError(
            f"{vt_symbol}: files hold different columns, {', '.join(names)} and "
            f"{', '.join(other)}; write them anew with the same ones"
        )


def _check_arrays(columns: Columns) -> None:
    length = -1
    for field in fields(columns):
        name = field.name
        if name in {"vt_symbol", "interval"}:
            continue
        value = getattr(columns, name)
        if value is None and field.default is None:
            continue
        wanted = _INT64 if name in _TIME_COLUMNS else _FLOAT64
        _check_array(columns.vt_symbol, name, value, wanted)
        if length < 0:
            length = len(value)
        elif len(value) != length:
            raise DataError(
                f"{columns.vt_symbol}: column {name!r} has {len(value)} rows, those before it "
                f"{length}; all columns must have one length"
            )


def _check_array(vt_symbol: str, name: str, value: object, wanted: np.dtype[Any]) -> None:
    if isinstance(value, np.ndarray) and value.dtype == wanted and value.ndim == 1:
        return
    found = type(value).__name__
    if isinstance(value, np.ndarray):
        found = f"{value.dtype} of shape {value.shape}"
    raise DataError(
        f"{vt_symbol}: column {name!r} is {found}; it must be a one-dimensional "
        f"numpy array of {wanted} (numpy.asarray(values, dtype={str(wanted)!r}) converts it)"
    )


def _taken(columns: Columns, rows: slice | Array) -> dict[str, Any]:
    return {name: values[rows] for name, values in iter_arrays(columns)}


def bounds(times: IntArray, start_ns: int | None, end_ns: int | None) -> tuple[int, int]:
    """First and one past the last row with ``start_ns <= time < end_ns`` (ns UTC, None for open), of sorted times."""
    start = 0 if start_ns is None else int(np.searchsorted(times, start_ns, side="left"))
    stop = len(times) if end_ns is None else int(np.searchsorted(times, end_ns, side="left"))
    return start, max(start, stop)


def _to_frame(columns: Columns, index: str) -> pd.DataFrame:
    import pandas as pd

    data = {
        name: pd.DatetimeIndex(values.view("datetime64[ns]"), tz="UTC")
        if name in _TIME_COLUMNS
        else values
        for name, values in iter_arrays(columns)
    }
    times = data.pop(index)
    return pd.DataFrame(data, index=pd.DatetimeIndex(times, name=index))
