"""Bars of several instruments as one stream: nothing is lost, changed or given to another instrument."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from foxtrot.core.constants import Interval, OrderType, Status
from foxtrot.core.objects import BarData
from foxtrot.data.columns import BarColumns
from foxtrot.data.feed import blocks
from foxtrot.server.backtest.equity import _union
from foxtrot.server.backtest.loop import bars_in_order, bars_of
from foxtrot.server.oms.order_manager import OrderManager
from foxtrot.testing import make_order


def columns(symbol: str, closes: list[int], interval: Interval, **optional: object) -> BarColumns:
    """Bars that close at the stamps given; every number tells symbol, row and column."""
    ts = np.array(closes, dtype=np.int64)
    base = float(ord(symbol)) + np.arange(len(ts)) / 1000.0
    prices = [base + k / 8.0 for k in range(5)]
    extra = {name: base + 50.0 for name, wanted in optional.items() if wanted}
    return BarColumns(f"{symbol}.LOCAL", interval, ts - 10, ts, *prices, **extra)  # type: ignore[arg-type]


SERIES = (
    columns("A", [10, 20, 30, 40, 50, 60], Interval.MINUTE),
    columns("B", [20, 40, 60], Interval.HOUR, turnover=True),
    columns("C", [5, 20, 21, 60, 61], Interval.DAILY, turnover=True, open_interest=True),
)


@pytest.mark.parametrize("rows", [2, 5, 100])
def test_merged_bars_are_those_of_each_series_in_order_of_time(rows: int) -> None:
    merged: list[BarData] = []
    numbers: list[int] = []
    for block in blocks(SERIES, rows):
        assert block.order is not None
        merged += bars_in_order(block)
        numbers += block.order.tolist()

    for number, series in enumerate(SERIES):
        own = [bar for bar, source in zip(merged, numbers, strict=True) if source == number]
        assert own == list(bars_of(series))
    assert [bar.ts_event for bar in merged] == sorted(bar.ts_event for bar in merged)
    assert len(merged) == sum(len(series) for series in SERIES)


def test_the_numbers_of_merged_bars_are_pythons_own() -> None:
    for block in blocks(SERIES):
        for bar in bars_in_order(block):
            assert type(bar.ts_event) is int
            assert type(bar.close_price) is float
            assert type(bar.turnover) is float


def test_the_grid_of_equal_stamps_is_the_union_of_them() -> None:
    one, other = np.array([1, 2, 5]), np.array([1, 2, 6])
    assert _union([one, one.copy()]).tolist() == [1, 2, 5]
    assert _union([one, other]).tolist() == [1, 2, 5, 6]
    assert _union([np.array([1, 1, 2])]).tolist() == [1, 2]


@pytest.mark.parametrize("type_", [OrderType.MARKET, OrderType.LIMIT, OrderType.STOP])
def test_a_plain_acknowledgement_changes_status_and_stamp_alone(type_: OrderType) -> None:
    manager = OrderManager()
    order = make_order(Status.SUBMITTING, vt_orderid="SIM.1", type=type_, ts_event=5, reason="kept")
    manager.add(order)

    taken = manager.fold_report(replace(order, status=Status.NOTTRADED, reason="", ts_event=7))

    assert taken == replace(order, status=Status.NOTTRADED, ts_event=7)
    assert manager.orders["SIM.1"] is manager.active["SIM.1"] is taken
