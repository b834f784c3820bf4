"""Statistics of a run: one call from result to typed record, under a named convention.

Invariants: every input gives an answer. No trades: trade figures NaN, counts 0, durations None. One bar, or a curve
that never moves: volatility 0 or NaN, ratios NaN. Gain without any loss: ratios ``inf``. An account that fell to
nothing: ``bankrupt``, annual figures −1, and daily returns end with the day on which it happened.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foxtrot.analysis import returns as figures
from foxtrot.analysis.convention import Convention, Inputs
from foxtrot.analysis.conventions import get_convention
from foxtrot.analysis.drawdowns import drawdown_episodes, drawdown_money
from foxtrot.analysis.record import Statistics
from foxtrot.analysis.result import BacktestResult, PriceSeries
from foxtrot.analysis.round_trips import (
    OpenLot,
    RoundTrip,
    RoundTrips,
    commission_paid,
    fill_values,
)
from foxtrot.analysis.sessions import DailyCurve, daily_curve, monthly_returns, periods_per_year
from foxtrot.core.constants import NS_PER_DAY, Direction
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import ns_to_datetime

_NAN = float("nan")
_NS_PER_YEAR = 365.25 * NS_PER_DAY


def calculate_statistics(
    result: BacktestResult,
    convention: str = "foxtrot",
    risk_free: float | None = None,
    annual_days: float | None = None,
    timezone: str = "UTC",
) -> Statistics:
    """Compute all statistics of a run.

    Args:
        result: What the run left behind.
        convention: Whose definitions to follow; see ``foxtrot.analysis.CONVENTIONS``.
        risk_free: Rate per year as a fraction; None takes the convention's own (0, but 1 % for "backtrader").
        annual_days: Daily returns that make a year; None takes the convention's own, or guesses it from the days
            that have a value (365 where weekends trade, else 252).
        timezone: Where days begin at midnight.

    Raises:
        ConfigError: unknown convention or time zone, or a rate or number of days that makes no sense.
        DataError: a fill has no volume, or a currency has no rate.
    """
    kind = get_convention(convention)
    x = _inputs(result, kind, risk_free, annual_days, timezone)
    trips = result.round_trips
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return Statistics(
            convention=kind.name,
            currency=result.currency,
            **_run(x, kind, result),
            **_returns(x, kind),
            **_risk(x, kind),
            **_activity(x, result, trips),
            **_trades(x, kind, trips),
        )


def benchmark_closes(
    series: PriceSeries | None, ts: NDArray[np.int64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the opening price of the benchmark's first bar in the span of ``ts``, and its last close at each time.

    NaN where the benchmark has no bar yet.
    """
    closes = np.full(len(ts), np.nan)
    if series is None or not len(series) or not len(ts):
        return _NAN, closes
    at = np.searchsorted(series.ts_event, ts, side="right") - 1
    closes = np.where(at >= 0, series.close_price[np.maximum(at, 0)], np.nan)
    first = int(np.searchsorted(series.ts_event, ts[0]))
    base = float(series.open_price[first]) if first < len(series) else _NAN
    return base, closes


def exposed_steps(result: BacktestResult) -> NDArray[np.bool_]:
    """Return whether a position was open in the step that ends at each point, shape (n,).

    Taken from the result if recorded; else from the fills: a fill at t belongs to the step that contains t, its
    beginning inclusive, so a fill at the very close counts to the next step.
    """
    if result.exposure is not None:
        return result.exposure
    n = len(result.ts)
    change = np.zeros(n + 1, dtype=np.int64)
    trips = result.round_trips
    begin = [trip.entry_ts for trip in trips.closed] + [lot.entry_ts for lot in trips.open]
    end = [trip.exit_ts for trip in trips.closed]
    first = np.searchsorted(result.ts, np.array(begin, dtype=np.int64), side="right")
    last = np.searchsorted(result.ts, np.array(end, dtype=np.int64), side="right")
    np.add.at(change, np.minimum(first, n), 1)
    np.add.at(change, np.minimum(last + 1, n), -1)
    exposed: NDArray[np.bool_] = np.cumsum(change[:n]) > 0
    return exposed


