"""The runtime of one strategy: takes its events, keeps its local view, calls its hooks.

Order of a step: indicators and bar generators of the instrument, then the hook. Orders and trades are folded into the
view before their hook is called. An exception in a hook puts the strategy into ERROR: no further hook runs, nothing
more is sent, and whoever set ``on_error`` is told with the message that was being handled.

In a backtest, indicators declared before the first event are computed a chunk of bars at a time (see ``LegHandler``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Protocol, TypeVar

import msgspec

from foxtrot.core import events
from foxtrot.core.errors import ConfigError, StrategyError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import (
    BarData,
    ContractData,
    OrderData,
    OrderRequest,
    TickData,
    TimerData,
    TradeData,
)
from foxtrot.indicators.base import Indicator
from foxtrot.strategy.context import HistorySource, NoHistory, StrategyContext
from foxtrot.strategy.leg_handler import LegHandler
from foxtrot.strategy.strategy import Strategy
from foxtrot.strategy.view import Leg


class Generator(Protocol):
    """What makes larger bars: ``foxtrot.data.BarGenerator``."""

    def update_bar(self, bar: BarData) -> object:
        """Take a bar."""

    def update_tick(self, tick: TickData) -> object:
        """Take a quote."""


AnyIndicator = TypeVar("AnyIndicator", bound=Indicator)
AnyGenerator = TypeVar("AnyGenerator", bound=Generator)
ErrorHandler = Callable[["StrategyHost", Exception, Any], None]


class StrategyState(StrEnum):
    """Where a strategy is in its life."""

    CREATED = "CREATED"
    WARMING = "WARMING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    ERROR = "ERROR"


class StrategyHost:
    """Runs one strategy.

    Args:
        strategy_class: the user's class.
        name: unique among the strategies of the process; no dots.
        setting: parameter values.
        event_engine: the dispatcher.
        contracts: what it trades.
        history: where past bars come from.
        on_error: told when a hook raises; by default the exception goes on to the event engine.

    Raises:
        ConfigError: a setting is unknown or of the wrong type.
        StrategyError: the name has a dot, or there is no contract.
    """

    def __init__(
        self,
        strategy_class: type[Strategy],
        name: str,
        setting: Mapping[str, Any],
        event_engine: EventEngine,
        contracts: Sequence[ContractData],
        history: HistorySource | None = None,
        on_error: ErrorHandler | None = None,
    ) -> None:
        if not name or "." in name:
            raise StrategyError(f"strategy name {name!r} must not be empty nor have a dot")
        self.name = name
        self.state = StrategyState.CREATED
        self.error: Exception | None = None
        self.event_engine = event_engine
        self.context = StrategyContext(name, event_engine, contracts, history or NoHistory())
        self.context.trading = False
        self.on_error = on_error
        if strategy_class.__init__ is not Strategy.__init__:
            raise ConfigError(
                f"{strategy_class.__name__} has an __init__ of its own; a strategy is set up in on_start, and its "
                "parameters are annotated class attributes"
            )
        self.strategy = strategy_class(self, setting)
        self._timers: set[str] = set()
        self._late: set[tuple[str, str]] = set()
        self._timer_topic = event_engine.topic(f"{events.EVENT_STRATEGY}{name}.timer")
        self._wire()

    def _wire(self) -> None:
        """Listen to our orders, trades and instruments; hooks that are not overridden cost nothing."""
        strategy = self.strategy
        own = type(strategy)
        self._order_hook = strategy.on_order if own.on_order is not Strategy.on_order else None
        self._trade_hook = strategy.on_trade if own.on_trade is not Strategy.on_trade else None
        subscribe = self.event_engine.subscribe
        context = self.context
        self._order_handler = self.on_order if self._order_hook else context.fold_order
        self._trade_handler = self.on_trade if self._trade_hook else context.fold_trade
        subscribe(events.EVENT_ORDER + self.name, self._order_handler)
        subscribe(events.EVENT_TRADE + self.name, self._trade_handler)
        subscribe(self._timer_topic.name, self.on_timer)
        self.handlers: dict[str, LegHandler] = {}
        for leg in self.context.legs.values():
            handler = LegHandler(leg, strategy.on_bar, strategy.on_tick, self.fail)
            self.handlers[leg.vt_symbol] = handler
            subscribe(events.EVENT_BAR + leg.vt_symbol, handler.on_bar)
            subscribe(events.EVENT_TICK + leg.vt_symbol, handler.on_tick)

    def unwire(self) -> None:
        """Listen no longer."""
        unregister = self.event_engine.unregister
        unregister(events.EVENT_ORDER + self.name, self._order_handler)
        unregister(events.EVENT_TRADE + self.name, self._trade_handler)
        unregister(self._timer_topic.name, self.on_timer)
        for vt_symbol, handler in self.handlers.items():
            unregister(events.EVENT_BAR + vt_symbol, handler.on_bar)
            unregister(events.EVENT_TICK + vt_symbol, handler.on_tick)
        for name in list(self._timers):
            self.cancel_timer(name)

    # --- life -----------------------------------------------------------------------------------------------

    def start(self, *, warming: bool = False) -> None:
        """Call ``on_start``, then trade, or first only feed indicators where there is a warm-up to come."""
        self.context.trading = not warming
        self._guard(self.strategy.on_start, None)
        if self.state is not StrategyState.ERROR:
            self.state = StrategyState.WARMING if warming else StrategyState.RUNNING
            self._set_hooks(live=not warming)

    def begin_trading(self) -> None:
        """The warm-up is over: hooks are called from here on."""
        if self.state is StrategyState.WARMING:
            self.state = StrategyState.RUNNING
            self.context.trading = True
            self._set_hooks(live=True)

    def pause(self) -> None:
        """Call no hook and trade no more until ``unpause``; the view is kept, indicators and generators are fed."""
        if self.state is StrategyState.RUNNING:
            self.state = StrategyState.PAUSED
            self.context.trading = False
            self._set_hooks(live=False)

    def unpause(self) -> None:
        """Call hooks again."""
        if self.state is StrategyState.PAUSED:
            self.state = StrategyState.WARMING
            self.begin_trading()

    def stop(self) -> None:
        """Call ``on_stop``, and trade no more."""
        if self.state in (StrategyState.RUNNING, StrategyState.WARMING, StrategyState.PAUSED):
            self._guard(self.strategy.on_stop, None)
            self._end(StrategyState.STOPPED)

    def fail(self, error: Exception, message: Any) -> None:
        """A hook raised: stand still and tell the owner."""
        self.error = error
        self._end(StrategyState.ERROR)
        if self.on_error is None:
            raise error
        self.on_error(self, error, message)

    def _end(self, state: StrategyState) -> None:
        self.context.trading = False
        if self.state is not StrategyState.ERROR:
            self.state = state
        for handler in self.handlers.values():
            handler.end()

    def _set_hooks(self, *, live: bool) -> None:
        for handler in self.handlers.values():
            handler.set_hooks(live=live)

    def _guard(self, hook: Callable[..., object], message: Any) -> None:
        try:
            hook() if message is None else hook(message)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            self.fail(error, message)

    # --- events ---------------------------------------------------------------------------------------------

    def on_order(self, order: OrderData) -> None:
        """Fold one of our orders, then tell the strategy."""
        self.context.fold_order(order)
        if self._order_hook is not None and self.state is StrategyState.RUNNING:
            self._guard(self._order_hook, order)

    def on_trade(self, trade: TradeData) -> None:
        """Fold one of our fills, then tell the strategy."""
        self.context.fold_trade(trade)
        if self._trade_hook is not None and self.state is StrategyState.RUNNING:
            self._guard(self._trade_hook, trade)

    def tell(self, fact: OrderData | TradeData) -> None:
        """Call the hook of an order or fill that was folded while hooks were not called."""
        hook = self._order_hook if isinstance(fact, OrderData) else self._trade_hook
        if hook is not None and self.state is StrategyState.RUNNING:
            self._guard(hook, fact)

    def on_timer(self, timer: TimerData) -> None:
        """Tell the strategy that a timer of its own fell due."""
        if self.state is StrategyState.RUNNING:
            self._guard(self.strategy.on_timer, timer)

    # --- what a strategy declares ---------------------------------------------------------------------------

    def add_indicator(self, leg: Leg, indicator: AnyIndicator) -> AnyIndicator:
        """Update an indicator with each bar of a leg: as columns if declared in ``on_start``, else streaming.

        Raises:
            StrategyError: one like it was declared in a hook before (a hook that declares at each call).
        """
        declared = self.state is StrategyState.CREATED
        if not declared:
            key = (leg.vt_symbol, repr(indicator))
            if key in self._late:
                raise StrategyError(
                    f"strategy {self.name}: {indicator!r} was declared in a hook again and again begins empty; call "
                    "self.indicator(...) once, in on_start, and keep what it returns"
                )
            self._late.add(key)
        self.handlers[leg.vt_symbol].add_indicator(indicator, declared=declared)
        return indicator

    def add_generator(self, leg: Leg, generator: AnyGenerator) -> AnyGenerator:
        """Feed a bar generator with each bar and tick of a leg."""
        handler = self.handlers[leg.vt_symbol]
        handler.feeds.append(generator.update_bar)
        handler.tick_feeds.append(generator.update_tick)
        return generator

    def set_timer(self, name: str, interval: int, start: int | None) -> None:
        """Set a repeating timer; its events come to this host alone."""
        key = f"{self.name}.{name}"
        self._timers.add(name)

        def fire(timer: TimerData) -> None:
            self.event_engine.publish(
                self._timer_topic, TimerData(name, timer.ts_due, timer.ts_event)
            )

        self.event_engine.clock.set_interval(key, interval, fire, start=start)

    def timers(self) -> dict[str, int]:
        """When each timer falls due next, ns."""
        due_of = self.event_engine.clock.due_of
        return {name: due_of(f"{self.name}.{name}") for name in sorted(self._timers)}

    def move_timers(self, dues: Mapping[str, int]) -> None:
        """Have timers that are set fall due as told (``timers``), whatever they were set to."""
        for name in self._timers.intersection(dues):
            self.event_engine.clock.move_timer(f"{self.name}.{name}", dues[name])

    def skip_timers(self) -> None:
        """Timers that are due already wait for their next turn."""
        for name in sorted(self._timers):
            self.event_engine.clock.skip_due(f"{self.name}.{name}")

    def cancel_timer(self, name: str) -> None:
        """Forget a timer of ours."""
        self._timers.discard(name)
        self.event_engine.clock.cancel_timer(f"{self.name}.{name}")

    # --- state ----------------------------------------------------------------------------------------------

    def view(self) -> dict[str, Any]:
        """What was folded and minted so far, in plain values, for ``restore``."""
        context = self.context
        return {
            "last_id": context.ids.last,
            "positions": {k: leg.position.state() for k, leg in context.legs.items()},
            "orders": [msgspec.to_builtins(order) for order in context.orders.values()],
            "pending": [msgspec.to_builtins(request) for request in context.pending.values()],
        }

    def restore(self, view: Mapping[str, Any]) -> None:
        """Take up what ``view`` returned; positions in instruments that are no longer traded are left out.

        Raises:
            StrategyError: it is not what ``view`` returns.
        """
        context = self.context
        try:
            orders = msgspec.convert(view.get("orders", []), list[OrderData])
            pending = msgspec.convert(view.get("pending", []), list[OrderRequest])
            context.ids.last = int(view["last_id"])
            for vt_symbol, position in view["positions"].items():
                if vt_symbol in context.legs:
                    context.legs[vt_symbol].position.restore(list(position))
        except (KeyError, TypeError, ValueError, msgspec.ValidationError) as error:
            raise StrategyError(
                f"strategy {self.name}: its stored view cannot be read: {error!r}"
            ) from error
        context.orders = {order.vt_orderid: order for order in orders}
        context.pending = {request.vt_orderid: request for request in pending}

    def save(self) -> dict[str, Any]:
        """Everything that a restart needs, in plain values."""
        return {**self.view(), "user": self.strategy.on_save()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up what ``save`` returned; call it after ``start``.

        Raises:
            StrategyError: it is not what ``save`` returns.
        """
        self.restore(state)
        self.strategy.on_load(dict(state["user"]))
