"""A folder of Parquet files that keeps bars and ticks per instrument.

Layout: ``bars/<vt_symbol>/<interval>/<first>_<last>.parquet`` and ``ticks/<vt_symbol>/...``, where first
and last are ns UTC of the rows' times and the symbol is percent-encoded. Each file's own metadata tell
what it holds and how its source stamped it, so a file can be moved or read by any tool.

Invariants:

* The files of one instrument never overlap in time; rows in a file are checked before they are written.
* A file appears whole or not at all (written aside, then renamed); files are never changed in place.
* ``chunks`` holds one chunk of rows in memory, however long the history is.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote

import numpy as np

from foxtrot.core.constants import Interval
from foxtrot.core.errors import DataError, MissingExtraError
from foxtrot.data.columns import (
    BarColumns,
    Columns,
    IntArray,
    TickColumns,
    bounds,
    check_same_columns,
    iter_arrays,
    join_columns,
    row_times,
)
from foxtrot.data.issues import moment
from foxtrot.data.quality import check

_FILE_NAME = re.compile(r"(-?\d+)_(-?\d+)\.parquet")
_META_KEY = b"foxtrot"
_ROW_GROUP = 65_536


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """What the catalog holds of one instrument and interval.

    Attributes:
        vt_symbol: the instrument.
        interval: interval of the bars, ``TICK`` for ticks.
        rows: number of rows.
        start: first ``ts_open`` (ticks: ``ts_event``), ns UTC.
        end: last ``ts_open`` (ticks: ``ts_event``), ns UTC.
        stamp: what the source's stamps were, ``open`` or ``close``; empty if not told.
        tz: zone of the source; empty if not told.
        source: where the data came from; empty if not told.
    """

    vt_symbol: str
    interval: Interval
    rows: int
    start: int
    end: int
    stamp: str = ""
    tz: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    first: int
    last: int


class Catalog:
    """Parquet store of bars and ticks below one folder; needs the extra ``parquet``."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self.root = Path(root)

    def write(
        self,
        columns: Columns,
        *,
        stamp: str = "",
        tz: str = "",
        source: str = "",
        replace: bool = False,
        allow_negative: bool = False,
    ) -> Path:
        """Add rows before, after or between what is there.

        Args:
            columns: bars or ticks, sorted and free of faults.
            stamp: what the source's stamps were, ``open`` or ``close``, for the record.
            tz: zone of the source, for the record.
            source: where the data came from, for the record.
            replace: rows that are there already in the time from first to last new row give way.
            allow_negative: accept prices of zero and below.

        Returns:
            The file that now holds the rows.

        Raises:
            DataError: no rows, faulty rows, or an overlap without ``replace``.
            MissingExtraError: pyarrow is not installed.
        """
        if not len(columns):
            raise DataError(f"{columns.vt_symbol}: there are no rows to write")
        check(columns, allow_negative=allow_negative).raise_for_errors()
        interval = columns.interval if isinstance(columns, BarColumns) else Interval.TICK
        times = row_times(columns)
        first, last = int(times[0]), int(times[-1])
        folder = self._folder(columns.vt_symbol, interval)
        old = [part for part in _parts(folder) if part.first <= last and part.last >= first]
        if old and not replace:
            raise DataError(
                f"{folder}: rows from {moment(old[0].first)} to {moment(old[-1].last)} are there "
                f"already and overlap the new ones, {moment(first)} to {moment(last)}; "
                f"replace=True puts the new ones in their place"
            )
        merged = self._merged(columns, old, first, last)
        entry = CatalogEntry(
            columns.vt_symbol, interval, len(merged), *_ends(merged), stamp, tz, source
        )
        path = _write_file(folder, merged, entry)
        for part in old:
            if part.path != path:
                part.path.unlink()
        return path

    def read(
        self,
        vt_symbol: str,
        interval: Interval | str,
        start: int | None = None,
        end: int | None = None,
    ) -> Columns:
        """All rows with ``start <= time < end`` (ns UTC of ``ts_open``, ticks ``ts_event``; None: open).

        Raises:
            DataError: the catalog has nothing of it, or nothing in the range.
            MissingExtraError: pyarrow is not installed.
        """
        parts = list(self.chunks(vt_symbol, interval, start, end, rows=1_000_000))
        if not parts:
            raise self.nothing_in_range(vt_symbol, interval)
        return join_columns(parts)

    def chunks(
        self,
        vt_symbol: str,
        interval: Interval | str,
        start: int | None = None,
        end: int | None = None,
        *,
        rows: int = _ROW_GROUP,
    ) -> Iterator[Columns]:
        """The rows of ``read`` in order, at most ``rows`` at a time.

        Raises:
            DataError: the catalog has nothing of it, or its files overlap.
            MissingExtraError: pyarrow is not installed.
        """
        kind = Interval(interval)
        return _read_parts(self._files(vt_symbol, kind), vt_symbol, kind, start, end, rows)

    def times(
        self,
        vt_symbol: str,
        interval: Interval | str,
        start: int | None = None,
        end: int | None = None,
    ) -> Iterator[tuple[IntArray, IntArray]]:
        """Row times (``ts_open``, ticks ``ts_event``) and ``ts_event`` of ``read``, some at a time and nothing else.

        Raises:
            DataError: the catalog has nothing of it, its files overlap, or they hold different columns.
            MissingExtraError: pyarrow is not installed.
        """
        kind = Interval(interval)
        return _read_times(self._files(vt_symbol, kind), vt_symbol, kind, start, end)

    def nothing_in_range(self, vt_symbol: str, interval: Interval | str) -> DataError:
        """The error that says which range of an instrument the catalog holds."""
        have = next(e for e in self.list() if (e.vt_symbol, e.interval) == (vt_symbol, interval))
        return DataError(
            f"{self.root}: no rows of {vt_symbol} {interval} in the range asked for; it holds "
            f"{moment(have.start)} to {moment(have.end)}"
        )

    def _files(self, vt_symbol: str, kind: Interval) -> Sequence[_Part]:
        parts = _parts(self._folder(vt_symbol, kind))
        if not parts:
            known = ", ".join(f"{e.vt_symbol} {e.interval.value}" for e in self.list()) or "nothing"
            raise DataError(
                f"{self.root}: holds no {kind.value} data of {vt_symbol}; it has {known}"
            )
        _refuse_overlap(parts)
        return parts

    def list(self) -> tuple[CatalogEntry, ...]:
        """What the catalog holds, sorted by symbol and interval; only file footers are read."""
        folders = sorted({path.parent for path in self.root.glob("*/**/*.parquet")})
        entries = (_entry(_parts(folder)) for folder in folders if _parts(folder))
        return tuple(sorted(entries, key=lambda entry: (entry.vt_symbol, entry.interval)))

    def _folder(self, vt_symbol: str, interval: Interval) -> Path:
        name = quote(vt_symbol, safe="")
        if interval is Interval.TICK:
            return self.root / "ticks" / name
        return self.root / "bars" / name / interval.value

    def _merged(self, columns: Columns, old: Sequence[_Part], first: int, last: int) -> Columns:
        """New rows between the old ones before and after them."""
        if not old:
            return columns
        interval = columns.interval if isinstance(columns, BarColumns) else Interval.TICK
        there = join_columns(
            list(_read_parts(old, columns.vt_symbol, interval, None, None, 1_000_000))
        )
        pieces = (there.between(None, first), columns, there.between(last + 1, None))
        merged = join_columns([piece for piece in pieces if len(piece)])
        check(merged, allow_negative=True).raise_for_errors()
        return merged


