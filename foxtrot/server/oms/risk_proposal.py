"""An order as risk looks at it: how much it is, at which price, and what its side may hold once all has filled.

Invariants: pure, and never too small where something is uncertain. What cannot be told (no price, no size) raises
``NotKnownError`` with the code to deny it with; it is never taken as 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from math import inf
from typing import Protocol

from foxtrot.accounting.instrument import Instrument
from foxtrot.core.clock import Clock
from foxtrot.core.constants import NS_PER_SECOND, Direction, Offset, VolumeMode
from foxtrot.core.market import MarketView
from foxtrot.core.objects import OrderData, OrderRequest, TradeData
from foxtrot.server.oms.account_manager import AccountManager
from foxtrot.server.oms.order_manager import OrderManager
from foxtrot.server.oms.position_manager import PositionManager
from foxtrot.server.oms.risk_limits import RiskCode

LONG = Direction.LONG
UNITS, CASH = VolumeMode.UNITS, VolumeMode.CASH
CLOSING = frozenset({Offset.CLOSE, Offset.CLOSETODAY, Offset.CLOSEYESTERDAY})
OPENING = frozenset({Offset.NONE, Offset.OPEN})


class RiskView(Protocol):
    """What risk reads of the OMS."""

    @property
    def orders(self) -> OrderManager:
        """Every order, and those that still work."""

    @property
    def positions(self) -> PositionManager:
        """What is held."""

    @property
    def accounts(self) -> AccountManager:
        """Balances."""

    @property
    def market(self) -> MarketView:
        """The newest prices, with their times."""

    @property
    def instrument(self) -> Callable[[str, str], Instrument]:
        """The instrument of a ``vt_symbol`` at an adapter (called with the adapter first)."""

    @property
    def clock(self) -> Clock:
        """The OMS's clock."""


class NotKnownError(Exception):
    """A figure that a limit needs is not known.

    Args:
        code: what to deny the order with.
        text: what is missing.
    """

    def __init__(self, code: RiskCode, text: str) -> None:
        super().__init__(text)
        self.code = code


class StrategyPositions:
    """What each strategy holds by its own fills: net units by adapter, strategy and instrument.

    The account's positions belong to all strategies together, so the limits of one need this fold beside them. Units
    are added as decimals, so that 0.1 + 0.2 − 0.3 is flat; what is flat is forgotten. The caller folds a fill once.
    """

    def __init__(self) -> None:
        self._units: dict[tuple[str, str, str], Decimal] = {}

    def fold(self, trade: TradeData) -> None:
        """Add a fill to what its strategy holds."""
        units = Decimal(repr(trade.volume))
        self._add(
            (trade.adapter_name, trade.strategy, trade.vt_symbol),
            units if trade.direction == LONG else -units,
        )

    def restore(self, positions: Iterable[tuple[str, str, str, float]]) -> None:
        """Start anew from ``state``: adapter, strategy, ``vt_symbol`` and net units (short negative) each."""
        self._units.clear()
        for adapter, strategy, vt_symbol, units in positions:
            self._add((adapter, strategy, vt_symbol), Decimal(repr(float(units))))

    def state(self) -> list[tuple[str, str, str, float]]:
        """What is held, for ``restore``; sorted."""
        return sorted((*key, float(units)) for key, units in self._units.items())

    def units(self, adapter: str, strategy: str, vt_symbol: str) -> float:
        """Net units of a strategy, short negative."""
        return float(self._units.get((adapter, strategy, vt_symbol), 0.0))

    def _add(self, key: tuple[str, str, str], units: Decimal) -> None:
        total = self._units.get(key, Decimal(0)) + units
        if total:
            self._units[key] = total
        else:
            self._units.pop(key, None)


