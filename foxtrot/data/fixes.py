"""The repairs that a caller may ask for by name; each one says how much it changed.

Invariants: nothing is changed unless its fix was named; fixes run in the order of ``FIXES`` whatever the
order in which they were named; running them again changes nothing (idempotent).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.errors import DataError
from foxtrot.data.columns import BarColumns, Columns, TickColumns, iter_arrays, row_times
from foxtrot.data.issues import Mask, Origin, QualityIssue, Severity
from foxtrot.data.names import nearest
from foxtrot.data.quality import (
    PRICE_COLUMNS,
    TICK_PRICES,
    TICK_VOLUMES,
    VOLUME_COLUMNS,
    crossed,
    may_be_zero,
    outside_range,
    present,
)

FIXES: Mapping[str, str] = {
    "fill_zero": "missing volumes of bars and missing values of ticks become 0, which means none",
    "drop_nan": "rows without a stamp, or with a missing or infinite value, are dropped",
    "sort": "rows are sorted by time; equal stamps keep their order",
    "clamp_ohlc": "high and low are widened to span open, high, low and close",
    "drop_invalid": "rows with impossible prices, volumes, spans or quotes are dropped",
    "drop_duplicates": "of bars with one stamp the last row stays; of equal ticks in a row the first",
}
"""Name of each fix and what it does, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class Fixed:
    """What fixes made: the mended columns, where their rows came from, and what was changed."""

    columns: Columns
    origin: Origin
    issues: tuple[QualityIssue, ...]


def fix_names(fix: str | Iterable[str]) -> tuple[str, ...]:
    """The asked-for fixes in the order in which they run; one name may stand alone.

    Raises:
        DataError: a name is not a fix; tells the nearest one.
    """
    asked = {fix} if isinstance(fix, str) else set(fix)
    for name in sorted(asked - FIXES.keys()):
        raise DataError(
            f"fix {name!r} does not exist{nearest(name, list(FIXES))}; there are {', '.join(FIXES)}"
        )
    return tuple(name for name in FIXES if name in asked)


def apply_fixes(
    columns: Columns,
    fix: str | Iterable[str],
    origin: Origin | None = None,
    *,
    allow_negative: bool = False,
) -> Fixed:
    """Mend what the named fixes mend and nothing else.

    Args:
        columns: bars or ticks; they stay as they are.
        fix: names from ``FIXES``.
        origin: where the rows came from.
        allow_negative: prices of zero and below are valid, so ``drop_invalid`` keeps them.

    Raises:
        DataError: an unknown fix, or no row is left.
    """
    origin = origin or Origin(columns.vt_symbol)
    issues: list[QualityIssue] = []
    for name in fix_names(fix):
        before = len(columns)
        columns, rows, count = _run(name, columns, allow_negative)
        if rows is not None:
            columns, origin = columns.take(rows), origin.take(rows, before)
        issues.append(fix_issue(origin.source, name, count))
    if not len(columns):
        raise DataError(
            f"{origin.source}: no row is left after the fixes {', '.join(fix_names(fix))}"
        )
    return Fixed(columns, origin, tuple(issues))


def fix_issue(source: str, name: str, count: int) -> QualityIssue:
    """The record that a fix changed ``count`` rows or values."""
    unit = "values" if name == "fill_zero" else "rows"
    message = f"{source}: fix {name} changed {count} {unit} ({FIXES[name]})"
    return QualityIssue(Severity.INFO, f"fixed_{name}", None, None, message, (name,))


def _run(
    name: str, columns: Columns, allow_negative: bool
) -> tuple[Columns, NDArray[Any] | None, int]:
    """Run one fix: the columns, which rows to take from them (None for all), how much changed."""
    if name == "fill_zero":
        filled, count = _fill_zero(columns)
        return filled, None, count
    if name == "clamp_ohlc":
        clamped, count = _clamp_ohlc(columns) if isinstance(columns, BarColumns) else (columns, 0)
        return clamped, None, count
    if name == "sort":
        order = np.argsort(row_times(columns), kind="stable")
        return columns, order, int((order != np.arange(len(order))).sum())
    keep = _kept(name, columns, allow_negative)
    return columns, keep, len(keep) - int(keep.sum())


def _fill_zero(columns: Columns) -> tuple[Columns, int]:
    filled = {
        name: np.where(np.isnan(values), 0.0, values)
        for name, values in iter_arrays(columns)
        if values.dtype == np.float64 and may_be_zero(columns, name) and np.isnan(values).any()
    }
    count = sum(int(np.isnan(getattr(columns, name)).sum()) for name in filled)
    changed: dict[str, Any] = dict(filled)
    return replace(columns, **changed), count


def _clamp_ohlc(columns: BarColumns) -> tuple[Columns, int]:
    prices = np.vstack([getattr(columns, name) for name in PRICE_COLUMNS])
    whole = np.isfinite(prices).all(axis=0)
    high = np.where(whole, prices.max(axis=0), columns.high_price)
    low = np.where(whole, prices.min(axis=0), columns.low_price)
    changed = whole & ((high != columns.high_price) | (low != columns.low_price))
    return replace(columns, high_price=high, low_price=low), int(changed.sum())


def _kept(name: str, columns: Columns, allow_negative: bool) -> Mask:
    if name == "drop_nan":
        return _finite(columns)
    if name == "drop_duplicates":
        return _last_of_stamp(columns) if isinstance(columns, BarColumns) else _new_ticks(columns)
    return ~_invalid(columns, allow_negative)


def _finite(columns: Columns) -> Mask:
    keep = np.ones(len(columns), dtype=np.bool_)
    for _, values in iter_arrays(columns):
        keep &= np.isfinite(values)
    return keep


def _last_of_stamp(bars: BarColumns) -> Mask:
    _, first_from_end = np.unique(bars.ts_open[::-1], return_index=True)
    keep = np.zeros(len(bars), dtype=np.bool_)
    keep[len(bars) - 1 - first_from_end] = True
    return keep


def _new_ticks(ticks: TickColumns) -> Mask:
    same = np.ones(max(len(ticks) - 1, 0), dtype=np.bool_)
    for _, values in iter_arrays(ticks):
        same &= values[1:] == values[:-1]
    return np.concatenate([np.ones(min(len(ticks), 1), dtype=np.bool_), ~same])


def _invalid(columns: Columns, allow_negative: bool) -> Mask:
    bad = np.zeros(len(columns), dtype=np.bool_)
    is_bars = isinstance(columns, BarColumns)
    if isinstance(columns, BarColumns):
        bad |= columns.high_price < columns.low_price
        bad |= outside_range(columns, "open_price") | outside_range(columns, "close_price")
        bad |= columns.ts_event <= columns.ts_open
    else:
        bad |= crossed(columns)
    for _, values in present(columns, VOLUME_COLUMNS if is_bars else TICK_VOLUMES):
        bad |= values < 0.0
    for _, values in present(columns, PRICE_COLUMNS if is_bars else TICK_PRICES):
        if not allow_negative:
            bad |= (values <= 0.0) if is_bars else (values < 0.0)
    return bad
