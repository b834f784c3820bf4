"""What the indicators give in the corners: large offsets, no movement, no volume, wrong input."""

from __future__ import annotations

import datetime as dt
import math
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.core.errors import ConfigError, DataError
from foxtrot.indicators import (
    ADX,
    ATR,
    CCI,
    EMA,
    MACD,
    ROC,
    RSI,
    SMA,
    VWAP,
    WMA,
    BollingerBands,
    DonchianChannel,
    Highest,
    Indicator,
    Lowest,
    RollingSum,
    SessionVWAP,
    StdDev,
    Stochastic,
    WilliamsR,
)
from tests.unit.indicators.series import random_bars, streamed

NS_PER_HOUR = 3_600 * 10**9


def exact_deviation(window: list[float]) -> float:
    numbers = [Fraction(price) for price in window]
    mean = sum(numbers) / len(numbers)
    return math.sqrt(float(sum((number - mean) ** 2 for number in numbers) / len(numbers)))


class TestRollingFigures:
    def test_a_deviation_of_a_thousandth_at_a_price_of_a_hundred_thousand(self) -> None:
        prices = (1e5 + np.random.default_rng(0).normal(0.0, 1e-3, 500)).tolist()
        deviation = StdDev(20)

        for position, price in enumerate(prices, 1):
            deviation.update(price)
            if position >= 20:
                exact = exact_deviation(prices[position - 20 : position])
                assert deviation.value == pytest.approx(exact, rel=1e-12)

    @settings(max_examples=60, deadline=None, derandomize=True)
    @given(
        st.lists(st.floats(-1e6, 1e6, allow_subnormal=False), min_size=5, max_size=40),
        st.sampled_from([0.0, 1e8, -1e9]),
    )
    def test_no_series_makes_a_deviation_wrong(self, prices: list[float], offset: float) -> None:
        shifted = [price + offset for price in prices]

        (values,) = StdDev(5).batch(np.array(shifted))

        for position in range(4, len(shifted)):
            window = shifted[position - 4 : position + 1]
            spread = max(window) - min(window)
            assert values[position] >= 0.0
            exact = exact_deviation(window)
            assert values[position] == pytest.approx(exact, rel=1e-9, abs=1e-12 * spread)

    def test_a_wild_price_leaves_no_trace_once_it_has_left_the_window(self) -> None:
        prices = [1e16, *([0.1, 0.2, 0.3] * 20)]
        average, weighted, deviation = SMA(3), WMA(3), StdDev(3)

        for indicator in (average, weighted, deviation):
            streamed(indicator, [np.array(prices)])

        assert average.value == pytest.approx(0.2, rel=1e-15)
        assert weighted.value == pytest.approx((0.1 + 0.4 + 0.9) / 6, rel=1e-15)
        assert deviation.value == pytest.approx(exact_deviation([0.1, 0.2, 0.3]), rel=1e-14)

    def test_a_constant_price_has_no_deviation_and_is_its_own_average(self) -> None:
        price = 1234.56
        bands, average = BollingerBands(7), EMA(7)

        streamed(bands, [np.full(30, price)])
        streamed(average, [np.full(30, price)])

        assert bands.upper == bands.middle == bands.lower == pytest.approx(price, rel=1e-15)
        assert average.value == average.previous == pytest.approx(price, rel=1e-15)

    @pytest.mark.parametrize("ddof", [0, 1])
    def test_the_deviation_is_that_of_numpy(self, ddof: int) -> None:
        prices = random_bars(1, 200)["close_price"]
        (values,) = StdDev(10, ddof).batch(prices)

        windows = np.lib.stride_tricks.sliding_window_view(prices, 10)
        np.testing.assert_allclose(
            values[9:], windows.std(axis=1, ddof=ddof), rtol=1e-9, atol=1e-12
        )


