"""Halts, flattening, the use of ids for ever, and memory that does not grow with history."""

from __future__ import annotations

from pathlib import Path

import pytest

from foxtrot.core.constants import Direction, Offset, Status
from foxtrot.core.objects import CancelRequest, ModifyRequest
from foxtrot.server.oms.risk import RiskManager
from foxtrot.server.oms.risk_limits import RiskSettings
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery
from foxtrot.server.persistence_verify import verify_state
from foxtrot.testing import make_contract, make_order_request
from tests.unit.server.oms_desk import Desk


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "oms.db"


def start(file: Path, **options: object) -> Desk:
    return Desk(SqlitePersistence(file, lock_timeout=5.0), **options)


def status(desk: Desk, vt_orderid: str) -> Status:
    order = desk.main.get_order(vt_orderid)
    assert order is not None
    return order.status


def test_a_halt_denies_new_orders_lets_cancels_through_and_survives_a_restart(file: Path) -> None:
    desk = start(file)
    working = desk.send(strategy="a")
    desk.venue.report(working, Status.NOTTRADED)
    desk.oms.halt_trading("end of day")
    denied = desk.main.get_order(desk.send(strategy="a"))
    assert denied is not None
    assert "all trading is halted since" in denied.reason
    assert "end of day" in denied.reason
    desk.main.cancel_order(CancelRequest(working))
    desk.drain()
    assert len(desk.venue.cancelled) == 1
    desk.oms.persistence.close()

    again = start(file)
    assert status(again, again.send(strategy="b")) is Status.DENIED
    assert again.oms.resume_trading("a new day")
    assert not again.oms.resume_trading("twice")
    assert status(again, again.send(strategy="b")) is Status.SUBMITTING
    again.oms.halt_trading("loss", "b")
    assert status(again, again.send(strategy="b")) is Status.DENIED
    assert status(again, again.send(strategy="c")) is Status.SUBMITTING
    assert verify_state(again.oms.persistence).ok  # type: ignore[arg-type]
    again.main.close()


def test_flattening_a_strategy_cancels_and_closes_what_it_holds_past_the_limits_of_risk(
    file: Path,
) -> None:
    risk = RiskManager(RiskSettings(max_volume=5.0))
    desk = start(file, risk=risk)
    for strategy, volume in (("a", 5.0), ("a", 5.0), ("b", 1.0)):
        vt_orderid = desk.send(volume=volume, strategy=strategy)
        desk.fill(vt_orderid, volume)
    working = desk.send(volume=1.0, price=90.0, strategy="a")
    desk.venue.report(working, Status.NOTTRADED)
    desk.drain()
    sent = len(desk.venue.sent)

    desk.oms.halt_trading("stop", "a", closing=True)
    assert desk.oms.cancel_all("a") == 1
    assert desk.oms.flatten("a") == 1
    desk.drain()
    assert [request.vt_orderid for request in desk.venue.cancelled] == [working]
    closing = desk.venue.sent[sent:]
    assert [(r.direction, r.volume, r.reduce_only, r.strategy) for r in closing] == [
        (Direction.SHORT, 10.0, True, "a")
    ]
    desk.fill(closing[0].vt_orderid, 10.0)
    assert desk.oms.held.state() == [("SIM", "b", "TEST.LOCAL", 1.0)]
    desk.oms.persistence.close()

    again = start(file)
    again.oms.load_state()
    assert again.oms.held.state() == [("SIM", "b", "TEST.LOCAL", 1.0)]
    again.main.close()


def test_flattening_the_account_closes_every_leg(file: Path) -> None:
    future = make_contract("rb2410.SHFE", net_position=False, size=10.0, pricetick=1.0)
    desk = start(file, contracts=(make_contract(), future))
    desk.fill(desk.send(volume=3.0, direction=Direction.SHORT), 3.0)
    opened = desk.send(volume=2.0, price=3_500.0, vt_symbol="rb2410.SHFE", offset=Offset.OPEN)
    desk.fill(opened, 2.0, 3_500.0)
    sent = len(desk.venue.sent)
    assert desk.oms.flatten() == 2
    desk.drain()
    assert sorted((r.vt_symbol, r.direction, r.volume) for r in desk.venue.sent[sent:]) == [
        ("TEST.LOCAL", Direction.LONG, 3.0),
        ("rb2410.SHFE", Direction.SHORT, 2.0),
    ]
    desk.main.close()


def test_an_id_is_used_once_for_ever(file: Path) -> None:
    request = make_order_request(volume=10.0, price=100.0, vt_orderid="SIM.mine-1", strategy="a")
    desk = start(file)
    desk.send(request)
    desk.send(request)
    assert len(desk.venue.sent) == 1
    assert desk.oms.duplicates == 1
    desk.fill("SIM.mine-1", 10.0)
    desk.oms.persistence.close()

    again = start(file)
    again.send(request)
    assert again.venue.sent == []
    assert again.orders[-1].status is Status.ALLTRADED  # how it stands
    other = make_order_request(volume=11.0, price=100.0, vt_orderid="SIM.mine-1", strategy="a")
    again.send(other)
    assert "its id SIM.mine-1 was used before for another order" in again.errors[-1]
    assert again.venue.sent == []
    again.main.close()


def test_a_denied_order_that_comes_again_is_told_so_again(file: Path) -> None:
    desk = start(file)
    request = make_order_request(volume=0.5, vt_orderid="SIM.half")
    for _ in range(2):
        desk.send(request)
    assert [order.status for order in desk.orders] == [Status.DENIED, Status.DENIED]
    assert desk.errors == []
    desk.main.close()


def test_memory_holds_what_is_active_and_the_last_that_were_closed(file: Path) -> None:
    desk = start(file)
    desk.oms.remembered = 20
    first = desk.send(volume=1.0)
    for _ in range(60):
        vt_orderid = desk.send(volume=1.0)
        desk.fill(vt_orderid, 1.0)
    assert len(desk.main.get_all_orders()) <= 23
    assert len(desk.main.get_all_trades()) <= 22
    assert first in {order.vt_orderid for order in desk.main.get_all_active_orders()}
    assert len(desk.oms.orders_page(PageQuery(limit=100)).items) == 61
    assert status(desk, "SIM.oms-2") is Status.ALLTRADED  # read from the file
    late = desk.venue.fill("SIM.oms-2", 1.0, 101.0)
    desk.drain()
    order = desk.main.get_order("SIM.oms-2")
    assert order is not None
    assert order.traded == 2.0  # a late fill finds its order
    desk.venue.on_trade(late)
    desk.drain()
    assert desk.oms.duplicates == 1
    assert verify_state(desk.oms.persistence).structure == ""  # type: ignore[arg-type]
    desk.main.close()


def test_a_change_is_checked_by_risk(file: Path) -> None:
    desk = start(file, risk=RiskManager(RiskSettings(max_volume=5.0)))
    vt_orderid = desk.send(volume=5.0, price=90.0)
    desk.venue.report(vt_orderid, Status.NOTTRADED)
    desk.drain()
    assert desk.oms.on_modify_request(ModifyRequest(vt_orderid, volume=4.0)) == ""
    assert "MAX_VOLUME" in desk.oms.on_modify_request(ModifyRequest(vt_orderid, volume=6.0))
    desk.drain()
    assert len(desk.venue.modified) == 1
    desk.main.close()
