"""What a backtest leaves behind: orders, fills, the equity curve and the prices it ran on.

Invariants:

* A result is data only: no clock, no file, no engine; all that statistics and reports need is in it.
* Times are int nanoseconds UTC. An equity point is stamped when it became known: for bars the close, ``ts_event``.
* ``ts`` ascends and never repeats; ``equity``, ``exposure`` and ``gross`` are as long as ``ts``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.errors import DataError
from foxtrot.core.objects import ContractData, OrderData, TradeData

if TYPE_CHECKING:
    import pandas as pd

    from foxtrot.analysis.round_trips import RoundTrips


@dataclass(frozen=True, slots=True, eq=False)
class PriceSeries:
    """Bars of one instrument as columns, for charts and for buy-and-hold.

    Attributes:
        vt_symbol: The instrument.
        ts_open: Opening time of each bar, ns UTC, shape (n,).
        ts_event: Closing time of each bar, ns UTC, shape (n,), ascending.
        open_price: Opening prices, shape (n,); likewise high, low and close.
        high_price: Highest prices.
        low_price: Lowest prices.
        close_price: Closing prices.
        volume: Units traded in each bar.
    """

    vt_symbol: str
    ts_open: NDArray[np.int64]
    ts_event: NDArray[np.int64]
    open_price: NDArray[np.float64]
    high_price: NDArray[np.float64]
    low_price: NDArray[np.float64]
    close_price: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ts_event)


@dataclass(frozen=True, slots=True, eq=False)
class BacktestResult:
    """Everything that one run produced.

    Attributes:
        orders: Final state of every order, in order of submission.
        trades: Fills in order of delivery.
        ts: When each equity point became known, ns UTC, shape (n,), ascending; for bars their close.
        equity: Cash plus unrealised profit at each point, in ``currency``, shape (n,).
        exposure: Whether a position was open in the step that ends at each point (entry and exit step
            inclusive); None lets the statistics derive it from the fills.
        gross: Sum of |position| × price × contract size at each point, in ``currency``; None if not recorded.
        prices: Bars of the instruments; the first is the benchmark for buy-and-hold, alpha and beta.
        contracts: Contract of each traded vt_symbol; a missing one counts as multiplier 1 in ``currency``.
        capital: Equity before the first point, in ``currency``.
        currency: Currency of capital, equity and all money figures.
        strategies: Name of each strategy → its parameters, its class name under ``"class"``.
        conventions: Assumptions of the run (fill rule, path inside a bar, ...), printed in the report.
        digest: Computes the SHA-256 of the log of orders and trades; asked for when ``log_sha256`` first is.
        events: Number of market events that were processed.
        run_seconds: Wall time of the run, seconds.
        first_decision: Index into the benchmark's bars of the first bar at which a strategy could act, that is
            at which every indicator had a value; only the convention "backtesting.py" uses it (buy and hold).
        rates: Currency → its price in ``currency``, for contracts and commissions in another currency.
    """

    orders: tuple[OrderData, ...]
    trades: tuple[TradeData, ...]
    ts: NDArray[np.int64]
    equity: NDArray[np.float64]
    exposure: NDArray[np.bool_] | None
    gross: NDArray[np.float64] | None
    prices: tuple[PriceSeries, ...]
    contracts: dict[str, ContractData]
    capital: float
    currency: str
    strategies: dict[str, dict[str, object]]
    conventions: dict[str, str]
    digest: Callable[[], str]
    events: int
    run_seconds: float
    first_decision: int = 0
    rates: dict[str, float] = field(default_factory=dict)
    _memo: dict[str, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Refuse columns that do not belong together.

        Raises:
            DataError: lengths differ, times do not ascend, or the capital is not a positive number.
        """
        for name in ("equity", "exposure", "gross"):
            column = getattr(self, name)
            if column is not None and len(column) != len(self.ts):
                raise DataError(
                    f"BacktestResult.{name} has {len(column)} points but ts has {len(self.ts)}; "
                    "give one value for each point of ts"
                )
        back = np.flatnonzero(np.diff(self.ts) <= 0)
        if len(back):
            raise DataError(
                f"BacktestResult.ts does not ascend at index {int(back[0]) + 1}; "
                "give one point for each moment, oldest first"
            )
        if not (np.isfinite(self.capital) and self.capital > 0.0):
            raise DataError(f"BacktestResult.capital is {self.capital}; give a positive amount")

    @property
    def log_sha256(self) -> str:
        """SHA-256 of the log of orders and trades, as hexadecimal digits; computed once."""
        if "log_sha256" not in self._memo:
            self._memo["log_sha256"] = self.digest()
        return str(self._memo["log_sha256"])

    @property
    def round_trips(self) -> RoundTrips:
        """Closed and open lots, matched first in, first out; computed once."""
        if "round_trips" not in self._memo:
            from foxtrot.analysis.round_trips import match_round_trips

            self._memo["round_trips"] = match_round_trips(self)
        trips: RoundTrips = self._memo["round_trips"]
        return trips

    def trades_frame(self) -> pd.DataFrame:
        """Return the fills as a frame, one row a fill, times as UTC timestamps."""
        return _records_frame(self.trades, TradeData.__struct_fields__)

    def orders_frame(self) -> pd.DataFrame:
        """Return the final state of each order as a frame, one row an order, times as UTC timestamps."""
        return _records_frame(self.orders, OrderData.__struct_fields__)

    def equity_frame(self) -> pd.DataFrame:
        """Return the curve, indexed by UTC time: equity, drawdown (≤ 0), and exposure and gross if recorded."""
        import pandas as pd

        from foxtrot.analysis.drawdowns import drawdown_series

        columns: dict[str, NDArray[np.float64] | NDArray[np.bool_]] = {
            "equity": self.equity,
            "drawdown": drawdown_series(self.equity, self.capital),
        }
        if self.exposure is not None:
            columns["exposure"] = self.exposure
        if self.gross is not None:
            columns["gross"] = self.gross
        index = pd.DatetimeIndex(pd.to_datetime(self.ts, utc=True), name="time")
        return pd.DataFrame(columns, index=index)


def _records_frame(
    records: tuple[OrderData, ...] | tuple[TradeData, ...], fields: tuple[str, ...]
) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, object] = {
        name: [getattr(record, name) for record in records] for name in fields
    }
    for name in ("ts_event", "ts_init", "expire_ts"):
        if name in columns:
            values = np.asarray(columns[name], dtype=np.int64)
            times = pd.Series(pd.to_datetime(values, utc=True))
            columns[name] = times.where(values > 0)
    for name in (
        "direction",
        "offset",
        "type",
        "status",
        "time_in_force",
        "volume_mode",
        "liquidity",
    ):
        if name in columns:
            columns[name] = [str(getattr(record, name)) for record in records]
    return pd.DataFrame(columns)
