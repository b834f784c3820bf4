"""Statistics: defined answers for poor inputs, figures by hand for small ones, and their forms."""

import dataclasses
import datetime as dt
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.analysis import (
    CONVENTIONS,
    Statistics,
    calculate_statistics,
    definitions,
    definitions_frame,
)
from foxtrot.analysis.glossary import Unit
from foxtrot.analysis.record import format_duration, format_period, format_value, json_value
from foxtrot.analysis.statistics import exposed_steps
from foxtrot.core.constants import NS_PER_DAY, NS_PER_MINUTE
from foxtrot.core.errors import DataError
from tests.unit.analysis.helpers import MONDAY, curve_result, daily_prices, fill, make_result


def days(count):
    return MONDAY + NS_PER_DAY * np.arange(1, count + 1)


def test_every_statistic_is_defined_and_every_definition_is_a_statistic():
    fields = [field.name for field in dataclasses.fields(Statistics)]

    assert [row.name for row in definitions()] == fields
    assert all(row.text and row.label and row.group for row in definitions())
    assert list(definitions_frame().index) == fields


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_no_points_at_all(convention):
    statistics = calculate_statistics(make_result(), convention)

    assert statistics.trades == statistics.days == 0
    assert statistics.start is statistics.duration is statistics.max_drawdown_duration is None
    assert math.isnan(statistics.sharpe)
    assert math.isnan(statistics.exposure)
    assert statistics.equity_final == 1000.0


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_one_bar(convention):
    prices = daily_prices([10.0])
    statistics = calculate_statistics(
        make_result(prices.ts_event, [1010.0], prices=[prices]), convention
    )

    assert statistics.total_return == pytest.approx(0.01)
    assert math.isnan(statistics.sharpe)
    assert math.isnan(statistics.volatility) or statistics.volatility == 0.0
    assert math.isnan(statistics.win_rate)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_curve_that_never_moves(convention):
    statistics = calculate_statistics(curve_result([0.0] * 30), convention, risk_free=0.0)

    assert statistics.volatility == 0.0
    assert math.isnan(statistics.sharpe)
    assert math.isnan(statistics.sortino)
    assert statistics.max_drawdown == 0.0
    assert math.isnan(statistics.calmar)


def test_steady_gain_has_no_variation_and_no_loss():
    statistics = calculate_statistics(curve_result([0.001] * 30))

    assert statistics.volatility == 0.0
    assert math.isnan(statistics.sharpe)
    assert statistics.sortino == math.inf
    assert statistics.calmar == math.inf


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_bankrupt_account(convention):
    # Given an account that is below zero on its third day and stays there
    equity = [1100.0, 900.0, -50.0, -50.0, -60.0]
    statistics = calculate_statistics(make_result(days(5), equity), convention)

    assert statistics.bankrupt
    assert statistics.total_return == pytest.approx(-1.06)
    assert statistics.cagr == -1.0
    assert statistics.annual_return == (
        -1.0 if convention != "vnpy" else pytest.approx(-1.06 / 5 * 240)
    )
    assert statistics.max_drawdown < -1.0
    assert statistics.worst_day == pytest.approx(-50.0 / 900.0 - 1.0)


def test_trade_figures_by_hand():
    # Given wins of 20 and 10, and losses of 10 and 10 after commissions, in a row W W L L
    trades = [
        fill(1, "LONG", 10.0, 10.0, days(9)[0], commission=0.5),
        fill(2, "SHORT", 10.0, 12.1, days(9)[1], commission=0.5),
        fill(3, "SHORT", 10.0, 10.0, days(9)[2]),
        fill(4, "LONG", 10.0, 9.0, days(9)[4]),
        fill(5, "LONG", 10.0, 10.0, days(9)[5]),
        fill(6, "SHORT", 10.0, 9.0, days(9)[6]),
        fill(7, "LONG", 10.0, 10.0, days(9)[6]),
        fill(8, "SHORT", 10.0, 9.0, days(9)[7]),
    ]
    statistics = calculate_statistics(make_result(days(9), np.linspace(1000, 1010, 9), trades))

    assert (statistics.trades, statistics.trades_long, statistics.trades_short) == (4, 3, 1)
    assert statistics.win_rate == 0.5
    assert statistics.profit_factor == pytest.approx(30.0 / 20.0)
    assert statistics.payoff_ratio == pytest.approx(1.5)
    assert statistics.expectancy == pytest.approx(2.5)
    assert statistics.kelly == pytest.approx(0.5 - 0.5 / 1.5)
    assert statistics.sqn == pytest.approx(2.0 * 2.5 / np.std([20, 10, -10, -10], ddof=1))
    assert statistics.best_trade == pytest.approx(0.2)
    assert statistics.worst_trade == pytest.approx(-0.1)
    assert statistics.average_trade == pytest.approx((1.2 * 1.1 * 0.9 * 0.9) ** 0.25 - 1.0)
    assert statistics.expectancy_rate == pytest.approx(0.025)
    assert (statistics.max_consecutive_wins, statistics.max_consecutive_losses) == (2, 2)
    assert statistics.max_trade_duration == dt.timedelta(days=2)
    assert statistics.average_trade_duration == dt.timedelta(days=5) / 4
    assert statistics.commissions == pytest.approx(1.0)
    assert statistics.turnover == pytest.approx(10 * (10 + 12.1 + 10 + 9 + 10 + 9 + 10 + 9))


