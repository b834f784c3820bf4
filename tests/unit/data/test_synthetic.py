"""Made-up data are sound, on the grid, and the same for ever."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.core.constants import NS_PER_MINUTE
from foxtrot.core.errors import DataError
from foxtrot.data import Columns, check, make_bars, make_ticks
from foxtrot.data.columns import iter_arrays
from tests.unit.data.data_helpers import same


def digest(columns: Columns) -> str:
    total = hashlib.sha256()
    for _, values in iter_arrays(columns):
        total.update(values.astype(values.dtype.newbyteorder("<")).tobytes())
    return total.hexdigest()[:16]


def test_a_seed_gives_these_very_bits() -> None:
    assert digest(make_bars(7, 1000)) == "ddc978240592ae9d"
    assert digest(make_ticks(7, 1000)) == "dd7949d42307879a"
    assert same(make_bars(7, 50), make_bars(7, 50))
    assert not same(make_bars(7, 50), make_bars(8, 50))


@given(st.integers(0, 2**32), st.integers(1, 300), st.sampled_from([0.01, 0.25, 1.0, 0.0005]))
def test_any_seed_gives_sound_data_on_the_grid(seed: int, n: int, pricetick: float) -> None:
    price = 1000 * pricetick
    bars = make_bars(seed, n, pricetick=pricetick, start_price=price, volatility=0.01)
    ticks = make_ticks(seed, n, pricetick=pricetick, start_price=price)
    assert len(bars) == len(ticks) == n
    assert check(bars).ok and check(ticks).ok
    assert (ticks.ask_price_1 > ticks.bid_price_1).all()
    for values in (bars.high_price, bars.low_price, ticks.bid_price_1):
        grid = np.rint(values / pricetick) * pricetick
        assert np.allclose(values, grid, rtol=1e-12, atol=0)
    assert all(float(f"{price:.2f}") == price for price in make_bars(seed, 20).close_price)


def test_the_walk_has_the_volatility_that_was_asked_for() -> None:
    close = make_bars(1, 20_000, start_price=10_000.0, volatility=0.001).close_price
    assert np.std(np.diff(np.log(close))) == pytest.approx(0.001, rel=0.03)


def test_sessions_are_local_and_leave_weekends_out() -> None:
    zone = ZoneInfo("America/New_York")
    friday = dt.date(2024, 3, 8)  # the clock goes forward on the Sunday after it
    bars = make_bars(1, 400, start=friday, sessions=[("09:30", "16:00")], tz=zone)
    opens = [dt.datetime.fromtimestamp(t // 10**9, zone) for t in bars.ts_open.tolist()]
    assert opens[0] == dt.datetime(2024, 3, 8, 9, 30, tzinfo=zone)
    assert opens[390] == dt.datetime(2024, 3, 11, 9, 30, tzinfo=zone)
    assert {moment.weekday() for moment in opens} == {0, 4}


def test_without_sessions_the_clock_runs_round() -> None:
    bars = make_bars(1, 3000)
    assert (np.diff(bars.ts_open) == NS_PER_MINUTE).all()
    assert (bars.ts_event - bars.ts_open == NS_PER_MINUTE).all()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"seed": -1}, "seed -1 must not be negative"),
        ({"n": 0}, "n 0 must be at least 1"),
        ({"pricetick": 0.0}, "pricetick 0.0 must be positive"),
        ({"start_price": 0.05}, "at least ten of them"),
        ({"volatility": 0.5}, "volatility 0.5 must be in"),
        ({"sessions": [("16:00", "09:30")]}, "must end after it begins"),
        ({"sessions": [("9h", "16:00")]}, "session time '9h' is not like '09:30'"),
        ({"sessions": [("09:30", "12:00"), ("11:00", "16:00")], "n": 500}, "overlap"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(DataError, match=says):
        make_bars(**{"seed": 1, "n": 10, "start": dt.date(2024, 1, 1), **options})


def test_ticks_refuse_a_spread_or_gap_of_nothing() -> None:
    with pytest.raises(DataError, match="must be at least 1"):
        make_ticks(1, 10, max_spread=0)
