"""Positions of the OMS: netting, and long and short legs with today's and yesterday's part."""

from __future__ import annotations

from typing import Any

import pytest

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import Currency
from foxtrot.core.constants import Direction, Offset
from foxtrot.core.errors import AccountingError, OrderError
from foxtrot.core.objects import PositionData, TradeData
from foxtrot.server.oms.position_leg import units_of
from foxtrot.server.oms.position_manager import PositionManager
from foxtrot.testing import make_contract, make_position, make_trade

LONG, SHORT = Direction.LONG, Direction.SHORT
OPEN, CLOSE = Offset.OPEN, Offset.CLOSE
TODAY, YESTERDAY = Offset.CLOSETODAY, Offset.CLOSEYESTERDAY


class Desk:
    """A manager of one instrument, and what it warned of."""

    def __init__(self, **contract: Any) -> None:
        self.instrument = Instrument(make_contract(**contract), Currency("USD", 2))
        self.warned: list[tuple[str, float]] = []
        self.manager = PositionManager(lambda _a, _s: self.instrument, self._warn)

    def _warn(self, trade: TradeData, units: float) -> None:
        self.warned.append((trade.vt_tradeid, units))

    def trade(
        self, direction: Direction, volume: float, price: float = 100.0, offset: Offset = OPEN
    ) -> int:
        _, realized = self.manager.fold(make_trade(volume, price, direction, offset=offset))
        return realized

    def position(self, direction: Direction, mark: float = 0.0) -> PositionData:
        return self.manager.legs[f"SIM.TEST.LOCAL.{direction.value}"].snapshot(mark, 7)

    def held(self) -> dict[str, tuple[float, float]]:
        """Volume and yesterday's part by direction."""
        snapshots = self.manager.snapshots(lambda _s: 0.0, 0)
        return {p.direction.value: (p.volume, p.yd_volume) for p in snapshots}


@pytest.fixture
def hedged() -> Desk:
    return Desk(net_position=False)


# --- netting ----------------------------------------------------------------------------------------------


def test_a_netting_contract_has_one_signed_position() -> None:
    desk = Desk()
    desk.trade(LONG, 10.0, 100.0)
    realized = desk.trade(SHORT, 15.0, 110.0, CLOSE)

    assert realized == 10_000  # cents
    position = desk.position(Direction.NET, mark=105.0)
    assert (position.volume, position.price, position.pnl) == (-5.0, 110.0, 25.0)
    assert (position.realized_pnl, position.ts_init) == (100.0, 7)


def test_without_a_mark_there_is_no_unrealised_profit() -> None:
    desk = Desk()
    desk.trade(LONG, 10.0)
    assert desk.position(Direction.NET).pnl == 0.0


def test_a_flat_position_remembers_what_it_earned() -> None:
    desk = Desk(min_volume=0.1)
    for volume, direction in ((0.1, LONG), (0.2, LONG), (0.3, SHORT)):
        desk.trade(direction, volume, 100.0 if direction is LONG else 101.0)
    position = desk.position(Direction.NET, mark=50.0)
    assert (position.volume, position.price, position.pnl) == (0.0, 0.0, 0.0)
    assert position.realized_pnl == 0.3


def test_a_net_position_that_turns_over_is_todays() -> None:
    desk = Desk()
    desk.trade(LONG, 10.0)
    desk.manager.roll_day()
    desk.trade(SHORT, 4.0)
    assert desk.held() == {"NET": (6.0, 6.0)}
    desk.trade(SHORT, 8.0)
    assert desk.held() == {"NET": (-2.0, 0.0)}


# --- hedging ----------------------------------------------------------------------------------------------


def test_opening_and_closing_go_to_the_leg_that_the_offset_means(hedged: Desk) -> None:
    hedged.trade(LONG, 10.0)
    hedged.trade(SHORT, 4.0)
    assert hedged.held() == {"LONG": (10.0, 0.0), "SHORT": (4.0, 0.0)}

    assert hedged.trade(SHORT, 3.0, 110.0, CLOSE) == 3_000
    assert hedged.trade(LONG, 4.0, 90.0, CLOSE) == 4_000
    assert hedged.held() == {"LONG": (7.0, 0.0), "SHORT": (0.0, 0.0)}
    assert hedged.position(LONG, mark=110.0).pnl == 70.0


def test_without_an_offset_a_fill_opens_and_leaves_yesterday_alone(hedged: Desk) -> None:
    hedged.trade(LONG, 5.0)
    hedged.manager.roll_day()
    hedged.trade(LONG, 2.0, offset=Offset.NONE)
    assert hedged.held() == {"LONG": (7.0, 5.0)}


@pytest.mark.parametrize(
    ("offset", "left"), [(CLOSE, 3.0), (YESTERDAY, 3.0), (TODAY, 5.0)], ids=str
)
def test_a_close_takes_the_oldest_unless_it_says_today(
    hedged: Desk, offset: Offset, left: float
) -> None:
    hedged.trade(LONG, 5.0)
    hedged.manager.roll_day()
    hedged.trade(LONG, 4.0)
    assert hedged.held() == {"LONG": (9.0, 5.0)}

    hedged.trade(SHORT, 2.0, offset=offset)

    assert hedged.held() == {"LONG": (7.0, left)}


