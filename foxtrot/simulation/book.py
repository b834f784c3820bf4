"""Resting orders of one instrument, and how far the market must move to reach any of them.

Invariants: ``orders`` is in order of placement; the four reach levels bound every resting order, so a bar or quote that
stays inside them cannot fill anything, and the caller need not ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import inf

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.position import PositionBook
from foxtrot.core.constants import Direction, OrderType, Status, VolumeMode
from foxtrot.core.market import MarketRecord
from foxtrot.core.objects import BarData, OrderRequest, TickData
from foxtrot.simulation.state import SimBookState, SimOrderState

LONG = Direction.LONG
MARKET = OrderType.MARKET
LIMIT = OrderType.LIMIT
STOP = OrderType.STOP
STOP_LIMIT = OrderType.STOP_LIMIT
UNITS = VolumeMode.UNITS


class SimOrder:
    """One order as the exchange works it.

    ``level`` is the price that makes it executable (``inf`` either way for a market order), ``falling`` whether the
    price must fall to it (buy limit, sell stop) or rise. ``lots`` is 0 until an order in cash or equity was sized.
    ``type`` is what it works as: a stop that was triggered but could not fill whole goes on as a market order.
    ``rested`` says that it has met a quote, ``pairs`` how often it brought forth a stop and target.
    """

    __slots__ = (
        "arrival",
        "average",
        "children",
        "falling",
        "filled",
        "is_limit",
        "level",
        "live",
        "lots",
        "pairs",
        "partner",
        "protects",
        "request",
        "rested",
        "sign",
        "status",
        "type",
    )

    def __init__(self, request: OrderRequest, lots: int, arrival: int) -> None:
        self.request = request
        self.lots = lots
        self.filled = 0
        self.average = 0.0
        self.arrival = arrival
        self.sign = 1 if request.direction is LONG else -1
        self.type = request.type
        self.status = Status.NOTTRADED
        self.live = True
        self.protects = False
        self.rested = False
        self.pairs = 0
        self.partner: SimOrder | None = None
        self.children: Sequence[SimOrder] = ()
        self.is_limit = False
        self.falling = False
        self.level = inf
        if self.type is not MARKET:
            self.set_level()
        elif self.sign > 0:
            self.falling = True
        else:
            self.level = -inf

    def set_level(self) -> None:
        """Work out level and side from type, prices and whether a stop-limit has triggered."""
        buying = self.sign > 0
        request = self.request
        if self.type is LIMIT or (self.type is STOP_LIMIT and self.status is Status.TRIGGERED):
            self.is_limit = True
            self.falling = buying
            self.level = request.price
        elif self.type is STOP or self.type is STOP_LIMIT:
            self.falling = not buying
            self.level = request.trigger_price
        else:
            self.falling = buying
            self.level = inf if buying else -inf

    def state(self) -> SimOrderState:
        """The order as plain values; of its partner and children the ids of those that work."""
        partner = self.partner
        return SimOrderState(
            self.request,
            self.lots,
            self.filled,
            self.average,
            self.arrival,
            self.type,
            self.status,
            self.protects,
            self.rested,
            self.pairs,
            partner.request.vt_orderid if partner is not None and partner.live else "",
            tuple(child.request.vt_orderid for child in self.children if child.live),
        )

    @classmethod
    def restored(cls, state: SimOrderState) -> SimOrder:
        """A working order from its values; whoever has all of them links partner and children."""
        order = cls(state.request, state.lots, state.arrival)
        order.filled, order.average = state.filled, state.average
        order.type, order.status = state.type, state.status
        order.protects, order.rested, order.pairs = state.protects, state.rested, state.pairs
        order.set_level()
        return order


def restored_orders(states: Iterable[SimOrderState]) -> dict[str, SimOrder]:
    """Working orders by id from their values, with partners and children linked."""
    saved = {state.request.vt_orderid: state for state in states}
    orders = {key: SimOrder.restored(state) for key, state in saved.items()}
    for key, order in orders.items():
        order.partner = orders.get(saved[key].partner)
        order.children = [orders[child] for child in saved[key].children]
    return orders


class Book:
    """Everything the exchange knows of one instrument.

    Attributes:
        orders: resting orders in order of placement.
        buy_limit: highest buy limit (inf with a market order waiting), -inf without one.
        sell_limit: lowest sell limit, inf without one.
        sell_stop: highest sell trigger, -inf without one.
        buy_stop: lowest buy trigger, inf without one.
        low_reach: higher of buy_limit and sell_stop; a bar whose low stays above it reaches neither.
        high_reach: lower of sell_limit and buy_stop; a bar whose high stays below it reaches neither.
        held: signed lots per strategy.
        budget: lots that may still be filled on the present bar or side of the quote; negative for no limit.
        on_ticks: whether quotes move this book (bars of the instrument then only inform strategies).
    """

    __slots__ = (
        "_budgets",
        "_message",
        "_side",
        "budget",
        "buy_limit",
        "buy_stop",
        "held",
        "high_reach",
        "instrument",
        "low_reach",
        "market",
        "on_ticks",
        "orders",
        "position",
        "sell_limit",
        "sell_stop",
        "vt_symbol",
    )

    buy_limit: float
    sell_limit: float
    buy_stop: float
    sell_stop: float
    low_reach: float
    high_reach: float

    def __init__(self, instrument: Instrument, market: MarketRecord, on_ticks: bool) -> None:
        self.vt_symbol = instrument.vt_symbol
        self.instrument = instrument
        self.market = market
        self.on_ticks = on_ticks
        self.orders: list[SimOrder] = []
        self.position = PositionBook()
        self.held: dict[str, int] = {}
        self.budget = -1
        self._message: BarData | TickData | None = None
        self._budgets: dict[int, int] = {}
        self._side = 0
        self.clear()

    def open_budget(self, message: BarData | TickData, share: float, sign: int) -> None:
        """Set ``budget`` to what is left of our share of a bar, or of the side of a quote that ``sign`` takes."""
        if message is not self._message:
            self._message = message
            lots = self._lots_of
            if isinstance(message, BarData):
                self._budgets = dict.fromkeys((1, -1), lots(message.volume, share))
            else:
                self._budgets = {
                    1: lots(message.ask_volume_1, share),
                    -1: lots(message.bid_volume_1, share),
                }
        self._side = sign
        self.budget = self._budgets[sign]

    def _lots_of(self, volume: float, share: float) -> int:
        return int(volume * share / self.instrument.lot.from_lots(1) + 1e-9)

    def spend(self, lots: int) -> None:
        """Take filled lots off the budget; a bar has one for both sides."""
        self.budget -= lots
        self._budgets[self._side] = self.budget
        if isinstance(self._message, BarData):
            self._budgets[-self._side] = self.budget

    def add(self, order: SimOrder) -> None:
        """Rest an order and widen the reach to it; one that has yet to meet its first quote is reached by any."""
        self.orders.append(order)
        if self.on_ticks and not order.rested:
            self.buy_limit, self.sell_limit = inf, -inf
        if order.type is MARKET:  # reached by any bar
            if order.sign > 0:
                self.buy_limit = self.low_reach = inf
            else:
                self.sell_limit = self.high_reach = -inf
            return
        level = order.level
        if order.is_limit:
            if order.sign > 0:
                self.buy_limit = max(self.buy_limit, level)
            else:
                self.sell_limit = min(self.sell_limit, level)
        elif order.sign > 0:
            self.buy_stop = min(self.buy_stop, level)
        else:
            self.sell_stop = max(self.sell_stop, level)
        self.low_reach = max(self.buy_limit, self.sell_stop)
        self.high_reach = min(self.sell_limit, self.buy_stop)

    def clear(self) -> None:
        """Drop all orders."""
        self.orders = []
        self.buy_limit = self.sell_stop = self.low_reach = -inf
        self.sell_limit = self.buy_stop = self.high_reach = inf

    def refresh(self) -> None:
        """Drop dead orders and measure the reach anew; called after any change but an addition."""
        orders = [order for order in self.orders if order.live]
        self.clear()
        for order in orders:
            self.add(order)

    def state(self) -> SimBookState:
        """The book as plain values, but for its orders."""
        held, last = self.position, self.market.last
        counted = self._budgets if last is not None and self._message is last else {}
        return SimBookState(
            self.vt_symbol,
            self.on_ticks,
            (held.lots, held.cost, held.realized, held.commission, held.opened, held.closed),
            dict(self.held),
            last,
            counted.get(1, -1),
            counted.get(-1, -1),
            self.budget,
            self._side,
        )

    def restore(self, state: SimBookState, orders: Iterable[SimOrder]) -> None:
        """Take up saved values and the orders that rest, in order of placement; the market record's ``last``, too."""
        held = self.position = PositionBook()
        held.lots, held.cost, held.realized, held.commission, held.opened, held.closed = (
            state.position
        )
        self.held = dict(state.held)
        self.on_ticks = state.on_ticks
        self.market.last = state.last
        counted = state.buy_budget >= 0
        self._message = state.last if counted else None
        self._budgets = {1: state.buy_budget, -1: state.sell_budget} if counted else {}
        self.budget, self._side = state.budget, state.side
        self.clear()
        for order in orders:
            self.add(order)
