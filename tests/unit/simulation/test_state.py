"""An exchange that was saved and restored goes on as if nothing had happened."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from foxtrot.core.constants import VolumeMode
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import ContractData
from foxtrot.simulation.models import FeeModel, MarketFill
from foxtrot.simulation.state import SimExchangeState
from tests.unit.simulation.sim_helpers import SYMBOL, Venue

OTHER = "B.LOCAL"
CONTRACTS = (ContractData(SYMBOL), ContractData(OTHER, min_volume=0.1))
DECODER = msgspec.msgpack.Decoder(SimExchangeState)
ENCODE = msgspec.msgpack.Encoder().encode

prices = st.integers(90, 110).map(float)
symbols = st.sampled_from([SYMBOL, OTHER])
volumes = st.integers(1, 30).map(float)

bars = st.tuples(st.just("bar"), symbols, prices, prices, prices, prices)
ticks = st.tuples(st.just("tick"), symbols, prices, st.integers(0, 3))
orders = st.tuples(
    st.just("order"),
    symbols,
    st.booleans(),
    volumes,
    st.one_of(st.just(0.0), prices),
    st.one_of(st.just(0.0), prices),
    st.booleans(),
    st.sampled_from(["plain", "brackets", "cash", "reduce"]),
)
changes = st.tuples(st.sampled_from(["cancel", "modify"]), st.integers(0, 8), prices)


def make(on_ticks: bool, share: bool, same_close: bool, leverage: float) -> Venue:
    return Venue(
        10_000.0,
        contracts=CONTRACTS,
        on_ticks=on_ticks,
        volume_share=0.5 if share else None,
        fees=FeeModel(0.001),
        market_fill=MarketFill.SAME_CLOSE if same_close else MarketFill.NEXT_OPEN,
        leverage=leverage,
    )


def play(venue: Venue, step) -> None:
    match step:
        case ("bar", symbol, open_, high, low, close):
            values = (open_, high, low, close)
            venue.bar(open_, max(values), min(values), close, 20.0, symbol)
        case ("tick", symbol, bid, spread):
            venue.tick(bid, bid + spread, 10.0, 10.0, symbol)
        case ("order", symbol, buying, volume, price, stop, other, kind):
            fields = {"vt_symbol": symbol, "strategy": "t" if other else "s"}
            if kind == "brackets":
                sign = 1 if buying else -1
                fields |= {"stop_loss": 100.0 - 12 * sign, "take_profit": 100.0 + 12 * sign}
            elif kind == "cash":
                fields["volume_mode"], volume = VolumeMode.CASH, volume * 100
            elif kind == "reduce":
                fields["reduce_only"] = True
            (venue.buy if buying else venue.short)(volume, price, stop, **fields)
        case ("cancel", number, _):
            venue.cancel(f"SIM.s-{number}")
        case ("modify", number, price):
            venue.modify(f"SIM.s-{number}", volume=price)


def same_again(venue: Venue, *conventions) -> Venue:
    """Another exchange in the state of this one, by way of bytes."""
    state = DECODER.decode(ENCODE(venue.exchange.state()))
    twin = make(*conventions)
    twin.clock.ns = venue.clock.ns
    twin._ids = venue._ids  # the same names for later orders
    twin.exchange.restore(state)
    return twin


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.sampled_from([1.0, 3.0]),
    st.lists(st.one_of(bars, ticks, orders, orders, changes), min_size=4, max_size=40),
    st.floats(0.1, 0.9),
)
def test_the_reports_after_a_restore_are_those_of_the_uninterrupted_exchange(
    on_ticks, share, same_close, leverage, steps, where
) -> None:
    conventions = (on_ticks, share, same_close, leverage)
    steps = [s for s in steps if s[0] != ("bar" if on_ticks else "tick")]
    cut = int(len(steps) * where)
    # given an exchange that ran up to some point, and another one restored there
    venue = make(*conventions)
    for step in steps[:cut]:
        play(venue, step)
    first = next(venue._ids)
    venue._ids = iter(range(first, 10**6))
    twin = same_again(venue, *conventions)
    twin._ids = iter(range(first, 10**6))
    told = len(venue.orders), len(venue.trades)
    # when both go on
    for step in steps[cut:]:
        play(venue, step)
        play(twin, step)
    # then they say the same, and stand the same
    assert twin.orders == venue.orders[told[0] :]
    assert twin.trades == venue.trades[told[1] :]
    assert twin.exchange.state() == venue.exchange.state()


def test_a_saved_book_with_a_position_must_be_listed() -> None:
    venue = Venue(contracts=CONTRACTS)
    venue.buy(1)
    venue.bar(100, 101, 99, 100)
    state = venue.exchange.state()
    with pytest.raises(ConfigError, match=r"A\.LOCAL is in the saved state"):
        Venue(contracts=CONTRACTS[1:]).exchange.restore(state)


def test_a_saved_book_that_is_flat_and_empty_need_not_be_listed() -> None:
    state = Venue(contracts=CONTRACTS).exchange.state()
    twin = Venue(contracts=CONTRACTS[1:])
    twin.exchange.restore(state)
    assert list(twin.exchange.books) == [OTHER]


def test_what_positions_bind_follows_a_changed_leverage() -> None:
    venue = Venue()
    venue.buy(10)
    venue.bar(100, 100, 100, 100)
    assert venue.used == 1_000
    twin = Venue(leverage=2.0)
    twin.exchange.restore(venue.exchange.state())
    assert (twin.used, twin.balance) == (500, venue.balance)
