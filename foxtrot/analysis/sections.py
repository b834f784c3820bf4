"""Sections of the report as HTML: cards, month table, statistics, breakdown, trades, parameters.

Invariant: every text that comes from outside (names, parameters, symbols) is escaped here, on its way into the markup.
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Sequence

from foxtrot.analysis.glossary import definitions
from foxtrot.analysis.record import UNDEFINED, Statistics, format_duration, format_time, json_value
from foxtrot.analysis.result import BacktestResult
from foxtrot.analysis.round_trips import OpenLot, RoundTrip, RoundTrips
from foxtrot.analysis.sessions import DailyCurve, monthly_returns, yearly_returns
from foxtrot.core.objects import ns_to_datetime

MAX_ROWS = 1_000
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_FULL_HEAT = 0.10  # a month of ± 10 % has the full colour

_CARDS = (
    ("total_return", "Total return", "vs. {} buy and hold", "buy_hold_return", True),
    ("cagr", "CAGR", "{} volatility", "volatility", True),
    ("sharpe", "Sharpe ratio", "{} Sortino", "sortino", False),
    ("max_drawdown", "Max. drawdown", "longest {}", "max_drawdown_duration", True),
    ("trades", "Trades", "{} won", "win_rate", False),
    ("profit_factor", "Profit factor", "{} payoff ratio", "payoff_ratio", False),
    ("expectancy", "Expectancy per trade", "{} mean return", "expectancy_rate", True),
    ("exposure", "Exposure", "turnover {} × a year", "turnover_rate", False),
)

Cell = tuple[str | float | None, str]


def esc(value: object) -> str:
    """Return any value as text that is safe in markup and in quoted attributes."""
    return html.escape(str(value), quote=True)


def script_json(element: str, text: str) -> str:
    """Return JSON text as an inert script element; no content can end the element early."""
    safe = text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    return f'<script type="application/json" id="{element}">{safe}</script>'


def panel(title: str, content: str, note: str = "", tools: str = "") -> str:
    """Return a titled box; ``content`` and ``tools`` are markup, title and note are text."""
    aside = tools or (f'<span class="note">{esc(note)}</span>' if note else "")
    return f'<section class="panel"><div class="head"><h2>{esc(title)}</h2>{aside}</div>{content}</section>'


def cards(statistics: Statistics) -> str:
    """Return the headline figures."""
    boxes = []
    for name, label, pattern, other, signed in _CARDS:
        value = getattr(statistics, name)
        colour = _sign(value) if signed else ""
        detail = statistics.text(other)
        sub = pattern.format(detail) if detail != UNDEFINED else ""
        boxes.append(
            f'<div class="card"><div class="label">{esc(label)}</div>'
            f'<div class="value {colour}">{esc(statistics.text(name))}</div><div class="sub">{esc(sub)}</div></div>'
        )
    return f'<div class="cards">{"".join(boxes)}</div>'


def month_table(curve: DailyCurve) -> str:
    """Return the returns by month and year as a table whose colours tell gain and loss."""
    months, years = monthly_returns(curve), yearly_returns(curve)
    if not months:
        return '<p class="empty">No day has a value.</p>'
    head = "".join(f"<th>{name}</th>" for name in _MONTHS)
    rows = []
    for year in sorted(years, reverse=True):
        cells = "".join(_heat(months.get((year, month))) for month in range(1, 13))
        rows.append(f"<tr><th>{year}</th>{cells}{_heat(years[year], total=True)}</tr>")
    return (
        f'<div class="scroll"><table class="heat"><thead><tr><th>Year</th>{head}<th>Total</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _heat(value: float | None, total: bool = False) -> str:
    if value is None:
        return "<td></td>"
    full = _FULL_HEAT * (3.0 if total else 1.0)
    share = min(abs(value) / full, 1.0) ** 0.75
    colour = "gain" if value > 0.0 else "loss"
    style = (
        f' style="background:color-mix(in srgb,var(--{colour}) calc(var(--heat)*{share:.2f}),transparent)"'
        if abs(value) >= 5e-5
        else ""
    )
    kind = ' class="sum"' if total else ""
    return f"<td{kind}{style}>{_percent(value, 1)}</td>"


def statistics_groups(statistics: Statistics) -> str:
    """Return every figure in its group, each label telling its definition."""
    groups: dict[str, list[str]] = {}
    for row in definitions(statistics.convention):
        groups.setdefault(row.group, []).append(
            f'<div class="row"><dt><span class="tip" tabindex="0" data-tip="{esc(row.text)}">{esc(row.label)}</span>'
            f"</dt><dd>{esc(statistics.text(row.name))}</dd></div>"
        )
    parts = [
        f"<section><h3>{esc(group)}</h3><dl>{''.join(rows)}</dl></section>"
        for group, rows in groups.items()
    ]
    return f'<div class="stats">{"".join(parts)}</div>'


def breakdown(trips: RoundTrips) -> str:
    """Return one row for each strategy and instrument; nothing when there is only one."""
    legs: dict[tuple[str, str], list[RoundTrip]] = {}
    for trip in trips.closed:
        legs.setdefault((trip.strategy, trip.vt_symbol), []).append(trip)
    if len(legs) < 2:
        return ""
    rows = []
    for (strategy, vt_symbol), members in sorted(legs.items(), key=lambda leg: -_total(leg[1])):
        total, won = _total(members), sum(trip.pnl > 0.0 for trip in members)
        rates = [trip.return_rate for trip in members]
        rows.append(
            f'<tr><td class="l">{esc(strategy)}</td><td class="l">{esc(vt_symbol)}</td><td>{len(members):,}</td>'
            f"<td>{_percent(won / len(members), 1)}</td>"
            f'<td class="{_sign(total)}">{_money(total)}</td><td>{_money(total / len(members))}</td>'
            f"<td>{_percent(max(rates))}</td><td>{_percent(min(rates))}</td>"
            f"<td>{_money(math.fsum(trip.commission for trip in members))}</td></tr>"
        )
    head = (
        '<th class="l">Strategy</th><th class="l">Instrument</th><th>Trades</th><th>Won</th><th>Net P&amp;L</th>'
        "<th>Per trade</th><th>Best</th><th>Worst</th><th>Commission</th>"
    )
    table = _table(head, rows)
    return panel("By strategy and instrument", table, "closed round trips")


_COLUMNS = (
    # title, left-aligned, coloured by sign
    ("#", False, False),
    ("Strategy", True, False),
    ("Instrument", True, False),
    ("Side", True, False),
    ("Volume", False, False),
    ("Entry", True, False),
    ("Price in", False, False),
    ("Exit", True, False),
    ("Price out", False, False),
    ("Held", False, False),
    ("Net P&L", False, True),
    ("Return", False, True),
    ("MAE", False, False),
    ("MFE", False, False),
    ("Commission", False, False),
)
_STRATEGY, _INSTRUMENT, _SIDE, _PNL = 1, 2, 3, 10


def trades_table(trips: RoundTrips, limit: int = MAX_ROWS) -> str:
    """Return the closed round trips, at most the last ``limit`` of them, for the page's script to sort and filter."""
    if not trips.closed:
        return panel(
            "Trades", '<p class="empty">No position was opened and closed in this run.</p>'
        )
    first = max(0, len(trips) - limit)
    shown = _shown_columns(trips)
    columns = [_COLUMNS[i] for i in shown]
    rows = [_trade_row(first + i + 1, trip) for i, trip in enumerate(trips.closed[first:])]
    content = {
        "rows": [[row[i] for i in shown] for row in rows],
        "left": [left for _, left, _ in columns],
        "signed": [signed for _, _, signed in columns],
        "side": shown.index(_SIDE),
        "pnl": shown.index(_PNL),
    }
    head = "".join(
        f"<th{' class=l' if left else ''}>{esc(title)}</th>" for title, left, _ in columns
    )
    table = (
        f'<div class="scroll high"><table id="trades"><thead><tr>{head}</tr></thead><tbody></tbody></table></div>'
        + script_json("trades-data", json.dumps(content, allow_nan=False))
    )
    tools = (
        '<div class="tools"><span class="note" id="f-count"></span>'
        '<input id="f-text" type="search" placeholder="Filter" aria-label="Filter trades by text">'
        '<select id="f-side" aria-label="Side"><option value="">Both sides</option>'
        "<option>LONG</option><option>SHORT</option></select>"
        '<select id="f-won" aria-label="Outcome"><option value="">All outcomes</option>'
        '<option value="won">Gains</option><option value="lost">Losses</option></select></div>'
    )
    if first:
        table += (
            f'<p class="note">The last {limit:,} of {len(trips):,} round trips; the first {first:,} are not listed '
            "here, but in every figure and in the exported trades.</p>"
        )
    return panel("Trades", table, tools=tools)


