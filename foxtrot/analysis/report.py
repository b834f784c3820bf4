"""One self-contained HTML report of a run: no file, no request, everything inline.

The caller writes the string to a file. plotly.js is in it once (about 5 MB), so it opens without a network.
"""

from __future__ import annotations

from collections import Counter

from foxtrot.analysis import charts, sections
from foxtrot.analysis.record import Statistics, format_events, format_period
from foxtrot.analysis.result import BacktestResult, PriceSeries
from foxtrot.analysis.round_trips import RoundTrip
from foxtrot.analysis.sections import esc, panel, script_json
from foxtrot.analysis.sessions import DailyCurve, daily_curve
from foxtrot.analysis.template import page
from foxtrot.core.objects import ns_to_datetime

MAX_PRICE_CHARTS = 12
_ROLLING_DAYS = 126
_LEAST_ROLLING_DAYS = 20


def render_report(
    result: BacktestResult,
    statistics: Statistics,
    title: str = "Backtest report",
    timezone: str = "UTC",
) -> str:
    """Render the report of a run.

    Args:
        result: What the run left behind.
        statistics: Its statistics, from ``calculate_statistics``.
        title: Heading and title of the page; any text, escaped here.
        timezone: Where days begin at midnight, for the returns by month.

    Returns:
        A whole HTML document.

    Raises:
        MissingExtraError: plotly is not installed (extra ``report``).
    """
    library = charts.plotly_javascript()
    curve = daily_curve(result.ts, result.equity, result.capital, result.prices, timezone)
    body = "\n".join(
        part
        for part in (
            _header(result, statistics, title),
            _warning(statistics),
            sections.cards(statistics),
            _equity(result),
            _prices(result),
            panel(
                "Returns by month",
                sections.month_table(curve),
                "change of equity, the first against the capital",
            ),
            _distribution(result, statistics, curve),
            sections.breakdown(result.round_trips),
            panel(
                "Statistics",
                sections.statistics_groups(statistics),
                "point at or tap a name for its definition",
            ),
            sections.trades_table(result.round_trips),
            sections.open_table(result.round_trips.open),
            sections.settings(result),
            _footer(result),
        )
        if part
    )
    return page(esc(title), f"<main>\n{body}\n</main>", library)


def _header(result: BacktestResult, statistics: Statistics, title: str) -> str:
    facts = []
    if (
        statistics.start is not None
    ):  # the end of the curve: conventions differ on what they call the end
        facts.append(format_period(statistics.start, ns_to_datetime(int(result.ts[-1]))))
    facts.append(_named([series.vt_symbol for series in result.prices], "instruments"))
    facts.append(_named(list(result.strategies), "strategies"))
    facts.append(f"{statistics.text('capital')} {result.currency} capital")
    facts.append(format_events(result.events, result.run_seconds))
    shown = "".join(f"<span>{esc(fact)}</span>" for fact in facts if fact)
    return f'<header><div class="brand">Foxtrot</div><h1>{esc(title)}</h1><div class="facts">{shown}</div></header>'


def _named(names: list[str], plural: str) -> str:
    return (
        ", ".join(names)
        if len(names) <= 3
        else f"{', '.join(names[:2])} and {len(names) - 2} more {plural}"
    )


def _warning(statistics: Statistics) -> str:
    if not statistics.bankrupt:
        return ""
    text = "The account fell to nothing: equity was at or below zero during this run."
    return f'<section class="panel warn">{text}</section>'


def _chart(element: str, figure: str, size: str) -> str:
    return (
        script_json(f"{element}-figure", figure)
        + f'<div class="chart {size}" id="{element}" data-figure="{element}-figure"></div>'
    )


def _equity(result: BacktestResult) -> str:
    if not len(result.ts):
        return panel("Equity", '<p class="empty">The run has no equity points.</p>')
    note = f"{result.currency}, marked at each point"
    if len(result.ts) > charts.MAX_POINTS:
        note += f"; {len(result.ts):,} points, thinned with every extreme kept"
    return panel("Equity and drawdown", _chart("equity", charts.equity_chart(result), "tall"), note)


def _prices(result: BacktestResult) -> str:
    chosen = _charted(result)
    if not chosen:
        return ""
    trips: dict[str, list[RoundTrip]] = {series.vt_symbol: [] for series in chosen}
    for trip in result.round_trips.closed:
        if trip.vt_symbol in trips:
            trips[trip.vt_symbol].append(trip)
    figures, options = [], []
    for number, series in enumerate(chosen):
        members = trips[series.vt_symbol]
        figures.append(script_json(f"price-{number}", charts.price_chart(series, members)))
        note = _marks_note(members)
        options.append(
            f'<option value="price-{number}" data-note="{esc(note)}">{esc(series.vt_symbol)}</option>'
        )
    first = _marks_note(trips[chosen[0].vt_symbol])
    hidden = len(result.prices) - len(chosen)
    rest = f" {hidden} more instruments are not drawn." if hidden else ""
    content = (
        "".join(figures)
        + '<div class="chart mid" id="price" data-figure="price-0"></div>'
        + f'<p class="note"><span id="price-note">{esc(first)}</span>{esc(rest)}</p>'
    )
    if len(chosen) == 1:
        return panel("Price, entries and exits", content, chosen[0].vt_symbol)
    tools = f'<select id="instrument" aria-label="Instrument">{"".join(options)}</select>'
    return panel("Price, entries and exits", content, tools=tools)


def _charted(result: BacktestResult) -> list[PriceSeries]:
    """Return the series to draw: those with most round trips, in the result's order."""
    drawn = [series for series in result.prices if len(series)]
    if len(drawn) <= MAX_PRICE_CHARTS:
        return drawn
    traded = Counter(trip.vt_symbol for trip in result.round_trips.closed)
    busiest = sorted(drawn, key=lambda series: -traded[series.vt_symbol])[:MAX_PRICE_CHARTS]
    return [series for series in drawn if series in busiest]


def _marks_note(trips: list[RoundTrip]) -> str:
    shown = len(charts.marked_trips(trips))
    if shown == len(trips):
        return ""
    return f"Marked are the {shown:,} of {len(trips):,} round trips with the largest P&L by amount."


def _distribution(result: BacktestResult, statistics: Statistics, curve: DailyCurve) -> str:
    parts = []
    if len(result.round_trips):
        figure = charts.pnl_chart(result.round_trips.column("pnl"), result.currency)
        parts.append(panel("Trade P&L", _chart("pnl", figure, "low"), "closed round trips"))
    window = min(_ROLLING_DAYS, len(curve.returns) // 4)
    if window >= _LEAST_ROLLING_DAYS:
        figure = charts.rolling_chart(curve, statistics.annual_days, window)
        note = f"mean / std (ddof 1) · √{statistics.annual_days:.0f} of daily returns"
        parts.append(panel("Rolling Sharpe ratio", _chart("rolling", figure, "low"), note))
    return f'<div class="two">{"".join(parts)}</div>' if parts else ""


def _footer(result: BacktestResult) -> str:
    sha = (
        f"<div>Log of orders and trades, SHA-256: <code>{esc(result.log_sha256)}</code></div>"
        if result.log_sha256
        else ""
    )
    return f"<footer>{sha}<div>Made with Foxtrot. Past results say little about future ones.</div></footer>"
