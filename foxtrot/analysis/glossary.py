"""What each statistic means: label, group, unit and definition, for reports and documentation.

One row for each field of ``Statistics``, in its order; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from foxtrot.analysis.conventions import get_convention

if TYPE_CHECKING:
    import pandas as pd


class Unit(StrEnum):
    """How a figure is counted and shown."""

    FRACTION = "fraction"  # 0.05 is 5 %
    MONEY = "money"  # the account's currency
    RATIO = "ratio"  # a plain number
    COUNT = "count"
    DURATION = "duration"  # timedelta; seconds in JSON
    TIME = "time"  # aware UTC datetime; ISO 8601 in JSON
    TEXT = "text"
    FLAG = "flag"


@dataclass(frozen=True, slots=True)
class Definition:
    """One statistic: field name, label for people, group, unit, and the formula in words."""

    name: str
    label: str
    group: str
    unit: Unit
    text: str


def _group(group: str, rows: tuple[tuple[str, str, Unit, str], ...]) -> tuple[Definition, ...]:
    return tuple(Definition(name, label, group, unit, text) for name, label, unit, text in rows)


_RUN = _group(
    "Run",
    (
        ("convention", "Convention", Unit.TEXT, "Whose definitions the figures follow."),
        ("currency", "Currency", Unit.TEXT, "Currency of all money figures."),
        ("start", "Start", Unit.TIME, "Opening time of the first step."),
        ("end", "End", Unit.TIME, "Time of the last point of the equity curve."),
        ("duration", "Duration", Unit.DURATION, "End − start."),
        ("days", "Days", Unit.COUNT, "Days with at least one point of the equity curve."),
        (
            "annual_days",
            "Days per year D",
            Unit.RATIO,
            "Days that make a year: 365 where weekends trade, else 252; 52, 12, 4 or 1 for sparser curves; "
            "or as asked for.",
        ),
        (
            "risk_free",
            "Risk-free rate",
            Unit.FRACTION,
            "Rate per year; per period (1 + rf)^(1/D) − 1.",
        ),
        ("bankrupt", "Bankrupt", Unit.FLAG, "Equity was at or below zero at some point."),
    ),
)

_RETURNS = _group(
    "Returns",
    (
        ("capital", "Capital", Unit.MONEY, "Equity before the first point."),
        (
            "equity_final",
            "Final equity",
            Unit.MONEY,
            "Cash and unrealised profit at the last point.",
        ),
        ("equity_peak", "Peak equity", Unit.MONEY, "Highest point of the curve."),
        (
            "net_profit",
            "Net profit",
            Unit.MONEY,
            "Final equity − capital, open positions included.",
        ),
        ("total_return", "Total return", Unit.FRACTION, "Final equity / capital − 1."),
        (
            "annual_return",
            "Annual return",
            Unit.FRACTION,
            "Π(1+r)^(D/n) − 1 over the n daily returns, the first against the capital; "
            "−100 % after a total loss.",
        ),
        (
            "cagr",
            "CAGR",
            Unit.FRACTION,
            "(final equity / capital)^(1/years) − 1, calendar years of 365.25 days from start to end.",
        ),
        (
            "buy_hold_return",
            "Buy and hold",
            Unit.FRACTION,
            "Benchmark's last close / its first open − 1, without costs; the first instrument is the benchmark.",
        ),
        (
            "alpha",
            "Alpha (annual)",
            Unit.FRACTION,
            "Jensen's alpha: mean(r − rf − β·(b − rf)) · D over daily returns.",
        ),
        ("beta", "Beta", Unit.RATIO, "cov(r, b) / var(b) over daily returns, ddof 1."),
        ("best_day", "Best day", Unit.FRACTION, "Largest daily return."),
        ("worst_day", "Worst day", Unit.FRACTION, "Smallest daily return."),
        ("positive_days", "Positive days", Unit.FRACTION, "Share of the daily returns above zero."),
        (
            "positive_months",
            "Positive months",
            Unit.FRACTION,
            "Share of the months with a return above zero.",
        ),
    ),
)

_RISK = _group(
    "Risk",
    (
        (
            "volatility",
            "Volatility (annual)",
            Unit.FRACTION,
            "std(r, ddof 1) · √D of daily returns.",
        ),
        (
            "sharpe",
            "Sharpe ratio",
            Unit.RATIO,
            "mean(r − rf) / std(r − rf, ddof 1) · √D of daily returns.",
        ),
        (
            "sortino",
            "Sortino ratio",
            Unit.RATIO,
            "mean(r − rf) / √mean(min(r − rf, 0)²) · √D, the mean over all days; ∞ without a losing day.",
        ),
        ("calmar", "Calmar ratio", Unit.RATIO, "CAGR / |maximum drawdown|; ∞ without a drawdown."),
        (
            "max_drawdown",
            "Max. drawdown",
            Unit.FRACTION,
            "min(equity / running peak − 1) over all points, the capital being the first peak.",
        ),
        (
            "max_drawdown_money",
            "Max. drawdown (money)",
            Unit.MONEY,
            "min(equity − running peak) over all points.",
        ),
        (
            "max_drawdown_duration",
            "Longest drawdown",
            Unit.DURATION,
            "Longest time from a peak to its recovery, or to the end.",
        ),
        (
            "average_drawdown",
            "Average drawdown",
            Unit.FRACTION,
            "Mean depth of the drawdown episodes.",
        ),
        (
            "average_drawdown_duration",
            "Average drawdown time",
            Unit.DURATION,
            "Mean time from peak to recovery (or end) over the episodes.",
        ),
        (
            "recovery_factor",
            "Recovery factor",
            Unit.RATIO,
            "Net profit / |maximum drawdown in money|.",
        ),
        ("ulcer_index", "Ulcer index", Unit.FRACTION, "√mean(drawdown²) over all points."),
        (
            "var_95",
            "VaR 95 % (1 day)",
            Unit.FRACTION,
            "Historical: the 5 % quantile of daily returns, linearly interpolated.",
        ),
        (
            "cvar_95",
            "CVaR 95 % (1 day)",
            Unit.FRACTION,
            "Mean of the daily returns at or below the VaR.",
        ),
        (
            "skew",
            "Skewness",
            Unit.RATIO,
            "Bias-corrected (adjusted Fisher-Pearson), of daily returns.",
        ),
        (
            "kurtosis",
            "Excess kurtosis",
            Unit.RATIO,
            "Bias-corrected, of daily returns; a normal distribution has 0.",
        ),
    ),
)

_ACTIVITY = _group(
    "Activity and costs",
    (
        (
            "exposure",
            "Exposure",
            Unit.FRACTION,
            "Share of the steps in which a position was open, entry and exit step inclusive.",
        ),
        (
            "average_leverage",
            "Average leverage",
            Unit.RATIO,
            "Mean of Σ|position| · price · size / equity over the points with equity above zero.",
        ),
        (
            "max_leverage",
            "Highest leverage",
            Unit.RATIO,
            "Maximum of Σ|position| · price · size / equity.",
        ),
        (
            "turnover",
            "Turnover",
            Unit.MONEY,
            "Value of all fills, Σ price · volume · size, both sides counted.",
        ),
        (
            "turnover_rate",
            "Turnover per year",
            Unit.RATIO,
            "Turnover / mean equity / calendar years of 365.25 days.",
        ),
        ("commissions", "Commissions", Unit.MONEY, "Sum over all fills."),
        (
            "slippage",
            "Slippage",
            Unit.MONEY,
            "Sum over all fills; already in the prices, not subtracted again.",
        ),
        ("orders", "Orders", Unit.COUNT, "Orders submitted."),
        ("fills", "Fills", Unit.COUNT, "Executions; one order may have several."),
    ),
)

_TRADES = _group(
    "Trades",
    (
        (
            "trades",
            "Trades",
            Unit.COUNT,
            "Closed round trips: what one order opened and one order closed, first in first out "
            "per strategy and instrument.",
        ),
        ("trades_long", "Long trades", Unit.COUNT, "Round trips that began with a purchase."),
        ("trades_short", "Short trades", Unit.COUNT, "Round trips that began with a sale."),
        (
            "open_lots",
            "Open lots",
            Unit.COUNT,
            "Lots still held at the end; in no other trade figure.",
        ),
        (
            "win_rate",
            "Win rate",
            Unit.FRACTION,
            "Share of the round trips with net P&L above zero.",
        ),
        (
            "profit_factor",
            "Profit factor",
            Unit.RATIO,
            "Net P&L of winning / |net P&L of losing round trips|; ∞ without a loss.",
        ),
        ("payoff_ratio", "Payoff ratio", Unit.RATIO, "Average win / |average loss|, on net P&L."),
        ("expectancy", "Expectancy", Unit.MONEY, "Mean net P&L of a round trip."),
        (
            "expectancy_rate",
            "Expectancy (return)",
            Unit.FRACTION,
            "Arithmetic mean of the trade returns.",
        ),
        (
            "average_trade",
            "Average trade",
            Unit.FRACTION,
            "Geometric mean of the trade returns; a trade return is ± (exit / entry − 1) "
            "less commissions / entry value.",
        ),
        ("best_trade", "Best trade", Unit.FRACTION, "Largest trade return."),
        ("worst_trade", "Worst trade", Unit.FRACTION, "Smallest trade return."),
        ("average_win", "Average win", Unit.MONEY, "Mean net P&L of the winning round trips."),
        (
            "average_loss",
            "Average loss",
            Unit.MONEY,
            "Mean net P&L of the losing round trips (≤ 0).",
        ),
        ("sqn", "SQN", Unit.RATIO, "System quality number: √n · mean(P&L) / std(P&L, ddof 1)."),
        (
            "kelly",
            "Kelly fraction",
            Unit.RATIO,
            "w − (1 − w) / (average win / |average loss|), w the win rate; undefined without a win.",
        ),
        (
            "max_consecutive_wins",
            "Longest winning run",
            Unit.COUNT,
            "Most wins in a row, by time of exit.",
        ),
        (
            "max_consecutive_losses",
            "Longest losing run",
            Unit.COUNT,
            "Most losses (P&L ≤ 0) in a row, by time of exit.",
        ),
        ("max_trade_duration", "Longest trade", Unit.DURATION, "Longest time from entry to exit."),
        (
            "average_trade_duration",
            "Average trade time",
            Unit.DURATION,
            "Mean time from entry to exit.",
        ),
        (
            "average_trade_bars",
            "Average bars in trade",
            Unit.RATIO,
            "Mean number of steps from entry to exit.",
        ),
    ),
)

_ALL = _RUN + _RETURNS + _RISK + _ACTIVITY + _TRADES


def definitions(convention: str = "foxtrot") -> tuple[Definition, ...]:
    """Return the definition of every statistic under a convention, in the order of the record.

    Raises:
        ConfigError: there is no such convention.
    """
    texts = get_convention(convention).texts
    return tuple(replace(row, text=texts[row.name]) if row.name in texts else row for row in _ALL)


def definitions_frame(convention: str = "foxtrot") -> pd.DataFrame:
    """Return the definitions as a frame, one row a statistic, indexed by field name.

    Raises:
        ConfigError: there is no such convention.
    """
    import pandas as pd

    rows = definitions(convention)
    return pd.DataFrame(
        {
            "label": [row.label for row in rows],
            "group": [row.group for row in rows],
            "unit": [str(row.unit) for row in rows],
            "definition": [row.text for row in rows],
        },
        index=pd.Index([row.name for row in rows], name="name"),
    )
