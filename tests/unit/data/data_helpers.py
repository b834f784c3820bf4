"""Small tables for the tests of ``foxtrot.data``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from foxtrot.core.constants import NS_PER_MINUTE, Interval
from foxtrot.data import BarColumns, TickColumns

SHARED_DATA = Path(__file__).resolve().parents[4] / "shared" / "data"

DAILY = """Date,Open,High,Low,Close,Volume
2024-01-02,10,12,9,11,100
2024-01-03,11,13,10,12,200
2024-01-04,12,14,11,13,300
"""


def write(folder: Path, text: str, name: str = "prices.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def minute_csv(rows: list[str], header: str = "time,open,high,low,close,volume") -> str:
    return "\n".join([header, *rows]) + "\n"


def bars_of(
    opens: list[float],
    high: list[float] | None = None,
    low: list[float] | None = None,
    close: list[float] | None = None,
    volume: list[float] | None = None,
    minutes: list[int] | None = None,
) -> BarColumns:
    n = len(opens)
    times = np.asarray(minutes if minutes is not None else range(n), dtype=np.int64) * NS_PER_MINUTE
    base = np.asarray(opens, dtype=np.float64)

    def column(values: list[float] | None, other: np.ndarray) -> np.ndarray:
        return other.copy() if values is None else np.asarray(values, dtype=np.float64)

    return BarColumns(
        "X.LOCAL",
        Interval.MINUTE,
        times,
        times + NS_PER_MINUTE,
        base,
        column(high, base + 1),
        column(low, base - 1),
        column(close, base),
        column(volume, np.ones(n)),
    )


def ticks_of(bid: list[float], ask: list[float], times: list[int] | None = None) -> TickColumns:
    n = len(bid)
    return TickColumns(
        "X.LOCAL",
        np.asarray(times if times is not None else range(n), dtype=np.int64),
        np.asarray(bid, dtype=np.float64),
        np.asarray(ask, dtype=np.float64),
        np.ones(n),
        np.ones(n),
    )


def same(one: BarColumns | TickColumns, other: BarColumns | TickColumns) -> bool:
    """Whether two tables hold the same bits."""
    from foxtrot.data.columns import iter_arrays

    left, right = dict(iter_arrays(one)), dict(iter_arrays(other))
    return (
        type(one) is type(other)
        and one.vt_symbol == other.vt_symbol
        and getattr(one, "interval", None) == getattr(other, "interval", None)
        and left.keys() == right.keys()
        and all(np.array_equal(left[name], right[name]) for name in left)
    )
