"""Contracts that keep long and short apart: requests are split to fit what is held, or denied; positions show it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from foxtrot.accounting.offset import OffsetMode, SideHolding
from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import Direction, Offset, OrderType, Status, VolumeMode
from foxtrot.core.errors import ConfigError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.market import MarketView
from foxtrot.core.objects import CancelRequest, OrderRequest, PositionData
from foxtrot.server.engines.oms_engine import OmsEngine
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.simulation.exchange import AccountSettings, SimulatedExchange
from foxtrot.simulation.models import ExecutionModel
from foxtrot.testing import START, make_contract, make_order_request, make_position, make_trade
from tests.unit.server.oms_desk import Desk, FailingPersistence

LONG, SHORT = Direction.LONG, Direction.SHORT
NONE, OPEN, CLOSE = Offset.NONE, Offset.OPEN, Offset.CLOSE
TODAY, YESTERDAY = Offset.CLOSETODAY, Offset.CLOSEYESTERDAY
RB = "rb2410.SHFE"
I = "i2405.DCE"  # noqa: E741 - the product's own name
FUTURES = [make_contract(name, net_position=False, size=10.0, pricetick=1.0) for name in (RB, I)]


def desk_with(
    yesterday: float = 0.0, today: float = 0.0, vt_symbol: str = RB, **options: Any
) -> Desk:
    """A desk that holds so many lots long."""
    desk = Desk(contracts=[make_contract(), *FUTURES], **options)
    if yesterday:
        buy(desk, yesterday, vt_symbol)
        desk.oms.roll_day()
    if today:
        buy(desk, today, vt_symbol)
    desk.drain()
    desk.venue.sent.clear()
    desk.published.clear()
    return desk


def buy(desk: Desk, volume: float, vt_symbol: str = RB, offset: Offset = OPEN) -> None:
    desk.fill(send(desk, volume, LONG, offset, vt_symbol), volume, 3_500.0)


def send(
    desk: Desk,
    volume: float,
    direction: Direction = SHORT,
    offset: Offset = CLOSE,
    vt_symbol: str = RB,
    **fields: Any,
) -> str:
    fields = {"price": 3_500.0, **fields}
    return desk.send(
        volume=volume, direction=direction, offset=offset, vt_symbol=vt_symbol, **fields
    )


def sent(desk: Desk) -> list[tuple[str, Offset, float]]:
    return [(r.vt_orderid.partition(".")[2], r.offset, r.volume) for r in desk.venue.sent]


def position(desk: Desk, direction: Direction = LONG, vt_symbol: str = RB) -> PositionData:
    held = desk.main.get_position(f"SIM.{vt_symbol}.{direction.value}")
    assert held is not None
    return held


# --- one request, several orders --------------------------------------------------------------------------


def test_a_close_at_shfe_is_split_into_yesterdays_and_todays_part() -> None:
    desk = desk_with(yesterday=3.0, today=2.0)
    vt_orderid = send(desk, 4.0, strategy="sma", reference="exit")
    name = vt_orderid.partition(".")[2]
    assert sent(desk) == [(name, YESTERDAY, 3.0), (f"{name}-2", TODAY, 1.0)]
    written = [desk.oms.get_order(f"SIM.{part}") for part, _, _ in sent(desk)]
    assert [(o.offset, o.volume, o.strategy, o.reference) for o in written if o] == [
        (YESTERDAY, 3.0, "sma", "exit"),
        (TODAY, 1.0, "sma", "exit"),
    ]
    assert [o.vt_orderid for o in desk.of(events.EVENT_ORDER + "sma")] == [
        vt_orderid,
        vt_orderid + "-2",
    ]
    assert f"orders/{vt_orderid}-2" in list(desk.oms.persistence.keys("orders/"))

    desk.fill(vt_orderid + "-2", 1.0)
    desk.fill(vt_orderid, 3.0)
    held = position(desk)
    assert (held.volume, held.yd_volume, held.frozen) == (1.0, 0.0, 0.0)


def test_elsewhere_the_oldest_is_closed_by_one_order() -> None:
    desk = desk_with(yesterday=3.0, today=2.0, vt_symbol=I)
    send(desk, 4.0, vt_symbol=I)
    assert [part[1:] for part in sent(desk)] == [(CLOSE, 4.0)]
    desk.fill(desk.venue.sent[0].vt_orderid, 4.0)
    held = position(desk, vt_symbol=I)
    assert (held.volume, held.yd_volume) == (1.0, 0.0)


def test_a_request_without_offset_closes_the_other_side_and_opens_the_rest() -> None:
    desk = desk_with(yesterday=2.0, today=1.0)
    name = send(desk, 5.0, offset=NONE).partition(".")[2]
    assert sent(desk) == [
        (name, YESTERDAY, 2.0),
        (f"{name}-2", TODAY, 1.0),
        (f"{name}-3", OPEN, 2.0),
    ]
    for request in list(desk.venue.sent):
        desk.fill(request.vt_orderid, request.volume)
    assert (position(desk).volume, position(desk, SHORT).volume) == (0.0, 2.0)


def test_todays_first_and_locking_are_modes() -> None:
    for mode, wanted in (
        (OffsetMode.TODAY_FIRST, [(TODAY, 2.0), (YESTERDAY, 1.0)]),
        ("lock", [(YESTERDAY, 3.0)]),
    ):
        desk = desk_with(yesterday=3.0, today=2.0, offset_mode=mode)
        send(desk, 3.0)
        assert [part[1:] for part in sent(desk)] == wanted


@pytest.mark.parametrize("mode", ["net", "fifo"])
def test_a_mode_that_cannot_be_used_is_refused(mode: str) -> None:
    with pytest.raises(ConfigError, match="need one of hedge, today_first, lock"):
        MainEngine(EventEngine(SimulatedClock(START)), offset_mode=mode)


def test_netting_contracts_are_never_converted(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk()
    assert not desk.oms.hedged
    monkeypatch.setattr(OmsEngine, "_in_parts", None)
    monkeypatch.setattr(OmsEngine, "_bind", None)
    desk.fill(desk.send(volume=3.0, offset=CLOSE), 3.0)
    assert desk.venue.sent[0].offset is CLOSE
    assert not desk.errors


# --- denied -----------------------------------------------------------------------------------------------


def test_closing_more_than_is_available_is_denied_with_the_numbers() -> None:
    desk = desk_with(yesterday=3.0, today=2.0)
    send(desk, 1.0, offset=TODAY)
    desk.venue.sent.clear()
    vt_orderid = send(desk, 5.0)
    denied = desk.oms.get_order(vt_orderid)
    assert denied is not None
    assert denied.status is Status.DENIED
    assert denied.reason == (
        "SHORT CLOSE of 5.0 rb2410.SHFE: only 4.0 of the LONG position can be closed so "
        "(in lots: 2 of today, 3 older, 1 of these bound by working orders)"
    )
    assert (denied.volume, denied.offset) == (5.0, CLOSE)
    assert desk.venue.sent == []
    assert desk.orders[-1] == denied


def test_what_cannot_be_split_is_denied() -> None:
    desk = desk_with(yesterday=3.0)
    vt_orderid = send(desk, 0.5, volume_mode=VolumeMode.EQUITY, type=OrderType.MARKET, price=0.0)
    denied = desk.oms.get_order(vt_orderid)
    assert denied is not None
    assert "cannot be split; give it in units" in denied.reason


def test_a_part_whose_id_was_used_before_denies_the_whole() -> None:
    desk = desk_with(yesterday=1.0, today=1.0)
    send(desk, 1.0, LONG, OPEN, vt_orderid="SIM.a-2")
    vt_orderid = send(desk, 2.0, vt_orderid="SIM.a")
    denied = desk.oms.get_order(vt_orderid)
    assert denied is not None
    assert denied.status is Status.DENIED
    assert "a part of it would be SIM.a-2, an id that was used before" in denied.reason


# --- what orders bind -------------------------------------------------------------------------------------


def test_frozen_shows_what_closing_orders_bind() -> None:
    desk = desk_with(yesterday=3.0, today=2.0)
    vt_orderid = send(desk, 4.0)
    assert position(desk).frozen == 4.0
    assert desk.of(events.EVENT_POSITION)[-1].frozen == 4.0
    assert desk.main.get_all_positions()[0].frozen == 4.0

    desk.fill(vt_orderid, 1.0)
    assert (position(desk).volume, position(desk).frozen) == (4.0, 3.0)
    desk.venue.report(vt_orderid, Status.CANCELLED, offset=YESTERDAY, traded=1.0)
    desk.drain()
    assert position(desk).frozen == 1.0
    assert desk.of(events.EVENT_POSITION)[-1].frozen == 1.0


def test_an_opening_order_binds_nothing() -> None:
    desk = desk_with(yesterday=3.0)
    send(desk, 9.0, LONG, OPEN)
    send(desk, 9.0, SHORT, OPEN)
    assert position(desk).frozen == 0.0


def test_what_is_reported_as_traded_stays_bound_until_its_fill_has_come() -> None:
    desk = desk_with(yesterday=3.0)
    vt_orderid = send(desk, 2.0)
    desk.venue.report(vt_orderid, Status.ALLTRADED, offset=YESTERDAY, traded=2.0)
    desk.drain()
    assert (position(desk).volume, position(desk).frozen) == (3.0, 2.0)
    denied = desk.oms.get_order(send(desk, 2.0))
    assert denied is not None
    assert denied.status is Status.DENIED
    desk.fill(vt_orderid, 2.0)
    assert (position(desk).volume, position(desk).frozen) == (1.0, 0.0)
    send(desk, 1.0)
    assert position(desk).frozen == 1.0


def test_orders_of_others_bind_too() -> None:
    desk = desk_with(yesterday=3.0)
    own = send(desk, 1.0)
    order = desk.oms.get_order(own)
    assert order is not None
    desk.venue.on_order(replace(order, vt_orderid="SIM.foreign", volume=2.0))
    desk.drain()
    assert position(desk).frozen == 3.0


def test_an_order_of_others_that_is_off_the_lot_binds_its_whole_lots() -> None:
    desk = desk_with(yesterday=3.0)
    order = desk.oms.get_order(send(desk, 1.0))
    assert order is not None
    desk.venue.on_order(replace(order, vt_orderid="SIM.foreign", volume=1.5))
    desk.drain()
    assert position(desk).frozen == 2.0
    send(desk, 1.0)
    assert position(desk).frozen == 3.0


def test_a_part_can_be_cancelled_by_its_own_id() -> None:
    desk = desk_with(yesterday=1.0, today=2.0)
    second = send(desk, 3.0) + "-2"
    desk.main.cancel_order(CancelRequest(second))
    desk.drain()
    assert [request.vt_orderid for request in desk.venue.cancelled] == [second]
    desk.venue.report(second, Status.CANCELLED, offset=TODAY)
    desk.drain()
    assert position(desk).frozen == 1.0


def test_the_risk_check_sees_the_whole_request_once() -> None:
    seen: list[float] = []

    def limit(request: OrderRequest, _oms: OmsEngine) -> str:
        seen.append(request.volume)
        return "too large" if request.volume > 3.0 else ""

    desk = desk_with(yesterday=3.0, today=2.0, risk=limit)
    seen.clear()
    send(desk, 4.0)
    assert (seen, desk.venue.sent, desk.orders[-1].reason) == ([4.0], [], "too large")


def test_a_send_without_an_answer_keeps_its_lots_bound() -> None:
    desk = desk_with(yesterday=3.0)
    desk.venue.failure = OSError("line down")
    vt_orderid = send(desk, 2.0)
    order = desk.oms.get_order(vt_orderid)
    assert order is not None
    assert (order.status, position(desk).frozen) == (Status.UNKNOWN, 2.0)


def test_parts_that_cannot_be_saved_are_not_sent() -> None:
    store = FailingPersistence()
    desk = desk_with(yesterday=1.0, today=1.0, persistence=store)
    store.failing = True
    send(desk, 2.0)
    assert desk.venue.sent == []
    assert "saving orders/" in desk.oms.stalled


# --- days, venues and restarts ----------------------------------------------------------------------------


def test_a_new_day_makes_todays_lots_yesterdays() -> None:
    desk = desk_with(today=2.0)
    desk.oms.roll_day()
    send(desk, 2.0)
    assert [part[1:] for part in sent(desk)] == [(YESTERDAY, 2.0)]


def test_a_position_that_the_venue_held_before_can_be_closed() -> None:
    desk = desk_with()
    desk.venue.on_position(
        make_position(5.0, 3_400.0, vt_symbol=RB, vt_positionid=f"SIM.{RB}.LONG", direction=LONG,
                      yd_volume=4.0)
    )  # fmt: skip
    desk.drain()
    send(desk, 5.0)
    assert [part[1:] for part in sent(desk)] == [(YESTERDAY, 4.0), (TODAY, 1.0)]


def test_a_fill_of_a_stranger_is_followed() -> None:
    desk = desk_with(yesterday=3.0)
    desk.venue.on_trade(
        make_trade(2.0, 3_500.0, vt_symbol=RB, direction=SHORT, offset=YESTERDAY,
                   vt_orderid="SIM.other", vt_tradeid="SIM.other-1")
    )  # fmt: skip
    desk.drain()
    assert desk.oms.offsets.holding("SIM", RB).long == SideHolding(0, 1)
    assert position(desk).frozen == 0.0


@pytest.mark.parametrize("close", [True, False], ids=["closed", "crashed"])
def test_a_restart_keeps_holdings_and_what_is_bound(tmp_path: Path, close: bool) -> None:
    file = tmp_path / "oms.db"
    old = desk_with(yesterday=3.0, today=2.0, persistence=SqlitePersistence(file))
    first = send(old, 4.0)
    old.fill(first, 1.0)
    old.venue.report(first + "-2", Status.ALLTRADED, offset=TODAY, traded=1.0)  # its fill is late
    old.drain()
    before = position(old)
    assert before.frozen == 3.0
    if close:
        old.main.close()
    else:
        old.oms.persistence.close()

    new = Desk(SqlitePersistence(file, lock_timeout=5.0), contracts=())
    new.oms.load_state()
    assert position(new) == before
    holding = new.oms.offsets.holding("SIM", RB)
    assert (holding.long, holding.available(LONG)) == (SideHolding(2, 2), SideHolding(1, 0))
    denied = new.oms.get_order(send(new, 2.0))
    assert denied is not None
    assert "only 1.0 of the LONG position" in denied.reason
    send(new, 1.0)
    assert [part[1:] for part in sent(new)] == [(TODAY, 1.0)]
    new.main.close()


def test_a_contract_that_comes_after_its_orders_finds_them() -> None:
    desk = Desk(contracts=[])
    desk.venue.sent.append(
        make_order_request(
            volume=2.0, vt_symbol=RB, direction=SHORT, offset=CLOSE, vt_orderid="SIM.early"
        )
    )
    desk.venue.report("SIM.early", Status.NOTTRADED, offset=CLOSE)
    desk.drain()
    desk.venue.on_contract(FUTURES[0])
    desk.venue.on_position(
        make_position(5.0, 3_400.0, vt_symbol=RB, vt_positionid=f"SIM.{RB}.LONG", direction=LONG,
                      yd_volume=5.0)
    )  # fmt: skip
    desk.drain()
    assert position(desk).frozen == 2.0


def test_the_simulated_exchange_stays_netting_only() -> None:
    reports: Any = None
    settings = AccountSettings(10_000.0, FUTURES[0].currency)
    exchange = SimulatedExchange(
        "SIM", SimulatedClock(START), MarketView(), settings, ExecutionModel(), reports
    )
    with pytest.raises(ConfigError, match="net_position=True"):
        exchange.list_contract(FUTURES[0], on_ticks=False)
