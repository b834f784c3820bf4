"""What a run keeps of series that are read in chunks: prices for its result, and the newest bars for ``history``.

Invariants: what is kept has a bound that does not grow with the history. Up to ``MAX_POINTS`` rows, bars are kept one
by one and quotes by the minute, exactly as ``price_series`` gives them of columns in memory. Of longer histories a
point stands for a minute, an hour or a day, and holds its first, highest, lowest and last price, the sum of volumes,
and the first and last stamps in it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np

from foxtrot.analysis.result import PriceSeries
from foxtrot.core.constants import NS_PER_DAY, NS_PER_HOUR, NS_PER_MINUTE, Interval
from foxtrot.core.objects import BarData
from foxtrot.data.columns import BarColumns, Columns
from foxtrot.data.feed import Block
from foxtrot.data.series import Series
from foxtrot.server.backtest.equity import bucketed, price_rows, price_series
from foxtrot.server.backtest.loop import bars_of

MAX_POINTS = 1_000_000
"""Points kept in all, shared by the series that are read in chunks: 56 bytes each."""

HISTORY_BARS = 65_536
"""Bars kept for ``history``; asking for more reads them anew."""

_BUCKETS = {NS_PER_MINUTE: "a minute", NS_PER_HOUR: "an hour", NS_PER_DAY: "a day"}
_ARRAYS = tuple(field.name for field in fields(PriceSeries) if field.name != "vt_symbol")


class Marks:
    """The prices of one series, written down while it is read.

    Args:
        series: what is read.
        limit: points at most, unless days are more.

    Attributes:
        bucket: length of a point's span, ns; 0 where every bar is a point.
    """

    def __init__(self, series: Series, limit: int) -> None:
        self._vt_symbol = series.vt_symbol
        self._offset = 1 if series.is_bars else 0  # a bar belongs to the span that its close ends
        self.bucket, points = _bucket_of(series, limit)
        self._arrays: dict[str, Any] = {
            name: np.empty(points, np.int64 if name.startswith("ts_") else np.float64)
            for name in _ARRAYS
        }
        self._filled = 0

    @property
    def unit(self) -> str:
        """What a point stands for: ``a minute``, ``an hour`` or ``a day``; empty where it is a bar."""
        return _BUCKETS.get(self.bucket, "")

    def add(self, columns: Columns) -> None:
        """Write down rows that follow those before."""
        rows = price_rows(columns)
        if self.bucket and len(rows):
            rows = bucketed(rows, (rows.ts_event - self._offset) // self.bucket)
            if self._filled and self._last_key() == self._key(int(rows.ts_event[0])):
                rows = self._continued(rows)
        stop = self._filled + len(rows)
        for name, array in self._arrays.items():
            array[self._filled : stop] = getattr(rows, name)
        self._filled = stop

    def prices(self) -> PriceSeries:
        """Everything that was written down."""
        arrays: dict[str, Any] = {
            name: array[: self._filled] for name, array in self._arrays.items()
        }
        return PriceSeries(self._vt_symbol, **arrays)

    def _key(self, ts: int) -> int:
        return (ts - self._offset) // self.bucket

    def _last_key(self) -> int:
        return self._key(int(self._arrays["ts_event"][self._filled - 1]))

    def _continued(self, rows: PriceSeries) -> PriceSeries:
        """Rows whose first goes on with the last point, which is taken back."""
        self._filled -= 1
        last = {
            name: array[self._filled : self._filled + 1] for name, array in self._arrays.items()
        }
        joined = {
            name: np.concatenate((array, getattr(rows, name))) for name, array in last.items()
        }
        both = PriceSeries(self._vt_symbol, **joined)
        return bucketed(both, (both.ts_event - self._offset) // self.bucket)


def _bucket_of(series: Series, limit: int) -> tuple[int, int]:
    """Length of a point's span (ns; 0: every row), and the number of points that this gives at most."""
    rows = len(series)
    if series.is_bars and rows <= limit:
        return 0, rows
    span = series.last_ts - series.first_ts
    spans = list(_BUCKETS)
    bucket = next((one for one in spans if span // one + 2 <= limit), spans[-1])
    return bucket, min(rows, span // bucket + 2)


class RecentBars:
    """The newest bars of one series that is read in chunks; older ones are read anew when they are asked for."""

    def __init__(self, series: Series) -> None:
        self._series = series
        self._parts: deque[BarColumns] = deque()
        self._held = self._shown = 0
        self._keep = HISTORY_BARS

    def add(self, columns: BarColumns) -> None:
        """Bars that follow those before."""
        self._shown += len(columns)
        self._append(columns)

    def newest(self, count: int, now: int, interval: Interval | None) -> list[BarData]:
        """The newest ``count`` bars known at ``now`` (ns UTC), oldest first; none of another interval."""
        if not self._parts or interval not in (None, self._parts[0].interval):
            return []
        if count > self._keep and self._held < self._shown:
            self._keep = 2 * count + HISTORY_BARS
            self._read_again()
        found: list[BarColumns] = []
        for part in reversed(self._parts):
            if count <= 0:
                break
            stop = int(np.searchsorted(part.ts_event, now, side="right"))
            found.append(part.slice(max(0, stop - count), stop))
            count -= len(found[-1])
        return [bar for part in reversed(found) for bar in bars_of(part)]

    def _append(self, columns: BarColumns) -> None:
        self._parts.append(columns)
        self._held += len(columns)
        known = self._held - len(columns)
        while known - len(self._parts[0]) >= self._keep:
            known -= len(self._parts[0])
            self._held -= len(self._parts.popleft())

    def _read_again(self) -> None:
        left = self._shown
        self._parts.clear()
        self._held = 0
        for chunk in self._series.chunks():
            if isinstance(chunk, BarColumns):
                self._append(chunk.slice(0, left))
            left -= len(chunk)
            if left <= 0:
                break


class Recorder:
    """Writes down what the run reads in chunks; columns in memory need none of it.

    Args:
        series: everything that the run reads, in the feed's order.

    Attributes:
        marks: per number of a series that is read in chunks, its prices.
    """

    def __init__(self, series: Sequence[Series]) -> None:
        chunked = {n: one for n, one in enumerate(series) if not isinstance(one, Columns)}
        self._series = tuple(series)
        self.marks = {
            n: Marks(one, max(1, MAX_POINTS // len(chunked))) for n, one in chunked.items()
        }
        self._recent = {n: RecentBars(one) for n, one in chunked.items() if one.is_bars}

    def add(self, block: Block) -> None:
        """Rows that the strategies are about to see."""
        if not self.marks:
            return
        for number, columns in block.parts:
            if number in self.marks:
                self.marks[number].add(columns)
                if isinstance(columns, BarColumns):
                    self._recent[number].add(columns)

    def prices(self, number: int) -> PriceSeries:
        """Prices of a series, for the result."""
        series = self._series[number]
        return price_series(series) if isinstance(series, Columns) else self.marks[number].prices()

    def history(
        self, vt_symbol: str, count: int, now: int, interval: Interval | None
    ) -> list[BarData]:
        """The newest ``count`` bars known at ``now`` (ns UTC), oldest first; none that closes later."""
        for number, series in enumerate(self._series):
            if series.vt_symbol != vt_symbol or not series.is_bars:
                continue
            if number in self._recent:
                return self._recent[number].newest(count, now, interval)
            if isinstance(series, BarColumns) and interval in (None, series.interval):
                stop = int(np.searchsorted(series.ts_event, now, side="right"))
                return list(bars_of(series.slice(max(0, stop - count), stop)))
        return []