def test_more_than_yesterdays_takes_todays_too(hedged: Desk) -> None:
    hedged.trade(SHORT, 5.0)
    hedged.manager.roll_day()
    hedged.trade(SHORT, 4.0)
    hedged.trade(LONG, 7.0, offset=CLOSE)
    assert hedged.held() == {"SHORT": (2.0, 0.0)}
    assert hedged.trade(LONG, 2.0, 80.0, TODAY) == 4_000
    assert hedged.held() == {"SHORT": (0.0, 0.0)}


def test_closing_more_than_is_known_never_turns_a_leg_over(hedged: Desk) -> None:
    hedged.trade(LONG, 4.0, 100.0)
    assert hedged.trade(SHORT, 10.0, 110.0, CLOSE) == 4_000  # what is known to have been held
    assert hedged.held() == {"LONG": (0.0, 0.0)}
    assert hedged.trade(SHORT, 1.0, 110.0, CLOSE) == 0
    assert [units for _, units in hedged.warned] == [6.0, 1.0]


# --- what cannot be booked --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"volume": 0.5}, OrderError),
        ({"volume": 0.0}, AccountingError),
        ({"volume": -1.0}, AccountingError),
        ({"volume": float("nan")}, OrderError),
        ({"price": float("nan")}, ValueError),
        ({"price": float("inf")}, OverflowError),
        ({"direction": Direction.NET}, AccountingError),
    ],
)
def test_a_fill_that_cannot_be_booked_changes_nothing(
    fields: dict[str, Any], error: type[Exception]
) -> None:
    desk = Desk()
    desk.trade(LONG, 3.0)
    before = desk.manager.legs["SIM.TEST.LOCAL.NET"].state()
    values = {"price": 100.0, "volume": 1.0, "direction": LONG} | fields
    bad = TradeData("SIM.9", "SIM.1", "TEST.LOCAL", ts_event=1, **values)

    with pytest.raises(error):
        desk.manager.fold(bad)

    assert desk.manager.legs["SIM.TEST.LOCAL.NET"].state() == before


def test_a_side_given_as_plain_text_is_the_same_side() -> None:
    desk = Desk()
    trade = make_trade(2.0)
    plain = TradeData(trade.vt_tradeid, "SIM.1", "TEST.LOCAL", "LONG", 100.0, 2.0, 1)  # type: ignore[arg-type]
    desk.manager.fold(plain)
    assert desk.held() == {"NET": (2.0, 0.0)}


# --- reports, state, terms --------------------------------------------------------------------------------


def test_what_the_venue_held_before_our_first_fill_is_taken_over_once() -> None:
    desk = Desk()
    leg = desk.manager.fold_report(make_position(-5.0, 100.0, yd_volume=5.0))
    assert leg is not None
    assert desk.manager.fold_report(make_position(-6.0, 100.0)) is None
    assert desk.trade(LONG, 5.0, 90.0) == 5_000
    assert desk.manager.fold_report(make_position(0.0)) is None


def test_a_short_leg_is_taken_over_with_a_positive_volume(hedged: Desk) -> None:
    leg = hedged.manager.fold_report(make_position(5.0, 100.0, SHORT, yd_volume=9.0))
    assert leg is not None
    assert hedged.held() == {"SHORT": (5.0, 5.0)}
    assert hedged.trade(LONG, 5.0, 90.0, CLOSE) == 5_000


def test_a_leg_comes_back_as_it_was_saved_with_the_units_it_is_counted_in() -> None:
    desk, other = Desk(size=10.0, min_volume=0.5), Desk(size=10.0, min_volume=0.5)
    desk.trade(LONG, 3.0, 100.0)
    desk.trade(SHORT, 1.0, 101.0)
    state = desk.manager.legs["SIM.TEST.LOCAL.NET"].state()
    leg = other.manager.leg("SIM", "TEST.LOCAL", Direction.NET)
    leg.restore(state)

    assert leg.snapshot(100.0, 1) == desk.manager.legs[leg.key].snapshot(100.0, 1)
    assert units_of(state) == (0.5, 10.0, "USD")


def test_a_contract_may_change_its_units_only_while_nothing_is_open() -> None:
    desk = Desk()
    desk.trade(LONG, 3.0)
    finer = Instrument(make_contract(min_volume=0.1), Currency("USD", 2))
    same = Instrument(make_contract(pricetick=0.5), Currency("USD", 2))

    assert desk.manager.rebind(same, "SIM") is True
    assert desk.manager.rebind(finer, "SIM") is False
    assert desk.manager.rebind(finer, "OTHER") is True  # nothing of that adapter
    desk.trade(SHORT, 3.0)
    assert desk.manager.rebind(finer, "SIM") is True
    desk.instrument = finer
    desk.trade(LONG, 0.1)
    assert desk.held() == {"NET": (0.1, 0.0)}
