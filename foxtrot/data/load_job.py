"""The steps that loading bars and loading ticks share; ``foxtrot.data.importers`` puts them together.

Invariants: rows keep their line numbers through every step; each step that assumes something says so in
``Job.notes``; each step that drops rows was asked to by a fix and says so in ``Job.issues``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias, TypeVar, cast

import numpy as np
import pandas as pd

from foxtrot.core.errors import DataError
from foxtrot.core.objects import split_vt_symbol
from foxtrot.data.columns import Columns, FloatArray, IntArray, row_times
from foxtrot.data.fixes import apply_fixes, fix_names
from foxtrot.data.issues import Origin, QualityIssue, Severity, moment
from foxtrot.data.names import BAR_NAMES, QUOTE_BAR_NAMES, nearest, require_names, resolve_names
from foxtrot.data.quality import PRICE_COLUMNS, check
from foxtrot.data.readers import Source, Table, read_table
from foxtrot.data.spans import Moment, find_bounds
from foxtrot.data.stamps import Stamps, find_zone, parse_stamps

Price: TypeAlias = Literal["bid", "ask", "mid"]
ColumnsT = TypeVar("ColumnsT", bound=Columns)

_CLOCK = re.compile(r"\d{1,2}:\d{2}")
_TEXTS_KEPT = 1000


@dataclass(slots=True)
class Job:
    """One load under way: the table, what the caller asked for, and what has been assumed so far."""

    table: Table
    vt_symbol: str
    names: dict[str, str]
    tz: dt.tzinfo | None
    fixes: tuple[str, ...]
    allow_negative: bool
    time_format: str | None
    notes: list[str] = field(default_factory=list)
    issues: list[QualityIssue] = field(default_factory=list)
    texts: dict[str, dict[int, str]] = field(default_factory=dict)

    @property
    def source(self) -> str:
        """Name of the file for messages."""
        return self.table.source

    @property
    def header(self) -> list[str]:
        """The file's column names."""
        return [str(name) for name in self.table.frame.columns]

    def origin(self) -> Origin:
        """Where the rows came from."""
        table, names = self.table, dict(self.names)
        if "time" in names:
            names["ts_open"] = names["time"]
            names["ts_event"] = names.get("time_close", names["time"])
        return Origin(table.source, table.rows, table.unit, names, self.texts)

    def place(self, name: str) -> Callable[[int], str]:
        """What tells the place of a row, for errors about the column ``name``."""
        origin = self.origin()
        return lambda index: origin.place(index, name)

    def numbers(self, name: str) -> FloatArray:
        """A column as floats, shape (n,); a cell that is no number becomes NaN, its text is kept."""
        cells: pd.Series[Any] = self.table.frame[self.names[name]]
        if pd.api.types.is_numeric_dtype(cells.dtype):
            return np.ascontiguousarray(cells.to_numpy(dtype=np.float64, na_value=np.nan))
        values = np.array(pd.to_numeric(cells, errors="coerce"), dtype=np.float64)
        bad = np.flatnonzero(np.isnan(values) & cells.notna().to_numpy())[:_TEXTS_KEPT]
        self.texts[name] = {int(self.table.rows[i]): str(cells.iloc[i]) for i in bad.tolist()}
        return values


def begin(
    source: Source | Table,
    vt_symbol: str,
    known: Mapping[str, tuple[str, ...]],
    *,
    columns: Mapping[str, str] | None,
    tz: str | dt.tzinfo | None,
    fix: str | Iterable[str],
    allow_negative: bool,
    time_format: str | None,
) -> Job:
    """Check the caller's arguments, read the table and find its columns.

    Raises:
        DataError: a wrong argument, an unreadable file, or ``columns`` that do not fit.
    """
    try:
        split_vt_symbol(vt_symbol)
    except ValueError as error:
        raise DataError(str(error)) from error
    fixes, zone = fix_names(fix), find_zone(tz)
    table = source if isinstance(source, Table) else read_table(source)
    given = dict(columns or {})
    if table.index_name is not None and not {"time", "ts_open", "ts_event"} & given.keys():
        given["time"] = table.index_name
    elif "time" not in given:
        table = _joined(table)
    header = [str(name) for name in table.frame.columns]
    names = resolve_names(header, known, given, table.source)
    notes = list(table.notes)
    if "time" in names:
        is_index = names["time"] == table.index_name
        where = "DataFrame's index" if is_index else f"column {names['time']!r}"
        notes.append(f"Stamps are taken from the {where}.")
    return Job(table, vt_symbol, names, zone, fixes, allow_negative, time_format, notes)


