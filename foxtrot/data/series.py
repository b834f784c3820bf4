"""One instrument's history as a run reads it: in order of time, a chunk of rows at a time.

``BarColumns`` and ``TickColumns`` are series of one chunk; ``CatalogSeries`` reads its chunks from files.

Invariants: rows are in order of ``ts_event``; ``chunks`` may be called more than once and gives the same rows each
time; a ``CatalogSeries`` holds no rows itself, so it costs the same however long the history is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from foxtrot.core.constants import Interval
from foxtrot.core.errors import DataError
from foxtrot.data.columns import Columns

if TYPE_CHECKING:
    from foxtrot.data.catalog import Catalog

CHUNK_ROWS = 65_536
"""Rows that a ``CatalogSeries`` reads at a time: one row group of a catalog's file."""


class Series(Protocol):
    """Bars or quotes of one instrument."""

    @property
    def vt_symbol(self) -> str:
        """The instrument."""

    @property
    def is_bars(self) -> bool:
        """Whether the rows are bars; quotes otherwise."""

    @property
    def first_ts(self) -> int:
        """First ``ts_open`` of bars, ``ts_event`` of quotes, ns UTC; 0 without rows."""

    @property
    def last_ts(self) -> int:
        """Last ``ts_event``, ns UTC; 0 without rows."""

    def __len__(self) -> int:
        """Rows in all."""

    def chunks(self) -> Iterator[Columns]:
        """The rows in order of time."""

    def split(self, ts: int) -> tuple[Series, Series]:
        """Rows known before the step at ``ts`` (ns UTC: bars closed by then, quotes before it), and the others."""


class CatalogSeries:
    """Rows of one instrument in a catalog, read when they are needed.

    Making one reads the rows' times, a chunk at a time, and nothing else.

    Args:
        catalog: where the rows are.
        vt_symbol: the instrument.
        interval: of the bars; ``TICK`` for quotes.
        start: first row time wanted (``ts_open``, quotes ``ts_event``), ns UTC; None for all.
        end: first row time not wanted; None for all.
        rows: rows of a chunk at most.

    Raises:
        DataError: there are no such rows, or the catalog's files do not fit together.
        MissingExtraError: pyarrow is not installed.
    """

    def __init__(
        self,
        catalog: Catalog,
        vt_symbol: str,
        interval: Interval | str,
        start: int | None = None,
        end: int | None = None,
        *,
        rows: int = CHUNK_ROWS,
    ) -> None:
        self.catalog = catalog
        self.vt_symbol = vt_symbol
        self.interval = Interval(interval)
        self.start, self.end, self.rows = start, end, rows
        self._count = self.first_ts = self.last_ts = 0
        for times, closes in catalog.times(vt_symbol, self.interval, start, end):
            self.first_ts = self.first_ts if self._count else int(times[0])
            self.last_ts = int(closes[-1])
            self._count += len(times)
        if not self._count:
            raise catalog.nothing_in_range(vt_symbol, self.interval)

    @property
    def is_bars(self) -> bool:
        """Whether the rows are bars; quotes otherwise."""
        return self.interval is not Interval.TICK

    def __len__(self) -> int:
        return self._count

    def chunks(self) -> Iterator[Columns]:
        """The rows in order of time, at most ``rows`` at a time.

        Raises:
            DataError: the catalog no longer holds what it did when this series was made.
        """
        seen = 0
        for chunk in self._read(self.rows):
            seen += len(chunk)
            if seen > self._count:
                break
            yield chunk
        if seen != self._count:
            raise DataError(
                f"{self.catalog.root}: the rows of {self.vt_symbol} {self.interval.value} have changed since they "
                "were loaded; load them again"
            )

    def split(self, ts: int) -> tuple[Series, Series]:
        """Rows known before the step at ``ts`` (ns UTC: bars closed by then, quotes before it), and the others."""
        cut = self._first_unknown(ts)
        if cut is None:
            return self, self._nothing()
        if cut == self.first_ts:
            return self._nothing(), self
        return self._part(self.start, cut), self._part(cut, self.end)

    def read(self) -> Columns:
        """All rows at once.

        Raises:
            DataError: the catalog no longer holds them.
        """
        return self.catalog.read(self.vt_symbol, self.interval, self.start, self.end)

    def _first_unknown(self, ts: int) -> int | None:
        """Row time of the first row that is not known before the step at ``ts``; None where all are."""
        for times, closes in self.catalog.times(
            self.vt_symbol, self.interval, self.start, self.end
        ):
            if int(closes[-1]) >= ts:
                known = int(closes.searchsorted(ts, side="right" if self.is_bars else "left"))
                if known < len(times):
                    return int(times[known])
        return None

    def _part(self, start: int | None, end: int | None) -> CatalogSeries:
        return CatalogSeries(
            self.catalog, self.vt_symbol, self.interval, start, end, rows=self.rows
        )

    def _nothing(self) -> Columns:
        return next(self._read(1)).slice(0, 0)

    def _read(self, rows: int) -> Iterator[Columns]:
        return self.catalog.chunks(self.vt_symbol, self.interval, self.start, self.end, rows=rows)