def _pyarrow() -> tuple[ModuleType, ModuleType]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", "the data catalog") from error
    return pa, pq


def _ends(columns: Columns) -> tuple[int, int]:
    times = row_times(columns)
    return int(times[0]), int(times[-1])


def _parts(folder: Path) -> Sequence[_Part]:
    found = ((path, _FILE_NAME.fullmatch(path.name)) for path in folder.glob("*.parquet"))
    parts = [_Part(path, int(m.group(1)), int(m.group(2))) for path, m in found if m]
    return sorted(parts, key=lambda part: part.first)


def _refuse_overlap(parts: Sequence[_Part]) -> None:
    for before, after in pairwise(parts):
        if after.first <= before.last:
            raise DataError(
                f"{after.path}: overlaps {before.path.name} (a write was cut off, or a file was copied "
                f"in); delete the one that is not wanted"
            )


def _write_file(folder: Path, columns: Columns, entry: CatalogEntry) -> Path:
    pa, pq = _pyarrow()
    stamp = pa.timestamp("ns", tz="UTC")
    arrays = {
        name: pa.array(values).cast(stamp) if values.dtype == np.int64 else pa.array(values)
        for name, values in iter_arrays(columns)
    }
    meta = json.dumps(asdict(entry), sort_keys=True).encode()
    table = pa.table(arrays).replace_schema_metadata({_META_KEY: meta})
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{entry.start}_{entry.end}.parquet"
    aside = path.with_suffix(".tmp")
    pq.write_table(table, aside, compression="zstd", row_group_size=_ROW_GROUP)
    aside.replace(path)
    return path


