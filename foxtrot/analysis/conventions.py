"""Named conventions: the same word for a statistic, computed as one project or another does.

Each class overrides only what its project does otherwise than :class:`foxtrot.analysis.convention.Convention` and says
so in ``texts``. The projects' slips are not repeated: a risk-free rate is spread over the periods of a year (never
divided by √D), the profit factor is of P&L where P&L is meant, and equity always includes unrealised profit.
"""

from __future__ import annotations

import difflib
import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from foxtrot.analysis import returns as figures
from foxtrot.analysis.convention import Convention, Inputs, won_to_lost
from foxtrot.core.constants import NS_PER_DAY
from foxtrot.core.errors import ConfigError

_NAN = float("nan")


class Nautilus(Convention):
    """NautilusTrader's portfolio statistics, on equity that includes unrealised profit."""

    name = "nautilus"
    summary = "mean / std (ddof 1) · √252; growth by number of returns"
    annual_days = 252
    texts: ClassVar[dict[str, str]] = {"cagr": "Π(1+r)^(252/n) − 1 over the n daily returns."}

    def cagr(self, x: Inputs) -> float:
        """Return Π(1+r)^(D/n) − 1."""
        return x.growth_by_days()


class Quantstats(Nautilus):
    """quantstats; simple returns are always taken for returns, never guessed to be prices."""

    name = "quantstats"


class Empyrical(Nautilus):
    """empyrical: growth by number of returns, compounded alpha."""

    name = "empyrical"
    summary = "mean / std (ddof 1) · √252; growth by number of returns; alpha compounded"
    texts: ClassVar[dict[str, str]] = {
        **Nautilus.texts,
        "calmar": "Annual return / |maximum drawdown|.",
        "alpha": "(1 + mean(r − rf − β·(b − rf)))^252 − 1 over daily returns.",
    }

    def alpha_beta(self, x: Inputs) -> tuple[float, float]:
        """Return the compounded alpha a year, and beta."""
        alpha, beta = super().alpha_beta(x)
        return figures.annualise(1.0 + alpha / x.periods, x.periods), beta


class Lean(Convention):
    """QuantConnect LEAN: annual performance from the compounded mean return."""

    name = "lean"
    summary = "((1 + mean)^252 − 1 − rf) / √(variance (ddof 1) · 252)"
    annual_days = 252
    texts: ClassVar[dict[str, str]] = {
        "cagr": "(end / capital)^(1/years) − 1, a year of 365 days.",
        "sharpe": "((1 + mean(r))^252 − 1 − rf) / √(var(r, ddof 1) · 252).",
        "sortino": "((1 + mean(r))^252 − 1 − rf) / (std(negative r, ddof 1) · √252).",
    }

    def cagr(self, x: Inputs) -> float:
        """Return the growth over calendar years of 365 days."""
        return x.growth((float(x.ts[-1]) - x.start) / NS_PER_DAY / 365.0 if len(x.ts) else 0.0)

    def _performance(self, x: Inputs) -> float:
        if not len(x.daily):
            return _NAN
        return figures.annualise(1.0 + float(x.daily.mean()), x.periods) - x.risk_free

    def sharpe(self, x: Inputs) -> float:
        """Return annual performance over annual deviation."""
        return _per_deviation(self._performance(x), x.daily) / math.sqrt(x.periods)

    def sortino(self, x: Inputs) -> float:
        """Return annual performance over the annual deviation of the negative returns."""
        losses = x.daily[x.daily < 0.0]
        if len(x.daily) > 1 and not len(losses):
            return figures.ratio(self._performance(x), 0.0)
        return _per_deviation(self._performance(x), losses) / math.sqrt(x.periods)


class Backtrader(Convention):
    """backtrader's SharpeRatio analyser, annualised, over days: population deviation, risk-free rate 1 %."""

    name = "backtrader"
    summary = "population standard deviation (ddof 0), risk-free rate 1 %, √252"
    annual_days = 252
    risk_free = 0.01
    texts: ClassVar[dict[str, str]] = {
        "volatility": "std(r, ddof 0) · √252.",
        "sharpe": "mean(r − rf_day) / std(r − rf_day, ddof 0) · √252, rf_day = (1 + rf)^(1/252) − 1.",
        "cagr": "exp(252 · ln(end / capital) / n) − 1 over the n days.",
    }

    def cagr(self, x: Inputs) -> float:
        """Return the normalised return by number of days."""
        return x.growth_by_days()

    def volatility(self, x: Inputs) -> float:
        """Return the population deviation · √D."""
        return figures.annual_volatility(x.daily, x.periods, ddof=0)

    def sharpe(self, x: Inputs) -> float:
        """Return the Sharpe ratio with the population deviation."""
        return figures.sharpe_ratio(x.daily, self.period_rate(x), x.periods, ddof=0)


