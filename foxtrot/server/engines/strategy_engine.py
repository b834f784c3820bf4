"""Strategies of one process: loads, starts and stops them, and says where each is in its life."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

from foxtrot.core import events
from foxtrot.core.engine import BaseEngine, EngineOwner
from foxtrot.core.errors import ConfigError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import ContractData
from foxtrot.strategy.context import HistorySource
from foxtrot.strategy.host import ErrorHandler, StrategyHost, StrategyState
from foxtrot.strategy.strategy import Strategy


class StrategyEngine(BaseEngine):
    """Hosts strategies by name.

    Args:
        main_engine: the owner.
        event_engine: the dispatcher.
    """

    def __init__(self, main_engine: EngineOwner, event_engine: EventEngine) -> None:
        super().__init__(main_engine, event_engine, "strategies")
        self.hosts: dict[str, StrategyHost] = {}
        self.history: HistorySource | None = None
        self.on_error: ErrorHandler = self._report_error
        self._logger = logging.getLogger("foxtrot.strategies")

    def add_strategy(
        self,
        strategy_class: type[Strategy],
        name: str,
        vt_symbols: str | Sequence[str],
        setting: Mapping[str, Any] | None = None,
    ) -> StrategyHost:
        """Load a strategy; it does nothing before ``start_strategy``.

        Raises:
            ConfigError: the name is taken, a contract is unknown, or a setting is wrong.
        """
        if name in self.hosts:
            raise ConfigError(
                f"there is a strategy named {name!r} already; give this one another name"
            )
        symbols = [vt_symbols] if isinstance(vt_symbols, str) else list(vt_symbols)
        contracts = [self._contract(name, vt_symbol) for vt_symbol in symbols]
        host = StrategyHost(
            strategy_class,
            name,
            setting or {},
            self.event_engine,
            contracts,
            self.history,
            self._failed,
        )
        self.hosts[name] = host
        return host

    def _contract(self, name: str, vt_symbol: str) -> ContractData:
        contract = self.main_engine.get_contract(vt_symbol)
        if contract is None:
            raise ConfigError(
                f"strategy {name}: no contract {vt_symbol!r} is known; connect its adapter or load its data first"
            )
        return contract

    def start_strategy(self, name: str) -> None:
        """Start a strategy, on the thread of the event engine; its ids go on after those that the OMS knows.

        Raises:
            ConfigError: there is no strategy of that name, or it was started before.
        """
        host = self.host(name)
        if host.state is not StrategyState.CREATED:
            raise ConfigError(
                f"strategy {name!r} is {host.state.value} and cannot be started again; add it anew"
            )

        def start() -> None:
            ids = host.context.ids
            ids.last = max(ids.last, self.main_engine.last_order_number(ids.prefix))
            host.start()

        self.event_engine.call(start)

    def stop_strategy(self, name: str) -> None:
        """Stop a strategy, on the thread of the event engine; its working orders are left as they are.

        Raises:
            ConfigError: there is no strategy of that name.
        """
        self.event_engine.call(self.host(name).stop)

    def host(self, name: str) -> StrategyHost:
        """A strategy's runtime.

        Raises:
            ConfigError: there is no strategy of that name.
        """
        host = self.hosts.get(name)
        if host is None:
            known = ", ".join(self.hosts) or "none"
            raise ConfigError(f"there is no strategy {name!r}; strategies: {known}")
        return host

    def _failed(self, host: StrategyHost, error: Exception, message: Any) -> None:
        """Tell whoever is responsible now; a backtest sets ``on_error`` to end the run."""
        self.on_error(host, error, message)

    def _report_error(self, host: StrategyHost, error: Exception, message: Any) -> None:
        """A strategy failed: the others go on; the log and ``EVENT_STRATEGY`` tell where and why."""
        trace = "".join(traceback.format_exception(error))
        self._logger.error("strategy %s is in ERROR on %r:\n%s", host.name, message, trace)
        self.event_engine.publish(
            self.event_engine.topic(events.EVENT_STRATEGY + host.name),
            {"strategy": host.name, "state": host.state.value, "error": trace},
        )

    def close(self) -> None:
        """Stop all strategies; one that fails to stop does not keep the others running."""
        for host in self.hosts.values():
            try:
                host.stop()
            except Exception:
                self._logger.exception("stopping strategy %s failed", host.name)
            host.unwire()
