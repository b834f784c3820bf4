"""Orders at venues that keep long and short apart: which parts a request is sent in, and what closing orders bind.

Invariants: there is no second book. A holding is read from the position legs (today's and yesterday's lots) and from
the orders that may still trade, whenever it is asked for; so it follows every order, fill, report of a venue, new
trading day and restart by itself, and cannot differ from them. What an order binds falls with its fills: an order that
has ended is followed until all that its venue calls traded has come as fills.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.offset import (
    OffsetMode,
    OffsetRefused,
    PositionHolding,
    SideHolding,
    convert_offset,
)
from foxtrot.core.constants import Direction, Offset, Status
from foxtrot.core.errors import AccountingError, ConfigError, OrderError
from foxtrot.core.objects import OrderData, OrderRequest
from foxtrot.server.oms.order_manager import OrderManager
from foxtrot.server.oms.position_leg import PositionLeg
from foxtrot.server.oms.position_manager import PositionManager

LONG = Direction.LONG
SHORT = Direction.SHORT
OPENING = frozenset({Offset.NONE, Offset.OPEN})

Parts = tuple[OrderRequest, ...]


class OffsetManager:
    """Fits requests to what is held of contracts with ``net_position=False``.

    Args:
        orders: every order, and what of each was folded.
        positions: the legs; their snapshots show what ``frozen`` says from here on.
        instrument_of: the instrument of a ``vt_symbol`` at an adapter.
        mode: how requests are fitted, an ``OffsetMode`` or its value.

    Raises:
        ConfigError: the mode is unknown, or NET, which is for contracts that are never converted.
    """

    def __init__(
        self,
        orders: OrderManager,
        positions: PositionManager,
        instrument_of: Callable[[str, str], Instrument],
        mode: OffsetMode | str = OffsetMode.HEDGE,
    ) -> None:
        usable = [known.value for known in OffsetMode if known is not OffsetMode.NET]
        if mode not in usable:
            raise ConfigError(
                f"offset_mode is {str(mode)!r}; contracts that keep long and short apart need one of "
                f"{', '.join(usable)} (those with net_position=True are never converted)"
            )
        self.mode = OffsetMode(mode)
        self._orders = orders
        self._positions = positions
        self._instrument_of = instrument_of
        self._followed: dict[tuple[str, str], dict[str, None]] = {}
        positions.frozen_of = self.frozen

    def follow(self, order: OrderData) -> None:
        """Have an order counted among those that bind what they close, until it has ended and all its fills came."""
        key = order.adapter_name, order.vt_symbol
        if self._binds(order):
            self._followed.setdefault(key, {})[order.vt_orderid] = None
        elif key in self._followed:
            self._followed[key].pop(order.vt_orderid, None)

    def convert(self, adapter: str, request: OrderRequest) -> Parts | OffsetRefused:
        """The requests that the venue takes for this one, closing parts first, or why there are none."""
        self._forget_done(adapter, request.vt_symbol)
        try:
            parts = convert_offset(request, self.holding(adapter, request.vt_symbol), self.mode)
        except (AccountingError, OrderError) as error:
            return OffsetRefused(str(error))
        if isinstance(parts, OffsetRefused):
            return parts
        for part in parts:
            if part.vt_orderid in self._orders.orders:
                return OffsetRefused(
                    f"a part of it would be {part.vt_orderid}, an id that was used before; send it under another id"
                )
        return parts

    def holding(self, adapter: str, vt_symbol: str) -> PositionHolding:
        """What is held of an instrument on both sides, and what its working orders bind.

        Orders bind whole lots: of one that a venue reports off the lot, what is over is not counted.
        """
        holding = PositionHolding(
            vt_symbol, self._instrument_of(adapter, vt_symbol).contract.min_volume
        )
        holding.long = self._side(adapter, vt_symbol, LONG)
        holding.short = self._side(adapter, vt_symbol, SHORT)
        whole = holding.lot.round
        for vt_orderid in list(self._followed.get((adapter, vt_symbol), ())):
            known = self._orders.orders.get(vt_orderid)
            if known is None:
                continue  # closed long ago, and forgotten
            order = replace(known, volume=whole(known.volume), traded=whole(known.traded))
            filled = whole(self._orders.filled(vt_orderid))
            status = Status.PARTTRADED  # first as it was when its last fill came ...
            holding.apply_order(replace(order, status=status, traded=filled), restored=True)
            holding.apply_order(order)  # ... then as it stands
        return holding

    def frozen(self, leg: PositionLeg) -> float:
        """Units of a LONG or SHORT leg that closing orders bind."""
        if not self._followed.get((leg.adapter, leg.instrument.vt_symbol)):
            return 0.0
        holding = self.holding(leg.adapter, leg.instrument.vt_symbol)
        return holding.lot.from_lots(holding.frozen(leg.direction))

    def leg_closed_by(self, order: OrderData) -> PositionLeg | None:
        """The leg that an order closes; None where it opens one, or nothing is known to be held."""
        if order.offset in OPENING:
            return None
        side = SHORT if order.direction is LONG else LONG
        return self._positions.legs.get(f"{order.adapter_name}.{order.vt_symbol}.{side.value}")

    def _side(self, adapter: str, vt_symbol: str, direction: Direction) -> SideHolding:
        leg = self._positions.legs.get(f"{adapter}.{vt_symbol}.{direction.value}")
        if leg is None:
            return SideHolding()
        return SideHolding(abs(leg.book.lots) - leg.yesterday, leg.yesterday)

    def _binds(self, order: OrderData) -> bool:
        return order.is_active() or order.traded > self._orders.filled(order.vt_orderid)

    def _forget_done(self, adapter: str, vt_symbol: str) -> None:
        followed = self._followed.get((adapter, vt_symbol), {})
        for vt_orderid in list(followed):
            known = self._orders.orders.get(vt_orderid)
            if known is None or not self._binds(known):
                del followed[vt_orderid]
