"""The OMS beside its venues: no order before the first comparison, what was missed is folded, blocks last."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
from msgspec.structs import replace

from foxtrot.core.constants import Status
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.oms.reconcile_types import Block
from foxtrot.server.persistence import MemoryPersistence, Persistence, SqlitePersistence
from foxtrot.testing import (
    ScriptedAdapter,
    make_account,
    make_contract,
    make_order,
    make_position,
    make_trade,
)
from tests.unit.server.oms_desk import Desk as PlainDesk

SYMBOL = "TEST.LOCAL"


class TellingAdapter(ScriptedAdapter):
    """A venue that can say how its account stands."""

    snapshots: ClassVar[bool] = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.asked = 0

    def query_snapshot(self) -> None:
        self.asked += 1


class Desk(PlainDesk):
    """With a venue that tells."""

    def __init__(self, persistence: Persistence | None = None, **options: Any) -> None:
        super().__init__(persistence, contracts=(), **options)
        self.main.adapters.clear()
        self.venue = self.tells = self.main.add_adapter(TellingAdapter, "SIM")
        self.venue.on_contract(make_contract())
        self.main.connect({}, "SIM")
        self.drain()

    def tell(
        self, orders: tuple[OrderData, ...] = (), fills: tuple[TradeData, ...] = (), **more: Any
    ) -> None:
        """The venue answers that it has these and no others."""
        values: dict[str, Any] = {
            "positions": (),
            "open_orders_complete": True,
            "history_since": 0,
            "fills_since": 0,
        }
        snapshot = VenueSnapshot("SIM", self.clock.now(), orders, fills, **(values | more))
        self.venue.on_snapshot(snapshot)
        self.drain()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_no_order_is_sent_before_the_venue_has_said_how_the_account_stands(desk: Desk) -> None:
    assert desk.tells.asked == 1
    early = desk.main.get_order(desk.send())
    assert early is not None
    assert early.status is Status.DENIED
    assert "has not said yet how its account stands" in early.reason
    desk.wait(5)
    assert desk.tells.asked > 1  # it is asked until it answers
    desk.tell()
    desk.send()
    assert len(desk.venue.sent) == 1


def test_what_was_missed_is_folded_once_and_published(desk: Desk) -> None:
    desk.tell()
    vt_orderid = desk.send(volume=10.0, price=100.0)
    order = make_order(Status.ALLTRADED, 10.0, 100.0, vt_orderid=vt_orderid, traded=10.0)
    fills = tuple(
        make_trade(5.0, 99.0, vt_orderid=vt_orderid, vt_tradeid=f"SIM.x{n}") for n in (1, 2)
    )
    for _ in range(2):
        desk.tell((order,), fills, positions=(make_position(10.0, 99.0),))
    assert [trade.vt_tradeid for trade in desk.trades] == ["SIM.x1", "SIM.x2"]
    mended = desk.main.get_order(vt_orderid)
    assert mended is not None
    assert (mended.status, mended.traded) == (Status.ALLTRADED, 10.0)
    assert not desk.oms.gate.closed


def test_a_send_that_fails_is_unknown_bars_its_strategy_and_instrument_and_is_resolved(
    desk: Desk,
) -> None:
    desk.tell()
    desk.venue.failure = ConnectionError("gone")
    doubtful = desk.send(strategy="a")
    desk.venue.failure = None
    asked = desk.tells.asked
    assert asked > 1
    barred = desk.main.get_order(desk.send(strategy="a"))
    assert barred is not None
    assert f"order {doubtful} of a in {SYMBOL} is UNKNOWN" in barred.reason
    other = desk.main.get_order(desk.send(strategy="b"))
    assert other is not None
    assert other.status is Status.SUBMITTING
    for _ in range(12):
        desk.wait(1)
    assert desk.tells.asked > asked + 3  # every two seconds
    desk.tell((make_order(Status.NOTTRADED, vt_orderid=other.vt_orderid),))
    resolved = desk.main.get_order(doubtful)
    assert resolved is not None
    assert (resolved.status, resolved.reason) == (Status.REJECTED, "never arrived at the venue")
    free = desk.main.get_order(desk.send(strategy="a"))
    assert free is not None
    assert free.status is Status.SUBMITTING


def test_what_cannot_be_explained_blocks_its_instrument_over_restarts_until_it_is_gone(
    tmp_path: Path,
) -> None:
    file = tmp_path / "oms.db"
    desk = Desk(SqlitePersistence(file))
    desk.tell()
    vt_orderid = desk.send(volume=1.0)
    desk.fill(vt_orderid, 1.0)
    filled = make_order(Status.ALLTRADED, 1.0, vt_orderid=vt_orderid, traded=1.0)
    fill = desk.trades[0]
    desk.tell((filled,), (fill,), positions=(make_position(7.0),))
    assert desk.oms.gate.blocks.keys() == {Block("SIM", SYMBOL)}
    denied = desk.main.get_order(desk.send())
    assert denied is not None
    assert "the venue says 7.0" in denied.reason
    desk.main.close()

    again = Desk(SqlitePersistence(file, lock_timeout=5.0))
    assert again.oms.gate.blocks.keys() == {Block("SIM", SYMBOL)}
    again.tell((filled,), (fill,), positions=(make_position(1.0),))
    assert not again.oms.gate.closed
    assert "no longer blocked" in again.logs
    again.main.close()


def test_orders_of_others_are_adopted_and_left_alone(desk: Desk) -> None:
    foreign = make_order(Status.NOTTRADED, 5.0, 90.0, vt_orderid="SIM.hand", strategy="")
    desk.tell((foreign,))
    adopted = desk.main.get_order("SIM.hand")
    assert adopted is not None
    assert (adopted.strategy, adopted.status) == ("EXTERNAL", Status.NOTTRADED)
    assert desk.venue.cancelled == []


def test_a_position_from_before_is_an_opening_entry_and_a_balance_is_taken_over(desk: Desk) -> None:
    desk.tell(positions=(make_position(3.0, 50.0),), accounts=(make_account(500.0),))
    position = desk.main.get_position(f"SIM.{SYMBOL}.NET")
    assert position is not None
    assert (position.volume, position.price) == (3.0, 50.0)
    assert [account.balance for account in desk.main.get_all_accounts()] == [500.0]


def test_a_real_fill_after_a_made_up_one_is_counted_once(desk: Desk) -> None:
    desk.tell()
    vt_orderid = desk.send(volume=10.0, price=100.0)
    partly = make_order(
        Status.PARTTRADED, 10.0, 100.0, vt_orderid=vt_orderid, traded=4.0, average_price=99.0
    )
    desk.tell((partly,), positions=(make_position(4.0, 99.0),), fills_since=None)
    assert [trade.volume for trade in desk.trades] == [4.0]
    assert ".SYN-" in desk.trades[0].vt_tradeid
    real = make_trade(4.0, 99.0, vt_orderid=vt_orderid, vt_tradeid="SIM.x1", commission=0.5)
    desk.venue.on_trade(replace(real, ts_event=desk.trades[0].ts_event - 1))
    desk.drain()
    assert desk.trades[-1].volume == 0.0
    position = desk.main.get_position(f"SIM.{SYMBOL}.NET")
    assert position is not None
    assert (position.volume, position.commission) == (4.0, 0.5)


def test_after_the_disk_worked_again_the_venue_is_asked_before_anything_is_sent() -> None:
    class Failing(MemoryPersistence):
        failing = False

        def commit(self, rows: Any, facts: Any = ()) -> None:
            if self.failing:
                raise OSError("no space left")
            super().commit(rows, facts)

        def save(self, key: str, data: Any) -> None:
            if self.failing:
                raise OSError("no space left")
            super().save(key, data)

    store = Failing()
    desk = Desk(store)
    desk.tell()
    store.failing = True
    desk.send()
    store.failing = False
    asked = desk.tells.asked
    desk.wait(1)
    assert desk.tells.asked > asked
    denied = desk.main.get_order(desk.send())
    assert denied is not None
    assert "has not said yet" in denied.reason


def test_a_venue_whose_clock_is_ahead_does_not_end_our_patience(desk: Desk) -> None:
    desk.tell()
    vt_orderid = desk.send()
    ahead = desk.clock.now() + 3_600 * 10**9
    snapshot = VenueSnapshot(
        "SIM", ahead, positions=(), open_orders_complete=True, history_since=0, fills_since=0
    )
    desk.venue.on_snapshot(snapshot)
    desk.drain()
    order = desk.main.get_order(vt_orderid)
    assert order is not None
    assert order.status is Status.SUBMITTING
    for _ in range(11):
        desk.wait(1)
    desk.venue.on_snapshot(replace(snapshot, ts=ahead + 1))
    desk.drain()
    order = desk.main.get_order(vt_orderid)
    assert order is not None
    assert order.status is Status.REJECTED
