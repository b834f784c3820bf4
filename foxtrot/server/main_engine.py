"""``MainEngine``: the composition root of one process. It owns the event engine, the clock, engines and adapters.

Stop order: adapters first, drain, engines in reverse (each with its last save; the OMS last), then the event engine.
Engines live on the thread of the event engine: there their state is loaded and saved, and there they are closed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from foxtrot.accounting.offset import OffsetMode
from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.core import events
from foxtrot.core.engine import BaseEngine, OrderRoute
from foxtrot.core.errors import ConfigError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    AccountData,
    BarData,
    CancelRequest,
    ContractData,
    HistoryRequest,
    LogData,
    ModifyRequest,
    OrderData,
    OrderRequest,
    PositionData,
    SubscribeRequest,
    TickData,
    TradeData,
)
from foxtrot.server.engines.oms_engine import OmsEngine, RiskCheck, accept_all
from foxtrot.server.engines.oms_reconcile import RECONCILE_NS
from foxtrot.server.engines.strategy_engine import StrategyEngine
from foxtrot.server.oms.reconcile_types import ReconcilePolicy
from foxtrot.server.persistence import Persistence
from foxtrot.strategy.host import StrategyHost
from foxtrot.strategy.strategy import Strategy

__all__ = ["BaseEngine", "MainEngine"]

EngineT = TypeVar("EngineT", bound=BaseEngine)
AdapterT = TypeVar("AdapterT", bound=BaseAdapter)


class MainEngine:
    """Wires one process together.

    Args:
        event_engine: the dispatcher; one with a live clock by default. It is started by ``start``, not before.
        persistence: where the OMS keeps its state; in memory by default.
        market: newest prices, where the driver feeds them itself (a backtest).
        risk: the OMS's check of every request.
        digits: decimal places per currency code.
        offset_mode: how the OMS fits requests to what is held of contracts with ``net_position=False``.
        policy: how patient and strict the comparison with venues is.
        reconcile_interval: ns between two such comparisons; 0 for one per connection.
    """

    def __init__(
        self,
        event_engine: EventEngine | None = None,
        *,
        persistence: Persistence | None = None,
        market: MarketView | None = None,
        risk: RiskCheck = accept_all,
        digits: Mapping[str, int] | None = None,
        offset_mode: OffsetMode | str = OffsetMode.HEDGE,
        policy: ReconcilePolicy | None = None,
        reconcile_interval: int = RECONCILE_NS,
    ) -> None:
        self.event_engine = event_engine if event_engine is not None else EventEngine()
        self.engines: dict[str, BaseEngine] = {}
        self.adapters: dict[str, BaseAdapter] = {}
        self._closed = False
        self._logger = logging.getLogger("foxtrot.main_engine")
        self._log_topic = self.event_engine.topic(events.EVENT_LOG)
        self.oms = OmsEngine(
            self,
            self.event_engine,
            persistence,
            market=market,
            risk=risk,
            digits=dict(digits or {}),
            offset_mode=offset_mode,
            policy=policy,
            reconcile_interval=reconcile_interval,
        )
        self.engines[self.oms.engine_name] = self.oms
        self.strategies = StrategyEngine(self, self.event_engine)
        self.engines[self.strategies.engine_name] = self.strategies

    # --- composition ----------------------------------------------------------------------------------------

    def add_engine(self, engine_class: type[EngineT], **arguments: Any) -> EngineT:
        """Make an engine as ``engine_class(main_engine, event_engine, **arguments)`` and own it.

        Raises:
            ConfigError: an engine of that name is there.
        """
        engine = engine_class(self, self.event_engine, **arguments)
        if engine.engine_name in self.engines:
            raise ConfigError(f"there is an engine named {engine.engine_name!r} already")
        self.engines[engine.engine_name] = engine
        return engine

    def add_adapter(
        self, adapter_class: type[AdapterT], adapter_name: str = "", **arguments: Any
    ) -> AdapterT:
        """Make an adapter as ``adapter_class(event_engine, adapter_name, **arguments)`` and own it.

        Raises:
            ConfigError: an adapter of that name is there.
        """
        name = adapter_name or adapter_class.default_name or adapter_class.__name__
        if name in self.adapters:
            raise ConfigError(
                f"there is an adapter named {name!r} already; give this one another name"
            )
        adapter = adapter_class(self.event_engine, name, **arguments)
        self.adapters[name] = adapter
        return adapter

    def add_strategy(
        self,
        strategy_class: type[Strategy],
        name: str,
        vt_symbols: str | list[str],
        setting: Mapping[str, Any] | None = None,
    ) -> StrategyHost:
        """Load a strategy; ``StrategyEngine.start_strategy`` starts it."""
        return self.strategies.add_strategy(strategy_class, name, vt_symbols, setting)

    def get_engine(self, engine_name: str) -> BaseEngine | None:
        """An engine by name."""
        return self.engines.get(engine_name)

    def get_adapter(self, adapter_name: str) -> BaseAdapter | None:
        """An adapter by name."""
        return self.adapters.get(adapter_name)

    def get_route(self, adapter_name: str) -> OrderRoute | None:
        """The way to a venue."""
        return self.adapters.get(adapter_name)

    def get_all_adapter_names(self) -> list[str]:
        """Names of the adapters in order of adding."""
        return list(self.adapters)

    def _adapter(self, adapter_name: str) -> BaseAdapter:
        adapter = self.adapters.get(adapter_name)
        if adapter is None:
            known = ", ".join(self.adapters) or "none"
            raise ConfigError(f"there is no adapter {adapter_name!r}; adapters: {known}")
        return adapter

    # --- life -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the event engine's loop on its thread, and restore the OMS's state there.

        Raises:
            OmsError: the state cannot be restored; everything is closed again.
        """
        self.event_engine.start()
        try:
            self.event_engine.call(self.oms.load_state)
        except Exception:
            self.close()
            raise

    def connect(self, setting: Mapping[str, Any], adapter_name: str) -> None:
        """Connect an adapter to its venue.

        Where it can say how its account stands, no order goes to it before it has.
        """
        self._adapter(adapter_name).connect(setting)
        self.event_engine.call(lambda: self.oms.expect(adapter_name))

    def close(self) -> None:
        """Stop everything in order; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        for adapter in self.adapters.values():
            self._close_quietly(adapter.adapter_name, adapter.close)
        self._close_quietly("the engines", lambda: self.event_engine.call(self._close_engines))
        self.event_engine.stop()

    def _close_engines(self) -> None:
        """Engines in reverse, each after everything that was queued before."""
        for engine in reversed(list(self.engines.values())):
            self._close_quietly("the queue", self.event_engine.drain)
            self._close_quietly(engine.engine_name, engine.close)

    def _close_quietly(self, name: str, close: Callable[[], None]) -> None:
        """One part that fails to close must not keep the others from saving."""
        try:
            close()
        except Exception:
            self._logger.exception("closing %s failed", name)

    # --- requests -------------------------------------------------------------------------------------------

    def subscribe(self, request: SubscribeRequest, adapter_name: str) -> None:
        """Ask an adapter for market data."""
        self._adapter(adapter_name).subscribe(request)

    def send_order(self, request: OrderRequest, adapter_name: str) -> str:
        """Hand an order to the OMS and return its ``vt_orderid``; what became of it arrives as events."""
        self._adapter(adapter_name)
        return self.oms.submit(request, adapter_name)

    def modify_order(self, request: ModifyRequest) -> None:
        """Hand a change to the OMS."""
        self.event_engine.put_topic(self.event_engine.topic(events.COMMAND_MODIFY), request)

    def cancel_order(self, request: CancelRequest) -> None:
        """Hand a cancellation to the OMS."""
        self.event_engine.put_topic(self.event_engine.topic(events.COMMAND_CANCEL), request)

    def query_history(self, request: HistoryRequest, adapter_name: str) -> list[BarData]:
        """Ask an adapter for bars of the past."""
        return self._adapter(adapter_name).query_history(request)

    def write_log(self, msg: str, source: str = "", level: int = logging.INFO) -> None:
        """Publish one line for the log."""
        now = self.event_engine.clock.now()
        self.event_engine.put_topic(self._log_topic, LogData(msg, level, source, now))

    # --- questions, answered by the OMS ---------------------------------------------------------------------

    def get_tick(self, vt_symbol: str) -> TickData | None:
        """The newest tick of an instrument."""
        return self.oms.get_tick(vt_symbol)

    def get_bar(self, vt_symbol: str) -> BarData | None:
        """The newest bar of an instrument."""
        return self.oms.get_bar(vt_symbol)

    def get_order(self, vt_orderid: str) -> OrderData | None:
        """An order by its id."""
        return self.oms.get_order(vt_orderid)

    def get_trade(self, vt_tradeid: str) -> TradeData | None:
        """A fill by its id."""
        return self.oms.get_trade(vt_tradeid)

    def get_position(self, vt_positionid: str) -> PositionData | None:
        """A position by its id."""
        return self.oms.get_position(vt_positionid)

    def get_account(self, vt_accountid: str) -> AccountData | None:
        """An account by its id."""
        return self.oms.get_account(vt_accountid)

    def get_contract(self, vt_symbol: str) -> ContractData | None:
        """A contract by its ``vt_symbol``."""
        return self.oms.get_contract(vt_symbol)

    def get_all_ticks(self) -> list[TickData]:
        """The newest tick of each instrument."""
        return self.oms.get_all_ticks()

    def get_all_orders(self) -> list[OrderData]:
        """Every order, in order of submission."""
        return self.oms.get_all_orders()

    def get_all_active_orders(self, vt_symbol: str = "") -> list[OrderData]:
        """Orders that can still trade, of one instrument or all."""
        return self.oms.get_all_active_orders(vt_symbol)

    def get_all_trades(self) -> list[TradeData]:
        """Every fill, in order of arrival."""
        return self.oms.get_all_trades()

    def get_all_positions(self) -> list[PositionData]:
        """Every position, flat ones included."""
        return self.oms.get_all_positions()

    def get_all_accounts(self) -> list[AccountData]:
        """Every account, one a currency."""
        return self.oms.get_all_accounts()

    def get_all_contracts(self) -> list[ContractData]:
        """Every contract."""
        return self.oms.get_all_contracts()

    def last_order_number(self, prefix: str) -> int:
        """Largest ``n`` among the known order ids ``ADAPTER.prefix-n``; 0 where there is none."""
        return self.oms.last_order_number(prefix)
