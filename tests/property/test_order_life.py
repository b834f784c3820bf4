"""Orders under any interleaving of reports, fills, repetitions and restarts, against an oracle of a few lines."""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from foxtrot.core.constants import Direction, Status
from foxtrot.core.objects import ACTIVE_STATUSES, OrderData, TradeData
from foxtrot.server.persistence import MemoryPersistence
from foxtrot.server.persistence_query import PageQuery, each
from foxtrot.testing import make_contract, make_order, make_trade
from tests.unit.server.oms_desk import Desk

SIDES = st.sampled_from([Direction.LONG, Direction.SHORT])
TENTHS = st.integers(1, 30)
VENUE = [s for s in Status if s not in (Status.SUBMITTING, Status.DENIED)]


class OrderLife(RuleBasedStateMachine):
    """A venue that says anything in any order, and an OMS that dies and comes back."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Any] = {}
        self.sides: dict[str, Direction] = {}
        self.reported: dict[str, int] = {}  # tenths
        self.trades: dict[str, TradeData] = {}
        self.seen: dict[str, OrderData] = {}
        self.numbers = 0
        self.boot()

    def boot(self) -> None:
        store = MemoryPersistence(self.rows)
        self.desk = Desk(store, contracts=[make_contract(min_volume=0.1)])

    def orders(self) -> list[OrderData]:
        return list(each(self.desk.oms.orders_page, PageQuery()))

    # --- what happens -------------------------------------------------------------------------------------

    @rule(target=ids, side=SIDES, volume=TENTHS, limit=st.booleans())
    def send(self, side: Direction, volume: int, limit: bool) -> str:
        price = 100.0 if limit else 0.0
        vt_orderid = self.desk.send(direction=side, volume=volume / 10, price=price)
        assert vt_orderid not in self.sides, "an id was minted twice"
        self.sides[vt_orderid] = side
        return vt_orderid

    @rule(target=ids, side=SIDES)
    def somebody_else_sends(self, side: Direction) -> str:
        self.numbers += 1
        vt_orderid = f"SIM.other-{self.numbers}"
        self.sides[vt_orderid] = side
        return vt_orderid

    @rule(vt_orderid=ids, status=st.sampled_from(VENUE), traded=st.integers(0, 30))
    def report(self, vt_orderid: str, status: Status, traded: int) -> None:
        side = self.sides[vt_orderid]
        order = make_order(status, 3.0, 100.0, side, vt_orderid=vt_orderid, traded=traded / 10)
        self.reported[vt_orderid] = max(self.reported.get(vt_orderid, 0), traded)
        for _ in range(2):
            self.desk.venue.on_order(order)
            self.desk.drain()

    @rule(vt_orderid=ids, volume=TENTHS, price=st.integers(9_900, 10_100))
    def fill(self, vt_orderid: str, volume: int, price: int) -> None:
        self.numbers += 1
        trade = make_trade(
            volume / 10,
            price / 100,
            self.sides[vt_orderid],
            vt_orderid=vt_orderid,
            vt_tradeid=f"SIM.{self.numbers}",
        )
        self.trades[trade.vt_tradeid] = trade
        self.desk.venue.on_trade(trade)
        self.desk.drain()

    @rule(data=st.data())
    def repeat_a_fill(self, data: st.DataObject) -> None:
        if self.trades:
            trade = self.trades[data.draw(st.sampled_from(sorted(self.trades)))]
            self.desk.venue.on_trade(replace(trade, ts_event=trade.ts_event + 1))
            self.desk.drain()

    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        if clean:
            self.desk.main.close()
        self.boot()

    # --- what always holds --------------------------------------------------------------------------------

    def filled(self, vt_orderid: str) -> int:
        fills = (t.volume for t in self.trades.values() if t.vt_orderid == vt_orderid)
        return sum(round(volume * 10) for volume in fills)

    @invariant()
    def orders_only_go_forward(self) -> None:
        for order in self.orders():
            before = self.seen.get(order.vt_orderid, order)
            assert order.traded >= before.traded
            if before.status not in ACTIVE_STATUSES:
                assert order.status is before.status, "a terminal order revived"
            most = max(self.filled(order.vt_orderid), self.reported.get(order.vt_orderid, 0))
            assert order.traded == most / 10
            self.seen[order.vt_orderid] = order

    @invariant()
    def active_orders_are_those_that_can_trade(self) -> None:
        orders = self.orders()
        active = [order for order in orders if order.is_active()]
        assert sorted(self.desk.main.get_all_active_orders(), key=str) == sorted(active, key=str)

    @invariant()
    def each_fill_is_folded_once(self) -> None:
        assert {t.vt_tradeid for t in each(self.desk.oms.trades_page, PageQuery())} == set(
            self.trades
        )
        lots = sum(
            round(t.volume * 10) * (1 if t.direction is Direction.LONG else -1)
            for t in self.trades.values()
        )
        position = self.desk.main.get_position("SIM.TEST.LOCAL.NET")
        assert (position.volume if position else 0.0) == lots / 10

    @invariant()
    def nothing_went_wrong(self) -> None:
        assert not self.desk.errors
        assert not (self.desk.oms.halted or self.desk.oms.stalled)


TestOrderLife = OrderLife.TestCase
TestOrderLife.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
