"""F12: an OMS on a file and a venue that does not agree with it: each difference is mended or blocks, for good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from foxtrot.core.constants import Direction, OrderType, Status
from foxtrot.core.objects import OrderRequest
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.oms.reconcile_types import Code
from foxtrot.server.oms.reconciler import Reconciliation, reconcile
from foxtrot.server.persistence_query import PageQuery, each
from foxtrot.server.persistence_verify import verify_state
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault, MustHold
from tests.chaos.local import DIGITS, FileDesk
from tests.property.test_reconciler_divergences import KINDS, World, legs
from tests.unit.server.test_reconcile_desk import CONTRACTS, GOLD, NOW, account

TOLD = (Code.ORDER_FINAL_STATE, Code.ORDER_UNLISTED)
"""Differences that are told, and neither mended nor of any harm."""


def begin(world: World, path: Path) -> FileDesk:
    """An OMS that has sent the world's orders."""
    contracts = [replace(contract, adapter_name="SIM") for contract in CONTRACTS.values()]
    desk = FileDesk(path, contracts, policy=world.policy)
    desk.tell(account(100_000.0))
    for order in world.sent:
        desk.clock.ns = order.ts_event
        request = OrderRequest(
            order.vt_symbol,
            order.direction,
            order.type,
            order.volume,
            order.price,
            offset=order.offset,
            strategy=order.strategy,
            vt_orderid=order.vt_orderid,
        )
        desk.main.send_order(request, "SIM")
    desk.drain()
    assert len(desk.venue.sent) == len(world.sent), desk.logs
    return desk


def again(desk: FileDesk, *, clean: bool) -> FileDesk:
    """The next life on the same file."""
    if clean:
        desk.main.close()
    else:
        desk.die()
    after = FileDesk(desk.db.path, (), policy=desk.oms.policy)
    after.clock.ns = max(NOW, desk.clock.now())
    after.oms.load_state()
    return after


def silent(desk: FileDesk, world: World, venue: VenueSnapshot, result: Reconciliation) -> list[str]:
    """What is different from the venue after the comparison, and does not block."""
    deferred = set(result.deferred)
    return [
        *silent_positions(desk, world, venue, deferred),
        *silent_orders(desk, venue, deferred),
        *([] if deferred else silent_balances(desk, venue)),
    ]


def silent_positions(
    desk: FileDesk, world: World, venue: VenueSnapshot, deferred: set[str]
) -> Iterator[str]:
    assert venue.positions is not None
    shown, held = legs(list(venue.positions)), legs(desk.main.get_all_positions())
    true = legs(list(world.truth.own().positions))
    for key in sorted({*shown, *held, *true}):
        symbol = key[0]
        barred_all = desk.oms.gate.refusal("SIM", "", symbol)
        if barred_all or symbol in deferred or owners_barred(desk, symbol):
            continue
        if held.get(key) != shown.get(key):
            yield f"{key}: {held.get(key)} here, {shown.get(key)} there"
        if not world.lies and held.get(key) != true.get(key):
            yield f"{key}: {held.get(key)} here, {true.get(key)} is true"


def silent_orders(desk: FileDesk, venue: VenueSnapshot, deferred: set[str]) -> Iterator[str]:
    said = {one.what for one in desk.oms.discrepancies["SIM"] if one.code in TOLD} | deferred
    listed = {order.vt_orderid: order for order in venue.orders}
    for own in each(desk.oms.orders_page, PageQuery()):
        if own.vt_orderid in said or barred(desk, own.strategy, own.vt_symbol):
            continue
        theirs = listed.get(own.vt_orderid)
        if theirs is None:
            if own.is_active() and venue.open_orders_complete:
                yield f"{own} is not listed"
        elif own.status is not theirs.status or own.traded != pytest.approx(theirs.traded):
            yield f"{own} is {theirs}"


def silent_balances(desk: FileDesk, venue: VenueSnapshot) -> Iterator[str]:
    for theirs in venue.accounts:
        ours = desk.main.get_account("SIM.USD")
        balance = ours.balance if ours else 0.0
        free = not desk.oms.gate.refusal("SIM", "", "")
        if free and balance != pytest.approx(theirs.balance, abs=0.011):
            yield f"balance {balance} here, {theirs.balance} there"


