"""The typed record of statistics, and its forms: frame, JSON-safe dict, text for people.

Invariants: fractions are fractions (0.05 is 5 %), losses and drawdowns are ≤ 0, a figure that is not defined is NaN
(or None for a time or duration), and each field has its row in :mod:`foxtrot.analysis.glossary`.
"""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from foxtrot.analysis.glossary import Unit, definitions

if TYPE_CHECKING:
    import pandas as pd

JsonValue = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures of one run under one convention; ``definitions(convention)`` tells each formula.

    Fractions are fractions of 1, money is in ``currency``, durations are ``timedelta``, times are aware UTC.
    """

    convention: str
    currency: str
    start: dt.datetime | None
    end: dt.datetime | None
    duration: dt.timedelta | None
    days: int
    annual_days: float
    risk_free: float
    bankrupt: bool

    capital: float
    equity_final: float
    equity_peak: float
    net_profit: float
    total_return: float
    annual_return: float
    cagr: float
    buy_hold_return: float
    alpha: float
    beta: float
    best_day: float
    worst_day: float
    positive_days: float
    positive_months: float

    volatility: float
    sharpe: float
    sortino: float
    calmar: float
    max_drawdown: float
    max_drawdown_money: float
    max_drawdown_duration: dt.timedelta | None
    average_drawdown: float
    average_drawdown_duration: dt.timedelta | None
    recovery_factor: float
    ulcer_index: float
    var_95: float
    cvar_95: float
    skew: float
    kurtosis: float

    exposure: float
    average_leverage: float
    max_leverage: float
    turnover: float
    turnover_rate: float
    commissions: float
    slippage: float
    orders: int
    fills: int

    trades: int
    trades_long: int
    trades_short: int
    open_lots: int
    win_rate: float
    profit_factor: float
    payoff_ratio: float
    expectancy: float
    expectancy_rate: float
    average_trade: float
    best_trade: float
    worst_trade: float
    average_win: float
    average_loss: float
    sqn: float
    kelly: float
    max_consecutive_wins: int
    max_consecutive_losses: int
    max_trade_duration: dt.timedelta | None
    average_trade_duration: dt.timedelta | None
    average_trade_bars: float

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the record as JSON-safe values.

        NaN becomes null, infinities the strings "Infinity" and "-Infinity", durations seconds, times ISO 8601.
        """
        return {row.name: json_value(getattr(self, row.name)) for row in definitions()}

    def to_frame(self) -> pd.DataFrame:
        """Return one row a statistic, indexed by field name: label, value, text, unit, group, definition."""
        import pandas as pd

        rows = definitions(self.convention)
        return pd.DataFrame(
            {
                "label": [row.label for row in rows],
                "value": pd.Series([getattr(self, row.name) for row in rows], dtype=object),
                "text": [self.text(row.name) for row in rows],
                "unit": [str(row.unit) for row in rows],
                "group": [row.group for row in rows],
                "definition": [row.text for row in rows],
            }
        ).set_index(pd.Index([row.name for row in rows], name="name"))

    def text(self, name: str) -> str:
        """Return one figure as people read it, such as ``12.34 %``; ``–`` where it is not defined."""
        return format_value(getattr(self, name), _UNITS[name])


_UNITS = {row.name: row.unit for row in definitions()}
UNDEFINED = "–"  # an en dash: the figure has no value
_MINUS = "−"


def json_value(value: object) -> JsonValue:
    """Turn one figure into what JSON holds; see :meth:`Statistics.to_dict`.

    Raises:
        TypeError: the value is of a kind that no statistic has.
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            if math.isnan(value):
                return None
            if math.isinf(value):
                return "Infinity" if value > 0.0 else "-Infinity"
            return float(value)
        case dt.timedelta():
            return value.total_seconds()
        case dt.datetime():
            return value.isoformat().replace("+00:00", "Z")
        case _:
            raise TypeError(f"{type(value).__name__} is not a statistic: {value!r}")


def format_value(value: object, unit: Unit) -> str:
    """Return a figure as text: two decimals for money and per cent, three for ratios, ``–`` for undefined."""
    match value:
        case None:
            return UNDEFINED
        case bool():
            return "yes" if value else "no"
        case str():
            return value or UNDEFINED
        case dt.datetime():
            return format_time(value)
        case dt.timedelta():
            return format_duration(value)
        case float() | int():
            return _format_number(float(value), unit)
        case _:
            raise TypeError(f"{type(value).__name__} is not a statistic: {value!r}")


def _format_number(value: float, unit: Unit) -> str:
    if math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        return "∞" if value > 0.0 else f"{_MINUS}∞"
    match unit:
        case Unit.FRACTION:
            text = f"{value * 100.0:,.2f} %"
        case Unit.COUNT:
            text = f"{value:,.0f}"
        case Unit.MONEY:
            text = f"{value:,.2f}"
        case _:
            text = f"{value:,.3f}" if abs(value) < 1e6 else f"{value:.3e}"
            text = (
                text.rstrip("0").rstrip(".") if value == int(value) and abs(value) < 1e6 else text
            )
    if text.startswith("-"):
        text = text[1:] if not any(char in "123456789" for char in text) else _MINUS + text[1:]
    return text


def format_time(moment: dt.datetime) -> str:
    """Return a date, with the time of day unless it is midnight."""
    if moment.time() == dt.time(0):
        return moment.strftime("%Y-%m-%d")
    return moment.strftime("%Y-%m-%d %H:%M" + (":%S" if moment.second else ""))


def format_duration(span: dt.timedelta) -> str:
    """Return a span in its two largest units, such as ``584 d`` or ``3 h 20 min``."""
    seconds = span.total_seconds()
    if seconds < 0:
        return _MINUS + format_duration(-span)
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min")]
    if days >= 100:
        parts = [(days + (hours >= 12), "d")]
    shown = [f"{count:,} {unit}" for count, unit in parts if count][:2]
    return " ".join(shown)


def format_period(start: dt.datetime, end: dt.datetime) -> str:
    """Return the first and the last day of a run; an end at midnight belongs to the day that ends there."""
    last = end - dt.timedelta(microseconds=1) if end > start else end
    days = [moment.strftime("%Y-%m-%d") for moment in (start, last)]
    return days[0] if days[0] == days[1] else " – ".join(days)


def format_events(events: int, seconds: float) -> str:
    """Return how much was processed in what time, such as ``2,148 events in 0.04 s``."""
    return f"{events:,} {'event' if events == 1 else 'events'} in {seconds:,.2f} s"
