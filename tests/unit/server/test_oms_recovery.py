"""What is in force while the disk takes no writes is in force, and durable, once it does."""

from __future__ import annotations

import pytest

from foxtrot.core.constants import Direction, Status
from foxtrot.core.errors import OmsError
from foxtrot.core.event_engine import Event
from foxtrot.core.objects import PositionData, TradeData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.testing import START, make_order_request
from tests.unit.server.oms_desk import Desk, FailingPersistence


def desk_and_rows() -> tuple[Desk, FailingPersistence, dict[str, object]]:
    rows: dict[str, object] = {}
    disk = FailingPersistence(rows)
    return Desk(disk), disk, rows


def after_restart(rows: dict[str, object]) -> Desk:
    desk = Desk(FailingPersistence(dict(rows)))
    desk.oms.load_state()
    return desk


@pytest.mark.parametrize("resumed_before", [False, True])
def test_a_halt_that_could_not_be_saved_stays_in_force_and_is_saved_later(
    resumed_before: bool,
) -> None:
    desk, disk, rows = desk_and_rows()
    if resumed_before:
        desk.oms.halt_trading("an earlier one", "trend")
        desk.oms.resume_trading("it went by", "trend")
    disk.failing = True
    with pytest.raises(OmsError):
        desk.oms.halt_trading("stop it", "trend")
    disk.failing = False
    desk.wait(2.0)

    assert not desk.oms.stalled
    for now in (desk, after_restart(rows)):
        vt_orderid = now.send(make_order_request(strategy="trend"))
        order = now.main.get_order(vt_orderid)
        assert order is not None
        assert order.status is Status.DENIED
        assert "stop it" in order.reason


def test_a_block_that_could_not_be_saved_is_found_and_saved_later() -> None:
    desk, disk, rows = desk_and_rows()
    desk.fill(desk.send(), 1.0)
    held = PositionData("SIM.TEST.LOCAL.NET", "TEST.LOCAL", Direction.NET, 5.0)
    disk.failing = True
    desk.venue.on_snapshot(VenueSnapshot("SIM", START + 10**12, positions=(held,)))
    desk.drain()
    assert desk.oms.stalled
    disk.failing = False
    desk.wait(2.0)

    blocks = desk.oms.gate.blocks
    assert blocks
    assert after_restart(rows).oms.gate.blocks == blocks


def test_an_order_that_a_comparison_closed_before_it_was_sent_is_not_sent() -> None:
    desk = Desk(FailingPersistence())
    vt_orderid = desk.main.send_order(make_order_request(), "SIM")
    later = VenueSnapshot(
        "SIM", START + 60 * 10**9, open_orders_complete=True, history_since=0, fills_since=0
    )
    desk.event_engine.register("tLater", lambda _: setattr(desk.clock, "ns", later.ts))
    desk.event_engine.put(Event("tLater"))
    desk.venue.on_snapshot(later)  # handled before the commit of the order has let it go
    desk.drain()

    order = desk.main.get_order(vt_orderid)
    assert order is not None
    assert order.status is Status.REJECTED
    assert not desk.venue.sent


def test_a_kept_order_that_cannot_be_written_down_keeps_no_report_from_being_folded() -> None:
    disk = FailingPersistence()
    desk = Desk(disk)
    vt_orderid = desk.send(volume=10.0)
    disk.failing = True
    desk.send()
    desk.event_engine.put(Event("cOrder", make_order_request(vt_orderid="")))
    desk.fill(vt_orderid, 4.0)
    assert desk.oms.stalled
    disk.failing = False
    desk.wait(2.0)

    assert not desk.oms.stalled
    assert [trade.volume for trade in desk.trades] == [4.0]
    assert "is not ADAPTER.id" in desk.logs


def test_an_error_in_booking_that_nobody_foresaw_halts(monkeypatch: pytest.MonkeyPatch) -> None:
    desk, _, rows = desk_and_rows()
    vt_orderid = desk.send(volume=10.0)
    book = desk.oms.books.book

    def broken(trade: TradeData) -> None:
        book(trade)
        raise AttributeError("a fault of ours")

    monkeypatch.setattr(desk.oms.books, "book", broken)  # half of it is done by then
    desk.fill(vt_orderid, 4.0)
    assert "a fault of ours" in desk.oms.halted
    assert not [key for key in rows if key.startswith(("trades/", "positions/"))]
