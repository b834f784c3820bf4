"""What a convention is, and Foxtrot's own: the base of the named ones in :mod:`foxtrot.analysis.conventions`.

Invariant: a convention is pure; all it knows comes in one :class:`Inputs`, and it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foxtrot.analysis import returns as figures
from foxtrot.analysis.drawdowns import drawdown_series
from foxtrot.analysis.result import PriceSeries
from foxtrot.analysis.sessions import DailyCurve
from foxtrot.core.constants import NS_PER_DAY

_NAN = float("nan")


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a convention computes from.

    Attributes:
        ts: Times of the equity points, ns UTC, shape (n,).
        equity: Equity, shape (n,).
        capital: Equity before the first point.
        start: Opening time of the first step, ns UTC.
        curve: The last point of each day.
        benchmark: Bars of the first instrument, or None.
        benchmark_returns: Its return on each day of the curve, shape as ``curve.equity``; NaN where unknown.
        first_decision: Index of the benchmark's bar from which "backtesting.py" counts buy and hold.
        periods: Days that make a year.
        risk_free: Rate per year, a fraction.
        trade_returns: Return of each round trip, fractions, shape (k,).
        trade_pnl: Net P&L of each round trip, currency, shape (k,).
    """

    ts: NDArray[np.int64]
    equity: NDArray[np.float64]
    capital: float
    start: int
    curve: DailyCurve
    benchmark: PriceSeries | None
    benchmark_returns: NDArray[np.float64]
    first_decision: int
    periods: float
    risk_free: float
    trade_returns: NDArray[np.float64]
    trade_pnl: NDArray[np.float64]

    @cached_property
    def daily(self) -> NDArray[np.float64]:
        """Daily returns, the first against the capital; they end with a day that lost everything."""
        return self.curve.returns

    @property
    def end_equity(self) -> float:
        """Equity at the last point; the capital without points."""
        return float(self.equity[-1]) if len(self.equity) else self.capital

    @property
    def total_return(self) -> float:
        """End equity / capital − 1."""
        return self.end_equity / self.capital - 1.0

    @property
    def stamped_days(self) -> float:
        """Days from the first point's stamp to the last one's."""
        return float(self.ts[-1] - self.ts[0]) / NS_PER_DAY if len(self.ts) else 0.0

    def growth(self, years: float) -> float:
        """Return the compound annual growth from capital to end equity over so many years; NaN for none."""
        if years <= 0.0:
            return _NAN
        return figures.annualise(self.end_equity / self.capital, 1.0 / years)

    def growth_by_days(self) -> float:
        """Return the compound annual growth over the number of daily returns."""
        return figures.annual_return(self.daily, self.periods)


class Convention:
    """Foxtrot's own: daily returns with the first day, mean / std (ddof 1) · √D, risk-free rate 0."""

    name: ClassVar[str] = "foxtrot"
    summary: ClassVar[str] = (
        "daily returns incl. the first day, mean / std (ddof 1) · √D, risk-free rate 0"
    )
    annual_days: ClassVar[int | None] = None
    risk_free: ClassVar[float] = 0.0
    capital_is_peak: ClassVar[bool] = True
    shortest_episode: ClassVar[int] = 1
    stamps_open: ClassVar[bool] = False
    texts: ClassVar[dict[str, str]] = {}

    def period_rate(self, x: Inputs) -> float:
        """Return the risk-free rate per period, (1 + rf)^(1/D) − 1."""
        return float((1.0 + x.risk_free) ** (1.0 / x.periods)) - 1.0 if x.risk_free else 0.0

    def returns(self, x: Inputs) -> NDArray[np.float64]:
        """Return the daily returns that the risk figures are made of."""
        return x.daily

    def drawdown(self, x: Inputs) -> NDArray[np.float64]:
        """Return the drawdown at each point of the curve."""
        return drawdown_series(x.equity, x.capital if self.capital_is_peak else None)

    def annual_return(self, x: Inputs) -> float:
        """Return the annual return as a fraction."""
        return x.growth_by_days()

    def cagr(self, x: Inputs) -> float:
        """Return the compound annual growth rate as a fraction."""
        years = (float(x.ts[-1]) - x.start) / NS_PER_DAY / 365.25 if len(x.ts) else 0.0
        return x.growth(years)

    def volatility(self, x: Inputs) -> float:
        """Return the annual volatility as a fraction."""
        return figures.annual_volatility(self.returns(x), x.periods)

    def sharpe(self, x: Inputs) -> float:
        """Return the annualised Sharpe ratio."""
        return figures.sharpe_ratio(self.returns(x), self.period_rate(x), x.periods)

    def sortino(self, x: Inputs) -> float:
        """Return the annualised Sortino ratio."""
        return figures.sortino_ratio(self.returns(x), self.period_rate(x), x.periods)

    def calmar(self, x: Inputs, max_drawdown: float) -> float:
        """Return growth against the worst fall."""
        return figures.ratio(self.cagr(x), abs(max_drawdown))

    def profit_factor(self, x: Inputs) -> float:
        """Return what was won against what was lost."""
        return won_to_lost(x.trade_pnl)

    def buy_and_hold(self, x: Inputs) -> float:
        """Return what holding the benchmark brought, from its first open to its last close, without costs."""
        bars = x.benchmark
        if bars is None or not len(bars) or not len(x.ts):
            return _NAN
        first = int(np.searchsorted(bars.ts_event, x.ts[0]))
        last = int(np.searchsorted(bars.ts_event, x.ts[-1], side="right")) - 1
        if first > last or bars.open_price[first] <= 0.0:
            return _NAN
        return float(bars.close_price[last] / bars.open_price[first]) - 1.0

    def alpha_beta(self, x: Inputs) -> tuple[float, float]:
        """Return Jensen's alpha a year and beta against the benchmark."""
        daily = x.daily
        return figures.alpha_beta(
            daily, x.benchmark_returns[: len(daily)], self.period_rate(x), x.periods
        )

    def round_duration(self, duration: float, ts: NDArray[np.int64]) -> float:
        """Return a duration (ns) as this convention tells it; ``ts`` are the times of the curve."""
        del ts
        return duration


def won_to_lost(amounts: NDArray[np.float64]) -> float:
    """Return the sum of the gains / |sum of the losses|; ``inf`` without a loss, NaN without amounts."""
    if not len(amounts):
        return _NAN
    won = float(amounts[amounts > 0.0].sum())
    return figures.ratio(won, abs(float(amounts[amounts < 0.0].sum())))
