"""Seeded divergences between a venue and us: each is mended or blocked with a reason, and a second pass adds nothing.

A world is a true course of events. The venue's desk has folded all of it; ours only what a faulty line let through.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from foxtrot.core.constants import Direction, Offset, OrderType, Status
from foxtrot.core.objects import OrderData, PositionData, TradeData
from foxtrot.server.oms.reconciler import (
    Block,
    CashFlow,
    Code,
    ReconcilePolicy,
    Reconciliation,
    Report,
    VenueSnapshot,
)
from tests.unit.server.test_reconcile_desk import (
    COIN,
    CONTRACTS,
    GOLD,
    LONG,
    NOW,
    RICE,
    SECOND,
    SHORT,
    T0,
    Desk,
    account,
    position,
)

TERMINAL = (Status.ALLTRADED, Status.CANCELLED, Status.REJECTED, Status.EXPIRED)


class World:
    """A true course of events, and what each side got of it."""

    def __init__(self, seed: int) -> None:
        self.rng = Random(seed)
        self.size = 1 + seed % 6  # magnitude: how many orders, how many units
        self.truth = Desk()
        self.ours = Desk()
        self.sent: list[OrderData] = []
        self.arrived: set[str] = set()
        self.stream: list[Report] = []  # in true order
        self.own_stream: list[Report] = []
        self.ts = T0
        self.trade_number = 0
        self.policy = ReconcilePolicy(digits={"USD": 2})
        self.snapshot_edits: list[Callable[[VenueSnapshot], VenueSnapshot]] = []
        self.lies = False  # whether the venue's snapshot is false, and not only incomplete
        opening = account(100_000.0)
        self.truth.fold(opening)
        self.ours.fold(opening)
        for n in range(self.size):
            self.trade_one(f"o{n}", own=True)

    def tick(self) -> int:
        self.ts += SECOND
        return self.ts

    def trade_one(self, name: str, own: bool) -> OrderData:
        """Send an order and let it live its life at the venue."""
        rng = self.rng
        vt_symbol = rng.choice([GOLD, COIN, RICE])
        lot = CONTRACTS[vt_symbol].min_volume
        lots = rng.randint(1, 3 * self.size)
        side = rng.choice([LONG, SHORT])
        market = rng.random() < 0.2
        one = OrderData(
            f"SIM.{name}",
            vt_symbol,
            side,
            OrderType.MARKET if market else OrderType.LIMIT,
            round(lots * lot, 10),
            0.0 if market else (110.0 if side is LONG else 90.0),
            offset=Offset.OPEN if vt_symbol == RICE else Offset.NONE,
            strategy=rng.choice(["s1", "s2"]) if own else "",
            ts_event=self.tick(),
            ts_init=self.ts,
        )
        if own:
            self.sent.append(one)
            self.ours.orders.add(one)
        if not own or rng.random() < 0.9:
            self.live_on(one, lots, lot)
        return one

    def live_on(self, one: OrderData, lots: int, lot: float) -> None:
        rng = self.rng
        self.arrived.add(one.vt_orderid)
        one = replace(one, venue_orderid=f"v-{one.orderid}", strategy="")
        if rng.random() < 0.1:
            self.happen(replace(one, status=Status.REJECTED, reason="no", ts_event=self.tick()))
            return
        self.happen(replace(one, status=Status.NOTTRADED, ts_event=self.tick()))
        left, traded, cost = rng.choice([lots, lots, rng.randint(0, lots)]), 0, 0.0
        while left:
            part = rng.randint(1, left)
            price = round(rng.uniform(90.0, 110.0), 2)
            left, traded, cost = left - part, traded + part, cost + part * price
            self.trade_number += 1
            self.happen(
                TradeData(
                    f"SIM.x{self.trade_number}",
                    one.vt_orderid,
                    one.vt_symbol,
                    one.direction,
                    price,
                    round(part * lot, 10),
                    self.tick(),
                    offset=one.offset,
                    commission=rng.choice([0.0, 0.25]),
                )
            )
            one = replace(
                one,
                status=Status.ALLTRADED if traded == lots else Status.PARTTRADED,
                traded=round(traded * lot, 10),
                average_price=cost / traded,
                ts_event=self.ts,
            )
            self.happen(one)
        if traded < lots and rng.random() < 0.4:
            status = rng.choice([Status.CANCELLED, Status.EXPIRED])
            self.happen(replace(one, status=status, ts_event=self.tick()))

    def happen(self, report: Report) -> None:
        self.truth.fold(report)
        self.stream.append(report)
        if isinstance(report, OrderData | TradeData) and report.vt_orderid in {
            sent.vt_orderid for sent in self.sent
        }:
            self.own_stream.append(report)

    def edit(self, change: Callable[[VenueSnapshot], VenueSnapshot]) -> None:
        self.snapshot_edits.append(change)

    def snapshot(self) -> VenueSnapshot:
        """What the venue says: its newest record of each order with its own average price."""
        newest = {r.vt_orderid: r for r in self.stream if isinstance(r, OrderData)}
        venue = VenueSnapshot(
            "SIM",
            NOW,
            tuple(newest.values()),
            tuple(r for r in self.stream if isinstance(r, TradeData)),
            tuple(p for p in self.truth.own().positions if p.volume),
            (account(self.truth.balance()),),
            True,
            0,
            0,
        )
        for change in self.snapshot_edits:
            venue = change(venue)
        return venue


# --- the kinds of divergence --------------------------------------------------------------------------------


def lost_acks(world: World) -> None:
    world.own_stream = [r for r in world.own_stream if isinstance(r, TradeData)]


def lost_fills(world: World) -> None:
    world.own_stream = [
        r for r in world.own_stream if not isinstance(r, TradeData) or world.rng.random() < 0.5
    ]


def lost_everything(world: World) -> None:
    world.own_stream = []


def lost_tail(world: World) -> None:
    keep = world.rng.randint(0, len(world.own_stream))
    world.own_stream = world.own_stream[:keep]


def duplicated(world: World) -> None:
    world.own_stream = [r for r in world.own_stream for _ in range(world.rng.randint(0, 3))]
    world.edit(lambda v: replace(v, fills=v.fills * 2, orders=v.orders * 2))


def out_of_order(world: World) -> None:
    world.rng.shuffle(world.own_stream)
    orders = list(world.snapshot().orders)
    world.rng.shuffle(orders)
    world.edit(lambda v: replace(v, orders=tuple(orders), fills=v.fills[::-1]))


def partial_fill_list(world: World) -> None:
    lost_fills(world)
    hidden = {r.vt_tradeid for r in world.stream if isinstance(r, TradeData)}
    hidden = {vt_tradeid for vt_tradeid in sorted(hidden) if world.rng.random() < 0.5}
    world.edit(lambda v: replace(v, fills=tuple(f for f in v.fills if f.vt_tradeid not in hidden)))


def no_fill_list(world: World) -> None:
    lost_fills(world)
    world.edit(lambda v: replace(v, fills=(), fills_since=None))


def no_fills_no_average(world: World) -> None:
    no_fill_list(world)
    world.edit(lambda v: replace(v, orders=tuple(replace(o, average_price=0.0) for o in v.orders)))


def external_orders(world: World) -> None:
    for n in range(2 * world.size):
        world.trade_one(f"ext{n}", own=False)


def external_fills_only(world: World) -> None:
    external_orders(world)
    world.edit(
        lambda v: replace(v, orders=tuple(o for o in v.orders if ".ext" not in o.vt_orderid))
    )


def closed_position(world: World) -> None:
    world.lies = True
    world.edit(lambda v: replace(v, positions=()))


def other_position(world: World) -> None:
    world.lies = True
    extra = CONTRACTS[GOLD].min_volume * world.size

    def change(venue: VenueSnapshot) -> VenueSnapshot:
        assert venue.positions is not None
        gold = [p for p in venue.positions if p.vt_symbol == GOLD]
        rest = tuple(p for p in venue.positions if p.vt_symbol != GOLD)
        held = gold[0].volume if gold else 0.0
        return replace(venue, positions=(*rest, position(held + extra)))

    world.edit(change)


def long_held(world: World) -> None:
    held = position(float(world.size), 80.0)
    fresh = Desk()
    fresh.fold(account(100_000.0), held, *world.stream)
    world.truth = fresh
    if world.size % 2:
        world.own_stream = [r for r in world.own_stream if not _is_gold_fill(r)]


def _is_gold_fill(report: Report) -> bool:
    return isinstance(report, TradeData) and report.vt_symbol == GOLD


def balance_difference(world: World) -> None:
    world.edit(lambda v: replace(v, accounts=(account(v.accounts[0].balance - world.size),)))


def balance_above_limit(world: World) -> None:
    world.policy = ReconcilePolicy(digits={"USD": 2}, balance_limits={"USD": 3.0})
    balance_difference(world)


def funding(world: World) -> None:
    world.policy = ReconcilePolicy(digits={"USD": 2}, balance_limits={"USD": 0.0})
    balance_difference(world)
    flow = CashFlow("USD", -float(world.size), "funding")
    world.edit(lambda v: replace(v, cash_flows=(flow,)))


def wrong_average(world: World) -> None:
    no_fill_list(world)
    factor = world.rng.choice([0.01, 0.9, 1.1, 50.0, -1.0])
    world.edit(
        lambda v: replace(
            v, orders=tuple(replace(o, average_price=o.average_price * factor) for o in v.orders)
        )
    )


def vanished_orders(world: World) -> None:
    gone = {sent.vt_orderid for sent in world.sent if world.rng.random() < 0.5}
    lost_tail(world)
    world.edit(lambda v: replace(v, orders=tuple(o for o in v.orders if o.vt_orderid not in gone)))


def poor_venue(world: World) -> None:
    lost_tail(world)
    world.edit(
        lambda v: replace(
            v,
            orders=tuple(o for o in v.orders if o.status not in TERMINAL),
            open_orders_complete=world.size % 2 == 0,
            history_since=None,
        )
    )


def too_early(world: World) -> None:
    lost_everything(world)
    world.edit(lambda v: replace(v, ts=T0, orders=(), fills=(), positions=(), accounts=()))
    world.truth = Desk()
    world.truth.fold(account(100_000.0))
    world.stream = []


def traded_fell(world: World) -> None:
    world.edit(
        lambda v: replace(
            v,
            orders=tuple(
                replace(o, status=Status.NOTTRADED, traded=0.0, average_price=0.0) for o in v.orders
            ),
        )
    )


def changed_fills(world: World) -> None:
    lost_fills(world)
    world.lies = True
    world.edit(
        lambda v: replace(
            v,
            fills=tuple(
                replace(f, volume=f.volume * 2) if n % 2 else f for n, f in enumerate(v.fills)
            ),
        )
    )


def renamed_fills(world: World) -> None:
    world.edit(
        lambda v: replace(
            v, fills=tuple(replace(f, vt_tradeid=f.vt_tradeid + "-b") for f in v.fills)
        )
    )


def recovered_as_unknown(world: World) -> None:
    lost_tail(world)
    for sent in world.sent:
        if world.rng.random() < 0.7:
            world.own_stream.append(replace(sent, status=Status.UNKNOWN, reason="crash"))


KINDS = (
    lost_acks,
    lost_fills,
    lost_everything,
    lost_tail,
    duplicated,
    out_of_order,
    partial_fill_list,
    no_fill_list,
    no_fills_no_average,
    external_orders,
    external_fills_only,
    closed_position,
    other_position,
    long_held,
    balance_difference,
    balance_above_limit,
    funding,
    wrong_average,
    vanished_orders,
    poor_venue,
    too_early,
    traded_fell,
    changed_fills,
    renamed_fills,
    recovered_as_unknown,
)
SEEDS = 20
assert len(KINDS) * SEEDS == 500


# --- what must hold -----------------------------------------------------------------------------------------


def blocked(result: Reconciliation, vt_symbol: str, strategy: str = "") -> bool:
    ways = {Block("SIM"), Block("SIM", vt_symbol), Block("SIM", vt_symbol, strategy)}
    return bool(ways & result.blocks)


def legs(
    positions: tuple[PositionData, ...] | list[PositionData],
) -> dict[tuple[str, Direction], float]:
    return {(p.vt_symbol, p.direction): round(p.volume, 8) for p in positions if p.volume}


def check(world: World, venue: VenueSnapshot, result: Reconciliation) -> None:
    ours = world.ours
    told = (Code.ORDER_FINAL_STATE, Code.ORDER_UNLISTED)
    said = {found.what for found in result.discrepancies if found.code in told}
    assert all(found.explanation for found in result.discrepancies)
    assert venue.positions is not None
    shown, held, true = (
        legs(list(venue.positions)),
        legs(list(ours.own().positions)),
        legs(list(world.truth.own().positions)),
    )
    for key in {*shown, *held, *true}:
        if blocked(result, key[0]) or key[0] in result.deferred:
            continue
        assert held.get(key) == shown.get(key), f"{key}: silently traded on"
        assert world.lies or held.get(key) == true.get(key), f"{key}: not what is true"
    listed = {o.vt_orderid: o for o in venue.orders}
    for vt_orderid, own in ours.orders.orders.items():
        theirs = listed.get(vt_orderid)
        if blocked(result, own.vt_symbol, own.strategy) or vt_orderid in {*result.deferred, *said}:
            continue
        if theirs is None:
            assert not own.is_active() or not venue.open_orders_complete
        else:
            assert own.status is theirs.status
            assert own.traded == pytest.approx(theirs.traded)
            assert ours.orders.filled(vt_orderid) == pytest.approx(own.traded)
    for theirs_account in venue.accounts:
        if not result.deferred and Block("SIM") not in result.blocks:
            assert ours.balance() == pytest.approx(theirs_account.balance, abs=0.011)


def diverge(seed: int, kinds: list[Callable[[World], None]]) -> tuple[World, VenueSnapshot]:
    world = World(seed)
    for kind in kinds:
        kind(world)
    world.ours.fold(*world.own_stream)
    return world, world.snapshot()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_divergence_is_mended_or_blocked_and_a_second_pass_adds_nothing(
    kind: Callable[[World], None],
) -> None:
    for seed in range(SEEDS):
        world, venue = diverge(seed, [kind])
        check(world, venue, world.ours.reconcile(venue, world.policy))


@settings(max_examples=150)
@given(
    st.integers(0, 10**9),
    st.lists(st.sampled_from([k for k in KINDS if k is not too_early]), min_size=2, max_size=4),
)
def test_divergences_together_are_mended_or_blocked(
    seed: int, kinds: list[Callable[[World], None]]
) -> None:
    world, venue = diverge(seed, kinds)
    check(world, venue, world.ours.reconcile(venue, world.policy))


HONEST = (lost_acks, lost_fills, lost_everything, lost_tail, out_of_order, partial_fill_list)


@settings(max_examples=150)
@given(st.integers(0, 10**9), st.sampled_from((*HONEST, no_fill_list, recovered_as_unknown)))
def test_real_fills_that_come_after_their_synthetic_ones_count_once(
    seed: int, kind: Callable[[World], None]
) -> None:
    world, venue = diverge(seed, [kind])
    world.ours.reconcile(venue, world.policy)
    late = list(world.stream)
    world.rng.shuffle(late)
    world.ours.live(*late)
    for vt_symbol in CONTRACTS:
        assert world.ours.net(vt_symbol) == pytest.approx(world.truth.net(vt_symbol))
    full = replace(
        venue,
        fills=tuple(r for r in world.stream if isinstance(r, TradeData)),
        fills_since=0,
    )
    world.ours.reconcile(full, world.policy)
    after = world.ours.reconcile(full, world.policy)
    assert after.reports == ()
    assert legs(list(world.ours.own().positions)) == legs(list(world.truth.own().positions))


@settings(max_examples=100)
@given(st.integers(0, 10**9))
def test_a_fill_after_a_synthetic_one_moves_the_position_on(seed: int) -> None:
    """The order works on after the gap was closed: later fills are new, the late real ones are not."""
    world, venue = diverge(seed, [no_fill_list])
    world.ours.reconcile(venue, world.policy)
    before = len(world.stream)
    world.ts = NOW
    for vt_orderid in [o.vt_orderid for o in venue.orders if o.is_active()]:
        one = world.truth.orders.orders[vt_orderid]
        lot = CONTRACTS[one.vt_symbol].min_volume
        world.trade_number += 1
        number = f"SIM.x{world.trade_number}"
        world.happen(
            TradeData(
                number,
                vt_orderid,
                one.vt_symbol,
                one.direction,
                99.0,
                lot,
                world.tick(),
                one.offset,
            )
        )
    old = world.stream[:before]
    world.rng.shuffle(old)
    mixed: list[Report] = [*world.stream[before:], *old]
    world.rng.shuffle(mixed)
    world.ours.live(*mixed)
    for vt_symbol in CONTRACTS:
        assert world.ours.net(vt_symbol) == pytest.approx(world.truth.net(vt_symbol))


def test_the_generator_covers_blocks_synthetic_fills_and_adoptions() -> None:
    codes: set[Code] = set()
    for kind in KINDS:
        for seed in range(SEEDS):
            world, venue = diverge(seed, [kind])
            codes |= {
                found.code for found in world.ours.reconcile(venue, world.policy).discrepancies
            }
    assert codes >= {
        Code.ORDER_UNKNOWN,
        Code.ORDER_MISSING,
        Code.ORDER_NEVER_ARRIVED,
        Code.ORDER_EXTERNAL,
        Code.TRADED_FELL,
        Code.AVERAGE_PRICE,
        Code.FILL_CHANGED,
        Code.FILLS_EXCEED_ORDER,
        Code.FILL_SYNTHETIC,
        Code.FILL_UNPRICED,
        Code.POSITION,
        Code.POSITION_OPENED,
        Code.BALANCE,
        Code.BALANCE_LIMIT,
    }
