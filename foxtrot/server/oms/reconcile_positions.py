"""Positions: ours, with the fills to be folded, against the venue's.

Invariants: compared in whole lots. A holding that fills do not explain is booked only as an opening entry, and
only where we never had a fill or a holding in the instrument and nothing about it is in doubt; otherwise the
instrument is blocked.
"""

from __future__ import annotations

from collections import Counter
from math import isfinite

from msgspec.structs import replace

from foxtrot.core.constants import Direction, Offset, Status
from foxtrot.core.objects import PositionData, TradeData
from foxtrot.server.oms.reconcile_types import Code
from foxtrot.server.oms.reconcile_work import Work

Legs = Counter[Direction]
"""Signed lots by leg: a SHORT leg's are negative."""


def reconcile_positions(work: Work) -> None:
    """Compare every instrument that either side holds."""
    ours = _own_legs(work)
    for vt_symbol in ours:
        if work.own.last_fill_ts(vt_symbol) > work.horizon:
            work.deferred.add(vt_symbol)
    if work.venue.positions is None:
        return
    theirs: dict[str, list[PositionData]] = {}
    for position in work.venue.positions:
        theirs.setdefault(position.vt_symbol, []).append(position)
    effects: dict[str, Legs] = {}
    for fill in work.fills:
        effects.setdefault(fill.vt_symbol, Counter())[leg_of(work, fill)] += signed_lots(work, fill)
    for vt_symbol in sorted({*ours, *theirs, *effects}):
        if work.own.last_fill_ts(vt_symbol) > work.horizon:
            work.deferred.add(vt_symbol)
        if vt_symbol not in work.deferred:
            _compare(
                work,
                vt_symbol,
                ours.get(vt_symbol, Counter()),
                effects.get(vt_symbol, Counter()),
                theirs.get(vt_symbol, []),
            )


def leg_of(work: Work, fill: TradeData) -> Direction:
    """The leg that a fill moves, as the ``PositionManager`` decides it."""
    if work.contract(fill.vt_symbol).net_position:
        return Direction.NET
    if fill.offset in (Offset.OPEN, Offset.NONE):
        return fill.direction
    return Direction.SHORT if fill.direction is Direction.LONG else Direction.LONG


def signed_lots(work: Work, fill: TradeData) -> int:
    """Lots of a fill, negative for a sale."""
    lots = work.lot(fill.vt_symbol).to_lots(fill.volume)
    return lots if fill.direction is Direction.LONG else -lots


def _own_legs(work: Work) -> dict[str, Legs]:
    """Our legs that hold anything, by instrument."""
    prefix = work.adapter + "."
    legs: dict[str, Legs] = {}
    for position in work.own.positions:
        if position.volume and position.vt_positionid.startswith(prefix):
            lots = work.lot(position.vt_symbol).to_lots(position.volume)
            signed = -lots if position.direction is Direction.SHORT else lots
            legs.setdefault(position.vt_symbol, Counter())[position.direction] += signed
    return legs


def _compare(
    work: Work, vt_symbol: str, ours: Legs, effect: Legs, listed: list[PositionData]
) -> None:
    theirs: Legs = Counter()
    for position in listed:
        lots = work.lots(vt_symbol, position.volume)
        if lots is None:
            _block(work, vt_symbol, _words(work, vt_symbol, ours), repr(position.volume))
            return
        theirs[position.direction] += -lots if position.direction is Direction.SHORT else lots
    expected: Legs = Counter(ours)
    expected.update(effect)
    netted = work.contract(vt_symbol).net_position or theirs[Direction.NET] != 0
    if netted:
        expected, theirs = _net(expected), _net(theirs)
    gaps = {leg: theirs[leg] - expected[leg] for leg in sorted({*expected, *theirs})}
    gaps = {leg: gap for leg, gap in gaps.items() if gap}
    if not gaps:
        return
    # An opening entry is part of what the venue holds, so it has the holding's sign.
    if _may_open(work, vt_symbol, ours) and all(gap * theirs[leg] > 0 for leg, gap in gaps.items()):
        for leg, gap in gaps.items():
            _open(work, vt_symbol, leg, gap, listed)
        return
    _block(
        work,
        vt_symbol,
        _words(work, vt_symbol, expected),
        _words(work, vt_symbol, theirs),
    )