def _inputs(
    result: BacktestResult,
    kind: Convention,
    risk_free: float | None,
    annual_days: float | None,
    timezone: str,
) -> Inputs:
    curve = daily_curve(result.ts, result.equity, result.capital, result.prices, timezone)
    rate = kind.risk_free if risk_free is None else risk_free
    if not (math.isfinite(rate) and rate > -1.0):
        raise ConfigError(f"risk_free is {rate}; give a rate per year as a fraction, 0.02 for 2 %")
    periods = annual_days if annual_days is not None else kind.annual_days
    if periods is None:
        periods = periods_per_year(curve.days)
    if not (math.isfinite(periods) and periods > 0):
        raise ConfigError(f"annual_days is {periods}; give the trading days of a year, such as 252")
    trips = result.round_trips
    benchmark = result.prices[0] if result.prices else None
    return Inputs(
        ts=result.ts,
        equity=result.equity,
        capital=result.capital,
        start=_start(result),
        curve=curve,
        benchmark=benchmark,
        benchmark_returns=_benchmark_returns(benchmark, result.ts, curve),
        first_decision=result.first_decision,
        periods=float(periods),
        risk_free=rate,
        trade_returns=trips.column("return_rate"),
        trade_pnl=trips.column("pnl"),
    )


def _start(result: BacktestResult) -> int:
    """Return when the first step began: the opening of a bar that closes at the first point, else that point."""
    if not len(result.ts):
        return 0
    first = int(result.ts[0])
    opening = [first]
    for series in result.prices:
        at = int(np.searchsorted(series.ts_event, first))
        if at < len(series) and int(series.ts_event[at]) == first:
            opening.append(int(series.ts_open[at]))
    return min(opening)


