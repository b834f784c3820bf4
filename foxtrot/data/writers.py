"""Columns as CSV files that the importers read back unchanged.

Invariants: floats are written so that they read back bit for bit; times as ISO 8601 UTC in the coarsest
unit that loses nothing; the same columns give the same bytes, compressed or not.
"""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from foxtrot.core.errors import DataError
from foxtrot.data.columns import Columns, IntArray, iter_arrays

_Unit: TypeAlias = Literal["s", "ms", "us", "ns"]

_UNITS: tuple[tuple[_Unit, int], ...] = (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000))


def write_csv(columns: Columns, path: str | os.PathLike[str]) -> Path:
    """Write bars or ticks to ``path``: ``.csv``, or ``.csv.gz`` for compressed.

    Returns:
        The path. ``foxtrot.data.load(path, columns.vt_symbol)`` gives the same columns again.

    Raises:
        DataError: another suffix, or the file cannot be written.
    """
    target = Path(path)
    if not target.name.endswith((".csv", ".csv.gz")):
        raise DataError(f"{target}: is written as CSV, so its name must end in .csv or .csv.gz")
    frame = pd.DataFrame(
        {
            name: iso_text(values) if values.dtype == np.int64 else values
            for name, values in iter_arrays(columns)
        }
    )
    try:
        with target.open("wb") as raw:
            if target.suffix == ".gz":
                # Neither name nor time in the header: equal columns give equal bytes.
                with gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
                    frame.to_csv(packed, index=False, lineterminator="\n")
            else:
                frame.to_csv(raw, index=False, lineterminator="\n")
    except OSError as error:
        raise DataError(f"{target}: cannot be written: {error}") from error
    return target


def iso_text(ns: IntArray) -> np.ndarray[Any, np.dtype[np.str_]]:
    """Nanoseconds UTC as ISO 8601 text such as ``2024-01-31T09:30:00Z``, shape (n,)."""
    unit: _Unit = next((unit for unit, size in _UNITS if not (ns % size).any()), "ns")
    text = np.datetime_as_string(ns.view("datetime64[ns]"), unit=unit)
    return np.char.add(text, "Z")
