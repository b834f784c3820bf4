"""The equity curve and the price series of a run, worked out from its fills and the data it ran on.

Cash is followed in whole minor units from fill to fill and only then turned into floats, so the curve carries no
rounding of its own. A fill counts from the event on in which it was made (``ts_init``, the exchange's clock). Quotes
are marked at the last one of each minute, bars at every close.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from foxtrot.accounting.instrument import Instrument
from foxtrot.analysis.result import PriceSeries
from foxtrot.core.constants import NS_PER_MINUTE, Direction
from foxtrot.core.objects import TradeData
from foxtrot.data.columns import BarColumns, TickColumns
from foxtrot.data.feed import Columns

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class EquityCurve:
    """Equity (currency), whether a position was open, and gross notional, at ``ts`` (ns UTC); all of shape (n,)."""

    ts: IntArray
    equity: FloatArray
    exposure: NDArray[np.bool_]
    gross: FloatArray


def price_series(columns: Columns) -> PriceSeries:
    """Bars as they are; quotes as one-minute bars of their middle."""
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
    return _minutes(columns)


def _minutes(columns: TickColumns) -> PriceSeries:
    bid, ask = columns.bid_price_1, columns.ask_price_1
    two_sided = (bid > 0.0) & (ask > 0.0)
    middle = np.where(two_sided, (bid + ask) / 2.0, np.maximum(bid, ask))
    if columns.last_price is not None:
        middle = np.where(two_sided | (columns.last_price <= 0.0), middle, columns.last_price)
    keep = middle > 0.0
    ts, middle = columns.ts_event[keep], middle[keep]
    minute = ts // NS_PER_MINUTE
    starts = np.flatnonzero(np.diff(minute, prepend=minute[:1] - 1))
    ends = np.append(starts[1:], len(ts)) - 1 if len(starts) else starts
    volume = np.zeros(len(starts))
    if not len(starts):
        empty = np.empty(0)
        return PriceSeries(columns.vt_symbol, ts, ts, empty, empty, empty, empty, volume)
    return PriceSeries(
        columns.vt_symbol,
        ts[starts],
        ts[ends],
        middle[starts],
        np.maximum.reduceat(middle, starts),
        np.minimum.reduceat(middle, starts),
        middle[ends],
        volume,
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
    cash = _cash(grid, trades, instruments, capital)
    value = np.zeros(len(grid))
    gross = np.zeros(len(grid))
    exposed = np.zeros(len(grid), dtype=bool)
    for vt_symbol, (ts, close) in marks.items():
        own = [trade for trade in trades if trade.vt_symbol == vt_symbol]
        if own:
            units, active = _position(grid, own, instruments[vt_symbol])
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
    if len(stamps) == 1 and len(stamps[0]) and bool(np.all(np.diff(stamps[0]) > 0)):
        return stamps[0]
    return np.unique(np.concatenate(stamps))


def _cash(
    grid: IntArray,
    trades: Sequence[TradeData],
    instruments: Mapping[str, Instrument],
    capital: float,
) -> FloatArray:
    """Cash with positions taken out at cost: capital less purchases plus sales less fees, at each grid point."""
    if not trades:
        return np.full(len(grid), capital)
    flows = []
    for trade in trades:
        instrument = instruments[trade.vt_symbol]
        value = instrument.value(trade.price, trade.volume)
        fee = instrument.currency.to_minor(trade.commission)
        flows.append((-value if trade.direction is Direction.LONG else value) - fee)
    currency = instruments[trades[0].vt_symbol].currency
    opening = currency.to_minor(capital)
    levels = np.array([currency.to_amount(minor) for minor in accumulate(flows, initial=opening)])
    made = np.array([trade.ts_init for trade in trades], dtype=np.int64)
    return levels[np.searchsorted(made, grid, side="right")]


def _position(
    grid: IntArray, trades: Sequence[TradeData], instrument: Instrument
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Units held at each grid point, and whether any were held in the step that ends there."""
    lot = instrument.lot
    signed = [
        lot.to_lots(trade.volume) * (1 if trade.direction is Direction.LONG else -1)
        for trade in trades
    ]
    levels = np.array([lot.from_lots(lots) for lots in accumulate(signed, initial=0)])
    made = np.array([trade.ts_init for trade in trades], dtype=np.int64)
    count = np.searchsorted(made, grid, side="right")
    units = levels[count]
    before = np.concatenate(([0], count[:-1]))
    active = (units != 0.0) | (levels[before] != 0.0) | (count > before)
    return units, active


def _forward(grid: IntArray, ts: IntArray, close: FloatArray) -> FloatArray:
    """Newest close at each grid point; the first close before there is one (nothing is held then)."""
    if grid is ts:
        return close
    row = np.searchsorted(ts, grid, side="right") - 1
    filled: FloatArray = close[np.maximum(row, 0)]
    return filled