def _net(legs: Legs) -> Legs:
    return Counter({Direction.NET: sum(legs.values())})


def _may_open(work: Work, vt_symbol: str, ours: Legs) -> bool:
    """Whether the holding can only be older than all we know: no history, and nothing in doubt or in flight."""
    if work.own.last_fill_ts(vt_symbol) or any(ours.values()) or work.is_blocked(vt_symbol):
        return False
    in_flight = (Status.SUBMITTING, Status.UNKNOWN)
    return not any(
        order.vt_symbol == vt_symbol
        and order.status in in_flight
        and order.vt_orderid not in work.listed
        and order.adapter_name == work.adapter
        and not _closes_now(work, order.vt_orderid)
        for order in work.own.active.values()
    )


def _closes_now(work: Work, vt_orderid: str) -> bool:
    return any(order.vt_orderid == vt_orderid for order in work.orders)


def _open(
    work: Work, vt_symbol: str, leg: Direction, lots: int, listed: list[PositionData]
) -> None:
    """One opening entry, so that with the new fills the position is the venue's."""
    same_leg = [position for position in listed if position.direction is leg]
    known = next(iter(same_leg or listed), None)
    if leg is Direction.NET and not work.contract(vt_symbol).net_position:
        leg = Direction.LONG if lots > 0 else Direction.SHORT
    units = work.lot(vt_symbol).from_lots(lots)
    volume = units if leg is Direction.NET else abs(units)
    price = _opening_price(work, vt_symbol, known, units)
    yesterday = min(known.yd_volume, abs(units)) if known is not None else 0.0
    entry = PositionData(
        f"{work.adapter}.{vt_symbol}.{leg.value}",
        vt_symbol,
        leg,
        volume,
        price=price,
        yd_volume=yesterday,
        ts_event=work.venue.ts,
        ts_init=work.venue.ts,
    )
    work.openings.append(entry if known is None else replace(entry, account=known.account))
    work.note(
        Code.POSITION_OPENED,
        entry.vt_positionid,
        "no fill and no holding ever",
        repr(volume),
        f"{vt_symbol} was held before our first fill; {units!r} at {price!r} is booked as the opening entry",
    )


def _opening_price(work: Work, vt_symbol: str, known: PositionData | None, units: float) -> float:
    """Entry price of what was held before the fills, such that all together average to the venue's price."""
    if known is None or not isfinite(known.price):
        return 0.0
    held = -known.volume if known.direction is Direction.SHORT else known.volume
    cost = known.price * held
    for fill in work.fills:
        if fill.vt_symbol == vt_symbol:
            sign = 1.0 if fill.direction is Direction.LONG else -1.0
            if sign * held <= 0.0:
                return known.price  # the fills closed something: the average tells nothing of them
            cost -= sign * fill.price * fill.volume
    price = cost / units
    return price if isfinite(price) and price > 0.0 else known.price


def _block(work: Work, vt_symbol: str, ours: str, theirs: str) -> None:
    """A difference that nothing explains."""
    work.note(
        Code.POSITION,
        f"{work.adapter}.{vt_symbol}",
        ours,
        theirs,
        f"{vt_symbol}: by our fills we hold {ours}, the venue says {theirs}; no fill explains the difference, so "
        "nobody may trade it until a fill does or the holding is set right by hand",
        work.block(vt_symbol),
    )


def _words(work: Work, vt_symbol: str, legs: Legs) -> str:
    """Legs in units, for example ``5.0`` or ``LONG 5.0, SHORT 2.0``."""
    from_lots = work.lot(vt_symbol).from_lots
    if not set(legs) - {Direction.NET}:
        return repr(from_lots(legs[Direction.NET]))
    return ", ".join(f"{leg.value} {from_lots(abs(legs[leg]))!r}" for leg in sorted(legs))