class TestNoMovement:
    def test_neutral_values_where_a_definition_divides_by_zero(self) -> None:
        still = np.full(60, 10.0)
        three = [still, still, still]

        for indicator, columns, expected in [
            (RSI(14), [still], 50.0),
            (RSI(14, "ewm"), [still], 50.0),
            (Stochastic(), three, 50.0),
            (WilliamsR(), three, -50.0),
            (CCI(), three, 0.0),
            (CCI(deviation="rolling"), three, 0.0),
            (ADX(), three, 0.0),
            (ATR(), three, 0.0),
            (ROC(), [still], 0.0),
        ]:
            streamed(indicator, columns)
            assert indicator.value == expected, indicator

    def test_adx_stays_where_movement_ends_for_good(self) -> None:
        moving = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        adx = ADX(2)
        streamed(adx, [moving + 1, moving, moving])
        assert adx.adx == 100.0

        streamed(adx, [np.full(2_000, 6.0)] * 3)

        assert adx.ready

    def test_a_rate_of_change_from_zero_is_undefined(self) -> None:
        roc = ROC(1)
        values = streamed(roc, [np.array([0.0, 1.0, 2.0])])[0]

        assert np.isnan(values[:2]).all()
        assert values[2] == 100.0

    def test_only_gains_are_100_and_only_losses_0(self) -> None:
        rising = np.arange(1.0, 30.0)

        for smoothing in ("wilder", "ewm"):
            up, down = RSI(5, smoothing), RSI(5, smoothing)
            streamed(up, [rising])
            streamed(down, [rising[::-1]])
            assert (up.value, down.value) == (100.0, 0.0)


def test_rsi_with_exponential_weights_is_that_of_pandas() -> None:
    prices = pd.Series(random_bars(3, 300)["close_price"])
    change = prices.diff()
    gain = change.clip(lower=0).ewm(com=14).mean()
    loss = -change.clip(upper=0).ewm(com=14).mean()

    (values,) = RSI(14, "ewm").batch(prices.to_numpy())

    expected = (100 - 100 / (1 + gain / loss)).to_numpy()
    shown = ~np.isnan(expected)
    np.testing.assert_allclose(values[shown], expected[shown], rtol=1e-12)


def test_ema_from_the_first_price_is_that_of_pandas() -> None:
    prices = random_bars(3, 300)["close_price"]
    (values,) = EMA(20, seed="first").batch(prices)

    expected = pd.Series(prices).ewm(span=20, adjust=False).mean().to_numpy()
    np.testing.assert_allclose(values, expected, rtol=1e-12)


class TestVwap:
    def test_there_is_none_without_volume(self) -> None:
        vwap, rolling = VWAP(), VWAP(2)
        for indicator in (vwap, rolling):
            indicator.update(1.0, 1.0, 1.0, 0.0)
            indicator.update(1.0, 1.0, 1.0, 0.0)
            assert not indicator.ready
            indicator.update(4.0, 1.0, 1.0, 0.1)
            assert indicator.value == pytest.approx(2.0, rel=1e-15)
        rolling.update(9.0, 9.0, 9.0, 0.0)
        assert rolling.value == pytest.approx(2.0, rel=1e-15)
        rolling.update(9.0, 9.0, 9.0, 0.0)
        assert not rolling.ready  # exactly no volume is left in the window

    def test_it_weighs_prices_by_volume(self) -> None:
        vwap = VWAP()
        vwap.update(3.0, 3.0, 3.0, 1.0)
        vwap.update(6.0, 6.0, 6.0, 2.0)

        assert vwap.value == 5.0

    def test_it_starts_anew_at_the_local_time(self) -> None:
        vwap = SessionVWAP("America/New_York", dt.time(9, 30))
        open_in_winter = int(dt.datetime(2024, 3, 8, 14, 30, tzinfo=dt.UTC).timestamp()) * 10**9
        open_in_summer = int(dt.datetime(2024, 3, 11, 13, 30, tzinfo=dt.UTC).timestamp()) * 10**9

        values = []
        for ts, price in [
            (open_in_winter - NS_PER_HOUR, 1.0),
            (open_in_winter, 2.0),
            (open_in_winter + NS_PER_HOUR, 4.0),
            (open_in_summer - 1, 6.0),
            (open_in_summer, 8.0),
        ]:
            vwap.update(ts, price, price, price, 1.0)
            values.append(vwap.value)

        assert values == [1.0, 2.0, 3.0, 6.0, 8.0]

    def test_an_unknown_zone_is_named(self) -> None:
        with pytest.raises(ConfigError, match="Mars/Olympus"):
            SessionVWAP("Mars/Olympus")


