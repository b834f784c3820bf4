"""Checks of market data before a run: what is wrong, where, and which explicit fix would mend it.

Invariants:

* A check changes nothing; mending is ``foxtrot.data.fixes``, and only on request.
* Every check is vectorised and finds all faults; issues are made for the first few of each kind, and
  ``QualityReport.counts`` has the full number.
* An ERROR makes the data unfit for a run. INFO (gaps, spikes, repeated stamps) is for the reader.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from foxtrot.core.constants import NS_PER_DAY, Interval
from foxtrot.data.columns import BarColumns, Columns, FloatArray, IntArray, TickColumns, iter_arrays
from foxtrot.data.issues import Finder, Mask, Origin, QualityIssue, QualityReport, Severity, moment

__all__ = ["Origin", "QualityIssue", "QualityReport", "Severity", "check"]

PRICE_COLUMNS = ("open_price", "high_price", "low_price", "close_price")
TICK_PRICES = ("bid_price_1", "ask_price_1", "last_price")
VOLUME_COLUMNS = ("volume", "turnover", "open_interest")
TICK_VOLUMES = ("bid_volume_1", "ask_volume_1", "last_volume", "volume")

_GAP_DAYS = 4
_SPIKE_FACTOR = 20.0
_SPIKE_LEAST = 0.10


def check(
    columns: Columns, origin: Origin | None = None, *, allow_negative: bool = False, limit: int = 5
) -> QualityReport:
    """Look for everything that would make a run wrong.

    Args:
        columns: bars or ticks.
        origin: where the rows came from; by default they are called by the symbol, rows from 0.
        allow_negative: accept prices of zero and below (spreads, some futures).
        limit: how many issues of one kind and column are listed.

    Returns:
        The report; it raises nothing by itself (``report.raise_for_errors()``).
    """
    finder = Finder(origin or Origin(columns.vt_symbol), len(columns), limit)
    _check_numbers(finder, columns)
    if isinstance(columns, BarColumns):
        _check_bars(finder, columns, allow_negative)
    else:
        _check_ticks(finder, columns, allow_negative)
    return finder.report()


def present(columns: Columns, names: tuple[str, ...]) -> list[tuple[str, FloatArray]]:
    """Name and array of those of ``names`` that ``columns`` has."""
    pairs = ((name, getattr(columns, name, None)) for name in names)
    return [(name, values) for name, values in pairs if values is not None]


def outside_range(columns: BarColumns, name: str) -> Mask:
    """Rows whose open or close lies outside of [low, high] although low <= high, shape (n,)."""
    values: FloatArray = getattr(columns, name)
    sane = columns.high_price >= columns.low_price
    mask: Mask = sane & ((values > columns.high_price) | (values < columns.low_price))
    return mask


def crossed(columns: TickColumns) -> Mask:
    """Rows with both sides and bid > ask, shape (n,)."""
    mask: Mask = (columns.ask_price_1 > 0.0) & (columns.bid_price_1 > columns.ask_price_1)
    return mask


def _check_numbers(finder: Finder, columns: Columns) -> None:
    origin = finder.origin
    for name, values in iter_arrays(columns):
        if values.dtype != np.float64 or np.isfinite(values).all():
            continue
        texts = origin.texts.get(name, {})
        fixes = ("drop_nan", "fill_zero") if may_be_zero(columns, name) else ("drop_nan",)

        def say(index: int, texts: Mapping[int, str] = texts) -> str:
            text = texts.get(origin.row(index))
            return "no value" if text is None else f"{text!r} is no number"

        finder.flag("not_a_number", np.isnan(values), name, say, *fixes)
        finder.flag("infinite", np.isinf(values), name, lambda _: "an infinite value", "drop_nan")


def may_be_zero(columns: Columns, name: str) -> bool:
    """Whether 0 in this column means "none": volumes of bars, every column of ticks."""
    return isinstance(columns, TickColumns) or name in VOLUME_COLUMNS


def _check_bars(finder: Finder, bars: BarColumns, allow_negative: bool) -> None:
    high, low = bars.high_price, bars.low_price
    finder.flag(
        "high_below_low",
        high < low,
        "high_price",
        lambda i: f"the high {float(high[i])!r} is below the low {float(low[i])!r}",
        "drop_invalid",
        "clamp_ohlc",
    )
    for name, values in (("open_price", bars.open_price), ("close_price", bars.close_price)):

        def say(i: int, word: str = name.partition("_")[0], values: FloatArray = values) -> str:
            span = f"[{float(low[i])!r}, {float(high[i])!r}]"
            return f"the {word} {float(values[i])!r} lies outside of low and high {span}"

        bad = outside_range(bars, name)
        finder.flag(f"{name[:-6]}_outside", bad, name, say, "drop_invalid", "clamp_ohlc")
    _check_signs(finder, bars, allow_negative)
    _check_spans(finder, bars)
    _check_spikes(finder, bars)


def _check_ticks(finder: Finder, ticks: TickColumns, allow_negative: bool) -> None:
    bid, ask = ticks.bid_price_1, ticks.ask_price_1
    finder.flag(
        "crossed_quote",
        crossed(ticks),
        "bid_price_1",
        lambda i: f"the bid {float(bid[i])!r} is above the ask {float(ask[i])!r}",
        "drop_invalid",
    )
    _check_signs(finder, ticks, allow_negative)
    if _check_order(finder, ticks.ts_event, "ts_event") and len(ticks) > 1:
        repeated = int((np.diff(ticks.ts_event) == 0).sum())
        if repeated:
            finder.inform(
                "repeated_stamp", repeated, f"{repeated} ticks have the stamp before theirs"
            )


def _check_signs(finder: Finder, columns: Columns, allow_negative: bool) -> None:
    is_bars = isinstance(columns, BarColumns)
    hint = "; allow_negative=True accepts it" if is_bars else ""
    if not allow_negative:
        for name, values in present(columns, PRICE_COLUMNS if is_bars else TICK_PRICES):

            def tell(i: int, values: FloatArray = values) -> str:
                wanted = "positive" if is_bars else "positive, or 0 for none"
                return f"the price {float(values[i])!r} is not {wanted}{hint}"

            bad = values <= 0.0 if is_bars else values < 0.0
            finder.flag("price_not_positive", bad, name, tell, "drop_invalid")
    for name, values in present(columns, VOLUME_COLUMNS if is_bars else TICK_VOLUMES):

        def say(i: int, values: FloatArray = values) -> str:
            return f"the value {float(values[i])!r} is negative"

        finder.flag("negative_volume", values < 0.0, name, say, "drop_invalid")


def _check_order(finder: Finder, times: IntArray, column: str) -> bool:
    back = np.flatnonzero(times[1:] < times[:-1]) + 1
    finder.flag(
        "unsorted",
        back,
        column,
        lambda i: f"{moment(times[i])} is earlier than the row before it, {moment(times[i - 1])}",
        "sort",
    )
    return not len(back)


def duplicate_rows(times: IntArray) -> IntArray:
    """Rows whose stamp an earlier row already has, ascending, shape (k,)."""
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    return np.sort(order[1:][ordered[1:] == ordered[:-1]])


def _check_spans(finder: Finder, bars: BarColumns) -> None:
    opens, closes = bars.ts_open, bars.ts_event
    in_order = _check_order(finder, opens, "ts_open")
    twice = duplicate_rows(opens)
    finder.flag(
        "duplicate",
        twice,
        "ts_open",
        lambda i: f"another row before it has the stamp {moment(opens[i])} already",
        "drop_duplicates",
    )
    finder.flag(
        "bad_span",
        closes <= opens,
        "ts_event",
        lambda i: f"the bar closes at {moment(closes[i])}, not after its open {moment(opens[i])}",
        "drop_invalid",
    )
    if not in_order or len(twice) or len(bars) < 2:
        return
    finder.flag(
        "overlap",
        np.flatnonzero(opens[1:] < closes[:-1]) + 1,
        "ts_open",
        lambda i: (
            f"the bar opens at {moment(opens[i])}, before the one before it closes at "
            f"{moment(closes[i - 1])}; give the right interval=, stamp= or tz="
        ),
    )
    _report_gaps(finder, bars)


def _report_gaps(finder: Finder, bars: BarColumns) -> None:
    pauses = bars.ts_open[1:] - bars.ts_event[:-1]
    calendar = bars.interval in {Interval.DAILY, Interval.WEEKLY, Interval.OTHER}
    least = _GAP_DAYS * NS_PER_DAY if calendar else 0
    count = int((pauses > least).sum())
    if not count:
        return
    at = int(pauses.argmax())
    what = f"more than {_GAP_DAYS} days" if calendar else "no bar"
    finder.inform(
        "gap",
        count,
        f"{count} gaps ({what} between two bars), the longest from {moment(bars.ts_event[at])} "
        f"to {moment(bars.ts_open[at + 1])}",
        at + 1,
    )


def _check_spikes(finder: Finder, bars: BarColumns) -> None:
    close = bars.close_price
    if len(close) < 30 or not (close > 0.0).all() or not np.isfinite(close).all():
        return
    change = np.abs(close[1:] / close[:-1] - 1.0)
    least = max(_SPIKE_LEAST, _SPIKE_FACTOR * float(np.median(change)))
    where = np.flatnonzero(change > least)
    if not len(where):
        return
    at = int(change.argmax()) + 1
    finder.inform(
        "spike",
        len(where),
        f"{len(where)} closes move by more than {least:.0%}, the largest from {float(close[at - 1])!r} to "
        f"{float(close[at])!r} at {moment(bars.ts_event[at])} (a split, or a wrong price?)",
        at,
    )