def _benchmark_returns(
    series: PriceSeries | None, ts: NDArray[np.int64], curve: DailyCurve
) -> NDArray[np.float64]:
    base, _ = benchmark_closes(series, ts)
    _, closes = benchmark_closes(series, ts[curve.last])
    before = np.concatenate(([base], closes[:-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        moves = closes / before[: len(closes)] - 1.0
    return np.where(np.isfinite(moves), moves, np.nan)


def _run(x: Inputs, kind: Convention, result: BacktestResult) -> dict[str, Any]:
    start, end = x.start, int(x.ts[-1]) if len(x.ts) else 0
    bars = x.benchmark
    if kind.stamps_open and len(x.ts) and bars is not None:
        at = int(np.searchsorted(bars.ts_event, end))
        if at < len(bars) and int(bars.ts_event[at]) == end:
            end = int(bars.ts_open[at])
    known = len(x.ts) > 0
    return {
        "start": ns_to_datetime(start) if known else None,
        "end": ns_to_datetime(end) if known else None,
        "duration": _span(end - start) if known else None,
        "days": len(x.curve.days),
        "annual_days": x.periods,
        "risk_free": x.risk_free,
        "bankrupt": bool((result.equity <= 0.0).any()),
    }


def _returns(x: Inputs, kind: Convention) -> dict[str, Any]:
    alpha, beta = kind.alpha_beta(x)
    daily = x.daily
    months = np.array(list(monthly_returns(x.curve).values()))
    return {
        "capital": x.capital,
        "equity_final": x.end_equity,
        "equity_peak": float(x.equity.max()) if len(x.equity) else x.capital,
        "net_profit": x.end_equity - x.capital,
        "total_return": x.total_return,
        "annual_return": kind.annual_return(x),
        "cagr": kind.cagr(x),
        "buy_hold_return": kind.buy_and_hold(x),
        "alpha": alpha,
        "beta": beta,
        "best_day": _reduce(daily, np.max),
        "worst_day": _reduce(daily, np.min),
        "positive_days": _reduce(daily > 0.0, np.mean),
        "positive_months": _reduce(months > 0.0, np.mean),
    }


def _risk(x: Inputs, kind: Convention) -> dict[str, Any]:
    fall = kind.drawdown(x)
    money = _reduce(drawdown_money(x.equity, x.capital if kind.capital_is_peak else None), np.min)
    deepest = _reduce(fall, np.min)
    episodes = drawdown_episodes(fall, kind.shortest_episode)
    spans = episodes.durations(x.ts).astype(np.float64)
    daily = kind.returns(x)
    return {
        "volatility": kind.volatility(x),
        "sharpe": kind.sharpe(x),
        "sortino": kind.sortino(x),
        "calmar": kind.calmar(x, deepest),
        "max_drawdown": deepest,
        "max_drawdown_money": money,
        "max_drawdown_duration": _duration(_reduce(spans, np.max), x, kind),
        "average_drawdown": _reduce(episodes.depth, np.mean),
        "average_drawdown_duration": _duration(_reduce(spans, np.mean), x, kind),
        "recovery_factor": figures.ratio(x.end_equity - x.capital, abs(money)),
        "ulcer_index": math.sqrt(_reduce(fall * fall, np.mean)),
        "var_95": figures.value_at_risk(daily),
        "cvar_95": figures.conditional_value_at_risk(daily),
        "skew": figures.skewness(daily),
        "kurtosis": figures.excess_kurtosis(daily),
    }


def _activity(x: Inputs, result: BacktestResult, trips: RoundTrips) -> dict[str, Any]:
    lots: list[RoundTrip | OpenLot] = [*trips.closed, *trips.open]
    turnover = float(fill_values(result).sum())
    years = (int(x.ts[-1]) - x.start) / _NS_PER_YEAR if len(x.ts) else 0.0
    mean_equity = _reduce(x.equity, np.mean)
    leverage = np.zeros(0)
    if result.gross is not None:
        alive = x.equity > 0.0
        leverage = result.gross[alive] / x.equity[alive]
    usable = years > 0.0 and mean_equity > 0.0
    return {
        "exposure": _reduce(exposed_steps(result), np.mean),
        "average_leverage": _reduce(leverage, np.mean),
        "max_leverage": _reduce(leverage, np.max),
        "turnover": turnover,
        "turnover_rate": turnover / mean_equity / years if usable else _NAN,
        "commissions": _decimal_sum(commission_paid(fill, result) for fill in result.trades),
        "slippage": math.fsum(lot.slippage for lot in lots),
        "orders": len(result.orders),
        "fills": len(result.trades),
    }


def _decimal_sum(amounts: Iterable[float]) -> float:
    """Sum amounts of money as the decimal figures they stand for, so that cents add up to cents."""
    return float(sum((Decimal(repr(float(amount))) for amount in amounts), Decimal()))


def _trades(x: Inputs, kind: Convention, trips: RoundTrips) -> dict[str, Any]:
    pnl, rates = x.trade_pnl, x.trade_returns
    wins, losses = pnl[pnl > 0.0], pnl[pnl < 0.0]
    payoff = figures.ratio(_reduce(wins, np.mean), abs(_reduce(losses, np.mean, 0.0)))
    win_rate = _reduce(pnl > 0.0, np.mean)
    spans = trips.column("duration")
    bars = trips.column("bars")
    longs = sum(trip.direction == Direction.LONG for trip in trips.closed)
    return {
        "trades": len(trips),
        "trades_long": longs,
        "trades_short": len(trips) - longs,
        "open_lots": len(trips.open),
        "win_rate": win_rate,
        "profit_factor": kind.profit_factor(x),
        "payoff_ratio": payoff,
        "expectancy": _reduce(pnl, np.mean),
        "expectancy_rate": _reduce(rates, np.mean),
        "average_trade": figures.geometric_mean(rates),
        "best_trade": _reduce(rates, np.max),
        "worst_trade": _reduce(rates, np.min),
        "average_win": _reduce(wins, np.mean),
        "average_loss": _reduce(losses, np.mean),
        "sqn": _sqn(pnl),
        "kelly": win_rate - (1.0 - win_rate) / payoff if payoff else _NAN,
        "max_consecutive_wins": _longest_run(pnl > 0.0),
        "max_consecutive_losses": _longest_run(pnl <= 0.0),
        "max_trade_duration": _duration(_reduce(spans, np.max), x, kind),
        "average_trade_duration": _duration(_reduce(spans, np.mean), x, kind),
        "average_trade_bars": _reduce(bars[bars >= 0.0], np.mean),
    }


def _sqn(pnl: NDArray[np.float64]) -> float:
    spread = figures.deviation(pnl, 1)
    return math.sqrt(len(pnl)) * float(pnl.mean()) / spread if spread > 0.0 else _NAN


def _longest_run(hits: NDArray[np.bool_]) -> int:
    """Return the length of the longest run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hits.astype(np.int8), [0]))))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _reduce(values: NDArray[Any], fold: Any, empty: float = _NAN) -> float:
    """Return fold(values) as a float; ``empty`` for no values."""
    return float(fold(values)) if len(values) else empty


def _duration(ns: float, x: Inputs, kind: Convention) -> dt.timedelta | None:
    return None if math.isnan(ns) else _span(kind.round_duration(ns, x.ts))


def _span(ns: float) -> dt.timedelta:
    return dt.timedelta(microseconds=ns / 1000)
