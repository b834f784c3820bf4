"""The equity curve and the price series of a run, worked out from its fills and the data it ran on.

Cash is followed in whole minor units from fill to fill and only then turned into floats, so the curve carries no
rounding of its own. A fill counts from the event on in which it was made (``ts_init``, the exchange's clock). Quotes
are marked at the last one of each minute, bars at every close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import Currency
from foxtrot.analysis.result import PriceSeries
from foxtrot.core.constants import NS_PER_MINUTE, Direction
from foxtrot.core.objects import TradeData
from foxtrot.data.columns import BarColumns, Columns, TickColumns

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
INT64_SAFE = 4e18
"""Sums of whole numbers up to here are exact in int64."""


@dataclass(frozen=True, slots=True)
class EquityCurve:
    """Equity (currency), whether a position was open, and gross notional, at ``ts`` (ns UTC); all of shape (n,)."""

    ts: IntArray
    equity: FloatArray
    exposure: NDArray[np.bool_]
    gross: FloatArray


def price_series(columns: Columns) -> PriceSeries:
    """Bars as they are; quotes as one-minute bars of their middle."""
    rows = price_rows(columns)
    return rows if columns.is_bars else bucketed(rows, rows.ts_event // NS_PER_MINUTE)


def price_rows(columns: Columns) -> PriceSeries:
    """Bars as they are; quotes with a price as points at their middle."""
    if isinstance(columns, BarColumns):
        return PriceSeries(
            columns.vt_symbol,
            columns.ts_open,
            columns.ts_event,
            columns.open_price,
            columns.high_price,
            columns.low_price,
            columns.close_price,
            columns.volume,
        )
    middle = _middle(columns)
    keep = middle > 0.0
    ts, middle = columns.ts_event[keep], middle[keep]
    volume = np.zeros(len(ts))
    return PriceSeries(columns.vt_symbol, ts, ts, middle, middle, middle, middle, volume)


def _middle(columns: TickColumns) -> FloatArray:
    """Middle of bid and ask; of a one-sided quote the last price, or else the side that is there."""
    bid, ask = columns.bid_price_1, columns.ask_price_1
    two_sided = (bid > 0.0) & (ask > 0.0)
    middle = np.where(two_sided, (bid + ask) / 2.0, np.maximum(bid, ask))
    if columns.last_price is not None:
        middle = np.where(two_sided | (columns.last_price <= 0.0), middle, columns.last_price)
    return middle


def bucketed(rows: PriceSeries, keys: IntArray) -> PriceSeries:
    """Consecutive rows with the same key, shape (n,), made one: first open, highest, lowest, last close, all volume."""
    if not len(rows):
        return rows
    starts = np.flatnonzero(np.diff(keys, prepend=keys[:1] - 1))
    ends = np.append(starts[1:], len(rows)) - 1
    return PriceSeries(
        rows.vt_symbol,
        rows.ts_open[starts],
        rows.ts_event[ends],
        rows.open_price[starts],
        np.maximum.reduceat(rows.high_price, starts),
        np.minimum.reduceat(rows.low_price, starts),
        rows.close_price[ends],
        np.add.reduceat(rows.volume, starts),
    )


def equity_curve(
    prices: Sequence[PriceSeries],
    trades: Sequence[TradeData],
    instruments: Mapping[str, Instrument],
    capital: float,
) -> EquityCurve:
    """Mark the account at every point of the price series.

    Args:
        prices: bars and quotes of the instruments; where one has both, each mark is the newer of the two.
        trades: fills in order of delivery.
        instruments: how each instrument is booked; all in one currency.
        capital: opening balance.
    """
    marks = _marks(prices)
    if not marks:
        empty = np.empty(0)
        return EquityCurve(empty.astype(np.int64), empty, empty.astype(bool), empty)
    grid = _union([ts for ts, _ in marks.values()])
    fills = {
        vt_symbol: _Fills(own, instruments[vt_symbol])
        for vt_symbol, own in _by_instrument(trades).items()
    }
    if not fills:
        flat = np.zeros(len(grid))
        return EquityCurve(grid, flat + capital, flat != 0.0, flat)
    currency = instruments[trades[0].vt_symbol].currency
    cash = _cash(grid, fills, currency, capital)
    value = np.zeros(len(grid))
    gross = np.zeros(len(grid))
    exposed = np.zeros(len(grid), dtype=bool)
    for vt_symbol, (ts, close) in marks.items():
        if vt_symbol in fills:
            units, active = fills[vt_symbol].position(grid)
            mark = _forward(grid, ts, close) * instruments[vt_symbol].contract.size
            value += units * mark
            gross += np.abs(units) * mark
            exposed |= active
    return EquityCurve(grid, cash + value, exposed, gross)


def _marks(prices: Sequence[PriceSeries]) -> dict[str, tuple[IntArray, FloatArray]]:
    """Stamps and closes per instrument, in order of time."""
    marks: dict[str, tuple[IntArray, FloatArray]] = {}
    for item in prices:
        ts, close = item.ts_event, item.close_price
        if item.vt_symbol in marks:
            ts = np.concatenate((marks[item.vt_symbol][0], ts))
            close = np.concatenate((marks[item.vt_symbol][1], close))
            order = np.argsort(ts, kind="stable")
            ts, close = ts[order], close[order]
        if len(ts):
            marks[item.vt_symbol] = ts, close
    return marks


def _union(stamps: list[IntArray]) -> IntArray:
    first = stamps[0]
    rising = len(first) > 0 and bool(np.all(np.diff(first) > 0))
    if rising and all(np.array_equal(other, first) for other in stamps[1:]):
        return first
    return np.unique(np.concatenate(stamps))


def _cash(
    grid: IntArray, fills: Mapping[str, _Fills], currency: Currency, capital: float
) -> FloatArray:
    """Cash with positions taken out at cost: capital less purchases plus sales less fees, at each grid point."""
    made = np.concatenate([own.made for own in fills.values()])
    order = np.argsort(made, kind="stable")
    flows = np.concatenate([own.flows for own in fills.values()])[order]
    levels = np.cumsum(np.concatenate((flows[:0], [currency.to_minor(capital)], flows)))
    amounts: FloatArray = levels.astype(np.float64) / currency.scale
    return amounts[np.searchsorted(made[order], grid, side="right")]


class _Fills:
    """The fills of one instrument as columns: when made, lots held after each, and what each did to cash (minor units).

    Columns of whole numbers are int64, or Python's own where int64 could overflow.
    """

    def __init__(self, trades: Sequence[TradeData], instrument: Instrument) -> None:
        sign = np.array([1 if t.direction is Direction.LONG else -1 for t in trades])
        self.made = np.array([t.ts_init for t in trades], dtype=np.int64)
        value = np.rint(
            np.array([t.price * t.volume for t in trades]) * instrument.scale
        )  # half to even, as Instrument.value
        fee = np.rint(np.array([t.commission for t in trades]) * instrument.currency.scale)
        safe = float(np.abs(value).sum() + np.abs(fee).sum()) < INT64_SAFE
        whole = (lambda a: a.astype(np.int64)) if safe else _python_ints
        self.flows = -sign * whole(value) - whole(fee)
        lot = instrument.lot
        lots = np.array([lot.to_lots(t.volume) for t in trades]) * sign
        held = np.concatenate(([0], np.cumsum(lots)))
        self.levels: FloatArray = held * lot.numerator / lot.denominator

    def position(self, grid: IntArray) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Units held at each grid point, and whether any were held in the step that ends there."""
        levels = self.levels
        step = np.searchsorted(grid, self.made, side="left")
        count = np.cumsum(np.bincount(step, minlength=len(grid) + 1)[: len(grid)])
        units = levels[count]
        before = np.concatenate(([0], count[:-1]))
        active = (units != 0.0) | (levels[before] != 0.0) | (count > before)
        return units, active


def _python_ints(values: FloatArray) -> NDArray[np.object_]:
    """Whole numbers of any size."""
    return np.array([int(value) for value in values.tolist()], dtype=object)


def _by_instrument(trades: Sequence[TradeData]) -> dict[str, list[TradeData]]:
    grouped: dict[str, list[TradeData]] = {}
    for trade in trades:
        grouped.setdefault(trade.vt_symbol, []).append(trade)
    return grouped


def _forward(grid: IntArray, ts: IntArray, close: FloatArray) -> FloatArray:
    """Newest close at each grid point; the first close before there is one (nothing is held then)."""
    if grid is ts or np.array_equal(grid, ts):
        return close
    row = np.searchsorted(ts, grid, side="right") - 1
    filled: FloatArray = close[np.maximum(row, 0)]
    return filled
