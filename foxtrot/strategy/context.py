"""The small window that a strategy has on the world: orders, positions, clock, history, log.

Everything that a strategy does goes out as a command on the event engine; everything it knows came in as an event.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from foxtrot.core import events
from foxtrot.core.constants import Direction, Interval, Offset, OrderType, TimeInForce, VolumeMode
from foxtrot.core.errors import OrderError, StrategyError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.ids import IdSource
from foxtrot.core.objects import (
    ACTIVE_STATUSES,
    BarData,
    CancelRequest,
    ContractData,
    LogData,
    ModifyRequest,
    OrderData,
    OrderRequest,
    TradeData,
)
from foxtrot.core.validation import check_modify, check_protection, check_request
from foxtrot.strategy.view import Leg

UNITS, CASH, EQUITY = VolumeMode.UNITS, VolumeMode.CASH, VolumeMode.EQUITY
GTC = TimeInForce.GTC
_MARKET = OrderType.MARKET
_TYPES = {
    (False, False): OrderType.MARKET,
    (True, False): OrderType.LIMIT,
    (False, True): OrderType.STOP,
    (True, True): OrderType.STOP_LIMIT,
}
"""Order type by whether a price and whether a stop was given."""


class HistorySource(Protocol):
    """Where a strategy's past bars come from."""

    def history(
        self, vt_symbol: str, count: int, now: int, interval: Interval | None
    ) -> list[BarData]:
        """The newest ``count`` bars known at ``now`` (ns), oldest first."""


class NoHistory:
    """A source without bars."""

    def history(
        self, vt_symbol: str, count: int, now: int, interval: Interval | None
    ) -> list[BarData]:
        """Nothing."""
        del vt_symbol, count, now, interval
        return []


