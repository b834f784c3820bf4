"""Sealing: the ticks and bars of an event log as Parquet, one file a day and instrument, as the catalog reads them.

Invariants:

* Sealing the same segments again changes nothing; a seal that was cut off is mended by the next one.
* What a day's file already holds is kept. A tick that is there as often as it was received is not added again, so
  segments may overlap in time; of bars with one open the one received last stays.
* Rows that the catalog would refuse (crossed quotes, impossible prices) are left out and counted by reason, never
  silently; the log still has them. A day that cannot be written holds up no other.
* At most ``most_rows`` rows are in memory, however long the segments are.

Parquet holds the columns of ``TickColumns`` and ``BarColumns``: best level, last trade and the day's volume of a tick.
Depth, the day's figures, and which adapter sent it stay in the log; where several adapters send one instrument,
``decode`` chooses.
"""

from __future__ import annotations

import os
from array import array
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from foxtrot.core.constants import NS_PER_DAY, Interval
from foxtrot.core.errors import DataError, FoxtrotError
from foxtrot.core.objects import BarData, TickData
from foxtrot.data.catalog import Catalog, _parts, _pyarrow, _read_parts
from foxtrot.data.columns import (
    BarColumns,
    Columns,
    IntArray,
    TickColumns,
    check_same_columns,
    iter_arrays,
    join_columns,
    row_times,
)
from foxtrot.data.event_log_format import Damage, Segment
from foxtrot.data.event_log_reader import EventLogReader
from foxtrot.data.fixes import apply_fixes

__all__ = ["Decode", "SealReport", "seal_market_data"]

Decode = Callable[[bytes], object]
"""Makes a message of a frame; whatever is neither tick nor bar is passed over."""

MOST_ROWS = 2_000_000

_TICK_FIELDS = (
    "bid_price_1",
    "ask_price_1",
    "bid_volume_1",
    "ask_volume_1",
    "last_price",
    "last_volume",
    "volume",
)
_BAR_FIELDS = (
    "open_price",
    "high_price",
    "low_price",
    "close_price",
    "volume",
    "turnover",
    "open_interest",
)
_MOST_TIME = 2**63
_FIXES = ("drop_nan", "drop_invalid", "sort")