def test_commissions_are_the_sum_of_the_fills_without_residue_of_splitting():
    trades = [
        fill(1, "LONG", 3.0, 10.0, 1, commission=0.1),
        fill(2, "SHORT", 1.0, 12.0, 2, commission=0.1),
        fill(3, "SHORT", 1.0, 12.0, 3, commission=0.1),
    ]
    statistics = calculate_statistics(make_result(days(2), [1001.0, 1002.0], trades))

    assert statistics.commissions == 0.3
    assert sum(trade.commission for trade in trades) != 0.3


def test_wins_without_a_loss():
    trades = [fill(1, "LONG", 1.0, 10.0, 1), fill(2, "SHORT", 1.0, 12.0, 2)]
    statistics = calculate_statistics(make_result(days(2), [1001.0, 1002.0], trades))

    assert statistics.profit_factor == math.inf
    assert statistics.kelly == 1.0
    assert math.isnan(statistics.average_loss)
    assert math.isnan(statistics.sqn)


def test_drawdown_counts_the_capital_as_a_peak_and_lasts_to_the_recovery():
    # Given a first point below the capital, a recovery on day 3, and a second fall without one
    equity = [900.0, 950.0, 1000.0, 1100.0, 1045.0]
    statistics = calculate_statistics(make_result(days(5), equity))

    assert statistics.max_drawdown == pytest.approx(-0.1)
    assert statistics.max_drawdown_money == pytest.approx(-100.0)
    assert statistics.max_drawdown_duration == dt.timedelta(days=2)
    assert statistics.average_drawdown == pytest.approx(-0.075)
    assert statistics.recovery_factor == pytest.approx(0.45)


def test_exposure_from_the_fills_counts_entry_and_exit_steps():
    # Given bars whose positions open at the second bar's opening and close at the fourth's
    prices = daily_prices([10.0] * 6)
    trades = [
        fill(1, "LONG", 1.0, 10.0, int(prices.ts_open[1])),
        fill(2, "SHORT", 1.0, 10.0, int(prices.ts_open[3])),
    ]
    result = make_result(prices.ts_event, [1000.0] * 6, trades, [prices])

    assert exposed_steps(result).tolist() == [False, True, True, True, False, False]
    assert calculate_statistics(result).exposure == 0.5


def test_recorded_exposure_and_gross_are_used():
    result = make_result(
        days(4),
        [1000.0] * 4,
        exposure=np.array([True, False, False, False]),
        gross=np.array([500.0, 0, 0, 1500.0]),
    )
    statistics = calculate_statistics(result)

    assert statistics.exposure == 0.25
    assert statistics.average_leverage == pytest.approx(0.5)
    assert statistics.max_leverage == pytest.approx(1.5)


def test_json_is_strict_and_tells_what_is_undefined():
    trades = [fill(1, "LONG", 1.0, 10.0, 1), fill(2, "SHORT", 1.0, 12.0, 2)]
    record = calculate_statistics(make_result(days(2), [1001.0, 1002.0], trades)).to_dict()

    again = json.loads(json.dumps(record, allow_nan=False))

    assert again["profit_factor"] == "Infinity"
    assert again["average_loss"] is None
    assert again["duration"] == 86400.0
    assert again["end"] == "2024-01-03T00:00:00Z"
    assert json_value(-math.inf) == "-Infinity"
    with pytest.raises(TypeError):
        json_value(object())