def _shown_columns(trips: RoundTrips) -> list[int]:
    """Return which columns tell something: strategy and instrument only if there are several."""
    hidden = set()
    if len({trip.strategy for trip in trips.closed}) < 2:
        hidden.add(_STRATEGY)
    if len({trip.vt_symbol for trip in trips.closed}) < 2:
        hidden.add(_INSTRUMENT)
    return [i for i in range(len(_COLUMNS)) if i not in hidden]


def _trade_row(number: int, trip: RoundTrip) -> list[Cell]:
    held = format_duration(ns_to_datetime(trip.exit_ts) - ns_to_datetime(trip.entry_ts))
    entry, leave = (format_time(ns_to_datetime(ts)) for ts in (trip.entry_ts, trip.exit_ts))
    return [
        (number, f"{number:,}"),
        (trip.strategy, trip.strategy),
        (trip.vt_symbol, trip.vt_symbol),
        (str(trip.direction), str(trip.direction)),
        (trip.volume, _amount(trip.volume)),
        (trip.entry_ts / 1e6, entry),
        _number(trip.entry_price, _amount(trip.entry_price)),
        (trip.exit_ts / 1e6, leave),
        _number(trip.exit_price, _amount(trip.exit_price)),
        (trip.duration / 1e6, held),
        _number(trip.pnl, _money(trip.pnl)),
        _number(trip.return_rate, _percent(trip.return_rate)),
        _number(trip.mae, _percent(trip.mae)),
        _number(trip.mfe, _percent(trip.mfe)),
        _number(trip.commission, _money(trip.commission)),
    ]


