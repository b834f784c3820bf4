"""Round trips: first in, first out, nothing lost, nothing counted twice."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foxtrot.analysis.round_trips import fill_values, match_round_trips
from foxtrot.core.constants import NS_PER_DAY, Direction, Offset
from foxtrot.core.errors import DataError
from foxtrot.core.objects import ContractData
from tests.unit.analysis.helpers import SYMBOL, daily_prices, fill, make_result


def trips_of(*trades, **changes):
    return match_round_trips(make_result(trades=trades, **changes))


def test_one_purchase_and_one_sale():
    trips = trips_of(
        fill(1, "LONG", 5.0, 10.0, 100, commission=0.5),
        fill(2, "SHORT", 5.0, 12.0, 300, commission=0.7),
    )

    (trip,) = trips.closed
    assert trip.direction == Direction.LONG
    assert (trip.volume, trip.entry_price, trip.exit_price, trip.duration) == (5.0, 10.0, 12.0, 200)
    assert trip.pnl_gross == pytest.approx(10.0)
    assert trip.commission == pytest.approx(1.2)
    assert trip.pnl == pytest.approx(8.8)
    assert trip.return_rate == pytest.approx(0.2 - 1.2 / 50.0)
    assert not trips.open


def test_a_sale_first_is_a_short_round_trip():
    (trip,) = trips_of(fill(1, "SHORT", 2.0, 10.0, 1), fill(2, "LONG", 2.0, 9.0, 2)).closed

    assert trip.direction == Direction.SHORT
    assert trip.pnl == pytest.approx(2.0)
    assert trip.return_rate == pytest.approx(0.1)


def test_lots_are_closed_first_in_first_out():
    trips = trips_of(
        fill(1, "LONG", 3.0, 10.0, 1),
        fill(2, "LONG", 3.0, 20.0, 2),
        fill(3, "SHORT", 4.0, 30.0, 3, commission=0.4),
    )

    assert [(t.volume, t.entry_price, t.commission) for t in trips.closed] == [
        (3.0, 10.0, pytest.approx(0.3)),
        (1.0, 20.0, pytest.approx(0.1)),
    ]
    (rest,) = trips.open
    assert (rest.volume, rest.entry_price) == (2.0, 20.0)
    assert math.isnan(rest.pnl)


def test_partial_fills_of_one_pair_of_orders_are_one_round_trip():
    trips = trips_of(
        fill(1, "LONG", 2.0, 10.0, 1, order="a"),
        fill(2, "LONG", 2.0, 11.0, 2, order="a"),
        fill(3, "SHORT", 1.0, 12.0, 3, order="b"),
        fill(4, "SHORT", 3.0, 13.0, 4, order="b"),
    )

    (trip,) = trips.closed
    assert trip.volume == 4.0
    assert trip.entry_price == pytest.approx(10.5)
    assert trip.exit_price == pytest.approx(12.75)
    assert (trip.entry_ts, trip.exit_ts) == (1, 4)
    assert trip.pnl_gross == pytest.approx(9.0)


def test_a_reversal_closes_and_opens():
    trips = trips_of(fill(1, "LONG", 1.0, 10.0, 1), fill(2, "SHORT", 3.0, 11.0, 2, commission=0.3))

    (trip,) = trips.closed
    (rest,) = trips.open
    assert trip.commission == pytest.approx(0.1)
    assert (rest.direction, rest.volume) == (Direction.SHORT, 2.0)
    assert rest.commission == pytest.approx(0.2)


def test_tenths_close_without_dust():
    trips = trips_of(
        fill(1, "LONG", 0.1, 10.0, 1), fill(2, "LONG", 0.2, 10.0, 2), fill(3, "SHORT", 0.3, 10.0, 3)
    )

    assert len(trips) == 2
    assert not trips.open


def test_strategies_and_instruments_are_kept_apart():
    trips = trips_of(
        fill(1, "LONG", 1.0, 10.0, 1, strategy="a"),
        fill(2, "SHORT", 1.0, 10.0, 2, strategy="b"),
        fill(3, "SHORT", 1.0, 10.0, 3, strategy="a", symbol="XYZ.LOCAL"),
    )

    assert not trips.closed
    assert len(trips.open) == 3


def test_legs_of_a_hedging_contract_stand_side_by_side():
    contracts = {SYMBOL: ContractData(vt_symbol=SYMBOL, net_position=False)}
    trips = trips_of(
        fill(1, "LONG", 1.0, 10.0, 1, offset=Offset.OPEN),
        fill(2, "SHORT", 1.0, 11.0, 2, offset=Offset.OPEN),
        fill(3, "SHORT", 1.0, 12.0, 3, offset=Offset.CLOSETODAY),
        contracts=contracts,
    )

    (trip,) = trips.closed
    assert (trip.direction, trip.exit_price) == (Direction.LONG, 12.0)
    assert trips.open[0].direction == Direction.SHORT


def test_multiplier_currency_rate_and_slippage():
    contracts = {SYMBOL: ContractData(vt_symbol=SYMBOL, size=50.0, currency="EUR")}
    result = make_result(
        trades=[
            fill(1, "LONG", 1.0, 100.0, 1, slippage=2.0, commission=1.0, currency="USD"),
            fill(2, "SHORT", 1.0, 101.0, 2, commission=1.0, currency="EUR"),
        ],
        contracts=contracts,
        rates={"EUR": 1.1},
    )

    (trip,) = match_round_trips(result).closed
    assert trip.pnl_gross == pytest.approx(55.0)
    assert trip.commission == pytest.approx(2.1)
    assert trip.slippage == pytest.approx(2.2)
    assert trip.return_rate == pytest.approx(0.01 - 2.1 / 5500.0)
    assert fill_values(result).tolist() == pytest.approx([5500.0, 5555.0])


def test_a_currency_without_a_rate_is_refused_with_the_remedy():
    contracts = {SYMBOL: ContractData(vt_symbol=SYMBOL, currency="EUR")}

    with pytest.raises(DataError, match=r"rates=\{'EUR'"):
        trips_of(fill(1, "LONG", 1.0, 100.0, 1), contracts=contracts)


def test_commission_in_the_base_currency_is_valued_at_the_fill():
    contracts = {SYMBOL: ContractData(vt_symbol=SYMBOL, base_currency="BTC")}
    trips = trips_of(
        fill(1, "LONG", 1.0, 100.0, 1, commission=0.001, currency="BTC"),
        fill(2, "SHORT", 1.0, 100.0, 2),
        contracts=contracts,
    )

    assert trips.closed[0].commission == pytest.approx(0.1)


def test_inverse_contract():
    contracts = {
        SYMBOL: ContractData(vt_symbol=SYMBOL, inverse=True, base_currency="BTC", size=1.0)
    }
    result = make_result(
        trades=[fill(1, "LONG", 1000.0, 100.0, 1), fill(2, "SHORT", 1000.0, 125.0, 2)],
        contracts=contracts,
        currency="BTC",
    )

    (trip,) = match_round_trips(result).closed
    assert trip.pnl == pytest.approx(1000 / 100 - 1000 / 125)
    assert trip.return_rate == pytest.approx(0.2)
    assert fill_values(result).tolist() == pytest.approx([10.0, 8.0])


def test_fill_without_volume_is_refused():
    with pytest.raises(DataError, match=r"SIM\.1"):
        trips_of(fill(1, "LONG", 0.0, 100.0, 1))


def test_excursions_and_bars_with_prices():
    # Given an entry at the second bar's opening and an exit at the fourth's, whose own range was not lived through
    prices = daily_prices([10.0, 12.0, 8.0, 30.0])
    result = make_result(
        trades=[
            fill(1, "LONG", 1.0, 10.0, int(prices.ts_open[1])),
            fill(2, "SHORT", 1.0, 8.0, int(prices.ts_open[3])),
        ],
        prices=[prices],
    )

    (trip,) = match_round_trips(result).closed
    assert trip.bars == 2
    assert trip.mae == pytest.approx(8.0 * 0.99 / 10.0 - 1.0)
    assert trip.mfe == pytest.approx(12.0 * 1.01 / 10.0 - 1.0)


def test_excursions_of_a_short_have_the_sides_changed():
    prices = daily_prices([10.0, 12.0, 8.0])
    result = make_result(
        trades=[
            fill(1, "SHORT", 1.0, 10.0, int(prices.ts_open[0])),
            fill(2, "LONG", 1.0, 8.0, int(prices.ts_event[2])),
        ],
        prices=[prices],
    )

    (trip,) = match_round_trips(result).closed
    assert trip.mae == pytest.approx(-(12.0 * 1.01 / 10.0 - 1.0))
    assert trip.mfe == pytest.approx(-(8.0 * 0.99 / 10.0 - 1.0))


def test_open_lots_are_marked_at_the_last_close():
    prices = daily_prices([10.0, 15.0])
    trips = match_round_trips(
        make_result(
            trades=[fill(1, "SHORT", 2.0, 12.0, int(prices.ts_open[0]), commission=1.0)],
            prices=[prices],
        )
    )

    assert trips.open[0].pnl == pytest.approx(-7.0)
    assert trips.open[0].last_price == 15.0


def test_frame_has_one_row_a_round_trip():
    trips = trips_of(
        fill(1, "LONG", 1.0, 10.0, NS_PER_DAY), fill(2, "SHORT", 1.0, 11.0, 2 * NS_PER_DAY)
    )

    frame = trips.frame()

    assert len(frame) == 1
    assert frame.loc[0, "direction"] == "LONG"
    assert trips_of().frame().empty


FILLS = st.lists(
    st.tuples(st.booleans(), st.integers(1, 50), st.integers(50, 150), st.sampled_from("ab")),
    max_size=40,
)


@settings(max_examples=80, deadline=None, derandomize=True)
@given(FILLS)
def test_no_unit_cash_or_commission_is_lost(rows):
    trades = [
        fill(
            i,
            "LONG" if buy else "SHORT",
            volume / 10,
            price / 10,
            i,
            commission=volume * 0.01,
            strategy=who,
        )
        for i, (buy, volume, price, who) in enumerate(rows)
    ]
    prices = daily_prices([9.0, 11.0])
    trips = match_round_trips(make_result(trades=trades, prices=[prices]))

    sign = {Direction.LONG: 1.0, Direction.SHORT: -1.0}
    traded = sum(trade.volume for trade in trades)
    matched = 2 * sum(t.volume for t in trips.closed) + sum(lot.volume for lot in trips.open)
    cash = -sum(sign[trade.direction] * trade.volume * trade.price for trade in trades)
    held = sum(sign[trade.direction] * trade.volume for trade in trades)
    paid = sum(trade.commission for trade in trades)
    lots = [*trips.closed, *trips.open]
    assert matched == pytest.approx(traded, abs=1e-9)
    assert sum(lot.commission for lot in lots) == pytest.approx(paid, abs=1e-9)
    assert sum(lot.pnl for lot in lots) == pytest.approx(cash + held * 11.0 - paid, abs=1e-8)
    assert np.all(np.diff([t.exit_ts for t in trips.closed]) >= 0)