def _entry(parts: Sequence[_Part]) -> CatalogEntry:
    _, pq = _pyarrow()
    infos = [
        json.loads((pq.read_schema(p.path).metadata or {}).get(_META_KEY, b"{}")) for p in parts
    ]
    if not all(infos):
        raise DataError(f"{parts[0].path.parent}: holds a Parquet file that no catalog wrote")
    info = dict(infos[-1])
    info["interval"] = Interval(info["interval"])
    info["rows"] = sum(int(one["rows"]) for one in infos)
    info["start"], info["end"] = parts[0].first, parts[-1].last
    for key in ("stamp", "tz", "source"):
        info[key] = ", ".join(dict.fromkeys(one[key] for one in infos if one[key]))
    return CatalogEntry(**info)


def _read_parts(
    parts: Sequence[_Part],
    vt_symbol: str,
    interval: Interval,
    start: int | None,
    end: int | None,
    rows: int,
) -> Iterator[Columns]:
    _, pq = _pyarrow()
    for part in _within(parts, start, end):
        with pq.ParquetFile(part.path) as file:
            for batch in file.iter_batches(batch_size=rows):
                piece = _columns(batch, vt_symbol, interval).between(start, end)
                if len(piece):
                    yield piece


def _read_times(
    parts: Sequence[_Part], vt_symbol: str, interval: Interval, start: int | None, end: int | None
) -> Iterator[tuple[IntArray, IntArray]]:
    _, pq = _pyarrow()
    by = "ts_event" if interval is Interval.TICK else "ts_open"
    names: Sequence[str] = ()
    for part in _within(parts, start, end):
        with pq.ParquetFile(part.path) as file:
            names = names or file.schema_arrow.names
            check_same_columns(vt_symbol, names, file.schema_arrow.names)
            for batch in file.iter_batches(
                batch_size=_ROW_GROUP, columns=list(dict.fromkeys((by, "ts_event")))
            ):
                arrays = _arrays(batch)
                first, stop = bounds(arrays[by], start, end)
                if stop > first:
                    yield arrays[by][first:stop], arrays["ts_event"][first:stop]


def _within(parts: Sequence[_Part], start: int | None, end: int | None) -> Iterator[_Part]:
    """The files with rows in ``start <= time < end``."""
    for part in parts:
        if (start is None or part.last >= start) and (end is None or part.first < end):
            yield part


def _columns(batch: Any, vt_symbol: str, interval: Interval) -> Columns:
    arrays = _arrays(batch)
    if interval is Interval.TICK:
        return TickColumns(vt_symbol, **arrays)
    return BarColumns(vt_symbol, interval, **arrays)


def _arrays(batch: Any) -> dict[str, Any]:
    arrays: dict[str, Any] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        values = column.to_numpy(zero_copy_only=False)
        arrays[name] = values.view(np.int64) if values.dtype.kind == "M" else values
    return arrays
