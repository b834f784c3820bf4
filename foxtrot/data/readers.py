"""Files and DataFrames as raw tables whose rows still know their line.

Invariants: nothing is interpreted here but the separator; every row keeps the number of its line (CSV,
the header is line 1) or its row number counted from 0 (Parquet, DataFrame); blank lines are skipped.
"""

from __future__ import annotations

import csv
import gzip
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeAlias

import numpy as np
import pandas as pd

from foxtrot.core.errors import DataError, MissingExtraError
from foxtrot.data.columns import IntArray
from foxtrot.data.names import nearest

Source: TypeAlias = str | os.PathLike[str] | pd.DataFrame

_CSV = (".csv", ".txt", ".csv.gz", ".txt.gz")
_PARQUET = (".parquet", ".pq")
# Until pandas 3.1 its default float parser could be off by one unit in the last place.
_PANDAS = tuple(int(part) for part in pd.__version__.split(".")[:2])
_EXACT_FLOATS: dict[str, Any] = {} if _PANDAS >= (3, 1) else {"float_precision": "round_trip"}


@dataclass(frozen=True, slots=True)
class Table:
    """A raw table.

    Attributes:
        frame: the cells, with a plain index.
        rows: line or row number of each row, shape (n,).
        unit: ``line`` or ``row``.
        source: name for messages.
        index_name: the column that was a DataFrame's time index, or None.
        notes: what was assumed, as sentences.
    """

    frame: pd.DataFrame
    rows: IntArray
    unit: str
    source: str
    index_name: str | None = None
    notes: tuple[str, ...] = ()

    def take(self, keep: np.ndarray[Any, np.dtype[np.bool_]], *notes: str) -> Table:
        """The rows where ``keep`` (shape (n,)) is true, with more notes."""
        frame = self.frame.loc[keep].reset_index(drop=True)
        rows = self.rows[keep]
        return Table(frame, rows, self.unit, self.source, self.index_name, self.notes + notes)


def read_table(source: Source) -> Table:
    """Read a CSV or Parquet file, or take a DataFrame.

    Raises:
        DataError: no such file, unknown kind of file, no rows, ragged rows, undecodable text.
        MissingExtraError: a Parquet file without pyarrow.
    """
    table = _from_frame(source) if isinstance(source, pd.DataFrame) else _from_path(Path(source))
    if not len(table.frame):
        raise DataError(f"{table.source}: has no rows")
    return table


def _from_frame(frame: pd.DataFrame) -> Table:
    if isinstance(frame.columns, pd.MultiIndex):
        raise DataError(
            "DataFrame: has columns of several levels; choose one instrument and flatten them, "
            "for example frame.xs('GOOG', axis=1, level=1)"
        )
    table = frame.set_axis([str(name) for name in frame.columns], axis=1)
    index_name = None
    if isinstance(frame.index, pd.DatetimeIndex):
        index_name = "index" if frame.index.name is None else str(frame.index.name)
        if index_name in table.columns:
            index_name = f"{index_name} (index)"
        table = table.copy(deep=False)
        table.insert(0, index_name, frame.index)
    rows = np.arange(len(frame), dtype=np.int64)
    return Table(table.reset_index(drop=True), rows, "row", "DataFrame", index_name)


def _from_path(path: Path) -> Table:
    name = path.name.lower()
    if not name.endswith(_CSV + _PARQUET):
        raise DataError(
            f"{path}: not a kind of file that is read; use {', '.join(_CSV + _PARQUET)}"
        )
    if not path.is_file():
        near = nearest(path.name, sorted(p.name for p in path.parent.glob("*")))
        raise DataError(f"{path}: no such file{near}")
    return _from_parquet(path) if name.endswith(_PARQUET) else _from_csv(path)


def _from_parquet(path: Path) -> Table:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("pyarrow", "parquet", f"reading {path}") from error
    try:
        frame = pd.read_parquet(path, engine="pyarrow")
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: is not readable as Parquet: {error}") from error
    table = _from_frame(frame)
    return Table(table.frame, table.rows, "row", str(path), table.index_name)


def _from_csv(path: Path) -> Table:
    separator = _separator(path)
    try:
        frame = pd.read_csv(
            path, sep=separator, skip_blank_lines=False, low_memory=False, **_EXACT_FLOATS
        )
    except (pd.errors.ParserError, UnicodeDecodeError, OSError, EOFError) as error:
        raise DataError(f"{path}: is not readable as CSV: {str(error).strip()}") from error
    rows = np.arange(2, len(frame) + 2, dtype=np.int64)
    notes = () if separator == "," else (f"Columns are separated by {separator!r}.",)
    frame.columns = pd.Index([str(name) for name in frame.columns])
    table = Table(frame, rows, "line", str(path), None, notes)
    if not len(frame) or not frame.iloc[:, 0].isna().any():
        return table
    blank = frame.isna().all(axis=1).to_numpy()
    if not blank.any():
        return table
    at = f"line {rows[blank][0]}" + (" and others" if blank.sum() > 1 else "")
    return table.take(~blank, f"{blank.sum()} blank lines were skipped ({at}).")


def _open_text(path: Path) -> IO[str]:
    if path.name.lower().endswith(".gz"):
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


def _separator(path: Path) -> str:
    """The header's separator; refuses an empty header and a first row longer than the header."""
    try:
        with _open_text(path) as file:
            header, first = file.readline(), file.readline()
    except (UnicodeDecodeError, OSError, EOFError) as error:
        raise DataError(f"{path}: is not readable as UTF-8 text: {error}") from error
    if not header.strip():
        raise DataError(f"{path}, line 1: is blank; it must hold the names of the columns")
    separator = max(",;\t|", key=header.count)
    names, cells = (next(csv.reader([line], delimiter=separator), []) for line in (header, first))
    if len(cells) > len(names):
        raise DataError(
            f"{path}, line 2: has {len(cells)} values, but the header has {len(names)} names; "
            f"give each column a name"
        )
    return separator
