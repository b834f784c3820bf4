"""The named conventions on one golden series: each project's own figures, to six digits."""

import math

import numpy as np
import pytest

from foxtrot.analysis import CONVENTIONS, calculate_statistics, definitions
from foxtrot.analysis.conventions import get_convention
from foxtrot.core.constants import NS_PER_DAY
from foxtrot.core.errors import ConfigError
from tests.unit.analysis.helpers import business_days, curve_result, daily_prices, fill, make_result

K = np.arange(252)
GOLDEN = 0.0006 + 0.011 * np.sin(1.7 * K) + 0.006 * np.cos(0.31 * K**2)


@pytest.fixture(scope="module")
def golden():
    """Return the golden curve, with one trade a day that earns the day's return on the starting capital."""
    ts_open = business_days(252)
    trades = []
    for day, rate in enumerate(GOLDEN.tolist()):
        ts = int(ts_open[day])
        trades.append(fill(2 * day, "LONG", 1000.0, 100.0, ts))
        trades.append(
            fill(2 * day + 1, "SHORT", 1000.0, 100.0 * (1.0 + rate), ts + 3_600_000_000_000)
        )
    return curve_result(GOLDEN, trades=trades)


@pytest.mark.parametrize(
    ("convention", "field", "expected"),
    [
        ("foxtrot", "sharpe", 1.082751),
        ("foxtrot", "sortino", 1.656141),
        ("foxtrot", "annual_return", 0.152094),
        ("nautilus", "sharpe", 1.082751),
        ("nautilus", "sortino", 1.656141),
        ("nautilus", "cagr", 0.152094),
        ("quantstats", "sharpe", 1.082751),
        ("quantstats", "sortino", 1.656141),
        ("quantstats", "cagr", 0.152094),
        ("empyrical", "sharpe", 1.082751),
        ("empyrical", "sortino", 1.656141),
        ("empyrical", "annual_return", 0.152094),
        ("lean", "sharpe", 1.168601),
        ("lean", "sortino", 2.316199),
        ("backtrader", "sharpe", 1.013575),
        ("vnpy", "sharpe", 0.989344),
        ("vnpy", "annual_return", 0.144851),
        ("freqtrade", "sharpe", 0.937415),
        ("backtesting.py", "sharpe", 0.901971),
        ("backtesting.py", "sortino", 1.585296),
        ("backtesting.py", "cagr", 0.150830),
    ],
)
def test_golden_series(golden, convention, field, expected):
    assert getattr(calculate_statistics(golden, convention), field) == pytest.approx(
        expected, abs=6e-7
    )


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_curve_figures_that_every_convention_shares(golden, convention):
    statistics = calculate_statistics(golden, convention)

    assert statistics.convention == convention
    assert statistics.equity_final == pytest.approx(115_209.4034, abs=5e-5)
    assert statistics.max_drawdown == pytest.approx(-0.052273, abs=5e-7)


def test_risk_free_rate_is_spread_over_the_days_of_a_year(golden):
    # vn.py divides the rate by √D; here it is rf / D.
    log_returns = np.log1p(GOLDEN)

    statistics = calculate_statistics(golden, "vnpy", risk_free=0.024)

    expected = (log_returns.mean() - 0.024 / 240) / log_returns.std(ddof=1) * math.sqrt(240)
    assert statistics.sharpe == pytest.approx(expected, rel=1e-12)


def test_kurtosis_is_excess_once(golden):
    centred = GOLDEN - GOLDEN.mean()
    population = (centred**4).mean() / (centred**2).mean() ** 2 - 3.0

    statistics = calculate_statistics(golden)

    n = len(GOLDEN)
    corrected = (n - 1) / ((n - 2) * (n - 3)) * ((n + 1) * population + 6.0)
    assert statistics.kurtosis == pytest.approx(corrected, rel=1e-12)


def test_profit_factor_is_of_money_except_where_the_project_means_returns():
    # Given a big position that wins 1 % and a small one that loses 2 %
    trades = [
        fill(1, "LONG", 100.0, 100.0, 1),
        fill(2, "SHORT", 100.0, 101.0, 2),
        fill(3, "LONG", 1.0, 100.0, 3),
        fill(4, "SHORT", 1.0, 98.0, 4),
    ]
    result = make_result([NS_PER_DAY], [1098.0], trades)

    assert calculate_statistics(result).profit_factor == pytest.approx(100.0 / 2.0)
    assert calculate_statistics(result, "nautilus").profit_factor == pytest.approx(50.0)
    assert calculate_statistics(result, "backtesting.py").profit_factor == pytest.approx(
        0.01 / 0.02
    )


def test_annual_days_and_risk_free_can_be_set(golden):
    statistics = calculate_statistics(golden, annual_days=365, risk_free=0.03)

    daily = 1.03 ** (1 / 365) - 1
    excess = GOLDEN - daily
    assert statistics.annual_days == 365
    assert statistics.risk_free == 0.03
    assert statistics.sharpe == pytest.approx(
        excess.mean() / excess.std(ddof=1) * math.sqrt(365), rel=1e-12
    )


def test_alpha_and_beta_against_the_first_instrument():
    # Given a strategy that holds the market twice, and a daily gain of 10 bp besides
    market = 0.01 * np.sin(np.arange(100) * 2.3)
    prices = daily_prices(50.0 * np.cumprod(1.0 + market))
    result = curve_result(2.0 * market + 0.001, prices=(prices,))

    statistics = calculate_statistics(result)

    assert statistics.beta == pytest.approx(2.0, rel=1e-2)
    assert statistics.alpha == pytest.approx(0.252, rel=1e-2)
    assert calculate_statistics(result, "empyrical").alpha == pytest.approx(
        1.001**252 - 1.0, rel=2e-2
    )
    assert statistics.buy_hold_return == pytest.approx(
        prices.close_price[-1] / prices.open_price[0] - 1.0
    )


def test_unknown_convention_names_the_nearest():
    with pytest.raises(ConfigError, match=r"did you mean 'backtesting\.py'"):
        get_convention("backtestingpy")


@pytest.mark.parametrize(
    "changes", [{"risk_free": math.nan}, {"annual_days": 0}, {"timezone": "Mars/Olympus"}]
)
def test_settings_that_make_no_sense_are_refused(golden, changes):
    with pytest.raises(ConfigError):
        calculate_statistics(golden, **changes)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_overridden_texts_belong_to_statistics(convention):
    rows = {row.name: row.text for row in definitions(convention)}

    for name, text in CONVENTIONS[convention].texts.items():
        assert rows[name] == text