def _joined(table: Table) -> Table:
    """The table with one column made of a date and a time of day, where it has them apart."""
    lower = {str(name).strip().lower(): str(name) for name in table.frame.columns}
    if not {"date", "time"} <= lower.keys() or {"timestamp", "datetime", "ts_open"} & lower.keys():
        return table
    dates, clocks = table.frame[lower["date"]], table.frame[lower["time"]]
    if not _CLOCK.match(str(clocks.iloc[0])):
        return table
    frame = table.frame.assign(timestamp=dates.astype("str") + " " + clocks.astype("str"))
    frame.loc[dates.isna() | clocks.isna(), "timestamp"] = None
    told = f"Stamps are joined from the columns {lower['date']!r} and {lower['time']!r}."
    return replace(table, frame=frame, notes=(*table.notes, told))


def clean_rows(job: Job) -> None:
    """Keep the rows of the one symbol, and those that have a stamp.

    Raises:
        DataError: several symbols and none of them asked for, or a missing stamp without ``drop_nan``.
    """
    _choose_symbol(job)
    missing = job.table.frame[job.names["time"]].isna().to_numpy()
    count = int(missing.sum())
    if not count:
        return
    place = job.place("time")(int(np.flatnonzero(missing)[0]))
    if "drop_nan" not in job.fixes:
        raise DataError(f"{place}: no stamp ({count} such rows); to drop them: --fix drop_nan")
    if count == len(missing):
        raise DataError(
            f"{place}: no row has a stamp; say which column has, columns={{'time': ...}}"
        )
    told = f"{job.source}: fix drop_nan dropped {count} rows without a stamp, the first at {place}"
    issue = QualityIssue(
        Severity.INFO, "fixed_drop_nan", None, job.names["time"], told, ("drop_nan",)
    )
    job.issues.append(issue)
    job.table = job.table.take(~missing)


def _choose_symbol(job: Job) -> None:
    if "symbol" not in job.names:
        return
    cells = job.table.frame[job.names["symbol"]].astype("str")
    found = [str(name) for name in cells.unique()]
    symbol = job.vt_symbol.rpartition(".")[0]
    column = job.names["symbol"]
    mine = [name for name in found if name.upper() in {symbol.upper(), job.vt_symbol.upper()}]
    if mine and len(found) > 1:
        keep = cells.isin(mine).to_numpy()
        job.table = job.table.take(keep)
        job.notes.append(
            f"Of {len(found)} symbols in {column!r} the rows of {mine[0]!r} are taken."
        )
    elif len(found) > 1:
        raise DataError(
            f"{job.source}: column {column!r} holds {len(found)} symbols, none of them {symbol!r}"
            f"{nearest(symbol, found)}; load one of {', '.join(found[:20])}"
        )
    elif not mine:
        job.notes.append(f"Column {column!r} says {found[0]!r}; it is loaded as {job.vt_symbol}.")


def stamps_of(job: Job, name: str, *, dates_allowed: bool) -> Stamps:
    """Parse a column of stamps; what was assumed goes to the notes."""
    cells = job.table.frame[job.names[name]]
    stamps = parse_stamps(
        cells,
        job.place(name),
        tz=job.tz,
        time_format=job.time_format,
        dates_allowed=dates_allowed,
    )
    if name == "time":
        job.notes += stamps.notes
    return stamps


def closes_of(job: Job) -> IntArray | None:
    """Closes in ns UTC where the file has a column for them, else None.

    Raises:
        DataError: a row has no close.
    """
    if "time_close" not in job.names:
        return None
    missing = np.flatnonzero(job.table.frame[job.names["time_close"]].isna().to_numpy())
    if len(missing):
        raise DataError(f"{job.place('time_close')(int(missing[0]))}: no stamp for the bar's close")
    job.notes.append(f"Closes are taken from the column {job.names['time_close']!r}.")
    return stamps_of(job, "time_close", dates_allowed=True).ns