def barred(desk: FileDesk, strategy: str, vt_symbol: str) -> str:
    """Why a strategy may not send an order in an instrument; empty where it may."""
    request = OrderRequest(vt_symbol, Direction.LONG, OrderType.MARKET, 1.0, strategy=strategy)
    return desk.oms._barred(request, "SIM")


def owners_barred(desk: FileDesk, vt_symbol: str) -> bool:
    """Whether those whose orders make up what is held of an instrument may not trade it."""
    owners = {
        order.strategy for order in desk.oms.orders.orders.values() if order.vt_symbol == vt_symbol
    }
    return any(barred(desk, owner, vt_symbol) for owner in owners)


def blocks_hold(desk: FileDesk, number: int) -> list[str]:
    """Send an order into each block; what was not denied for it."""
    found = []
    for n, (block, reason) in enumerate(list(desk.oms.gate.blocks.items())):
        request = OrderRequest(
            block.vt_symbol or GOLD,
            Direction.LONG,
            OrderType.MARKET,
            1.0,
            strategy=block.strategy or "s1",
            vt_orderid=f"SIM.try-{number}-{n}",
        )
        desk.main.send_order(request, "SIM")
        desk.drain()
        order = desk.main.get_order(request.vt_orderid)
        if order is None or order.status is not Status.DENIED or not reason:
            found.append(f"{block} ({reason}) let {order} pass")
    return found


def diverge(fault: Fault, number: int, path: Path) -> None:
    """One world: compare, compare again, begin anew."""
    kind, seed = KINDS[number % len(KINDS)], number // len(KINDS)
    world = World(seed)
    kind(world)
    venue = world.snapshot()
    desk = begin(world, path)
    desk.tell(*world.own_stream)
    desk.clock.ns = NOW
    if number % 3 == 2:  # it died in the middle, so some orders are UNKNOWN
        desk = again(desk, clean=False)
    expected = reconcile(venue, desk.oms._own_state("SIM"), world.policy)
    desk.tell(venue)
    where = f"{kind.__name__} {seed}"
    notes: dict[str, Any] = fault.notes
    notes["silent"] += [f"{where}: {one}" for one in silent(desk, world, venue, expected)]
    notes["silent"] += [f"{where}: {error}" for error in desk.errors]
    notes["silent"] += [
        f"{where}: {one} without a reason"
        for one in desk.oms.discrepancies["SIM"]
        if not one.explanation
    ]
    rows, head, blocks = desk.rows(), desk.db.journal.head, dict(desk.oms.gate.blocks)
    desk.tell(venue)
    if (desk.rows(), desk.db.journal.head, desk.oms.gate.blocks) != (rows, head, blocks):
        fault.duplicated += 1
        notes["silent"].append(f"{where}: a second pass changed something")
    if not verify_state(desk.db, DIGITS).ok:
        notes["silent"].append(f"{where}: verify")
    desk = again(desk, clean=number % 2 == 0)
    if desk.oms.gate.blocks != blocks:
        fault.lost += 1
    notes["silent"] += [f"{where}: {one}" for one in blocks_hold(desk, number)]
    notes["blocks"] += len(blocks)
    notes["mended"] += not blocks
    notes["reports_folded"] += len(expected.reports)
    fault.detected += bool(blocks)
    desk.main.close()


def test_f12_every_divergence_is_mended_or_blocks_and_goes_on_blocking(
    chaos: Chaos, tmp_path: Path
) -> None:
    must: MustHold = NOTHING_LOST_OR_DOUBLED | {
        "mended, or blocked with a reason": lambda fault: fault.notes["silent"] == [],
    }
    title = "divergence between venue and OMS, compared twice and after a restart"
    few = len(KINDS)
    with chaos.fault("F12", title, runs=(few, 500), must_hold=must) as fault:
        fault.notes.update(silent=[], mended=0, blocks=0, reports_folded=0)
        for run in fault.runs():
            path = tmp_path / f"{run.number}.db"
            diverge(fault, run.number, path)
            for old in tmp_path.glob(f"{run.number}.db*"):
                old.unlink()