def open_table(lots: Sequence[OpenLot]) -> str:
    """Return what was still held at the end; nothing when all is closed."""
    if not lots:
        return ""
    rows = [
        f'<tr><td class="l">{esc(lot.strategy)}</td><td class="l">{esc(lot.vt_symbol)}</td>'
        f'<td class="l">{esc(lot.direction)}</td><td>{_amount(lot.volume)}</td>'
        f'<td class="l">{format_time(ns_to_datetime(lot.entry_ts))}</td><td>{_amount(lot.entry_price)}</td>'
        f'<td>{_amount(lot.last_price)}</td><td class="{_sign(lot.pnl)}">{_money(lot.pnl)}</td></tr>'
        for lot in lots[:MAX_ROWS]
    ]
    head = (
        '<th class="l">Strategy</th><th class="l">Instrument</th><th class="l">Side</th><th>Volume</th>'
        '<th class="l">Entry</th><th>Price in</th><th>Last price</th><th>Open P&amp;L</th>'
    )
    table = _table(head, rows)
    rest = f", {MAX_ROWS:,} of {len(lots):,} listed" if len(lots) > MAX_ROWS else ""
    return panel("Still open at the end", table, f"in the equity, in no trade figure{rest}")


def settings(result: BacktestResult) -> str:
    """Return the strategies' parameters and the assumptions of the run, side by side."""
    parts = [
        f"<section><h3>{esc(name)}</h3>{_pairs(parameters.items())}</section>"
        for name, parameters in result.strategies.items()
    ]
    left = panel("Parameters", "".join(parts) or '<p class="empty">No strategy.</p>')
    right = panel(
        "Conventions of the run",
        _pairs(result.conventions.items()) or '<p class="empty">None given.</p>',
    )
    return f'<div class="two">{left}{right}</div>'


def _pairs(items: Iterable[tuple[str, object]]) -> str:
    rows = "".join(f"<dt>{esc(key)}</dt><dd>{esc(value)}</dd>" for key, value in items)
    return f'<dl class="kv">{rows}</dl>' if rows else ""


def _table(head: str, rows: Sequence[str]) -> str:
    body = "".join(rows)
    return f'<div class="scroll high"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _number(value: float, text: str) -> Cell:
    plain = json_value(float(value))
    return (plain if isinstance(plain, float) else None), text


def _total(trips: Sequence[RoundTrip]) -> float:
    return math.fsum(trip.pnl for trip in trips)


def _sign(value: float) -> str:
    return "gain" if value > 0.0 else "loss" if value < 0.0 else ""


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _percent(value: float, digits: int = 2) -> str:
    return "–" if math.isnan(value) else _minus(f"{value * 100.0:.{digits}f} %")


def _money(value: float) -> str:
    return "–" if math.isnan(value) else _minus(f"{value:,.2f}")


def _amount(value: float) -> str:
    return "–" if math.isnan(value) else _minus(f"{value:,.8g}")