@dataclass(slots=True)
class SealReport:
    """What a seal did.

    Attributes:
        rows: ticks and bars that were received.
        files: files that now hold them, sorted.
        refused: rows left out, by instrument and reason.
        failed: what could not be written, in words; nothing of it was changed.
        undecodable: frames that ``decode`` raised for.
        damage: what of the segments could not be read.
    """

    rows: int = 0
    files: set[Path] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    undecodable: int = 0
    damage: list[Damage] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every row that could be read is in a file."""
        return not (self.refused or self.failed)


class _Rows:
    """Received rows of one instrument, interval and day, as they came."""

    __slots__ = ("_names", "floats", "opens", "times")

    def __init__(self, interval: Interval) -> None:
        self._names = _TICK_FIELDS if interval is Interval.TICK else _BAR_FIELDS
        self.times = array("q")
        self.opens = array("q")
        self.floats = [array("d") for _ in self._names]

    def add(self, message: TickData | BarData) -> None:
        self.times.append(message.ts_event)
        if isinstance(message, BarData):
            self.opens.append(message.ts_open)
        for column, name in zip(self.floats, self._names, strict=True):
            column.append(getattr(message, name))

    def columns(self, vt_symbol: str, interval: Interval) -> Columns:
        values: dict[str, Any] = {
            name: np.frombuffer(column, dtype=np.float64)
            for name, column in zip(self._names, self.floats, strict=True)
        }
        times = np.frombuffer(self.times, dtype=np.int64)
        if interval is Interval.TICK:
            return TickColumns(vt_symbol, times, **values)
        return BarColumns(vt_symbol, interval, np.frombuffer(self.opens, np.int64), times, **values)


_Key = tuple[str, Interval, int]


def seal_market_data(
    segments: Iterable[Segment],
    folder: str | os.PathLike[str],
    decode: Decode,
    *,
    allow_negative: bool = False,
    source: str = "recorded",
    most_rows: int = MOST_ROWS,
) -> SealReport:
    """Write the ticks and bars of finished segments into the catalog in a folder.

    Args:
        segments: in order of time; one that is still written may be sealed again later.
        folder: root of the catalog, see ``foxtrot.data.catalog``.
        decode: makes a message of a frame. What it raises for (``ValueError``, ``FoxtrotError`` or an error of
            msgspec) is counted and passed over.
        allow_negative: accept prices of zero and below.
        source: what the files say of where they came from.
        most_rows: rows after which they are written; a day is then merged several times.

    Raises:
        MissingExtraError: pyarrow is not installed.
        PersistenceError: a segment cannot be read.
        DataError: a segment is of a later version.
    """
    _pyarrow()
    seal = _Seal(Catalog(folder), allow_negative, source)
    reader = EventLogReader(segments, strict=False)
    for _, frame in reader.frames():
        try:
            message = decode(frame)
        except (ValueError, FoxtrotError, msgspec.MsgspecError):
            seal.report.undecodable += 1
            continue
        if isinstance(message, TickData | BarData):
            seal.add(message)
            if seal.held >= most_rows:
                seal.write()
    seal.write()
    seal.report.damage.extend(reader.damage)
    return seal.report


class _Seal:
    """Collects rows by instrument and day, and merges them into the catalog's files."""

    def __init__(self, catalog: Catalog, allow_negative: bool, source: str) -> None:
        self.report = SealReport()
        self.held = 0
        self._catalog = catalog
        self._allow_negative = allow_negative
        self._source = source
        self._rows: dict[_Key, _Rows] = {}

    def add(self, message: TickData | BarData) -> None:
        interval, time = Interval.TICK, message.ts_event
        if isinstance(message, BarData):
            interval, time = Interval(message.interval), message.ts_open
        self.report.rows += 1
        if not (-_MOST_TIME <= time < _MOST_TIME and -_MOST_TIME <= message.ts_event < _MOST_TIME):
            self.report.refused[f"{message.vt_symbol}: a time beyond the years 1678 to 2262"] += 1
            return
        key = (message.vt_symbol, interval, time // NS_PER_DAY)
        rows = self._rows.get(key)
        if rows is None:
            rows = self._rows[key] = _Rows(interval)
        rows.add(message)
        self.held += 1

    def write(self) -> None:
        """Merge what was collected into the files of its days."""
        for key in sorted(self._rows):
            try:
                self._write_day(key, self._rows[key])
            except DataError as error:
                self.report.failed.append(f"{key[0]} {key[1].value}: {error}")
        self._rows.clear()
        self.held = 0

    def _write_day(self, key: _Key, rows: _Rows) -> None:
        vt_symbol, interval, day = key
        new = self._clean(rows.columns(vt_symbol, interval))
        if not len(new):
            return
        there = self._there(vt_symbol, interval, day * NS_PER_DAY)
        merged = _merged(there, new)
        path = self._catalog.write(
            merged,
            source=self._source,
            replace=True,
            allow_negative=True,  # they were checked above, and what was there before
        )
        _sync(path)
        self.report.files.add(path)

    def _clean(self, columns: Columns) -> Columns:
        """The rows that a catalog takes; those left out are counted."""
        before = len(columns)
        try:
            fixed = apply_fixes(columns, _FIXES, allow_negative=self._allow_negative)
        except DataError:  # raised where no row is left
            self.report.refused[f"{columns.vt_symbol}: no good row"] += before
            return columns.slice(0, 0)
        if len(fixed.columns) < before:
            self.report.refused[f"{columns.vt_symbol}: impossible values"] += before - len(
                fixed.columns
            )
        return fixed.columns

    def _there(self, vt_symbol: str, interval: Interval, start: int) -> list[Columns]:
        """Rows of a day that the catalog holds; by file, since a seal that was cut off leaves two that overlap."""
        parts = [
            part
            for part in _parts(self._catalog._folder(vt_symbol, interval))
            if part.first < start + NS_PER_DAY and part.last >= start
        ]
        return [
            piece
            for part in parts
            for piece in _read_parts(
                [part], vt_symbol, interval, start, start + NS_PER_DAY, MOST_ROWS
            )
        ]


def _merged(there: list[Columns], new: Columns) -> Columns:
    """The rows of both, sorted, none twice.

    Raises:
        DataError: what is there has other columns.
    """
    for piece in there:
        check_same_columns(new.vt_symbol, _names(piece), _names(new))
    pieces = [piece for piece in (*there, new) if len(piece)]
    if isinstance(new, BarColumns):
        joined = join_columns(pieces)
        return apply_fixes(joined, ("sort", "drop_duplicates"), allow_negative=True).columns
    kept = pieces[0]
    for piece in pieces[1:]:
        kept = _with_new(kept, piece)
    order = np.argsort(row_times(kept), kind="stable")
    return kept.take(order)


def _names(columns: Columns) -> list[str]:
    return [name for name, _ in iter_arrays(columns)]


def _with_new(kept: Columns, piece: Columns) -> Columns:
    """Rows of ``piece`` behind those of ``kept``, less those that are in ``kept`` as often as in ``piece``."""
    have = _numbered(kept)
    fresh = ~np.isin(_numbered(piece), have)
    return join_columns([kept, piece.take(fresh)]) if fresh.any() else kept


def _numbered(columns: Columns) -> Any:
    """Each row as bytes, with the count of equal rows before it: the same row twice is two different ones."""
    parts = [row_times(columns)]
    parts += [getattr(columns, name).view(np.int64) for name in _TICK_FIELDS]
    table = np.ascontiguousarray(np.column_stack(parts))
    raw = table.view(np.dtype((np.void, table.dtype.itemsize * table.shape[1]))).ravel()
    _, group = np.unique(raw, return_inverse=True)
    counted = np.column_stack([table, _occurrence(group)])
    size = counted.dtype.itemsize * counted.shape[1]
    return np.ascontiguousarray(counted).view(np.dtype((np.void, size))).ravel()


def _occurrence(group: IntArray) -> IntArray:
    """How many members of its group come before each row, shape (n,)."""
    order = np.argsort(group, kind="stable")
    ordered = group[order]
    first = np.r_[True, ordered[1:] != ordered[:-1]]
    starts = np.flatnonzero(first)
    ranks = np.arange(len(group)) - np.repeat(starts, np.diff(np.r_[starts, len(group)]))
    result = np.empty(len(group), dtype=np.int64)
    result[order] = ranks
    return result


def _sync(path: Path) -> None:
    """Have a file and its name survive a loss of power, so that the log may be deleted."""
    for target in (path, path.parent):
        fd = os.open(target, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