def price_sides(job: Job, price: Price | None) -> tuple[str, ...]:
    """Which sides of a bar of quotes make the prices; empty for bars of trades.

    Raises:
        DataError: columns are missing, or it was not said which side to take.
    """
    if price not in {None, "bid", "ask", "mid"}:
        raise DataError(f"price {price!r} is none of 'bid', 'ask', 'mid'")
    has_quotes = job.names.keys() >= QUOTE_BAR_NAMES.keys()
    has_trades = job.names.keys() >= set(PRICE_COLUMNS)
    if price is None and has_quotes and not has_trades:
        raise DataError(
            f"{job.source}: holds bars of quotes (bid_open ... ask_close); say which prices to take "
            f"with price='bid', price='ask' or price='mid'"
        )
    if price is None:
        require_names(job.names, ("time", *PRICE_COLUMNS), job.header, job.source)
        return ()
    sides = ("bid", "ask") if price == "mid" else (price,)
    wanted = [f"{side}_{name[:-6]}" for side in sides for name in PRICE_COLUMNS]
    require_names(job.names, ("time", *wanted), job.header, job.source)
    job.notes.append(f"Prices are the bars' {price} prices.")
    return sides


def price_column(job: Job, name: str, sides: tuple[str, ...]) -> FloatArray:
    """One of the four prices, shape (n,); the mean of both sides where two are asked for."""
    if not sides:
        return job.numbers(name)
    parts = [f"{side}_{name[:-6]}" for side in sides]
    values = [job.numbers(part) for part in parts]
    job.names[name] = " and ".join(job.names[part] for part in parts)
    for part in parts:
        job.texts.setdefault(name, {}).update(job.texts.get(part, {}))
    return values[0] if len(values) == 1 else (values[0] + values[1]) / 2.0


def adjust_prices(job: Job, prices: dict[str, FloatArray], adjust: bool) -> None:
    """Scale the four prices by adjusted close / close if asked, and say what the prices are.

    All four are multiplied by the one factor, so high and low stay the extremes; the close then equals
    the adjusted close to one unit in the last place.

    Raises:
        DataError: adjustment is asked for and there is no adjusted close.
    """
    column = job.names.get("adj_close")
    if not adjust:
        unused = f"; the column {column!r} is not used (adjust=True uses it)" if column else ""
        job.notes.append(f"Prices are taken as they stand in the source{unused}.")
        return
    require_names(job.names, ("adj_close",), job.header, job.source)
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = job.numbers("adj_close") / prices["close_price"]
        for name in PRICE_COLUMNS:
            prices[name] = prices[name] * factor
    job.notes.append(
        f"Open, high, low and close are scaled by {column!r} / {job.names['close_price']!r}; "
        f"volume is not."
    )


def finish(
    job: Job,
    columns: ColumnsT,
    bounds: tuple[Moment, Moment],
    zone: dt.tzinfo,
    *,
    by_day: bool,
) -> tuple[ColumnsT, tuple[QualityIssue, ...]]:
    """Cut to the range asked for, mend what was asked for, check all of it.

    Raises:
        DataError: nothing in the range, or faults that no asked-for fix mends.
    """
    origin = job.origin()
    chosen: Columns = columns
    times = row_times(columns)
    first, last, notes = find_bounds(*bounds, zone, by_day=by_day)
    job.notes += notes
    keep = np.ones(len(columns), dtype=np.bool_)
    if first is not None:
        keep &= times >= first
    if last is not None:
        keep &= times < last
    if not keep.any():
        raise DataError(
            f"{job.source}: no row from start={bounds[0]!s} to end={bounds[1]!s}; "
            f"the data reach from {moment(times.min())} to {moment(times.max())}"
        )
    if not keep.all():
        origin, chosen = origin.take(keep, len(keep)), columns.take(keep)
        job.notes.append(f"{len(chosen)} of {len(keep)} rows lie in the range asked for.")
    if job.fixes:
        fixed = apply_fixes(chosen, job.fixes, origin, allow_negative=job.allow_negative)
        job.issues += fixed.issues
        chosen, origin = fixed.columns, fixed.origin
    report = check(chosen, origin, allow_negative=job.allow_negative)
    report.raise_for_errors()
    return cast(ColumnsT, chosen), (*job.issues, *report.issues)


BAR_FILE_NAMES: Mapping[str, tuple[str, ...]] = {**BAR_NAMES, **QUOTE_BAR_NAMES}
"""All columns that a file of bars may have."""
