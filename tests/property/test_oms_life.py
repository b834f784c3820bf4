"""A whole OMS under any interleaving: commands, reports, snapshots, disk failures, halts, restarts; a simple oracle.

The oracle is a venue with whole numbers and a client with a list of what it was told. What the OMS has said may never
be taken back; what the venue got, it got once; nothing is said or sent while the disk takes no writes; and once all is
quiet, a comparison makes both sides' books the same.
"""

from __future__ import annotations

import copy
from random import Random
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from foxtrot.core import events
from foxtrot.core.constants import NS_PER_SECOND, Direction, Status
from foxtrot.core.errors import OmsError, PersistenceError
from foxtrot.core.objects import CancelRequest, OrderData, OrderRequest, PositionData, TradeData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.oms.reconcile_types import ReconcilePolicy
from foxtrot.server.oms.reconciler import is_synthetic
from foxtrot.server.persistence_query import PageQuery, each
from foxtrot.testing import START, make_contract, make_order_request
from tests.unit.server.oms_desk import Desk, FailingPersistence

LOT = 10  # lots of a unit
SYMBOL = "TEST.LOCAL"
GRACE = 10 * NS_PER_SECOND
ENDED = {Status.ALLTRADED, Status.CANCELLED, Status.REJECTED, Status.EXPIRED, Status.DENIED}
OWNERS = st.sampled_from(["trend", "mean"])
SIDES = st.sampled_from([Direction.LONG, Direction.SHORT])
PICK = st.integers(0, 10**6)
RARELY = st.integers(0, 3)


class BrokenDisk(FailingPersistence):
    """Rows that outlive the process, copied as a disk copies; ``recover`` fails with the disk."""

    def recover(self) -> None:
        if self.failing:
            raise PersistenceError("the disk is full")


