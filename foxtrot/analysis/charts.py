"""The report's charts as Plotly figures in JSON. Needs the extra ``report``; imported lazily.

Invariants: colours are CSS variables (``var(--gain)``), which the page replaces for the light or dark theme; a chart
carries at most a few thousand points however long the run, and thinning keeps the lowest and the highest value of every
stretch; a point is drawn in the instant before its stamp, so that the close of a day at midnight shows on that day.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foxtrot.analysis.drawdowns import drawdown_series
from foxtrot.analysis.result import BacktestResult, PriceSeries
from foxtrot.analysis.returns import rolling_sharpe
from foxtrot.analysis.round_trips import RoundTrip
from foxtrot.analysis.sessions import DailyCurve
from foxtrot.analysis.statistics import benchmark_closes
from foxtrot.core.constants import NS_PER_DAY, Direction
from foxtrot.core.errors import MissingExtraError

MAX_POINTS = 5_000
MAX_CANDLES = 400
MAX_MARKED_TRIPS = 400
_CANDLE = ("open_price", "high_price", "low_price", "close_price")


def thin(values: NDArray[np.float64], limit: int = MAX_POINTS) -> NDArray[np.int64]:
    """Return ascending indices of at most ``limit`` values: first, last, lowest and highest of every stretch."""
    n = len(values)
    if n <= limit:
        return np.arange(n, dtype=np.int64)
    edges = np.linspace(0, n, max(2, limit // 2), dtype=np.int64)
    keep = {0, n - 1}
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        part = values[begin:end]
        keep.add(begin + int(part.argmin()))
        keep.add(begin + int(part.argmax()))
    return np.array(sorted(keep), dtype=np.int64)


def equity_chart(result: BacktestResult) -> str:
    """Return the equity curve with buy-and-hold beside it and the drawdown beneath."""
    go = _plotly()
    figure = _figure(go, "x unified", _format(result.ts))
    shown = thin(result.equity)
    figure.add_trace(_line(go, result.ts, result.equity, shown, "Equity", "accent", ",.2f"))
    _add_benchmark(go, figure, result)
    fall = drawdown_series(result.equity, result.capital) * 100.0
    shown = thin(fall)
    drawdown = _line(go, result.ts, fall, shown, "Drawdown", "loss", ".2f", suffix=" %")
    drawdown.update(
        yaxis="y2", fill="tozeroy", fillcolor="var(--loss-soft)", line_width=1.2, showlegend=False
    )
    figure.add_trace(drawdown)
    figure.update_layout(
        yaxis={"domain": [0.3, 1.0], "title": {"text": result.currency}, "tickformat": ",.8~g"},
        yaxis2={
            "domain": [0.0, 0.23],
            "title": {"text": "Drawdown"},
            "ticksuffix": " %",
            "anchor": "x",
        },
        xaxis={"anchor": "y2", "range": _span(result.ts, result.ts)},
    )
    return _json(figure)


def price_chart(series: PriceSeries, trips: list[RoundTrip]) -> str:
    """Return an instrument's prices with the entries and exits of its round trips.

    Candles up to 400 bars, the close as a line beyond; of more than 400 round trips those with the largest P&L by
    amount are marked.
    """
    go = _plotly()
    figure = _figure(go, "closest", _format(series.ts_event))
    if 1 < len(series) <= MAX_CANDLES:
        figure.add_trace(_candles(go, series))
    else:
        shown = thin(series.close_price)
        figure.add_trace(
            _line(go, series.ts_event, series.close_price, shown, "Close", "price", ",.6~f")
        )
    for trace in _markers(go, marked_trips(trips)):
        figure.add_trace(trace)
    figure.update_layout(
        yaxis={"title": {"text": "Price"}, "tickformat": ",.8~g"},
        xaxis={"rangeslider": {"visible": False}, "range": _span(series.ts_open, series.ts_event)},
    )
    return _json(figure)


def marked_trips(trips: list[RoundTrip]) -> list[RoundTrip]:
    """Return the round trips that the price chart marks: all, or the largest by amount of P&L, in order of time."""
    if len(trips) <= MAX_MARKED_TRIPS:
        return trips
    largest = sorted(trips, key=lambda trip: -abs(trip.pnl))[:MAX_MARKED_TRIPS]
    return sorted(largest, key=lambda trip: trip.entry_ts)


def pnl_chart(pnl: NDArray[np.float64], currency: str) -> str:
    """Return how often which net P&L occurred; 0 is an edge between two bins, so each bin is a gain or a loss."""
    go = _plotly()
    figure = _figure(go, "closest", "")
    counts, edges = pnl_bins(pnl)
    middle = (edges[:-1] + edges[1:]) / 2.0
    figure.add_trace(
        go.Bar(
            x=middle,
            y=counts,
            width=np.diff(edges),
            customdata=np.column_stack((edges[:-1], edges[1:])),
            marker={
                "color": ["var(--gain)" if x > 0.0 else "var(--loss)" for x in middle.tolist()],
                "line": {"width": 1, "color": "var(--surface)"},
            },
            hovertemplate="%{customdata[0]:,.2f} to %{customdata[1]:,.2f}: %{y}<extra></extra>",
        )
    )
    figure.update_layout(
        xaxis={
            "type": "linear",
            "title": {"text": f"Net P&L of a round trip, {currency}"},
            "tickformat": "~s",
        },
        yaxis={"title": {"text": "Round trips"}, "tickformat": ",d", "rangemode": "tozero"},
        showlegend=False,
        bargap=0,
    )
    return _json(figure)


def pnl_bins(pnl: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return counts and edges of 10 to 60 equal bins, one edge at 0."""
    low, high = min(float(pnl.min()), 0.0), max(float(pnl.max()), 0.0)
    if low == high:
        return np.array([len(pnl)]), np.array([-0.5, 0.5])
    wanted = int(min(60, max(10, 2.5 * len(pnl) ** 0.5)))
    width = (high - low) / wanted
    first = int(np.floor(low / width + 1e-9))
    last = max(int(np.ceil(high / width - 1e-9)), first + 1)
    edges = np.arange(first, last + 1) * width
    # A P&L of exactly 0 is no gain: bins are closed on the right.
    at = np.clip(np.ceil(pnl / width - 1e-9).astype(np.int64) - 1 - first, 0, last - first - 1)
    counts = np.bincount(at, minlength=last - first).astype(np.int64)
    return counts, np.asarray(edges, dtype=np.float64)