class TestBadInput:
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize(
        "indicator",
        [
            *(kind() for kind in (MACD, BollingerBands, RSI, ROC, ATR, ADX, CCI, Stochastic)),
            *(kind() for kind in (WilliamsR, DonchianChannel, VWAP, SessionVWAP)),
            *(kind(3) for kind in (SMA, EMA, WMA, StdDev, RollingSum, Highest, Lowest)),
        ],
        ids=repr,
    )
    def test_what_is_not_finite_is_refused_and_changes_nothing(
        self, indicator: Indicator, bad: float
    ) -> None:
        indicator.reset()
        width = len(indicator.inputs)
        for _ in range(3):
            indicator.update(*[1.0] * width)
        before = indicator.value, indicator.previous

        for position in range(width):
            row = [1.0] * width
            row[position] = bad
            name = indicator.inputs[position]
            with pytest.raises(DataError, match=f"{name} is {bad} at update 4"):
                indicator.update(*row)
            columns = [np.array([1.0, number]) for number in row]
            with pytest.raises(DataError, match=f"{name} is {bad} at update 5"):
                indicator.batch(*columns)

        assert indicator.count == 3
        np.testing.assert_equal((indicator.value, indicator.previous), before)

    def test_columns_of_wrong_number_or_shape_are_refused(self) -> None:
        with pytest.raises(DataError, match="takes 3 columns"):
            ATR().batch(np.ones(3))
        with pytest.raises(DataError, match="one length"):
            ATR().batch(np.ones(3), np.ones(3), np.ones(4))
        with pytest.raises(DataError, match="1-D"):
            SMA(2).batch(np.ones((2, 2)))

    @pytest.mark.parametrize("period", [0, -1, 2.0, True, "3", None])
    def test_a_wrong_period_is_named_with_its_indicator(self, period: object) -> None:
        with pytest.raises(ConfigError, match="SMA: period must be a whole number of at least 1"):
            SMA(period)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("make", "told"),
        [
            (lambda: EMA(5, seed="zero"), "EMA: seed"),
            (lambda: EMA(5, warmup=4), "EMA: warmup"),
            (lambda: RSI(5, "simple"), "RSI: smoothing"),
            (lambda: MACD(26, 12), "MACD: slow must be larger"),
            (lambda: MACD(signal=0), "MACD: signal"),
            (lambda: StdDev(1, 1), "StdDev: period must be larger than ddof"),
            (lambda: StdDev(5, -1), "StdDev: ddof"),
            (lambda: BollingerBands(width=0.0), "BollingerBands: width"),
            (lambda: Stochastic(d_period=0), "Stochastic: d_period"),
            (lambda: ADX(1), "ADX: period must be a whole number of at least 2"),
            (lambda: CCI(deviation="mean"), "CCI: deviation"),
            (lambda: VWAP(0), "VWAP: period"),
            (lambda: SMA(5).on("close"), "open_price"),
            (lambda: SMA(5).on("open_price", "close_price"), "takes 1 inputs"),
        ],
    )
    def test_a_wrong_setting_is_named(self, make: object, told: str) -> None:
        with pytest.raises(ConfigError, match=told):
            make()  # type: ignore[operator]


def test_the_main_output_has_its_own_name_too() -> None:
    macd, adx, stochastic, donchian = MACD(2, 3, 2), ADX(2), Stochastic(2, 1, 1), DonchianChannel(2)
    columns = random_bars(8, 20)
    three = [columns[f"{name}_price"] for name in ("high", "low", "close")]
    streamed(macd, three[2:])
    streamed(adx, three)
    streamed(stochastic, three)
    streamed(donchian, three[:2])

    assert macd.macd == macd.value
    assert macd.histogram == macd.value - macd.signal
    assert adx.adx == adx.value
    assert stochastic.k == stochastic.value
    assert donchian.middle == donchian.value == (donchian.upper + donchian.lower) / 2


class Spread(Indicator):
    """An indicator as a user may write it: by ``update`` alone."""

    inputs = ("high_price", "low_price")
    outputs = ("value", "widest")
    parameters = ()

    widest: float

    def __init__(self) -> None:
        self.warmup = 1
        self.reset()

    def _clear(self) -> None:
        self._widest = 0.0

    def update(self, high: float, low: float) -> None:
        self.count += 1
        self._widest = max(self._widest, high - low)
        self.widest = self._widest
        self.previous = self._last
        self.value = self._last = high - low


def test_an_indicator_without_a_batch_form_of_its_own_has_one_all_the_same() -> None:
    columns = random_bars(9, 50)
    high, low = columns["high_price"], columns["low_price"]
    spread = Spread()

    parts = [spread.batch(high[:20], low[:20]), spread.batch(high[20:], low[20:])]

    values, widest = (np.concatenate(part) for part in zip(*parts, strict=True))
    np.testing.assert_array_equal(values, high - low)
    np.testing.assert_array_equal(widest, np.maximum.accumulate(high - low))
    assert (spread.count, spread.value, spread.previous) == (50, values[-1], values[-2])
    assert repr(spread) == "Spread()"


def test_importing_the_package_loads_no_numpy() -> None:
    code = "import sys, foxtrot.indicators; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