class OmsLife(RuleBasedStateMachine):
    """One account: a venue, a client, and an OMS that comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Any] = {}
        self.requests: dict[str, OrderRequest] = {}  # by id, as it was used first
        self.arrived: dict[str, OrderData] = {}  # the venue's orders
        self.fills: dict[str, TradeData] = {}  # the venue's fills
        self.lost_on_the_way: set[str] = set()
        self.unheard: list[Any] = []  # reports on their way
        self.told: dict[str, OrderData] = {}  # what the client was told last
        self.told_fills: dict[str, TradeData] = {}
        self.halts: set[str] = set()  # in force
        self.kept_halts: set[str] = set()  # on the disk
        self.waiting: set[str] = set()  # ids of orders that came while nothing could be saved
        self.now = START
        self.answers = True  # whether the venue answers questions
        self.numbers = 0

    @initialize()
    def boot(self) -> None:
        self.disk = BrokenDisk(self.rows)
        self.desk = Desk(
            self.disk,
            contracts=[make_contract(min_volume=1 / LOT)],
            policy=ReconcilePolicy(grace=GRACE),
        )
        self.desk.clock.ns = self.now
        venue: Any = self.desk.venue
        venue.snapshots = True
        venue.query_snapshot = self.answer
        self.desk.main.connect({}, "SIM")
        self.was_stalled = False
        self.seen_sent = self.seen_published = 0

    # --- helpers ------------------------------------------------------------------------------------------

    @property
    def stalled(self) -> bool:
        return bool(self.desk.oms.stalled)

    def pick(self, ids: Any, number: int) -> str:
        known = sorted(ids)
        return known[number % len(known)]

    def settle(self) -> None:
        """Let the OMS work through what it has, and note what it said and sent."""
        self.desk.drain()
        self.now = self.desk.clock.now()
        if self.was_stalled and not self.stalled:
            self.halts |= self.kept_halts
            self.kept_halts = set(self.halts)
        self.was_stalled = self.stalled
        for request in self.desk.venue.sent[self.seen_sent :]:
            self.take_in(request)
        self.seen_sent = len(self.desk.venue.sent)
        published = self.desk.published
        for event in published[self.seen_published :]:
            if event.type.startswith(events.EVENT_ORDER):
                self.hear_order(event.data)
            elif event.type.startswith(events.EVENT_TRADE):
                assert event.data.vt_tradeid not in self.told_fills, "a fill was told twice"
                self.told_fills[event.data.vt_tradeid] = event.data
        self.seen_published = len(published)

    def take_in(self, request: OrderRequest) -> None:
        vt_orderid = request.vt_orderid
        assert vt_orderid not in self.arrived, "an order was sent twice"
        assert request == self.requests[vt_orderid], "another order was sent than was asked for"
        assert vt_orderid not in self.waiting, "an order was sent that is too old"
        kept = self.rows[f"orders/{vt_orderid}"]
        assert kept.status not in ENDED, "an order that has ended was sent"
        if vt_orderid in self.lost_on_the_way:
            return
        self.arrived[vt_orderid] = OrderData(
            vt_orderid,
            SYMBOL,
            request.direction,
            request.type,
            request.volume,
            request.price,
            status=Status.NOTTRADED,
            ts_event=self.now,
            venue_orderid=f"v{vt_orderid}",
        )
        self.unheard.append(self.arrived[vt_orderid])

    def hear_order(self, order: OrderData) -> None:
        before = self.told.get(order.vt_orderid)
        if before is not None:
            assert order.traded >= before.traded
            assert before.status not in ENDED or order.status is before.status
        self.told[order.vt_orderid] = order

    # --- the client ---------------------------------------------------------------------------------------

    @rule(orders=st.lists(st.tuples(SIDES, st.integers(1, 30), OWNERS), min_size=1, max_size=4))
    def send(self, orders: list[tuple[Direction, int, str]]) -> None:
        for side, lots, owner in orders:
            self.numbers += 1
            vt_orderid = f"SIM.c-{self.numbers}"
            self.requests[vt_orderid] = make_order_request(
                side, lots / LOT, 100.0, strategy=owner, vt_orderid=vt_orderid
            )
            if self.numbers % 7 == 0:
                self.lost_on_the_way.add(vt_orderid)
            self.command(self.requests[vt_orderid])
        self.settle()

    def command(self, request: OrderRequest) -> None:
        """As it comes over a bus: also while the OMS is stalled."""
        vt_orderid = request.vt_orderid
        if (self.stalled or self.disk.failing) and f"orders/{vt_orderid}" not in self.rows:
            self.waiting.add(vt_orderid)
        self.desk.event_engine.put_topic(
            self.desk.event_engine.topic(events.COMMAND_ORDER), request
        )

    @precondition(lambda self: self.requests)
    @rule(number=PICK, same=st.booleans())
    def send_again(self, number: int, same: bool) -> None:
        request = self.requests[self.pick(self.requests, number)]
        if not same:
            if request.vt_orderid not in self.told:
                return  # the OMS may not have heard of the first one
            request = replace(request, volume=request.volume + 1.0)
        errors = len(self.desk.errors)
        self.command(request)
        self.settle()
        if not same and not self.stalled and not self.disk.failing:
            assert len(self.desk.errors) == errors + 1
            assert "was used before" in self.desk.errors[-1]

    @precondition(lambda self: self.requests)
    @rule(number=PICK)
    def cancel(self, number: int) -> None:
        before = len(self.desk.venue.cancelled)
        vt_orderid = self.pick(self.requests, number)
        self.desk.main.cancel_order(CancelRequest(vt_orderid))
        self.settle()
        for asked in self.desk.venue.cancelled[before:]:
            order = self.arrived.get(asked.vt_orderid)
            if order is not None and order.status not in ENDED:
                self.becomes(replace(order, status=Status.CANCELLED))

    # --- the venue ----------------------------------------------------------------------------------------

    def becomes(self, order: OrderData) -> None:
        order = replace(order, ts_event=self.now)
        self.arrived[order.vt_orderid] = order
        self.unheard.append(order)

    @precondition(lambda self: self.arrived)
    @rule(seed=PICK, count=st.integers(1, 6))
    def orders_fill(self, seed: int, count: int) -> None:
        """Chance has orders fill, or be rejected."""
        rng = Random(seed)
        for _ in range(count):
            order = self.arrived[rng.choice(sorted(self.arrived))]
            if order.status is Status.NOTTRADED and rng.random() < 0.15:
                self.becomes(replace(order, status=Status.REJECTED, reason="no"))
            elif order.status not in ENDED:
                self.fill(order, rng)

    def fill(self, order: OrderData, rng: Random) -> None:
        done = round(order.traded * LOT)
        left = round(order.volume * LOT) - done
        lots = rng.choice((left, rng.randint(1, left)))
        self.numbers += 1
        trade = TradeData(
            f"SIM.x{self.numbers}",
            order.vt_orderid,
            SYMBOL,
            order.direction,
            rng.randint(9_900, 10_100) / 100,
            lots / LOT,
            self.now,
        )
        self.fills[trade.vt_tradeid] = trade
        self.unheard.append(trade)
        status = Status.ALLTRADED if lots == left else Status.PARTTRADED
        average = self.average(order.vt_orderid)
        traded = (done + lots) / LOT
        self.becomes(replace(order, traded=traded, status=status, average_price=average))

    def average(self, vt_orderid: str) -> float:
        fills = [fill for fill in self.fills.values() if fill.vt_orderid == vt_orderid]
        return sum(f.price * f.volume for f in fills) / sum(f.volume for f in fills)

    @rule(side=SIDES, lots=st.integers(1, 9))
    def somebody_else_sends(self, side: Direction, lots: int) -> None:
        self.numbers += 1
        vt_orderid = f"SIM.hand-{self.numbers}"
        order = make_order_request(side, lots / LOT, 100.0)
        self.becomes(
            OrderData(
                vt_orderid,
                SYMBOL,
                side,
                order.type,
                order.volume,
                100.0,
                status=Status.NOTTRADED,
                venue_orderid=f"v{vt_orderid}",
            )
        )

    @precondition(lambda self: self.unheard)
    @rule(seed=PICK, faithful=st.booleans())
    def hear(self, seed: int, faithful: bool) -> None:
        """Reports arrive; on a line that is not faithful in any order, some twice, some late, some never."""
        reports, self.unheard = self.unheard, []
        rng = Random(seed)
        if not faithful:
            rng.shuffle(reports)
        for report in reports:
            fate = (
                "arrives" if faithful else rng.choice(("arrives", "twice", "kept", "late", "lost"))
            )
            if fate in ("late", "kept"):
                self.unheard.append(report)
            for _ in range({"arrives": 1, "twice": 2, "kept": 1}.get(fate, 0)):
                self.report(report)
            if rng.random() < 0.3:
                self.settle()
        self.settle()

    @precondition(lambda self: self.arrived)
    @rule(seed=PICK, count=st.integers(1, 6), faithful=st.booleans())
    def orders_fill_and_it_is_heard(self, seed: int, count: int, faithful: bool) -> None:
        self.orders_fill(seed, count)
        self.hear(seed, faithful)

    @rule(
        orders=st.lists(st.tuples(SIDES, st.integers(1, 30), OWNERS), min_size=1, max_size=4),
        seed=PICK,
    )
    def a_good_day(self, orders: list[tuple[Direction, int, str]], seed: int) -> None:
        self.send(orders)
        if self.arrived:
            self.orders_fill(seed, len(orders))
        self.hear(seed, faithful=seed % 4 > 0)

    def report(self, report: Any) -> None:
        venue = self.desk.venue
        (venue.on_trade if isinstance(report, TradeData) else venue.on_order)(report)

    def answer(self) -> None:
        """The OMS asks how the account stands."""
        if self.answers:
            self.desk.venue.on_snapshot(self.snapshot())

    @rule(rarely=RARELY)
    def the_line_goes_or_comes(self, rarely: int) -> None:
        self.answers = bool(rarely)

    @rule()
    def compare_without_fills(self) -> None:
        """The venue lists no fills, so what is missing is made up."""
        poor = replace(self.snapshot(), fills=(), fills_since=None)
        self.desk.venue.on_snapshot(poor)
        self.settle()

    def snapshot(self) -> VenueSnapshot:
        lots = self.true_lots()
        held = PositionData(f"SIM.{SYMBOL}.NET", SYMBOL, Direction.NET, lots / LOT, price=100.0)
        return VenueSnapshot(
            "SIM",
            self.now,
            tuple(self.arrived.values()),
            tuple(self.fills.values()),
            (held,) if lots else (),
            open_orders_complete=True,
            history_since=0,
            fills_since=0,
        )

    @rule()
    def compare(self) -> None:
        self.desk.venue.on_snapshot(self.snapshot())
        self.settle()

    # --- the world ----------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.001, 1.0, 15.0]))
    def time_passes(self, seconds: float) -> None:
        self.desk.wait(seconds)
        self.settle()

    @rule(rarely=RARELY)
    def disk_fails(self, rarely: int) -> None:
        self.disk.failing = self.disk.failing or not rarely

    @precondition(lambda self: self.disk.failing)
    @rule()
    def disk_works(self) -> None:
        self.disk.failing = False
        self.desk.wait(1.5)
        self.settle()
        assert not self.stalled

    @rule(owner=st.sampled_from(["", "trend"]), rarely=RARELY)
    def halt(self, owner: str, rarely: int) -> None:
        if rarely:
            return
        self.halts.add(owner)
        try:
            self.desk.oms.halt_trading("a test", owner)
            self.kept_halts.add(owner)
        except OmsError:
            assert self.stalled
        self.settle()

    @precondition(lambda self: self.halts)
    @rule(number=PICK)
    def resume(self, number: int) -> None:
        owner = self.pick(self.halts, number)
        self.halts.discard(owner)
        try:
            assert self.desk.oms.resume_trading("a test", owner)
            self.kept_halts.discard(owner)
        except OmsError:
            assert self.stalled
        self.settle()

    @rule(clean=st.booleans())
    def restart(self, clean: bool) -> None:
        if clean and not self.disk.failing:
            self.desk.main.close()
        self.rows = copy.copy(self.rows)  # what the old process still does reaches nobody
        self.halts = set(self.kept_halts)
        self.waiting.clear()
        self.boot()

    # --- what always holds --------------------------------------------------------------------------------

    def true_lots(self) -> int:
        return sum(signed(fill) for fill in self.fills.values())

    @invariant()
    def what_was_told_is_on_the_disk(self) -> None:
        for key, told in self.told.items():
            kept = self.rows.get(f"orders/{key}")
            assert kept is not None, f"{key} was told and is lost"
            assert kept.traded >= told.traded
            assert told.status not in ENDED or kept.status is told.status
        for key in self.told_fills:
            assert f"trades/{key}" in self.rows

    @invariant()
    def what_was_sent_is_on_the_disk(self) -> None:
        for key in self.arrived:
            assert ".hand-" in key or f"orders/{key}" in self.rows

    @invariant()
    def the_disk_adds_up(self) -> None:
        """Of each fill of the venue's at most one is kept, and what is held is their sum."""
        kept = [row for key, row in self.rows.items() if key.startswith("trades/")]
        lots = sum(signed(trade) for trade in kept)
        row = self.rows.get(f"positions/SIM.{SYMBOL}.NET")
        assert (row[0] if row else 0) == lots
        for trade in kept:
            assert trade.vt_tradeid in self.fills or is_synthetic(trade), f"{trade} is nobody's"

    @invariant()
    def halts_are_in_force(self) -> None:
        assert self.halts == set(self.desk.oms.gate.halts)

    def teardown(self) -> None:
        """When all is quiet, both sides agree."""
        if not hasattr(self, "disk"):
            return
        self.disk.failing = False
        self.answers = True
        self.desk.wait(1.5)
        self.settle()
        for _ in range(2):
            self.desk.wait(15.0)
            self.settle()
            self.compare()
        self.agree()
        rows = dict(self.rows)
        self.compare()
        assert self.rows == rows, "a second pass changed something"
        self.desk.main.close()

    def agree(self) -> None:
        oms = self.desk.oms
        assert not oms.gate.blocks
        assert not oms.doubtful
        ours = {order.vt_orderid: order for order in each(oms.orders_page, PageQuery())}
        for key, theirs in self.arrived.items():
            own = ours.get(key)
            if own is None:
                assert ".hand-" in key
                assert theirs.status in ENDED
                assert not theirs.traded
            else:
                assert (own.status, own.traded) == (theirs.status, theirs.traded)
        for key, own in ours.items():
            assert key in self.arrived or own.status in ENDED
        trades = {trade.vt_tradeid for trade in each(oms.trades_page, PageQuery())}
        assert trades >= set(self.fills)
        leg = oms.positions.legs.get(f"SIM.{SYMBOL}.NET")
        assert (leg.book.lots if leg else 0) == self.true_lots()


def signed(trade: TradeData) -> int:
    """Lots of a fill, negative for a sale."""
    lots = round(trade.volume * LOT)
    return lots if trade.direction is Direction.LONG else -lots


TestOmsLife = OmsLife.TestCase
TestOmsLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