class Vnpy(Convention):
    """vn.py: log returns, 240 days a year, simple annual return."""

    name = "vnpy"
    summary = "log returns, mean / std (ddof 1) · √240; simple annual return"
    annual_days = 240
    texts: ClassVar[dict[str, str]] = {
        "annual_return": "Total return / number of days · 240 (simple, not compounded).",
        "volatility": "std(log returns, ddof 1) · √240.",
        "sharpe": "mean(log r − rf/240) / std(log r, ddof 1) · √240.",
    }

    def returns(self, x: Inputs) -> NDArray[np.float64]:
        """Return log returns; a day that lost everything has none."""
        return np.asarray(np.log1p(x.daily[x.daily > -1.0]), dtype=np.float64)

    def period_rate(self, x: Inputs) -> float:
        """Return rf / D."""
        return x.risk_free / x.periods

    def annual_return(self, x: Inputs) -> float:
        """Return the simple annual return."""
        n = len(x.curve.equity)
        return x.total_return / n * x.periods if n else _NAN


class Freqtrade(Convention):
    """freqtrade: risk figures per trade, on P&L over the starting balance and calendar days."""

    name = "freqtrade"
    summary = "per trade: Σ(P&L / capital) / calendar days / std (ddof 0) · √365"
    annual_days = 365
    texts: ClassVar[dict[str, str]] = {
        "cagr": "(end / capital)^(365 / calendar days) − 1.",
        "sharpe": "p = net P&L of a trade / capital: Σp / calendar days / std(p, ddof 0) · √365.",
        "sortino": "p = net P&L of a trade / capital: Σp / calendar days / std(p < 0, ddof 0) · √365.",
        "calmar": "p = net P&L of a trade / capital: Σp / calendar days / |maximum drawdown| · √365.",
    }

    def _daily_profit(self, x: Inputs) -> float:
        if not len(x.trade_pnl):
            return _NAN
        return float(x.trade_pnl.sum()) / x.capital / max(1, math.floor(x.stamped_days))

    def cagr(self, x: Inputs) -> float:
        """Return the growth over calendar days."""
        return x.growth(max(1, math.floor(x.stamped_days)) / 365.0)

    def sharpe(self, x: Inputs) -> float:
        """Return the mean daily profit against the deviation of the trades."""
        profits = x.trade_pnl / x.capital
        return _per_deviation(self._daily_profit(x), profits, ddof=0) * math.sqrt(365.0)

    def sortino(self, x: Inputs) -> float:
        """Return the mean daily profit against the deviation of the losing trades."""
        losses = x.trade_pnl[x.trade_pnl < 0.0] / x.capital
        return _per_deviation(self._daily_profit(x), losses, ddof=0) * math.sqrt(365.0)

    def calmar(self, x: Inputs, max_drawdown: float) -> float:
        """Return the mean daily profit against the worst fall."""
        return figures.ratio(self._daily_profit(x), abs(max_drawdown)) * math.sqrt(365.0)


