"""The summary of a run for the terminal, as a rich renderable that fits 80 columns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from foxtrot.analysis.record import Statistics, format_events, format_period
from foxtrot.analysis.result import BacktestResult
from foxtrot.core.objects import ns_to_datetime

_BLOCKS = "▁▂▃▄▅▆▇█"
_WIDTH = 78
_SPARK = 50
_LEAST_ACROSS = 72
"""Columns of the terminal that three columns of figures need; in fewer they stand one below the other."""

_COLUMNS = (
    (
        "Returns",
        (
            "total_return",
            "annual_return",
            "cagr",
            "buy_hold_return",
            "alpha",
            "beta",
            "best_day",
            "worst_day",
        ),
    ),
    (
        "Risk",
        (
            "sharpe",
            "sortino",
            "calmar",
            "volatility",
            "max_drawdown",
            "max_drawdown_duration",
            "var_95",
            "exposure",
        ),
    ),
    (
        "Trades",
        (
            "trades",
            "win_rate",
            "profit_factor",
            "expectancy",
            "best_trade",
            "worst_trade",
            "sqn",
            "commissions",
        ),
    ),
)
_SHORT = {
    "total_return": "Total",
    "annual_return": "Annual",
    "cagr": "CAGR",
    "buy_hold_return": "Buy & hold",
    "alpha": "Alpha",
    "beta": "Beta",
    "best_day": "Best day",
    "worst_day": "Worst day",
    "sharpe": "Sharpe",
    "sortino": "Sortino",
    "calmar": "Calmar",
    "volatility": "Volatility",
    "max_drawdown": "Max. drawd.",
    "max_drawdown_duration": "Longest dd",
    "var_95": "VaR 95 %",
    "exposure": "Exposure",
    "trades": "Trades",
    "win_rate": "Won",
    "profit_factor": "Profit fact.",
    "expectancy": "Expectancy",
    "best_trade": "Best",
    "worst_trade": "Worst",
    "sqn": "SQN",
    "commissions": "Commission",
}
_SIGNED = frozenset(
    {
        "total_return",
        "annual_return",
        "cagr",
        "buy_hold_return",
        "alpha",
        "max_drawdown",
        "expectancy",
    }
)


def summary_renderable(result: BacktestResult, statistics: Statistics) -> RenderableType:
    """Return the summary: what was run, the curve in little, and the main figures in three columns.

    Args:
        result: What the run left behind.
        statistics: Its statistics, from ``calculate_statistics``.

    Returns:
        A rich renderable, at most 80 columns wide.
    """
    parts: list[RenderableType] = [
        _facts(result, statistics),
        Text(),
        _curve(result, statistics),
        Text(),
        _Figures(statistics),
    ]
    if statistics.open_lots:
        lots = "1 lot" if statistics.open_lots == 1 else f"{statistics.open_lots:,} lots"
        parts += [Text(), Text(f"{lots} still open, marked at the last price.", style="dim")]
    if statistics.bankrupt:
        parts += [
            Text(),
            Text("The account fell to nothing: equity was at or below zero.", style="bold red"),
        ]
    if result.log_sha256:
        parts += [
            Text(),
            Text(f"sha256 {result.log_sha256}", style="dim", no_wrap=True, overflow="ellipsis"),
        ]
    names = ", ".join(result.strategies) or "no strategy"
    title = Text(f"Backtest · {names}", style="bold", overflow="ellipsis", no_wrap=True)
    return Panel(
        Group(*parts),
        title=title,
        title_align="left",
        border_style="dim",
        padding=(1, 2),
        width=_WIDTH + 2,
    )


class _Figures:
    """The main figures: three columns where there is room for them, else one below the other."""

    def __init__(self, statistics: Statistics) -> None:
        self._statistics = statistics

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console
        columns = [_column(title, names, self._statistics) for title, names in _COLUMNS]
        if options.max_width < _LEAST_ACROSS:
            yield Group(columns[0], *(part for column in columns[1:] for part in (Text(), column)))
            return
        figures = Table.grid(padding=(0, 2), expand=True)
        for _ in columns:
            figures.add_column(ratio=1)
        figures.add_row(*columns)
        yield figures


def sparkline(values: NDArray[np.float64], width: int = _SPARK) -> str:
    """Return a curve as a line of block characters, at most ``width`` of them: the mean of each stretch."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return ""
    width = min(width, len(finite))
    edges = np.linspace(0, len(finite), width + 1, dtype=np.int64)
    means = np.add.reduceat(finite, edges[:-1]) / np.diff(edges)
    low, high = float(means.min()), float(means.max())
    if high - low <= 1e-12 * max(1.0, abs(high)):
        return _BLOCKS[0] * width
    steps = ((means - low) / (high - low) * (len(_BLOCKS) - 1)).round().astype(np.int64)
    return "".join(_BLOCKS[step] for step in steps.tolist())


def _facts(result: BacktestResult, statistics: Statistics) -> Text:
    parts = []
    if (
        statistics.start is not None
    ):  # the end of the curve: conventions differ on what they call the end
        parts.append(format_period(statistics.start, ns_to_datetime(int(result.ts[-1]))))
    parts.append(format_events(result.events, result.run_seconds))
    symbols = [series.vt_symbol for series in result.prices]
    forms = [", ".join(symbols)] if symbols else []
    forms += [
        f"{', '.join(symbols[:n])} and {len(symbols) - n} more" for n in (2, 1) if n < len(symbols)
    ]
    if len(symbols) > 1:
        forms.append(f"{len(symbols)} instruments")
    lines = ["  ·  ".join([form, *parts]) for form in forms] or ["  ·  ".join(parts)]
    return Text(next((line for line in lines if len(line) <= _WIDTH - 4), lines[-1]), style="dim")


def _curve(result: BacktestResult, statistics: Statistics) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(f"{statistics.text('capital')} ", style="dim")
    amounts = (
        len(statistics.text("capital"))
        + len(statistics.text("equity_final"))
        + len(result.currency)
        + 3
    )
    room = max(8, _WIDTH - 6 - amounts)
    line.append(sparkline(result.equity, room), style=_style(statistics.net_profit))
    line.append(f" {statistics.text('equity_final')} {result.currency}", style="bold")
    return line


def _column(title: str, names: tuple[str, ...], statistics: Statistics) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, style="dim")
    table.add_column(justify="right", no_wrap=True)
    table.add_row(Text(title, style="bold not dim"), "")
    for name in names:
        style = _style(getattr(statistics, name)) if name in _SIGNED else ""
        table.add_row(_SHORT[name], Text(statistics.text(name), style=style))
    return table


def _style(value: float) -> str:
    return "green" if value > 0.0 else "red" if value < 0.0 else ""