class Proposal:
    """A request beside what is known of its instrument.

    Args:
        request: sized in units, cash or equity; its ``vt_orderid`` is set.
        view: the OMS.
        now: ns UTC.
        traded: units of it that have traded already (of a changed order).
    """

    __slots__ = (
        "adapter",
        "hedged",
        "instrument",
        "last",
        "last_age",
        "now",
        "request",
        "traded",
        "view",
    )

    def __init__(
        self, request: OrderRequest, view: RiskView, now: int, traded: float = 0.0
    ) -> None:
        self.request = request
        self.view = view
        self.now = now
        self.traded = traded
        self.adapter = request.vt_orderid.partition(".")[0]
        self.instrument = view.instrument(self.adapter, request.vt_symbol)
        self.hedged = not self.instrument.contract.net_position
        record = view.market.records.get(request.vt_symbol)
        self.last = record.price() if record is not None else 0.0
        self.last_age = now - record.ts() if record is not None else 0

    @property
    def closing(self) -> bool:
        """Whether it can only reduce a position, whatever is held."""
        return self.request.reduce_only or (self.hedged and self.request.offset in CLOSING)

    @property
    def currency(self) -> str:
        """Code of the contract's currency."""
        return self.instrument.currency.code

    def fresh_last(self, most: float) -> float:
        """The last price.

        Args:
            most: seconds that it may be old (or, where clocks differ, ahead).

        Raises:
            NotKnownError: there is none, or it is older.
        """
        symbol = self.request.vt_symbol
        if not self.last:
            raise NotKnownError(RiskCode.NO_PRICE, f"no price of {symbol} is known")
        age = self.last_age / NS_PER_SECOND
        if abs(age) > most:
            how = "old" if age > 0 else "ahead of the clock"
            raise NotKnownError(
                RiskCode.STALE_PRICE,
                f"the last price of {symbol}, {number(self.last)}, is {number(abs(age))} s {how}, "
                f"more than {number(most)} s",
            )
        return self.last

    def price(self, max_age: float) -> float:
        """The highest price (by size) that it may fill at as far as one can tell: its own, else the last.

        A sell fills at its limit or better, so the last counts where that is higher.

        Raises:
            NotKnownError: it has none, and there is no last price or it is older than ``max_age`` seconds.
        """
        own = abs(self.request.price or self.request.trigger_price)
        if not own:
            return abs(self.fresh_last(max_age))
        return own if self.request.direction == LONG else max(own, abs(self.last))

    def units(self, max_age: float) -> float:
        """How many units it may fill; of a closing order for a part of the equity, what there is to close.

        Cash, and a part of the equity as it stands now, are turned into units at the lowest price that it may fill at.

        Raises:
            NotKnownError: it is counted in cash or equity, and there is no price, or no equity.
        """
        request = self.request
        if request.volume_mode is UNITS:
            return request.volume
        if request.volume_mode is CASH:
            return request.volume / (self._cash_price(max_age) * self.instrument.contract.size)
        if self.closing:
            return max(0.0, -self._held(None))
        cash = request.volume * self._equity()
        return cash / (self._cash_price(max_age) * self.instrument.contract.size)

    def _equity(self) -> float:
        """What the account is worth in the contract's currency: its balance, and open positions at their last prices.

        Raises:
            NotKnownError: it is nothing, or a price is missing.
        """
        code = self.currency
        total = self.view.accounts.balance(self.adapter, code)
        for leg in self.view.positions.legs.values():
            lots = leg.book.lots
            if lots and leg.adapter == self.adapter and leg.instrument.currency.code == code:
                record = self.view.market.records.get(leg.instrument.vt_symbol)
                last = record.price() if record is not None else 0.0
                if not last:
                    symbol = leg.instrument.vt_symbol
                    raise NotKnownError(
                        RiskCode.NO_PRICE,
                        f"{symbol} is held and no price of it is known, so a part of the equity is no number of units",
                    )
                open_profit = leg.book.unrealized(leg.instrument.value_of_lots(last, lots))
                total += leg.instrument.currency.to_amount(open_profit)
        if total <= 0.0:
            raise NotKnownError(
                RiskCode.UNSIZED,
                f"the account has no {code}, so a part of its equity is no number of units",
            )
        return total

    def notional(self, max_age: float) -> float:
        """Its value in the contract's currency.

        Raises:
            NotKnownError: there is no price, or no equity.
        """
        if self.request.volume_mode is CASH:
            return self.request.volume
        size = self.instrument.contract.size
        return self.units(max_age) * self.price(max_age) * size

    def exposure(self, held: StrategyPositions | None, max_age: float) -> float:
        """Units on its side once all that works there has filled, itself included; 0 or less where it only closes.

        Reduce-only orders count as far as there is something to close: where they fill first, the others open.

        Args:
            held: what strategies hold, for the strategy's own exposure; None for the account's.
            max_age: seconds that a last price may be old, where cash is to be turned into units.

        Raises:
            NotKnownError: its size, or that of an order that works on its side, is not known.
        """
        side = self._held(held)
        opening = reducing = 0.0
        units = max(0.0, self.units(max_age) - self.traded)
        if self.closing:
            reducing = units
        else:
            opening = units
        for order, left in self._working(held is not None, max_age):
            if order.reduce_only or (self.hedged and order.offset in CLOSING):
                reducing += left
            else:
                opening += left
        net = side + opening + min(reducing, max(-side, 0.0))
        return max(net, self._gross(units, max_age)) if self.hedged and held is None else net

    def _held(self, held: StrategyPositions | None) -> float:
        """Net units on its side."""
        request = self.request
        if held is not None:
            net = held.units(self.adapter, request.strategy, request.vt_symbol)
        else:
            net = self.instrument.lot.from_lots(sum(self._lots(side) for side in Direction))
        return net if request.direction == LONG else -net

    def _lots(self, direction: Direction) -> int:
        legs = self.view.positions.legs
        leg = legs.get(f"{self.adapter}.{self.request.vt_symbol}.{direction.value}")
        return leg.book.lots if leg is not None else 0

    def _gross(self, units: float, max_age: float) -> float:
        """Units on its side where long and short are kept apart: what is held there, and all that opens."""
        direction = Direction(self.request.direction)
        from_lots = self.instrument.lot.from_lots
        other = Direction.SHORT if direction is LONG else LONG
        opening = 0.0 if self.closing else units
        if self.request.offset is Offset.NONE:  # closes the other side first
            opening = max(0.0, opening - from_lots(abs(self._lots(other))))
        working = sum(
            left
            for order, left in self._working(False, max_age)
            if order.offset in OPENING and not order.reduce_only
        )
        return from_lots(abs(self._lots(direction))) + working + opening

    def _working(self, own: bool, max_age: float) -> Iterable[tuple[OrderData, float]]:
        """The other orders that work on its side, with the units that have not come as fills."""
        request, orders = self.request, self.view.orders
        for order in orders.active.values():
            if (
                order.vt_symbol == request.vt_symbol
                and order.direction == request.direction
                and order.adapter_name == self.adapter
                and order.vt_orderid != request.vt_orderid
                and (not own or order.strategy == request.strategy)
            ):
                volume = order.volume or self._volume_of(order, max_age)
                yield order, max(0.0, volume - orders.filled(order.vt_orderid))

    def _volume_of(self, order: OrderData, max_age: float) -> float:
        """Units of a working order that its venue has not sized yet; 0 of one whose request nobody here knows."""
        if order.volume_mode is UNITS:
            return 0.0
        if order.reduce_only:
            return inf
        price = abs(order.price or order.trigger_price) or abs(self.fresh_last(max_age))
        cash = order.requested
        if order.volume_mode is not CASH:
            cash *= self._equity()
        return cash / (price * self.instrument.contract.size)

    def _cash_price(self, max_age: float) -> float:
        """The lowest price (by size) that cash may buy at as far as one can tell, so that units are not too few."""
        own = abs(self.request.price or self.request.trigger_price)
        if not own:
            return abs(self.fresh_last(max_age))
        return min(own, abs(self.last) or own)


def number(value: float) -> str:
    """A figure with thousands apart, as short as it is exact to ten digits."""
    return f"{value:,.10g}"
