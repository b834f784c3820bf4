"""The OMS: written before sent, saved before seen, refused with a reason, halted rather than wrong."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from foxtrot.core import events
from foxtrot.core.constants import Direction, Offset, OrderType, Status
from foxtrot.core.errors import OmsError, OrderError
from foxtrot.core.event_engine import Event
from foxtrot.core.objects import CancelRequest, ModifyRequest, OrderRequest
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.testing import (
    make_account,
    make_bar,
    make_contract,
    make_order,
    make_order_request,
    make_position,
    make_tick,
    make_trade,
)
from tests.unit.server.oms_desk import Desk, FailingPersistence

SHORT = Direction.SHORT


@pytest.fixture
def desk() -> Desk:
    return Desk()


# --- orders -----------------------------------------------------------------------------------------------


def test_a_good_order_is_written_published_and_sent(desk: Desk) -> None:
    vt_orderid = desk.send(volume=10.0, price=100.0, strategy="sma", reference="entry")

    assert vt_orderid == "SIM.oms-1"
    (sent,) = desk.venue.sent
    assert sent.vt_orderid == vt_orderid
    (order,) = desk.orders
    assert (order.status, order.volume, order.strategy) == (Status.SUBMITTING, 10.0, "sma")
    assert desk.oms.persistence.load(f"orders/{vt_orderid}") is not None
    assert desk.main.get_order(vt_orderid) == order
    assert desk.main.get_all_active_orders("TEST.LOCAL") == [order]
    assert desk.main.get_all_active_orders("OTHER.LOCAL") == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"vt_symbol": "NONE.LOCAL"}, "no contract NONE.LOCAL is known"),
        ({"price": 100.005}, "100.0 and 100.01"),
        ({"volume": 1.5}, "not whole lots"),
        ({"volume": 1_000.0}, "more than one order may have, which is 500.0"),
    ],
)
def test_a_bad_order_is_denied_with_the_reason_written_down_and_never_sent(
    fields: dict[str, Any], reason: str
) -> None:
    desk = Desk(contracts=[make_contract(max_volume=500.0)])
    vt_orderid = desk.send(**fields)

    (order,) = desk.orders
    assert order.status is Status.DENIED
    assert reason in order.reason
    assert desk.venue.sent == []
    assert desk.main.get_all_active_orders() == []
    stored = desk.oms.persistence.load_as(f"orders/{vt_orderid}", type(order))
    assert stored == order


@pytest.mark.parametrize("bad", [nan, inf])
@pytest.mark.parametrize("field", ["volume", "price", "trigger_price"])
def test_a_number_that_is_not_finite_is_denied_and_can_be_stored(
    field: str, bad: float, tmp_path: Path
) -> None:
    desk = Desk(SqlitePersistence(tmp_path / "oms.db"))
    request = OrderRequest("TEST.LOCAL", Direction.LONG, OrderType.STOP_LIMIT, 1.0, 100.0, 100.0)
    vt_orderid = desk.send(replace(request, **{field: bad}))

    (order,) = desk.orders
    assert order.status is Status.DENIED
    assert str(bad) in order.reason
    assert desk.oms.persistence.load(f"orders/{vt_orderid}") is not None
    assert not desk.oms.halted
    desk.main.close()


def test_the_risk_check_has_the_last_word_and_one_that_fails_says_no() -> None:
    desk = Desk(risk=lambda request, oms: "too large" if request.volume > 5.0 else "")
    desk.send(volume=5.0)
    desk.send(volume=6.0)
    assert [(o.status, o.reason) for o in desk.orders[-1:]] == [(Status.DENIED, "too large")]
    assert len(desk.venue.sent) == 1

    def broken(request: OrderRequest, oms: object) -> str:
        raise ZeroDivisionError("no equity")

    desk.oms.risk = broken
    desk.send()
    assert "the risk check failed: ZeroDivisionError('no equity')" in desk.orders[-1].reason
    assert len(desk.venue.sent) == 1


def test_an_id_that_comes_again_is_not_sent_again_and_its_owner_is_told(desk: Desk) -> None:
    request = make_order_request(vt_orderid="SIM.mine-1", strategy="sma")
    desk.send(request)
    desk.send(request)

    assert len(desk.venue.sent) == 1
    assert desk.oms.duplicates == 1
    assert desk.orders[0] == desk.orders[1]
    assert "came again" in desk.logs


def test_an_order_without_a_proper_id_is_refused(desk: Desk) -> None:
    with pytest.raises(OrderError, match=r"id 'nodot' is not ADAPTER\.id"):
        desk.send(replace(make_order_request(), vt_orderid="nodot"))
    for bad in ("", "SIM.", ".1"):
        desk.event_engine.put(
            Event(events.COMMAND_ORDER, replace(make_order_request(), vt_orderid=bad))
        )
    desk.drain()
    assert len(desk.errors) == 3
    assert desk.main.get_all_orders() == []


def test_an_order_to_an_adapter_that_is_not_there_is_rejected(desk: Desk) -> None:
    desk.event_engine.put(Event(events.COMMAND_ORDER, make_order_request(vt_orderid="GONE.1")))
    desk.drain()
    assert [o.status for o in desk.orders] == [Status.SUBMITTING, Status.REJECTED]
    assert desk.orders[-1].reason == "no adapter GONE is connected"


def test_a_send_that_fails_leaves_the_order_unknown_until_the_venue_says_more(desk: Desk) -> None:
    desk.venue.failure = TimeoutError("no answer")
    vt_orderid = desk.send()

    assert [o.status for o in desk.orders] == [Status.SUBMITTING, Status.UNKNOWN]
    assert "outcome unknown: TimeoutError('no answer')" in desk.orders[-1].reason
    desk.fill(vt_orderid, 1.0)
    assert desk.orders[-1].status is Status.ALLTRADED


# --- changes and cancellations ----------------------------------------------------------------------------


def test_changes_and_cancellations_reach_the_venue_that_works_the_order(desk: Desk) -> None:
    vt_orderid = desk.send(price=100.0)
    desk.main.modify_order(ModifyRequest(vt_orderid, price=0.1 + 0.2))
    desk.main.cancel_order(CancelRequest(vt_orderid))
    desk.drain()
    assert desk.venue.modified == [ModifyRequest(vt_orderid, price=0.3)]
    assert desk.venue.cancelled == [CancelRequest(vt_orderid)]

    desk.venue.report(vt_orderid, Status.CANCELLED)
    desk.drain()
    desk.main.cancel_order(CancelRequest(vt_orderid))
    desk.main.modify_order(ModifyRequest("SIM.never"))
    desk.drain()
    assert len(desk.venue.cancelled) == 1
    assert f"cannot cancel order {vt_orderid}: it is CANCELLED" in desk.logs
    assert "cannot modify order SIM.never: it is unknown" in desk.logs


def test_a_malformed_change_is_refused_and_logged(desk: Desk) -> None:
    vt_orderid = desk.send(price=100.0)
    desk.main.modify_order(ModifyRequest(vt_orderid, price=100.005))
    desk.drain()
    assert desk.venue.modified == []
    assert "change refused: order SIM.oms-1: price" in desk.logs


def test_changes_of_an_order_whose_adapter_is_gone_are_told(desk: Desk) -> None:
    desk.venue.on_order(make_order(vt_orderid="GONE.1"))
    desk.main.modify_order(ModifyRequest("GONE.1"))
    desk.main.cancel_order(CancelRequest("GONE.1"))
    desk.drain()
    for verb in ("modify", "cancel"):
        assert f"cannot {verb} order GONE.1: no adapter GONE is connected" in desk.logs


def test_a_cancellation_that_fails_is_an_error_event_and_the_order_works_on(desk: Desk) -> None:
    vt_orderid = desk.send(price=100.0)
    desk.venue.failure = ConnectionError("down")
    desk.main.cancel_order(CancelRequest(vt_orderid))
    desk.drain()
    assert desk.errors == ["down"]
    assert desk.main.get_all_active_orders()


# --- reports and fills ------------------------------------------------------------------------------------


def test_a_fill_is_folded_once_into_order_position_and_account(desk: Desk) -> None:
    desk.venue.on_account(make_account(1_000.0))
    vt_orderid = desk.send(volume=10.0, strategy="sma")
    trade = desk.fill(vt_orderid, 4.0, commission=0.5)
    desk.venue.on_trade(trade)
    desk.drain()

    order, position = desk.main.get_order(vt_orderid), desk.main.get_all_positions()[0]
    assert order is not None
    assert (order.status, order.traded) == (Status.PARTTRADED, 4.0)
    assert (position.volume, position.commission) == (4.0, 0.5)
    assert desk.main.get_account("SIM.USD").balance == 999.5  # type: ignore[union-attr]
    assert desk.oms.duplicates == 1
    assert [t.strategy for t in desk.trades] == ["sma"]
    assert desk.main.get_trade(trade.vt_tradeid) == desk.trades[0]
    assert desk.of(events.EVENT_POSITION)[-1].volume == 4.0
    assert desk.of(events.EVENT_ACCOUNT)[-1].balance == 999.5


def test_a_commission_in_another_currency_is_paid_from_that_account(desk: Desk) -> None:
    vt_orderid = desk.send(volume=10.0)
    desk.fill(vt_orderid, 10.0, commission=0.25, commission_currency="BNB")

    assert desk.main.get_account("SIM.BNB").balance == -0.25  # type: ignore[union-attr]
    assert desk.main.get_account("SIM.USD").balance == 0.0  # type: ignore[union-attr]
    assert desk.main.get_all_positions()[0].commission == 0.0
    assert desk.oms.persistence.load("accounts/SIM.BNB") is not None


def test_positions_are_valued_at_the_newest_price(desk: Desk) -> None:
    desk.fill(desk.send(volume=10.0), 10.0, 100.0)
    desk.event_engine.put(Event("eBar.TEST.LOCAL", make_bar(103.0)))
    desk.event_engine.put(Event("eTick.TEST.LOCAL", make_tick(104.0, 106.0)))
    desk.drain()

    position = desk.main.oms.get_position("SIM.TEST.LOCAL.NET")
    assert position is not None
    assert position.pnl == 50.0
    assert desk.main.get_position("SIM.NONE.LOCAL.NET") is None
    assert desk.main.get_bar("TEST.LOCAL").close_price == 103.0  # type: ignore[union-attr]
    assert desk.main.get_tick("TEST.LOCAL") == desk.main.get_all_ticks()[0]
    assert desk.main.get_tick("NONE.LOCAL") is desk.main.get_bar("NONE.LOCAL") is None


def test_a_fill_of_an_unknown_order_and_instrument_is_still_booked(desk: Desk) -> None:
    desk.venue.on_trade(make_trade(0.123, vt_symbol="NEW.LOCAL", vt_orderid="SIM.other"))
    desk.drain()
    (order,) = desk.orders
    assert (order.strategy, order.status) == ("EXTERNAL", Status.UNKNOWN)
    assert desk.main.get_all_positions()[0].volume == 0.123
    assert "NEW.LOCAL has no contract; it is booked at size 1, in USD" in desk.logs


@pytest.mark.parametrize("field", ["price", "traded", "volume", "average_price", "trigger_price"])
def test_a_report_with_a_number_that_is_not_finite_is_refused_and_changes_nothing(
    desk: Desk, field: str
) -> None:
    vt_orderid = desk.send(price=100.0)
    before = desk.main.get_order(vt_orderid)
    desk.venue.report(vt_orderid, Status.NOTTRADED, **{field: nan})
    desk.drain()
    assert "not finite" in desk.errors[0]
    assert desk.main.get_order(vt_orderid) == before
    assert not desk.oms.halted


def test_positions_from_before_and_accounts_are_taken_over(desk: Desk) -> None:
    desk.venue.on_position(make_position(5.0, 90.0))
    desk.venue.on_position(make_position(6.0, 90.0))
    desk.venue.on_account(make_account(1_000.0))
    desk.venue.on_account(make_account(999.0))
    desk.drain()
    assert [p.volume for p in desk.of(events.EVENT_POSITION)] == [5.0]
    assert [a.balance for a in desk.of(events.EVENT_ACCOUNT)][-2:] == [1_000.0, 999.0]
    assert "differs from ours by -1 USD" in desk.logs
    assert desk.main.get_all_accounts()[0].vt_accountid == "SIM.USD"
    assert desk.main.get_account("SIM.EUR") is desk.main.get_account("IB.USD") is None


def test_an_account_is_kept_under_its_currency_whatever_the_venue_calls_it(desk: Desk) -> None:
    desk.venue.on_account(make_account(7.0, vt_accountid="SIM.DU123"))
    desk.drain()
    assert desk.main.get_account("SIM.USD").balance == 7.0  # type: ignore[union-attr]
    assert list(desk.oms.persistence.keys("accounts/")) == ["accounts/SIM.USD"]


def test_a_new_trading_day_makes_todays_yesterdays() -> None:
    desk = Desk(contracts=[make_contract(net_position=False)])
    desk.fill(desk.send(volume=3.0, offset=Offset.OPEN), 3.0)
    desk.oms.roll_day()
    desk.drain()
    position = desk.main.get_position("SIM.TEST.LOCAL.LONG")
    assert position is not None
    assert position.yd_volume == 3.0
    assert desk.of(events.EVENT_POSITION)[-1].yd_volume == 3.0


def test_closing_more_than_is_known_is_told() -> None:
    desk = Desk(contracts=[make_contract(net_position=False)])
    desk.venue.on_trade(make_trade(3.0, direction=SHORT, offset=Offset.CLOSE))
    desk.drain()
    assert "closes 3 units of TEST.LOCAL more than are known to be held" in desk.logs


# --- contracts --------------------------------------------------------------------------------------------


def test_a_contract_that_changes_its_tick_is_taken_up_even_with_a_position(desk: Desk) -> None:
    desk.fill(desk.send(volume=3.0), 3.0)
    desk.venue.on_contract(make_contract(pricetick=0.5))
    desk.drain()
    desk.send(price=100.01)
    assert desk.orders[-1].status is Status.DENIED


def test_a_contract_that_changes_its_lot_waits_for_the_position_to_be_flat(desk: Desk) -> None:
    desk.fill(desk.send(volume=3.0), 3.0)
    finer = make_contract(min_volume=0.1, name="finer")
    desk.venue.on_contract(finer)
    desk.drain()
    contract = desk.main.get_contract("TEST.LOCAL")
    assert contract is not None
    assert (contract.min_volume, contract.name) == (1.0, "finer")
    assert "has changed its lot, size, currency or netting" in desk.logs
    assert desk.main.get_all_positions()[0].volume == 3.0

    desk.fill(desk.send(volume=3.0, direction=SHORT), 3.0)
    desk.venue.on_contract(finer)
    desk.drain()
    desk.fill(desk.send(volume=0.1), 0.1)
    assert desk.main.get_all_positions()[0].volume == 0.1
    assert desk.main.get_all_contracts() == [finer]


def test_a_contract_that_cannot_be_booked_denies_orders_or_is_not_taken_up(desk: Desk) -> None:
    desk.venue.on_contract(make_contract("INV.LOCAL", inverse=True))
    desk.drain()
    desk.send(vt_symbol="INV.LOCAL")
    assert "inverse" in desk.orders[-1].reason

    desk.fill(desk.send(), 1.0)
    desk.venue.on_contract(make_contract(inverse=True))
    desk.drain()
    assert "was not taken up" in desk.logs
    assert desk.main.get_contract("TEST.LOCAL").inverse is False  # type: ignore[union-attr]


# --- durable before visible, or halted ----------------------------------------------------------------------


def test_an_order_that_cannot_be_saved_is_neither_published_nor_sent_and_is_denied_later() -> None:
    store = FailingPersistence()
    desk = Desk(store)
    store.failing = True
    lost = desk.send()

    assert desk.orders == desk.venue.sent == []
    assert f"the OMS is halted: saving orders/{lost}" in desk.errors[0]
    assert "the disk is full" in desk.oms.stalled
    with pytest.raises(OmsError, match=r"order refused, the OMS is halted: .*the disk is full"):
        desk.send()
    desk.event_engine.put(Event(events.COMMAND_ORDER, make_order_request(vt_orderid="SIM.x")))
    desk.wait(5)
    assert desk.orders == desk.venue.sent == []

    store.failing = False
    desk.wait(1)
    assert [(o.vt_orderid, o.status) for o in desk.orders] == [
        (lost, Status.DENIED),
        ("SIM.x", Status.DENIED),
    ]
    assert "it came while nothing could be saved" in desk.orders[0].reason
    assert desk.venue.sent == []
    again = desk.send()
    assert [request.vt_orderid for request in desk.venue.sent] == [again]


def test_reports_that_cannot_be_saved_are_kept_and_folded_once_when_the_disk_works_again() -> None:
    store = FailingPersistence()
    desk = Desk(store)
    vt_orderid = desk.send(volume=10.0)
    seen = len(desk.orders)
    store.failing = True
    first = desk.fill(vt_orderid, 4.0)
    desk.venue.on_trade(first)
    desk.fill(vt_orderid, 6.0)
    desk.venue.on_account(make_account())
    desk.drain()
    assert desk.trades == desk.of(events.EVENT_POSITION) == desk.of(events.EVENT_ACCOUNT) == []
    assert len(desk.orders) == seen
    assert list(store.keys("trades/")) == []

    store.failing = False
    desk.wait(1)
    assert [trade.volume for trade in desk.trades] == [4.0, 6.0]
    assert len(list(store.keys("trades/"))) == 2
    order = desk.main.get_order(vt_orderid)
    assert order is not None
    assert (order.status, order.traded) == (Status.ALLTRADED, 10.0)
    assert desk.oms.duplicates == 1


def test_while_nothing_can_be_saved_cancels_go_through_and_changes_do_not() -> None:
    store = FailingPersistence()
    desk = Desk(store)
    vt_orderid = desk.send(volume=10.0)
    desk.venue.report(vt_orderid, Status.NOTTRADED)
    desk.drain()
    store.failing = True
    desk.main.cancel_order(CancelRequest(vt_orderid))  # in the step that fails
    desk.send()
    desk.main.cancel_order(CancelRequest(vt_orderid))
    desk.main.modify_order(ModifyRequest(vt_orderid, volume=5.0))
    desk.drain()
    assert len(desk.venue.cancelled) == 2
    assert desk.venue.modified == []
    assert "cModify ignored, the OMS is halted" in desk.logs


@pytest.mark.parametrize("kind", ["order", "position", "account", "contract"])
def test_any_report_that_cannot_be_saved_stalls(kind: str) -> None:
    store = FailingPersistence()
    desk = Desk(store)
    vt_orderid = desk.send()
    before = len(desk.published)
    store.failing = True
    if kind == "order":
        desk.venue.report(vt_orderid, Status.NOTTRADED)
    elif kind == "position":
        desk.venue.on_position(make_position())
    elif kind == "account":
        desk.venue.on_account(make_account())
    else:
        desk.venue.on_contract(make_contract(name="new"))
    desk.drain()
    assert desk.oms.stalled
    topics = {event.type for event in desk.published[before:]}
    assert topics <= {f"r{kind.capitalize()}", events.EVENT_ERROR, events.EVENT_LOG}


@pytest.mark.parametrize(
    "bad", [{"volume": 0.5}, {"volume": 0.0}, {"price": nan}, {"price": inf}, {"commission": nan}]
)
def test_a_fill_that_cannot_be_booked_leaves_no_trace_and_blocks_its_instrument(
    desk: Desk, bad: dict[str, float]
) -> None:
    vt_orderid = desk.send(volume=10.0)
    desk.fill(vt_orderid, 1.0)
    before = (desk.main.get_all_orders(), desk.main.get_all_trades(), desk.main.get_all_positions())
    values = {"volume": 1.0, "price": 100.0} | bad
    desk.fill(vt_orderid, **values)

    assert "booking the fill TradeData(vt_tradeid='SIM.2'" in desk.errors[0]
    after = (desk.main.get_all_orders(), desk.main.get_all_trades(), desk.main.get_all_positions())
    assert after == before
    denied = desk.main.get_order(desk.send(volume=1.0))
    assert denied is not None
    assert "the fill SIM.2 cannot be booked" in denied.reason


def test_an_oms_that_ends_stalled_saves_nothing_and_a_restart_finds_what_was_visible() -> None:
    rows: dict[str, Any] = {}
    store = FailingPersistence(rows)
    desk = Desk(store)
    kept = desk.send(volume=10.0)
    store.failing = True
    lost = desk.send()
    store.failing = False
    desk.main.close()

    again = Desk(FailingPersistence(rows))
    assert again.main.get_order(kept) is not None
    assert again.main.get_order(lost) is None


def test_a_last_save_that_fails_is_logged_and_the_store_closed_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = FailingPersistence()
    desk = Desk(store)
    desk.venue.on_account(make_account())
    desk.oms.on_account_report(make_account())
    store.failing = True
    desk.main.close()
    assert "the disk is full" in caplog.text
    assert store._closed


def test_after_its_end_the_oms_refuses(desk: Desk) -> None:
    desk.main.close()
    with pytest.raises(OmsError, match="it was closed"):
        desk.send()
