"""Fills folded into round trips: lots matched first in, first out per strategy and instrument.

A *round trip* is what one order opened and one order closed: partial fills of the same pair of orders count once, at
volume-weighted prices. What is still open at the end is listed apart, marked at the last close.

Invariants:

* Every unit of every fill is in exactly one round trip or open lot; commission and slippage are split in proportion
  to volume, so their sums are those of the fills.
* Gross P&L is ± (exit − entry) × volume × contract size (inverse contracts: (1/entry − 1/exit)). Slippage is already
  in the prices and is only told (``TradeData.slippage`` is an amount in the contract's currency). Net P&L is gross
  less the commissions of both sides.
* The return of a round trip is ± (exit / entry − 1) less commissions / (entry × volume × size).
* Netting contracts ignore the offset of a fill; for the others (``net_position`` False) OPEN adds to its own side and
  CLOSE reduces the other one, so a long and a short may stand side by side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from numpy.typing import NDArray

from foxtrot.core.constants import Direction, Offset
from foxtrot.core.errors import DataError
from foxtrot.core.objects import ContractData, TradeData

if TYPE_CHECKING:
    import pandas as pd

    from foxtrot.analysis.result import BacktestResult, PriceSeries

_CLOSING = frozenset({Offset.CLOSE, Offset.CLOSETODAY, Offset.CLOSEYESTERDAY})
_RELATIVE_DUST = 1e-9


class RoundTrip(msgspec.Struct, frozen=True, gc=False):
    """One closed lot. Money is in the account's currency, times are ns UTC.

    ``return_rate`` is a fraction; ``bars`` counts the steps from the entry's bar to the exit's (-1 without prices);
    ``mae`` and ``mfe`` are the worst and best price seen, as fractions of the entry price (NaN without prices): bars
    from the entry's to the last one that opened before the exit count whole, besides the two fill prices.
    """

    strategy: str
    vt_symbol: str
    direction: Direction
    volume: float
    entry_ts: int
    entry_price: float
    exit_ts: int
    exit_price: float
    pnl_gross: float
    commission: float
    slippage: float
    pnl: float
    return_rate: float
    entry_orderid: str
    exit_orderid: str
    bars: int = -1
    mae: float = np.nan
    mfe: float = np.nan

    @property
    def duration(self) -> int:
        """Time from entry to exit, ns."""
        return self.exit_ts - self.entry_ts


class OpenLot(msgspec.Struct, frozen=True, gc=False):
    """What was still held at the end; ``last_price`` and ``pnl`` are NaN without prices."""

    strategy: str
    vt_symbol: str
    direction: Direction
    volume: float
    entry_ts: int
    entry_price: float
    last_price: float
    pnl: float
    commission: float
    slippage: float
    entry_orderid: str


@dataclass(frozen=True, slots=True, eq=False)
class RoundTrips:
    """Closed lots in order of their exit, and open lots in order of their entry."""

    closed: tuple[RoundTrip, ...]
    open: tuple[OpenLot, ...]

    def __len__(self) -> int:
        return len(self.closed)

    def column(self, name: str) -> NDArray[np.float64]:
        """Return one numeric field (or ``duration``) of the closed lots as an array, shape (n,)."""
        return np.array([getattr(trip, name) for trip in self.closed], dtype=np.float64)

    def frame(self) -> pd.DataFrame:
        """Return the closed lots as a frame, one row a lot, times as UTC timestamps."""
        import pandas as pd

        fields = RoundTrip.__struct_fields__
        columns: dict[str, object] = {
            name: [getattr(trip, name) for trip in self.closed] for name in fields
        }
        columns["direction"] = [str(trip.direction) for trip in self.closed]
        for name in ("entry_ts", "exit_ts"):
            columns[name] = pd.to_datetime(np.asarray(columns[name], dtype=np.int64), utc=True)
        return pd.DataFrame(columns)


class _Lot:
    """An open lot while matching: what is left of it and what each unit of it cost."""

    __slots__ = ("commission", "dust", "orderid", "price", "sign", "slippage", "ts", "volume")

    def __init__(self, fill: TradeData, sign: int, volume: float, commission: float) -> None:
        self.orderid = fill.vt_orderid
        self.sign = sign
        self.ts = fill.ts_event
        self.price = fill.price
        self.volume = volume
        self.dust = fill.volume * _RELATIVE_DUST
        self.commission = commission / fill.volume
        self.slippage = fill.slippage / fill.volume


class _Match:
    """One pair of entry and exit orders, growing while further partial fills of the same pair follow."""

    __slots__ = (
        "commission",
        "entry_orderid",
        "entry_price",
        "entry_ts",
        "exit_orderid",
        "exit_price",
        "exit_ts",
        "sign",
        "slippage",
        "volume",
    )

    def __init__(self, lot: _Lot, fill: TradeData, volume: float) -> None:
        self.sign = lot.sign
        self.entry_orderid = lot.orderid
        self.exit_orderid = fill.vt_orderid
        self.entry_ts = lot.ts
        self.exit_ts = fill.ts_event
        self.entry_price = lot.price
        self.exit_price = fill.price
        self.volume = volume
        self.commission = 0.0
        self.slippage = 0.0

    def add(self, lot: _Lot, fill: TradeData, volume: float) -> None:
        """Blend in another partial fill at volume-weighted prices."""
        total = self.volume + volume
        if lot.price != self.entry_price:
            self.entry_price = (self.entry_price * self.volume + lot.price * volume) / total
        if fill.price != self.exit_price:
            self.exit_price = (self.exit_price * self.volume + fill.price * volume) / total
        self.volume = total
        self.exit_ts = fill.ts_event


class _Book:
    """Open lots and matches of one strategy in one instrument."""

    def __init__(self, contract: ContractData, result: BacktestResult) -> None:
        self.contract = contract
        self.legs = not contract.net_position
        self.money = _rate(
            contract.base_currency if contract.inverse else contract.currency, result
        )
        self.lots: dict[int, deque[_Lot]] = {1: deque(), -1: deque()}
        self.matches: list[_Match] = []
        self._result = result

    def fold(self, fill: TradeData) -> None:
        """Close what the fill closes, first in first out, and open a lot with the rest."""
        sign = 1 if fill.direction == Direction.LONG else -1
        commission = commission_paid(fill, self._result)
        left = fill.volume
        if not self.legs or fill.offset in _CLOSING:
            left = self._close(fill, self.lots[-sign], commission / fill.volume)
        if left > fill.volume * _RELATIVE_DUST:
            self.lots[sign].append(_Lot(fill, sign, left, commission))

    def _close(self, fill: TradeData, lots: deque[_Lot], unit_commission: float) -> float:
        left = fill.volume
        dust = fill.volume * _RELATIVE_DUST
        while lots and left > dust:
            lot = lots[0]
            volume = min(lot.volume, left)
            match = self._pair(lot, fill, volume)
            match.commission += volume * (lot.commission + unit_commission)
            match.slippage += volume * (lot.slippage + fill.slippage / fill.volume)
            lot.volume -= volume
            left -= volume
            if lot.volume <= lot.dust:
                lots.popleft()
        return left

    def _pair(self, lot: _Lot, fill: TradeData, volume: float) -> _Match:
        last = self.matches[-1] if self.matches else None
        if (
            last is not None
            and fill.vt_orderid
            and last.exit_orderid == fill.vt_orderid
            and last.entry_orderid == lot.orderid
        ):
            last.add(lot, fill, volume)
            return last
        match = _Match(lot, fill, volume)
        self.matches.append(match)
        return match


def match_round_trips(result: BacktestResult) -> RoundTrips:
    """Match the fills of a result into round trips and open lots.

    Raises:
        DataError: a fill has no positive volume, or a contract or commission is in a currency for which the result
            holds no rate.
    """
    books: dict[tuple[str, str], _Book] = {}
    for fill in result.trades:
        if not fill.volume > 0.0:
            raise DataError(
                f"trade {fill.vt_tradeid}: volume {fill.volume} is not positive; the side is in `direction`"
            )
        key = (fill.strategy, fill.vt_symbol)
        book = books.get(key)
        if book is None:
            book = books[key] = _Book(_contract(fill.vt_symbol, result), result)
        book.fold(fill)
    prices = {series.vt_symbol: series for series in result.prices}
    closed: list[RoundTrip] = []
    opened: list[OpenLot] = []
    for (strategy, vt_symbol), book in books.items():
        series = prices.get(vt_symbol)
        closed += _closed(strategy, vt_symbol, book, series)
        last = float(series.close_price[-1]) if series is not None and len(series) else float("nan")
        opened += [
            _open_lot(strategy, vt_symbol, book, lot, last)
            for side in book.lots.values()
            for lot in side
        ]
    closed.sort(key=lambda trip: (trip.exit_ts, trip.entry_ts))
    opened.sort(key=lambda lot: lot.entry_ts)
    return RoundTrips(tuple(closed), tuple(opened))


def fill_values(result: BacktestResult) -> NDArray[np.float64]:
    """Return the value of each fill, price × volume × contract size, in the account's currency, shape (n,).

    Raises:
        DataError: the result holds no rate for a contract's currency.
    """
    unit: dict[str, tuple[float, bool]] = {}
    for vt_symbol in {fill.vt_symbol for fill in result.trades}:
        contract = _contract(vt_symbol, result)
        currency = contract.base_currency if contract.inverse else contract.currency
        unit[vt_symbol] = contract.size * _rate(currency, result), contract.inverse
    values = []
    for fill in result.trades:
        money, inverse = unit[fill.vt_symbol]
        amount = fill.volume * money
        values.append(amount / fill.price if inverse else amount * abs(fill.price))
    return np.array(values, dtype=np.float64)


def commission_paid(fill: TradeData, result: BacktestResult) -> float:
    """Return a fill's commission in the result's currency; raises DataError where there is no rate for it."""
    currency = fill.commission_currency
    if not fill.commission or not currency or currency == result.currency:
        return fill.commission
    contract = _contract(fill.vt_symbol, result)
    if currency == contract.base_currency and not contract.inverse:
        return fill.commission * fill.price * _rate(contract.currency, result)
    return fill.commission * _rate(currency, result)


def _contract(vt_symbol: str, result: BacktestResult) -> ContractData:
    contract = result.contracts.get(vt_symbol)
    return contract or ContractData(vt_symbol=vt_symbol, currency=result.currency)


def _rate(currency: str, result: BacktestResult) -> float:
    if not currency or currency == result.currency:
        return 1.0
    rate = result.rates.get(currency)
    if rate is None:
        raise DataError(
            f"P&L in {currency} cannot be told in {result.currency}: BacktestResult.rates holds no {currency}; "
            f"give rates={{'{currency}': <price of one {currency} in {result.currency}>}}"
        )
    return rate


def _gross(contract: ContractData, sign: int, entry: float, leave: float, volume: float) -> float:
    if contract.inverse:
        return sign * (1.0 / entry - 1.0 / leave) * volume * contract.size
    return sign * (leave - entry) * volume * contract.size


def _closed(
    strategy: str, vt_symbol: str, book: _Book, series: PriceSeries | None
) -> list[RoundTrip]:
    bars, low, high = _excursions(book.matches, series)
    contract, money = book.contract, book.money
    trips = []
    for match, count, worst, best in zip(book.matches, bars, low, high, strict=True):
        sign, entry, leave, volume = match.sign, match.entry_price, match.exit_price, match.volume
        gross = _gross(contract, sign, entry, leave, volume) * money
        down = sign * ((worst if sign > 0 else best) / entry - 1.0)
        up = sign * ((best if sign > 0 else worst) / entry - 1.0)
        trips.append(
            RoundTrip(
                strategy=strategy,
                vt_symbol=vt_symbol,
                direction=Direction.LONG if sign > 0 else Direction.SHORT,
                volume=volume,
                entry_ts=match.entry_ts,
                entry_price=entry,
                exit_ts=match.exit_ts,
                exit_price=leave,
                pnl_gross=gross,
                commission=match.commission,
                slippage=match.slippage * book.money,
                pnl=gross - match.commission,
                return_rate=_return(book, match),
                entry_orderid=match.entry_orderid,
                exit_orderid=match.exit_orderid,
                bars=count,
                mae=down,
                mfe=up,
            )
        )
    return trips


def _return(book: _Book, match: _Match) -> float:
    entry = match.entry_price
    unit = book.contract.size * book.money
    if book.contract.inverse:
        notional = match.volume * unit / entry
        return match.sign * (1.0 - entry / match.exit_price) - match.commission / notional
    rate = match.sign * (match.exit_price / entry - 1.0)
    return rate - match.commission / abs(match.volume * unit * entry)


def _excursions(
    matches: Sequence[_Match], series: PriceSeries | None
) -> tuple[list[int], list[float], list[float]]:
    """Return per match the bars held, and the lowest and the highest price (NaN without bars)."""
    n = len(matches)
    if series is None or not len(series) or not n:
        return [-1] * n, [np.nan] * n, [np.nan] * n
    entry_ts = np.array([match.entry_ts for match in matches])
    exit_ts = np.array([match.exit_ts for match in matches])
    entry = np.array([match.entry_price for match in matches])
    leave = np.array([match.exit_price for match in matches])
    last = len(series) - 1
    first = np.clip(np.searchsorted(series.ts_open, entry_ts, side="right") - 1, 0, last)
    final = np.clip(np.searchsorted(series.ts_open, exit_ts, side="right") - 1, 0, last)
    # A bar that opens at or after the exit was not lived through; the entry's own bar always was.
    stop = np.maximum(np.searchsorted(series.ts_open, exit_ts, side="left"), first + 1)
    spans = np.column_stack((first, stop)).ravel()
    low = np.append(series.low_price, np.inf)
    high = np.append(series.high_price, -np.inf)
    worst = np.minimum(np.minimum.reduceat(low, spans)[::2], np.minimum(entry, leave))
    best = np.maximum(np.maximum.reduceat(high, spans)[::2], np.maximum(entry, leave))
    return (final - first).tolist(), worst.tolist(), best.tolist()


def _open_lot(strategy: str, vt_symbol: str, book: _Book, lot: _Lot, last: float) -> OpenLot:
    gross = _gross(book.contract, lot.sign, lot.price, last, lot.volume) * book.money
    return OpenLot(
        strategy=strategy,
        vt_symbol=vt_symbol,
        direction=Direction.LONG if lot.sign > 0 else Direction.SHORT,
        volume=lot.volume,
        entry_ts=lot.ts,
        entry_price=lot.price,
        last_price=last,
        pnl=gross - lot.commission * lot.volume,
        commission=lot.commission * lot.volume,
        slippage=lot.slippage * lot.volume * book.money,
        entry_orderid=lot.orderid,
    )
