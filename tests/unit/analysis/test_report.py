"""The report and the terminal summary: whole in themselves, safe with any text, and sound with little or much data."""

import json
import math
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from foxtrot.analysis import (
    BacktestResult,
    calculate_statistics,
    charts,
    render_report,
    summary_renderable,
)
from foxtrot.analysis.sections import MAX_ROWS, month_table, script_json, trades_table
from foxtrot.analysis.sessions import daily_curve
from foxtrot.analysis.terminal import sparkline
from foxtrot.core.constants import NS_PER_DAY, NS_PER_MINUTE
from foxtrot.core.errors import MissingExtraError
from tests.unit.analysis.helpers import MONDAY, business_days, daily_prices, fill, make_result

pytest.importorskip("plotly")

EVIL = "</script><img src=x onerror=alert(1)>&\"'"


class Page(HTMLParser):
    """Elements of a page, their attributes, and the JSON that it carries."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.json: dict[str, object] = {}
        self._id = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._id = dict(attrs).get("id") if dict(attrs).get("type") == "application/json" else None

    def handle_data(self, data):
        if self._id:
            self.json[self._id] = json.loads(data)
            self._id = None


def wave(n):
    return 100.0 + 10.0 * np.sin(np.arange(n) * 0.1) + 0.01 * np.arange(n)


def busy_result(n=300, symbols=("A.LOCAL", "B.LOCAL"), every=7) -> BacktestResult:
    prices = [daily_prices(wave(n) * (i + 1), symbol) for i, symbol in enumerate(symbols)]
    trades = []
    for series in prices:
        for k in range(0, n - 1, every):
            side = "LONG" if (k // every) % 2 else "SHORT"
            trades.append(
                fill(
                    len(trades),
                    side,
                    1.0,
                    float(series.open_price[k]),
                    int(series.ts_open[k]),
                    symbol=series.vt_symbol,
                    strategy=f"strategy {series.vt_symbol}",
                )
            )
    trades.sort(key=lambda trade: trade.ts_event)
    return make_result(
        prices[0].ts_event, 1000.0 + wave(n), trades, prices, gross=np.full(n, 500.0)
    )


def render(result, **options):
    return render_report(result, calculate_statistics(result), **options)


@pytest.fixture(scope="module")
def busy_page():
    return render(busy_result(), title="Two strategies")


def test_nothing_is_requested_from_outside(busy_page):
    page = Page(busy_page)

    for tag, attributes in page.tags:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base"}
        assert not {"src", "href", "action"} & set(attributes)
    assert "default-src 'none'" in busy_page
    assert busy_page.count("plotly.js v") == 1


def test_all_parts_are_there(busy_page):
    for title in (
        "Equity and drawdown",
        "Price, entries and exits",
        "Returns by month",
        "Trade P&amp;L",
        "Rolling Sharpe",
        "By strategy and instrument",
        "Statistics",
        "Trades",
        "Parameters",
        "Conventions of the run",
        "ab" * 32,
    ):
        assert title in busy_page
    page = Page(busy_page)
    assert {
        "equity-figure",
        "price-0",
        "price-1",
        "pnl-figure",
        "rolling-figure",
        "trades-data",
    } <= set(page.json)
    tips = [attributes["data-tip"] for _, attributes in page.tags if "data-tip" in attributes]
    assert len(tips) > 60


def test_texts_from_outside_are_escaped():
    prices = daily_prices([10.0, 11.0, 12.0], f"X{EVIL}.LOCAL")
    trades = [
        fill(1, "LONG", 1.0, 10.0, int(prices.ts_open[1]), symbol=prices.vt_symbol, strategy=EVIL),
        fill(2, "SHORT", 1.0, 11.0, int(prices.ts_open[2]), symbol=prices.vt_symbol, strategy=EVIL),
        fill(3, "SHORT", 1.0, 11.0, int(prices.ts_open[2]), symbol=prices.vt_symbol, strategy=EVIL),
    ]
    result = make_result(
        prices.ts_event,
        [1000.0, 1001.0, 1002.0],
        trades,
        [prices],
        strategies={EVIL: {EVIL: EVIL}},
        conventions={EVIL: EVIL},
        digest=lambda: EVIL,
        currency=EVIL,
        rates={"USD": 1.0},
    )

    page = Page(render(result, title=EVIL))

    tags = [tag for tag, _ in page.tags]
    assert "img" not in tags
    assert not [attributes for _, attributes in page.tags if "onerror" in attributes]
    assert tags.count("script") == 2 + len(page.json)


@pytest.mark.parametrize("points", [0, 1, 2])
def test_hardly_any_data(points):
    prices = daily_prices([10.0, 11.0][:points]) if points else None
    ts = prices.ts_event if prices else []
    result = make_result(ts, [1000.0, 990.0][:points], prices=[prices] if prices else [])

    text = render(result)

    assert "No position was opened and closed" in text
    assert ("The run has no equity points" in text) == (points == 0)


def test_bankrupt_account_and_open_lots_are_told():
    prices = daily_prices([10.0, 5.0])
    result = make_result(
        prices.ts_event,
        [1000.0, -5.0],
        [fill(1, "LONG", 200.0, 10.0, int(prices.ts_open[0]))],
        [prices],
    )

    text = render(result)

    assert "fell to nothing" in text
    assert "Still open at the end" in text


def test_half_a_million_points_make_a_chart_of_a_few_thousand_that_keeps_the_extremes():
    n = 500_000
    ts = MONDAY + NS_PER_MINUTE * np.arange(1, n + 1)
    equity = 1000.0 + np.sin(np.arange(n) * 0.001)
    equity[123_456], equity[400_001] = 5000.0, 1.0
    result = make_result(ts, equity)

    figure = json.loads(charts.equity_chart(result))
    kept = charts.thin(equity)

    assert len(kept) <= charts.MAX_POINTS + 2
    assert {0, 123_456, 400_001, n - 1} <= set(kept.tolist())
    assert np.all(np.diff(kept) > 0)
    assert len(json.dumps(figure)) < 400_000


def test_more_trades_than_the_table_lists_are_told():
    # Given a result with 20 more round trips than rows
    trades = []
    for i in range(MAX_ROWS + 20):
        trades += [
            fill(2 * i, "LONG", 1.0, 10.0, i * 1000 + 1),
            fill(2 * i + 1, "SHORT", 1.0, 11.0, i * 1000 + 2),
        ]
    trips = make_result(trades=trades).round_trips

    text = trades_table(trips)

    assert "first 20 are not listed" in text
    rows = Page(text).json["trades-data"]["rows"]
    assert len(rows) == MAX_ROWS
    assert rows[0][0] == [21, "21"]


def test_marks_on_the_price_are_the_largest_when_there_are_many():
    trades = []
    for i in range(charts.MAX_MARKED_TRIPS + 50):
        trades += [
            fill(2 * i, "LONG", 1.0, 10.0, 2 * i),
            fill(2 * i + 1, "SHORT", 1.0, 10.0 + i, 2 * i + 1),
        ]
    trips = list(make_result(trades=trades).round_trips.closed)

    marked = charts.marked_trips(trips)

    assert len(marked) == charts.MAX_MARKED_TRIPS
    assert min(trip.pnl for trip in marked) == 50.0
    assert [trip.entry_ts for trip in marked] == sorted(trip.entry_ts for trip in marked)


def test_price_chart_has_candles_for_few_bars_and_a_line_for_many():
    few, many = daily_prices(wave(100)), daily_prices(wave(1000))

    assert json.loads(charts.price_chart(few, []))["data"][0]["type"] == "candlestick"
    assert json.loads(charts.price_chart(many, []))["data"][0]["type"] == "scatter"


def test_many_instruments_are_drawn_up_to_a_dozen():
    text = render(busy_result(30, tuple(f"S{i}.LOCAL" for i in range(15))))

    assert "3 more instruments are not drawn" in text
    assert "S0.LOCAL, S1.LOCAL and 13 more instruments" in text


@pytest.mark.parametrize(
    "pnl", [[0.0, 0.0], [5.0], [-5.0], [-3.0, 0.0, 3.0], list(np.linspace(-10, 1000, 500))]
)
def test_bins_count_every_trade_once_and_part_gain_from_loss(pnl):
    values = np.array(pnl)

    counts, edges = charts.pnl_bins(values)

    middle = (edges[:-1] + edges[1:]) / 2
    assert counts.sum() == len(pnl)
    assert len(edges) == len(counts) + 1
    assert counts[middle > 0].sum() == (values > 0).sum() or len(counts) == 1


def test_month_table_colours_by_sign():
    curve = daily_curve(
        business_days(60) + NS_PER_DAY,
        1000.0 + np.concatenate((np.arange(30), -np.arange(30))),
        1000.0,
    )

    text = month_table(curve)

    assert "var(--gain)" in text
    assert "var(--loss)" in text
    assert ">2024<" in text
    assert text.count("<th>") == 15


def test_inert_script_survives_any_text():
    text = script_json("x", json.dumps({"a": EVIL + "\u2028<!--"}))

    assert Page(text).json == {"x": {"a": EVIL + "\u2028<!--"}}
    assert "<!--" not in text


def test_missing_plotly_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "plotly.graph_objects", None)

    with pytest.raises(MissingExtraError, match=r"foxtrot-trading\[report\]"):
        render(make_result())


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("make", [busy_result, make_result])
def test_summary_fits_the_terminal(make, width):
    result = make()
    console = Console(file=StringIO(), width=width, force_terminal=True, color_system=None)

    console.print(summary_renderable(result, calculate_statistics(result)))

    text = console.file.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "Sharpe" in text
    assert "ab" * 32 in text
    assert not re.search(r"nan|inf\b", text)


def test_summary_tells_of_open_lots_and_of_bankruptcy():
    result = make_result([NS_PER_DAY], [-1.0], [fill(1, "LONG", 1.0, 10.0, 5)])
    console = Console(file=StringIO(), width=80, color_system=None)

    console.print(summary_renderable(result, calculate_statistics(result)))

    assert "1 lot still open" in console.file.getvalue()
    assert "fell to nothing" in console.file.getvalue()


@pytest.mark.parametrize("width", [40, 60])
def test_summary_cuts_no_figure_off_in_a_narrow_terminal(width):
    result = busy_result()
    statistics = calculate_statistics(result)
    console = Console(file=StringIO(), width=width, color_system=None)

    console.print(summary_renderable(result, statistics))

    text = console.file.getvalue()
    assert max(len(line) for line in text.splitlines()) <= width
    for name in ("total_return", "max_drawdown", "expectancy"):
        assert statistics.text(name) in text
    assert "Longest dd" in text


@pytest.mark.parametrize(("count", "told"), [(2, "X1.LOCAL"), (5, "X1.LOCAL"), (200, "200 instr")])
def test_summary_tells_of_several_instruments_in_one_line(count, told):
    base = busy_result()
    names = [
        f"X{n}.LOCAL" if count < 100 else f"A_LONG_NAME_{n}.LOCAL" for n in range(1, count + 1)
    ]
    prices = tuple(replace(base.prices[0], vt_symbol=name) for name in names)
    result = replace(base, prices=prices, events=1_000)
    console = Console(file=StringIO(), width=80, color_system=None)

    console.print(summary_renderable(result, calculate_statistics(result)))

    line, after = console.file.getvalue().splitlines()[2:4]
    assert told in line
    assert "1,000 events" in line
    assert not after.strip("│ ")


@pytest.mark.parametrize("convention", ["foxtrot", "backtesting.py"])
def test_the_period_shown_ends_with_the_last_bar_under_each_convention(convention):
    result = busy_result()
    statistics = calculate_statistics(result, convention)
    console = Console(file=StringIO(), width=80, color_system=None)

    console.print(summary_renderable(result, statistics))

    last = str(np.datetime64(int(result.prices[0].ts_open[-1]), "ns"))[:10]
    assert f"2024-01-01 – {last}" in console.file.getvalue()
    assert f"2024-01-01 – {last}" in render_report(result, statistics)


def test_sparkline():
    assert sparkline(np.array([1.0, 2.0, 3.0]), 3) == "▁▅█"
    assert sparkline(np.ones(100), 4) == "▁▁▁▁"
    assert sparkline(np.array([math.nan])) == ""
    assert len(sparkline(np.arange(1000.0), 40)) == 40