class StrategyContext:
    """One strategy's local view and its way out.

    Args:
        name: the strategy's name; first part of its order ids.
        event_engine: the dispatcher.
        contracts: what it trades, the first is the default.
        history: where past bars come from.

    Raises:
        StrategyError: there is no contract.
    """

    def __init__(
        self,
        name: str,
        event_engine: EventEngine,
        contracts: Sequence[ContractData],
        history: HistorySource,
    ) -> None:
        if not contracts:
            raise StrategyError(f"strategy {name} trades nothing; give it at least one vt_symbol")
        self.name = name
        self.event_engine = event_engine
        self.clock = event_engine.clock
        self.ids = IdSource(name)
        self.legs = {contract.vt_symbol: Leg(contract) for contract in contracts}
        self.default_leg = next(iter(self.legs.values())) if len(self.legs) == 1 else None
        self._folds = {vt_symbol: leg.position.fold for vt_symbol, leg in self.legs.items()}
        self.orders: dict[str, OrderData] = {}
        self.pending: dict[str, OrderRequest] = {}
        self.trading = True
        self._history = history
        self._logger = logging.getLogger(f"foxtrot.strategy.{name}")
        self._queue = event_engine.queue
        self._command_order = event_engine.topic(events.COMMAND_ORDER)
        self._command_modify = event_engine.topic(events.COMMAND_MODIFY)
        self._command_cancel = event_engine.topic(events.COMMAND_CANCEL)
        self._log_topic = event_engine.topic(events.EVENT_LOG)

    def leg(self, vt_symbol: str | None) -> Leg:
        """The leg of an instrument; without a name the only one.

        Raises:
            StrategyError: the strategy does not trade it, or no name was given and there are several.
        """
        if vt_symbol is None:
            if self.default_leg is not None:
                return self.default_leg
            raise StrategyError(
                f"strategy {self.name} trades several instruments ({', '.join(self.legs)}); say which by vt_symbol="
            )
        leg = self.legs.get(vt_symbol)
        if leg is None:
            raise StrategyError(
                f"strategy {self.name} does not trade {vt_symbol!r}; it trades: {', '.join(self.legs)}"
            )
        return leg

    # --- orders ---------------------------------------------------------------------------------------------

    def send(
        self,
        direction: Direction,
        offset: Offset,
        reduce_only: bool,
        vt_symbol: str | None,
        volume: float | None,
        cash: float | None = None,
        equity: float | None = None,
        price: float | None = None,
        stop: float | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        time_in_force: TimeInForce = GTC,
        expire_ts: int = 0,
        reference: str = "",
    ) -> str:
        """Check an order, send it, return its ``vt_orderid`` at once; arguments as in ``OrderVerbs.buy``.

        Raises:
            OrderError: it is malformed; the message names the field and the nearest good value.
            StrategyError: the strategy is not trading, or does not trade that instrument.
        """
        if not self.trading:
            raise StrategyError(
                f"strategy {self.name} is not trading: it is warming up, stopped, or in ERROR; "
                "ask self.is_trading where a generator's callback sends orders"
            )
        leg = self.default_leg if vt_symbol is None else self.legs.get(vt_symbol)
        if leg is None:
            leg = self.leg(vt_symbol)
        mode = UNITS
        if volume is None or cash is not None or equity is not None:
            volume, mode = _sized(volume, cash, equity)
        ids = self.ids
        ids.last += 1
        vt_orderid = f"{leg.adapter_name}.{ids.prefix}-{ids.last}"
        request = check_request(
            OrderRequest(
                leg.vt_symbol,
                direction,
                _MARKET if price is stop is None else _TYPES[price is not None, stop is not None],
                volume,
                price or 0.0,
                stop or 0.0,
                offset,
                time_in_force,
                expire_ts,
                reduce_only,
                mode,
                stop_loss or 0.0,
                take_profit or 0.0,
                ids.prefix,
                reference,
                vt_orderid,
            ),
            leg.instrument.tick,
            leg.instrument.lot,
        )
        if stop_loss or take_profit:
            check_protection(request, leg.price())
        self.pending[vt_orderid] = request
        self._queue.append((self._command_order, request))
        return vt_orderid

    def modify(self, request: ModifyRequest) -> None:
        """Ask for a change of a working order.

        Raises:
            OrderError: the order is not one of ours that works, or the change is malformed.
        """
        vt_symbol = self._symbol_of(request.vt_orderid)
        leg = self.leg(vt_symbol)
        checked = check_modify(request, leg.instrument.tick, leg.instrument.lot)
        self.event_engine.publish(self._command_modify, checked)

    def cancel(self, vt_orderid: str) -> None:
        """Ask for a cancellation.

        Raises:
            OrderError: no order of ours has that id.
        """
        if vt_orderid not in self.pending and vt_orderid not in self.orders:
            raise OrderError(f"strategy {self.name} has no order {vt_orderid!r}")
        self.event_engine.publish(self._command_cancel, CancelRequest(vt_orderid))

    def _symbol_of(self, vt_orderid: str) -> str:
        order = self.orders.get(vt_orderid) or self.pending.get(vt_orderid)
        if order is None:
            raise OrderError(f"strategy {self.name} has no order {vt_orderid!r}")
        return order.vt_symbol

    def working_ids(self, vt_symbol: str | None = None) -> list[str]:
        """Ids of our orders that are on their way or working, of one instrument or all."""
        ids = [i for i, r in self.pending.items() if vt_symbol is None or r.vt_symbol == vt_symbol]
        for vt_orderid, order in self.orders.items():
            if vt_symbol is None or order.vt_symbol == vt_symbol:
                ids.append(vt_orderid)
        return ids

    def working_volume(self, vt_symbol: str) -> float:
        """Signed units that our working orders in units would still trade, protective orders left out."""
        total = 0.0
        for request in self.pending.values():
            if request.vt_symbol == vt_symbol and request.volume_mode is UNITS:
                sign = 1.0 if request.direction is Direction.LONG else -1.0
                total += sign * request.volume
        for order in self.orders.values():
            if order.vt_symbol == vt_symbol and not order.parent_orderid:
                sign = 1.0 if order.direction is Direction.LONG else -1.0
                total += sign * order.remaining
        return total

    # --- events ---------------------------------------------------------------------------------------------

    def fold_order(self, order: OrderData) -> None:
        """Fold an order event: ``orders`` holds those that work."""
        vt_orderid = order.vt_orderid
        if self.pending:
            self.pending.pop(vt_orderid, None)
        if order.status in ACTIVE_STATUSES:
            self.orders[vt_orderid] = order
        else:
            self.orders.pop(vt_orderid, None)

    def fold_trade(self, trade: TradeData) -> None:
        """Fold a trade event into the leg's position."""
        fold = self._folds.get(trade.vt_symbol)
        if fold is not None:
            fold(trade)

    # --- the rest -------------------------------------------------------------------------------------------

    def history(self, leg: Leg, count: int, interval: Interval | None) -> list[BarData]:
        """The newest ``count`` bars that are known now, oldest first."""
        if count <= 0:
            raise StrategyError(f"history: count must be positive, got {count}")
        return self._history.history(leg.vt_symbol, count, self.clock.now(), interval)

    def log(self, msg: str, level: int) -> None:
        """Write to the log, stamped with the clock's time."""
        now = self.clock.now()
        self._logger.log(level, "%s", msg, extra={"ts_event": now})
        self.event_engine.publish(self._log_topic, LogData(msg, level, self.name, now))


def _sized(
    volume: float | None, cash: float | None, equity: float | None
) -> tuple[float, VolumeMode]:
    """The one way of sizing that was given.

    Raises:
        OrderError: none or several were given.
    """
    given = [
        (value, mode)
        for value, mode in ((volume, UNITS), (cash, CASH), (equity, EQUITY))
        if value is not None
    ]
    if len(given) != 1:
        raise OrderError("give exactly one of volume (units), cash (currency) or equity (fraction)")
    return given[0]
