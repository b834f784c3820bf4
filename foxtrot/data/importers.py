"""Bars and ticks from CSV and Parquet files and DataFrames, checked, with every assumption told.

Invariants:

* Nothing is changed or dropped unless the caller named the fix, and each fix counts what it changed.
* What was not said by the caller is found from the data and written into ``LoadedData.assumptions``;
  what cannot be found (the zone of intraday stamps) is asked for by a ``DataError``.
* Everything in the range asked for is checked before anything is returned.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from foxtrot.core.constants import Interval
from foxtrot.core.errors import DataError
from foxtrot.data.columns import BarColumns, Columns, FloatArray, TickColumns
from foxtrot.data.load_job import (
    BAR_FILE_NAMES,
    Job,
    Price,
    adjust_prices,
    begin,
    clean_rows,
    closes_of,
    finish,
    price_column,
    price_sides,
    stamps_of,
)
from foxtrot.data.names import TICK_NAMES, require_names, resolve_names
from foxtrot.data.quality import PRICE_COLUMNS, QualityIssue
from foxtrot.data.readers import Source, Table, read_table
from foxtrot.data.spans import Moment, Spans, Stamp, bar_spans, find_interval
from foxtrot.data.stamps import all_midnight

LoadedT_co = TypeVar("LoadedT_co", bound=Columns, covariant=True)

_QUOTES = ("bid_price_1", "ask_price_1")
_SIZES = ("bid_volume_1", "ask_volume_1")
_CALENDAR = frozenset({Interval.DAILY, Interval.WEEKLY, Interval.OTHER})


@dataclass(frozen=True, slots=True)
class LoadedData(Generic[LoadedT_co]):
    """What a loader returns.

    Attributes:
        columns: the bars or ticks.
        assumptions: plain sentences: time column, zone, interval, stamp, adjustment, range.
        issues: what was found (gaps, spikes) and what fixes changed.
        source: file name, or ``DataFrame``.
    """

    columns: LoadedT_co
    assumptions: tuple[str, ...]
    issues: tuple[QualityIssue, ...]
    source: str


def load_bars(
    source: Source | Table,
    vt_symbol: str,
    *,
    interval: Interval | str | None = None,
    stamp: Stamp | None = None,
    tz: str | dt.tzinfo | None = None,
    columns: Mapping[str, str] | None = None,
    start: Moment = None,
    end: Moment = None,
    fix: str | Iterable[str] = (),
    adjust: bool = False,
    price: Price | None = None,
    time_format: str | None = None,
    allow_negative: bool = False,
) -> LoadedData[BarColumns]:
    """Load bars.

    Args:
        source: path of a ``.csv``, ``.csv.gz``, ``.txt`` or ``.parquet`` file, or a DataFrame with a
            time index or column.
        vt_symbol: the instrument, ``SYMBOL.EXCHANGE``; of a file with several symbols its rows count.
        interval: the bars' interval; by default found from the stamps.
        stamp: whether a stamp is its bar's ``open`` (default) or ``close``. Of dates, ``close`` means
            the end of that day.
        tz: zone of stamps without offset, in which days begin; needed for intraday stamps.
        columns: Foxtrot's names (``open_price``, ``time``, ...) to the file's, if not recognised.
        start: first ``ts_open`` that belongs: date, datetime, ISO text or ns UTC.
        end: the ``ts_open`` before which rows belong; a bare date includes that day.
        fix: names of fixes to apply, see ``foxtrot.data.fixes.FIXES``.
        adjust: scale open, high, low and close by adjusted close / close; volume stays raw.
        price: side to take from bars of quotes (``bid_open`` ... ``ask_close``); ``mid`` is the mean.
        time_format: ``strptime`` form of stamps that are not ISO 8601.
        allow_negative: accept prices of zero and below.

    Raises:
        DataError: the file, its columns, stamps or values cannot be used as they are; the message
            names file, row, column, value and the fix.
        MissingExtraError: a Parquet file without the extra ``parquet``.
    """
    wanted = None if interval is None else find_interval(interval)
    job = begin(
        source,
        vt_symbol,
        BAR_FILE_NAMES,
        columns=columns,
        tz=tz,
        fix=fix,
        allow_negative=allow_negative,
        time_format=time_format,
    )
    if "time" not in job.names and "time_close" in job.names:
        job.names["time"], stamp = job.names.pop("time_close"), stamp or "close"
        job.notes.append(f"Stamps are taken from the column {job.names['time']!r}.")
    sides = price_sides(job, price)
    clean_rows(job)
    stamps = stamps_of(job, "time", dates_allowed=True)
    spans = bar_spans(stamps, closes_of(job), interval=wanted, stamp=stamp, source=job.source)
    job.notes += spans.notes
    prices = {name: price_column(job, name, sides) for name in PRICE_COLUMNS}
    adjust_prices(job, prices, adjust)
    bars = _bars(job, spans, prices)
    by_day = spans.interval in _CALENDAR and all_midnight(bars.ts_open, stamps.zone)
    chosen, issues = finish(job, bars, (start, end), stamps.zone, by_day=by_day)
    return LoadedData(chosen, tuple(job.notes), issues, job.source)


def load_ticks(
    source: Source | Table,
    vt_symbol: str,
    *,
    tz: str | dt.tzinfo | None = None,
    columns: Mapping[str, str] | None = None,
    start: Moment = None,
    end: Moment = None,
    fix: str | Iterable[str] = (),
    time_format: str | None = None,
    allow_negative: bool = False,
) -> LoadedData[TickColumns]:
    """Load quotes. Arguments and errors are those of ``load_bars``; without sizes, volumes are 0."""
    job = begin(
        source,
        vt_symbol,
        TICK_NAMES,
        columns=columns,
        tz=tz,
        fix=fix,
        allow_negative=allow_negative,
        time_format=time_format,
    )
    require_names(job.names, ("time", *_QUOTES), job.header, job.source)
    clean_rows(job)
    stamps = stamps_of(job, "time", dates_allowed=False)
    known = (*_QUOTES, *_SIZES, "last_price", "last_volume", "volume")
    found = {name: job.numbers(name) for name in known if name in job.names}
    for name in _SIZES:
        if name not in found:
            found[name] = np.zeros(len(stamps.ns))
            job.notes.append(f"There is no column for {name}, so it is 0.")
    ticks = TickColumns(vt_symbol, stamps.ns, **found)
    chosen, issues = finish(job, ticks, (start, end), stamps.zone, by_day=False)
    return LoadedData(chosen, tuple(job.notes), issues, job.source)


def load(
    source: Source,
    vt_symbol: str,
    *,
    interval: Interval | str | None = None,
    stamp: Stamp | None = None,
    tz: str | dt.tzinfo | None = None,
    columns: Mapping[str, str] | None = None,
    start: Moment = None,
    end: Moment = None,
    fix: str | Iterable[str] = (),
    adjust: bool = False,
    price: Price | None = None,
    time_format: str | None = None,
    allow_negative: bool = False,
) -> LoadedData[BarColumns] | LoadedData[TickColumns]:
    """Load bars or ticks, whichever the columns hold; arguments and errors are those of ``load_bars``.

    A table with bid and ask prices, and without the four prices of bars, holds ticks.

    Raises:
        DataError: besides those of ``load_bars``, an argument that only bars have was given for ticks.
    """
    table = read_table(source)
    if not _holds_ticks(table, columns):
        return load_bars(
            table,
            vt_symbol,
            interval=interval,
            stamp=stamp,
            tz=tz,
            columns=columns,
            start=start,
            end=end,
            fix=fix,
            adjust=adjust,
            price=price,
            time_format=time_format,
            allow_negative=allow_negative,
        )
    for_bars = {"interval": interval, "stamp": stamp, "adjust": adjust, "price": price}
    for name, value in for_bars.items():
        if value:
            raise DataError(f"{table.source}: holds ticks, which have no {name}; leave {name} out")
    return load_ticks(
        table,
        vt_symbol,
        tz=tz,
        columns=columns,
        start=start,
        end=end,
        fix=fix,
        time_format=time_format,
        allow_negative=allow_negative,
    )


def _holds_ticks(table: Table, columns: Mapping[str, str] | None) -> bool:
    header = [str(name) for name in table.frame.columns]
    given = {name for name in columns or {} if name in TICK_NAMES}
    ticks = resolve_names(header, {n: TICK_NAMES[n] for n in _QUOTES}, None, table.source).keys()
    if not {*ticks, *given} >= set(_QUOTES):
        return False
    bars = {name: BAR_FILE_NAMES[name] for name in PRICE_COLUMNS}
    found = {*resolve_names(header, bars, None, table.source), *(columns or {})}
    return not found >= set(PRICE_COLUMNS)


def _bars(job: Job, spans: Spans, prices: Mapping[str, FloatArray]) -> BarColumns:
    if "volume" in job.names:
        volume = job.numbers("volume")
    else:
        volume = np.zeros(len(spans.ts_open))
        job.notes.append("There is no column for volume, so it is 0.")
    more = {name: job.numbers(name) for name in ("turnover", "open_interest") if name in job.names}
    return BarColumns(
        job.vt_symbol,
        spans.interval,
        spans.ts_open,
        spans.ts_event,
        volume=volume,
        **prices,
        **more,
    )
