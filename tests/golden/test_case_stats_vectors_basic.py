"""The case stats-vectors-basic: textbook figures of short series, NaN, single values and no losses among them."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from foxtrot.analysis import returns as figures

CASE = (
    Path(__file__).resolve().parents[2].parent
    / "shared"
    / "cases"
    / "stats-vectors-basic"
    / "expected.json"
)
DATA = json.loads(CASE.read_text()) if CASE.exists() else {"series": {}, "vectors": {}}
ABS = 1e-8

pytestmark = pytest.mark.skipif(not CASE.exists(), reason=f"no case at {CASE}")


def series(name):
    if not isinstance(name, str):
        return name
    return np.array([math.nan if v is None else v for v in DATA["series"][name]])


def vectors(prefix):
    return [
        row for key, rows in DATA["vectors"].items() if key.startswith(prefix + " ") for row in rows
    ]


def same(value, expected):
    if expected is None:
        return math.isnan(value)
    if expected == "inf":
        return value == math.inf
    return abs(value - expected) <= ABS


@pytest.mark.parametrize(("name", "expected"), vectors("cumulative_return_series"))
def test_cumulative_returns(name, expected):
    assert np.allclose(figures.cumulative_returns(series(name)), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("name", "expected"), vectors("max_drawdown"))
def test_max_drawdown(name, expected):
    assert same(figures.max_drawdown(series(name)), expected)


@pytest.mark.parametrize(("name", "period", "expected"), vectors("annual_return"))
def test_annual_return(name, period, expected):
    assert same(figures.annual_return(series(name), figures.PERIODS_PER_YEAR[period]), expected)


@pytest.mark.parametrize(("name", "period", "expected"), vectors("annual_volatility"))
def test_annual_volatility(name, period, expected):
    assert same(figures.annual_volatility(series(name), figures.PERIODS_PER_YEAR[period]), expected)


@pytest.mark.parametrize(("name", "risk_free", "expected"), vectors("sharpe"))
def test_sharpe(name, risk_free, expected):
    assert same(figures.sharpe_ratio(series(name), series(risk_free)), expected)


@pytest.mark.parametrize(("name", "required", "period", "expected"), vectors("sortino"))
def test_sortino(name, required, period, expected):
    assert same(
        figures.sortino_ratio(series(name), required, figures.PERIODS_PER_YEAR[period]), expected
    )


def test_every_vector_of_the_case_is_tested():
    tested = (
        "cumulative_return_series",
        "max_drawdown",
        "annual_return",
        "annual_volatility",
        "sharpe",
        "sortino",
    )
    assert sorted(key.split(" ")[0] for key in DATA["vectors"]) == sorted(tested)
