"""Properties of bar making over generated input, and real quotes that must give back the bars they came from."""

from __future__ import annotations

import importlib.util
import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.core.constants import NS_PER_MINUTE, NS_PER_SECOND
from foxtrot.core.objects import BarData, TickData, TradeTick
from foxtrot.data.aggregation import BarGenerator

CASES = Path(__file__).resolve().parents[3].parent / "shared" / "cases"
START = 1_709_942_400 * NS_PER_SECOND  # a day before clocks change in New York

trades = st.lists(
    st.tuples(
        st.integers(0, 4 * 3600 * 10), st.integers(-50, 50).map(float), st.integers(0, 9).map(float)
    ),
    min_size=1,
    max_size=60,
)
spans = st.sampled_from(["7s", "1m", "5m", "45m", "1h", "7h", "1d", "1w"])
quick = settings(max_examples=60, deadline=None, derandomize=True)


def run(steps: list[tuple[int, float, float]], span: str, **options: object) -> list[BarData]:
    made: list[BarData] = []
    generator = BarGenerator(span, made.append, tz="America/New_York", **options)  # type: ignore[arg-type]
    ts = START
    returned: list[BarData] = []
    for tenths, price, volume in steps:
        ts += tenths * NS_PER_SECOND // 10
        returned += generator.update_trade(TradeTick("A.LOCAL", ts, price + 100.0, volume))
    returned += generator.close()
    assert returned == made
    return made


@quick
@given(trades, spans, st.sampled_from(["left", "right"]))
def test_bars_are_consistent_conserve_volume_and_never_overlap(
    steps: list[tuple[int, float, float]], span: str, closed: str
) -> None:
    made = run(steps, span, closed=closed)

    assert sum(bar.volume for bar in made) == sum(volume for _, _, volume in steps)
    for bar in made:
        assert bar.high_price >= max(bar.open_price, bar.close_price)
        assert bar.low_price <= min(bar.open_price, bar.close_price)
        assert bar.ts_open < bar.ts_event
    for before, after in pairwise(made):
        assert before.ts_event <= after.ts_open


@quick
@given(trades, st.sampled_from(["1m", "5m", "1h"]))
def test_large_bars_of_small_bars_equal_large_bars_of_trades(
    steps: list[tuple[int, float, float]], span: str
) -> None:
    direct = run(steps, span, closed="right")[:-1]
    made: list[BarData] = []
    large = BarGenerator(span, made.append, tz="America/New_York")

    for bar in run(steps, "1s", closed="right")[:-1]:
        large.update_bar(bar)

    keys = [(b.ts_open, b.ts_event, b.open_price, b.high_price, b.low_price) for b in made]
    expected = [(b.ts_open, b.ts_event, b.open_price, b.high_price, b.low_price) for b in direct]
    assert keys[: len(expected)] == expected[: len(keys)]
    assert abs(len(keys) - len(expected)) <= 1


@quick
@given(trades, st.sampled_from(["1m", "45m", "1h"]))
def test_filled_bars_leave_no_hole(steps: list[tuple[int, float, float]], span: str) -> None:
    short = [(min(tenths, 36_000), price, volume) for tenths, price, volume in steps]

    made = run(short, span, fill_gaps=True)

    for before, after in pairwise(made):
        assert before.ts_event == after.ts_open


def test_real_weeks_are_those_of_pandas() -> None:
    path = CASES.parent / "data" / "equities" / "goog_daily_2004_2013.csv"
    if not path.exists():
        pytest.skip(f"the folder of sample data is absent: {path.parent}")
    table = pd.read_csv(path)
    days = pd.DatetimeIndex(table["timestamp"].str[:10]).tz_localize("America/New_York")
    rules = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
    weeks = table.set_index(days)[list(rules)].resample("W-FRI").agg(rules).dropna()
    made: list[BarData] = []
    generator = BarGenerator("1w", made.append, tz="America/New_York")

    stamps = days.as_unit("ns").asi8.tolist()
    next_days = (days + pd.DateOffset(days=1)).as_unit("ns").asi8.tolist()
    for opened, ended, row in zip(
        stamps, next_days, table[list(rules)].to_numpy().tolist(), strict=True
    ):
        generator.update_bar(BarData("GOOG.NASDAQ", opened, ended, *row))
    generator.close()

    labels = (weeks.index + pd.DateOffset(days=1)).as_unit("ns").asi8.tolist()
    assert [bar.ts_event for bar in made] == labels
    assert [
        [bar.open_price, bar.high_price, bar.low_price, bar.close_price, bar.volume] for bar in made
    ] == weeks.to_numpy().tolist()


def test_real_quotes_give_back_the_minute_bars_they_came_from() -> None:
    path = CASES / "loader.py"
    if not path.exists():
        pytest.skip(f"the folder of validation cases is absent: {CASES}")
    spec = importlib.util.spec_from_file_location("case_loader", path)
    assert spec is not None and spec.loader is not None
    loader = importlib.util.module_from_spec(spec)
    sys.modules.setdefault("case_loader", loader)
    spec.loader.exec_module(loader)
    table = loader.load_data("btc-ema-cash-account")["data"]
    ends = table["timestamp_close"].astype("int64").tolist()
    prices = table[["open", "high", "low", "close"]].to_numpy().tolist()
    made: list[BarData] = []
    generator = BarGenerator("1m", made.append, closed="right", price="bid")

    for end, row in zip(ends, prices, strict=True):
        for price, early in zip(row, (300, 200, 100, 0), strict=True):
            done = generator.update_tick(
                TickData("BTCUSDT.BINANCE", end - early * 1_000_000, price, price)
            )
        assert done and done[0].ts_event == end  # emitted with the quote at the window's end

    assert len(made) == 10_000
    assert [bar.ts_event for bar in made] == ends
    assert [bar.ts_open for bar in made] == [end - NS_PER_MINUTE for end in ends]
    assert [
        [bar.open_price, bar.high_price, bar.low_price, bar.close_price] for bar in made
    ] == prices