class BacktestingPy(Convention):
    """backtesting.py: geometric mean of daily returns without the first day, bars stamped at their opening."""

    name = "backtesting.py"
    summary = "geometric mean g of daily returns without the first day; ((1+g)^D − 1) / volatility"
    capital_is_peak = False
    shortest_episode = 2
    stamps_open = True
    texts: ClassVar[dict[str, str]] = {
        "start": "Opening time of the first bar.",
        "end": "Opening time of the last bar.",
        "annual_return": "(1 + g)^D − 1, g the geometric mean of the daily returns without the first day.",
        "cagr": "(end / first equity)^(365.25 / days) − 1, days between the first and the last stamp.",
        "volatility": "√((var(r, ddof 1) + (1+g)²)^D − (1+g)^(2D)), daily returns without the first day.",
        "sharpe": "(Annual return − rf) / volatility.",
        "sortino": "(Annual return − rf) / (√mean(min(r, 0)²) · √D), daily returns without the first day.",
        "calmar": "Annual return / |maximum drawdown|.",
        "max_drawdown": "min(equity / running peak of the curve − 1), the capital before it not counted.",
        "max_drawdown_duration": "Longest episode (two steps at least), rounded up to whole bars.",
        "average_drawdown_duration": "Mean over episodes (two steps at least), rounded up to whole bars.",
        "average_trade_duration": "Mean over round trips, rounded up to whole bars.",
        "max_trade_duration": "Longest round trip, rounded up to whole bars.",
        "profit_factor": "Sum of positive trade returns / |sum of negative trade returns|.",
        "buy_hold_return": "Benchmark's last close / its close at the first bar a strategy could act on − 1.",
        "alpha": "Total return − rf − β·(buy and hold − rf), over the whole run.",
        "beta": "cov(log equity returns, log close returns) / var(log close returns) over bars.",
    }

    def returns(self, x: Inputs) -> NDArray[np.float64]:
        """Return the daily returns without the first day."""
        return x.daily[1:]

    def annual_return(self, x: Inputs) -> float:
        """Return (1 + g)^D − 1."""
        return figures.annualise(1.0 + figures.geometric_mean(self.returns(x)), x.periods)

    def cagr(self, x: Inputs) -> float:
        """Return the growth from the first to the last stamp."""
        if not x.stamped_days or x.equity[0] <= 0.0:
            return _NAN
        return figures.annualise(x.end_equity / float(x.equity[0]), 365.25 / x.stamped_days)

    def volatility(self, x: Inputs) -> float:
        """Return the deviation of compounded returns."""
        r = self.returns(x)
        if len(r) < 2:
            return _NAN
        wealth = 1.0 + figures.geometric_mean(r)
        spread = figures.deviation(r, 1) ** 2
        try:
            square = (spread + wealth**2) ** x.periods - wealth ** (2.0 * x.periods)
        except OverflowError:
            return float("inf")
        return math.sqrt(max(0.0, square))

    def sharpe(self, x: Inputs) -> float:
        """Return annual return over volatility."""
        spread = self.volatility(x)
        return (self.annual_return(x) - x.risk_free) / spread if spread else _NAN

    def sortino(self, x: Inputs) -> float:
        """Return annual return over downside risk."""
        r = self.returns(x)
        if len(r) < 2:
            return _NAN
        return figures.ratio(
            self.annual_return(x) - x.risk_free, figures.downside_risk(r, 0.0, x.periods)
        )

    def calmar(self, x: Inputs, max_drawdown: float) -> float:
        """Return annual return over the worst fall."""
        return figures.ratio(self.annual_return(x), abs(max_drawdown))

    def profit_factor(self, x: Inputs) -> float:
        """Return the positive against the negative trade returns."""
        return won_to_lost(x.trade_returns)

    def buy_and_hold(self, x: Inputs) -> float:
        """Return the last close against the close at the first decision."""
        bars = x.benchmark
        if bars is None or not 0 <= x.first_decision < len(bars):
            return _NAN
        base = float(bars.close_price[x.first_decision])
        return float(bars.close_price[-1]) / base - 1.0 if base > 0.0 else _NAN

    def alpha_beta(self, x: Inputs) -> tuple[float, float]:
        """Return alpha over the whole run, and beta from log returns per bar."""
        bars = x.benchmark
        if bars is None:
            return _NAN, _NAN
        _, own, market = np.intersect1d(
            x.ts, bars.ts_event, assume_unique=True, return_indices=True
        )
        equity, close = x.equity[own], bars.close_price[market]
        good = (equity > 0.0) & (close > 0.0)
        _, beta = figures.alpha_beta(np.diff(np.log(equity[good])), np.diff(np.log(close[good])))
        rf = x.risk_free
        return x.total_return - rf - beta * (self.buy_and_hold(x) - rf), beta

    def round_duration(self, duration: float, ts: NDArray[np.int64]) -> float:
        """Return the duration rounded up to whole bars (the usual distance of the last hundred points)."""
        if len(ts) < 2:
            return duration
        step = float(np.median(np.diff(ts[-100:])))
        return math.ceil(duration / step - 1e-9) * step


CONVENTIONS: dict[str, Convention] = {
    kind.name: kind()
    for kind in (
        Convention,
        Nautilus,
        Quantstats,
        Lean,
        Backtrader,
        Vnpy,
        Freqtrade,
        BacktestingPy,
        Empyrical,
    )
}


def get_convention(name: str) -> Convention:
    """Return the convention of that name.

    Raises:
        ConfigError: there is none; names the nearest.
    """
    found = CONVENTIONS.get(name)
    if found is None:
        near = difflib.get_close_matches(name, CONVENTIONS, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise ConfigError(
            f"convention {name!r} is unknown; {hint}known: {', '.join(map(repr, CONVENTIONS))}"
        )
    return found


def _per_deviation(gain: float, values: NDArray[np.float64], ddof: int = 1) -> float:
    """Return gain / std(values); NaN with too few values or without variation."""
    spread = figures.deviation(values, ddof)
    return gain / spread if spread > 0.0 else _NAN
