"""Ten classic indicators against every value that another project publishes for a year of daily bars."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from foxtrot.indicators import (
    ATR,
    CCI,
    EMA,
    MACD,
    RSI,
    SMA,
    WMA,
    BollingerBands,
    Indicator,
    Stochastic,
    WilliamsR,
)

CASES = Path(__file__).resolve().parents[2].parent / "shared" / "cases"
CASE = "indicators-classic"

INDICATORS: dict[str, tuple[Callable[[], Indicator], tuple[int, ...]]] = {
    "SMA 30": (lambda: SMA(30), (0,)),
    "EMA 30": (lambda: EMA(30), (0,)),
    "WMA 30": (lambda: WMA(30), (0,)),
    "RSI 14": (lambda: RSI(14), (0,)),
    "ATR 14": (lambda: ATR(14), (0,)),
    "Bollinger 20, 2": (lambda: BollingerBands(20, 2.0), (0, 1, 2)),
    "MACD 12 26 9": (lambda: MACD(12, 26, 9), (0, 1, 2)),
    "Stochastic slow 14 3 3": (lambda: Stochastic(14, 3, 3), (0, 1)),
    "CCI 20": (lambda: CCI(20, deviation="rolling"), (0,)),
    "Williams %R 14": (lambda: WilliamsR(14), (0,)),
}


@pytest.fixture(scope="module")
def loader() -> ModuleType:
    path = CASES / "loader.py"
    if not path.exists():
        pytest.skip(f"the folder of validation cases is absent: {CASES}")
    spec = importlib.util.spec_from_file_location("case_loader", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_vector_of_the_case_has_an_indicator(loader: ModuleType) -> None:
    assert set(loader.load_expected(CASE)["vectors"]) == set(INDICATORS)


@pytest.mark.parametrize("name", INDICATORS)
def test_every_value_of_the_year(loader: ModuleType, name: str) -> None:
    make, order = INDICATORS[name]
    indicator = make()
    expected = loader.load_expected(CASE)["vectors"][name]
    table = loader.load_data(CASE)["data"]

    outputs = indicator.batch(
        *(table[field.removesuffix("_price")].to_numpy() for field in indicator.inputs)
    )

    assert indicator.warmup - 1 == expected["first_bar_index"]
    lines = [np.array(line, dtype=np.float64) for line in expected["lines"]]
    for position, line, published in zip(order, lines, expected["published_lines"], strict=True):
        np.testing.assert_allclose(outputs[position], line, rtol=1e-8, atol=1e-8)
        at_published = outputs[position][expected["published_bar_indexes"]]
        np.testing.assert_allclose(at_published, published, rtol=0, atol=5.1e-7)