def rolling_chart(curve: DailyCurve, periods: float, window: int) -> str:
    """Return the Sharpe ratio of a moving window of daily returns."""
    go = _plotly()
    figure = _figure(go, "x", "%Y-%m-%d")
    values = rolling_sharpe(curve.returns, window, periods)
    days = curve.days[: len(values)]
    known = np.flatnonzero(np.isfinite(values))
    shown = known[thin(values[known])]
    figure.add_trace(_line(go, (days + 1) * NS_PER_DAY, values, shown, "Sharpe", "accent", ".2f"))
    figure.add_hline(y=0.0, line={"color": "var(--line-strong)", "width": 1})
    figure.update_layout(yaxis={"title": {"text": f"Sharpe, {window} days"}}, showlegend=False)
    return _json(figure)


def _plotly() -> Any:
    try:
        import plotly.graph_objects as go
    except ImportError as error:
        raise MissingExtraError("plotly", "report", "the HTML report") from error
    return go


def plotly_javascript() -> str:
    """Return plotly.js, to be put into the page once.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    _plotly()
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _figure(go: Any, hovermode: str, hoverformat: str) -> Any:
    axis = {
        "gridcolor": "var(--grid)",
        "linecolor": "var(--line)",
        "zeroline": False,
        "automargin": True,
        "title": {"font": {"size": 11}, "standoff": 8},
    }
    layout = go.Layout(
        template=go.layout.Template(layout={"xaxis": axis, "yaxis": axis}),
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={
            "color": "var(--muted)",
            "size": 12,
            "family": "system-ui, -apple-system, Segoe UI, Roboto, sans-serif",
        },
        margin={"l": 8, "r": 12, "t": 30, "b": 8},
        hovermode=hovermode,
        hoverlabel={
            "bgcolor": "var(--raised)",
            "bordercolor": "var(--line)",
            "font": {"color": "var(--ink)"},
        },
        legend={
            "orientation": "h",
            "x": 0,
            "y": 1.0,
            "yanchor": "bottom",
            "bgcolor": "rgba(0,0,0,0)",
        },
        xaxis={"type": "date", "showgrid": False, "hoverformat": hoverformat},
        dragmode="zoom",
        autosize=True,
    )
    return go.Figure(layout=layout)


def _format(ts: NDArray[np.int64]) -> str:
    """Return how the hover tells a time: the day alone for bars of a day or more."""
    daily = len(ts) > 1 and float(np.median(np.diff(ts[-100:]))) >= NS_PER_DAY
    return "%Y-%m-%d" if daily else "%Y-%m-%d %H:%M:%S"


def _span(begin: NDArray[np.int64], end: NDArray[np.int64]) -> list[float]:
    """Return the range of the time axis with a little room on both sides; two days around a single moment."""
    first, last = float(begin[0]) / 1e6, float(end[-1]) / 1e6
    room = 0.012 * (last - first) or NS_PER_DAY / 1e6
    return [first - room, last + room]


def _ms(ts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the instant before each stamp in ms since 1970, which Plotly takes for dates."""
    return np.asarray((ts - 1) // 1_000_000, dtype=np.float64)


def _line(
    go: Any,
    ts: NDArray[np.int64],
    values: NDArray[np.float64],
    shown: NDArray[np.int64],
    name: str,
    colour: str,
    form: str,
    suffix: str = "",
) -> Any:
    return go.Scatter(
        x=_ms(ts[shown]),
        y=values[shown],
        name=name,
        mode="lines" if len(shown) > 1 else "markers",
        line={"color": f"var(--{colour})", "width": 1.6},
        hovertemplate=f"%{{y:{form}}}{suffix}",
    )


def _add_benchmark(go: Any, figure: Any, result: BacktestResult) -> None:
    """Add what the capital would be if it held the first instrument all along."""
    if not result.prices or not len(result.ts):
        return
    base, closes = benchmark_closes(result.prices[0], result.ts)
    worth = result.capital * closes / base if base > 0.0 else np.full(len(closes), np.nan)
    known = np.flatnonzero(np.isfinite(worth))
    if not len(known):
        return
    shown = known[thin(worth[known])]
    name = f"Buy and hold {_plain(result.prices[0].vt_symbol)}"
    trace = _line(go, result.ts, worth, shown, name, "faint", ",.2f")
    trace.update(line_width=1.2)
    figure.add_trace(trace)


def _candles(go: Any, series: PriceSeries) -> Any:
    columns = {name.removesuffix("_price"): getattr(series, name) for name in _CANDLE}
    return go.Candlestick(
        x=_ms(series.ts_event),
        name="Price",
        increasing={"line": {"color": "var(--gain)", "width": 1}, "fillcolor": "var(--gain-soft)"},
        decreasing={"line": {"color": "var(--loss)", "width": 1}, "fillcolor": "var(--loss-soft)"},
        **columns,
    )


def _markers(go: Any, trips: list[RoundTrip]) -> list[Any]:
    traces = []
    longs = [t for t in trips if t.direction == Direction.LONG]
    shorts = [t for t in trips if t.direction == Direction.SHORT]
    wins = [t for t in trips if t.pnl > 0.0]
    losses = [t for t in trips if t.pnl <= 0.0]
    traces.append(_links(go, wins, "gain"))
    traces.append(_links(go, losses, "loss"))
    traces.append(_points(go, longs, "entry", "Long entry", "triangle-up", "gain"))
    traces.append(_points(go, shorts, "entry", "Short entry", "triangle-down", "loss"))
    traces.append(_points(go, wins, "exit", "Exit with gain", "circle-open", "gain"))
    traces.append(_points(go, losses, "exit", "Exit with loss", "x-thin-open", "loss"))
    return [trace for trace in traces if len(trace.x)]


def _links(go: Any, trips: list[RoundTrip], colour: str) -> Any:
    x: list[float | None] = []
    y: list[float | None] = []
    for trip in trips:
        x += [trip.entry_ts / 1e6, trip.exit_ts / 1e6, None]
        y += [trip.entry_price, trip.exit_price, None]
    line = {"color": f"var(--{colour})", "width": 1.2, "dash": "dot"}
    return go.Scatter(x=x, y=y, mode="lines", line=line, hoverinfo="skip", showlegend=False)


def _points(go: Any, trips: list[RoundTrip], side: str, name: str, symbol: str, colour: str) -> Any:
    told = [
        f"{_plain(t.strategy)} · {t.volume:,.8g} · P&L {t.pnl:,.2f} ({t.return_rate:.2%})"
        for t in trips
    ]
    line = {"width": 1.8} if side == "exit" else {"width": 1, "color": "var(--surface)"}
    return go.Scatter(
        x=np.array([getattr(t, f"{side}_ts") / 1e6 for t in trips]),
        y=np.array([getattr(t, f"{side}_price") for t in trips]),
        customdata=told,
        name=name,
        mode="markers",
        marker={
            "symbol": symbol,
            "size": 8 if side == "exit" else 11,
            "color": f"var(--{colour})",
            "line": line,
        },
        hovertemplate=f"{name} at %{{y:,.6~f}}<br>%{{x}}<br>%{{customdata}}<extra></extra>",
    )


def _plain(text: str) -> str:
    """Return text that Plotly will not read as markup of its own."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _json(figure: Any) -> str:
    return str(figure.to_json())