def test_frame_tells_label_text_and_definition():
    frame = calculate_statistics(curve_result([0.01, -0.02, 0.01])).to_frame()

    assert frame.loc["max_drawdown", "text"] == "−2.00 %"
    assert frame.loc["sharpe", "label"] == "Sharpe ratio"
    assert frame.loc["trades", "value"] == 0
    assert frame["definition"].str.len().min() > 5


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (math.nan, Unit.RATIO, "–"),
        (math.inf, Unit.RATIO, "∞"),
        (-math.inf, Unit.RATIO, "−∞"),
        (-0.00001, Unit.FRACTION, "0.00 %"),
        (0.1234, Unit.FRACTION, "12.34 %"),
        (-1234.5, Unit.MONEY, "−1,234.50"),
        (252.0, Unit.RATIO, "252"),
        (1.5e9, Unit.RATIO, "1.500e+09"),
        (1_000, Unit.COUNT, "1,000"),
        (True, Unit.FLAG, "yes"),
        (None, Unit.DURATION, "–"),
        ("", Unit.TEXT, "–"),
        (dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.UTC), Unit.TIME, "2024-01-02 03:04:05"),
        (dt.timedelta(hours=3, minutes=20), Unit.DURATION, "3 h 20 min"),
    ],
)
def test_figures_as_people_read_them(value, unit, text):
    assert format_value(value, unit) == text


def test_spans_and_periods_as_people_read_them():
    assert format_duration(dt.timedelta(seconds=1.5)) == "1.5 s"
    assert format_duration(dt.timedelta(days=583, hours=13)) == "584 d"
    assert format_duration(-dt.timedelta(days=2)) == "−2 d"
    start = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert format_period(start, start + dt.timedelta(days=1)) == "2024-01-01"
    assert format_period(start, start + dt.timedelta(days=3)) == "2024-01-01 – 2024-01-03"
    with pytest.raises(TypeError):
        format_value(object(), Unit.TEXT)


@pytest.mark.parametrize(
    "changes",
    [
        {"ts": [1, 2], "equity": [1.0]},
        {"ts": [2, 1], "equity": [1.0, 1.0]},
        {"capital": 0.0},
        {"capital": math.nan},
    ],
)
def test_columns_that_do_not_belong_together_are_refused(changes):
    with pytest.raises(DataError, match="BacktestResult"):
        make_result(**changes)


def test_frames_of_a_result():
    result = make_result(
        days(2), [990.0, 1000.0], [fill(1, "LONG", 1.0, 10.0, 5)], gross=np.zeros(2)
    )

    assert result.trades_frame().loc[0, "direction"] == "LONG"
    assert str(result.trades_frame()["ts_event"].dtype).endswith("UTC]")
    assert result.orders_frame().empty
    curve = result.equity_frame()
    assert curve["drawdown"].tolist() == pytest.approx([-0.01, 0.0])
    assert list(curve.columns) == ["equity", "drawdown", "gross"]


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.floats(-500.0, 5000.0, allow_nan=False), max_size=40),
    st.sampled_from(sorted(CONVENTIONS)),
)
def test_any_curve_gives_a_json_safe_record(equity, convention):
    result = make_result(days(len(equity)), equity)

    record = calculate_statistics(result, convention).to_dict()

    json.dumps(record, allow_nan=False)
    if equity:
        assert record["max_drawdown"] <= 0.0
        assert record["equity_peak"] == max(equity)


def test_half_a_million_points_and_forty_thousand_fills():
    n = 500_000
    ts = MONDAY + NS_PER_MINUTE * np.arange(1, n + 1)
    wave = 1000.0 + np.cumsum(
        np.sin(np.arange(n) * 0.7) * 0.1 + np.cos(np.arange(n) * 0.011) * 0.01
    )
    prices = daily_prices(wave, ts_open=ts - NS_PER_MINUTE, length=NS_PER_MINUTE)
    trades = [
        fill(
            i,
            "LONG" if i % 2 else "SHORT",
            2.0 if i else 1.0,
            float(wave[12 * i]),
            int(ts[12 * i]),
            commission=0.1,
        )
        for i in range(40_000)
    ]
    result = make_result(ts, wave, trades, [prices])

    statistics = calculate_statistics(result)

    assert statistics.trades == 39_999


def test_a_changed_copy_of_a_result_forgets_the_round_trips_of_the_first():
    trades = (fill(1, "LONG", 1.0, 10.0, 1), fill(2, "SHORT", 1.0, 12.0, 2))
    result = make_result(days(1), [1000.0], trades)
    assert len(result.round_trips) == 1

    assert len(dataclasses.replace(result, trades=()).round_trips) == 0
