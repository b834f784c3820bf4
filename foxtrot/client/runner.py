"""The strategy runner: one or many strategies in a process of their own, each isolated from its neighbours.

Start in any order: a runner waits for the OMS and for adapters, says in the log and in its status what it waits for,
and goes on by itself. It is READY when every strategy trades, stands still because it was told to, or has failed.

Invariants: one thread, that of the process's loop; no question is waited for; what a strategy decides is committed in
its own file before it leaves (``foxtrot.client.runner_books``).

Where a replay is paced, the strategies' clock is put forward by ``pace`` requests, no strategy starts before the first
of them, and an event counts as handled once what was made of it is durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from foxtrot.bus.messages import (
    PACE,
    QUERY_CONTRACTS,
    STRATEGY_CONTROL,
    STRATEGY_LIST,
    ContractList,
    ControlReply,
    PaceReply,
    PaceRequest,
    StrategyControl,
    StrategyInfo,
    StrategyList,
)
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome, RpcError
from foxtrot.bus.rpc_methods import Incoming, Pending
from foxtrot.client.runner_books import Mode
from foxtrot.client.runner_control import ControlledStrategy
from foxtrot.client.runner_market import MarketFeed
from foxtrot.client.runner_orders import OrderFeed
from foxtrot.client.runner_plan import ServiceFrame, StrategyPlan
from foxtrot.client.runner_store import RunnerStore
from foxtrot.core.clock import NEVER, SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import FoxtrotError, PersistenceError
from foxtrot.core.events import EVENT_STRATEGY
from foxtrot.core.objects import ContractData, TimerData

__all__ = ["StrategyRunner"]

logger = logging.getLogger("foxtrot.runner")

READY, DEGRADED, STARTING = "READY", "DEGRADED", "STARTING"
VERBS = ("start", "stop", "pause", "resume", "reload")
FATAL = 70
"""Exit code where a strategy's file cannot be written."""

_RETRY_NS = NS_PER_SECOND // 4
_LAST_WORDS_NS = 2 * NS_PER_SECOND
_STEP = 0.02

OpenStore = Callable[[StrategyPlan], RunnerStore]


class StrategyRunner:
    """Hosts strategies on a process's loop.

    Args:
        frame: the process.
        plans: the strategies.
        open_store: opens a strategy's file.
        oms: name of the OMS's service.

    Attributes:
        strategies: by name; filled by ``start``.
    """

    def __init__(
        self,
        frame: ServiceFrame,
        plans: Sequence[StrategyPlan],
        open_store: OpenStore,
        oms: str = "oms",
    ) -> None:
        self.strategies: dict[str, ControlledStrategy] = {}
        self._frame = frame
        self._plans = tuple(plans)
        self._open_store = open_store
        self._oms_name = oms
        self._paced = isinstance(frame.clock, SimulatedClock)
        self._published: dict[str, StrategyInfo] = {}
        self._changed = True
        self._was_ready = False
        self._fatal = False
        self._told: set[str] = set()
        self._asking = False
        self._is_paced_yet = False
        self._round = 0
        self._is_ending = False
        self._oms: RpcClient
        self._orders: OrderFeed
        self._market: MarketFeed

    # --- start ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Open files and connections; the rest follows as the other services answer.

        Raises:
            PersistenceError: a file cannot be used; another process may hold it.
        """
        frame = self._frame
        oms = self._oms = frame.client(self._oms_name, self._on_oms_restart)
        services = dict.fromkeys(plan.service for plan in self._plans)
        adapters = {service: frame.client(service) for service in services}
        self._orders = OrderFeed(frame, self._oms_name, oms)
        for plan in self._plans:
            store = self._open_store(plan)
            frame.at_end(f"the file of {plan.name}", store.close)
            self.strategies[plan.name] = ControlledStrategy(
                plan,
                frame.clock,
                frame.io_clock,
                store,
                oms,
                adapters[plan.service],
                follow=self._orders.follow,
                on_fatal=self._on_fatal,
                on_change=self._on_change,
                paced=self._paced,
            )
        self._market = MarketFeed(
            frame,
            self.strategies.values(),
            adapters,
            paced=self._paced,
        )
        self._register()
        frame.at_end("the strategies", self.close)
        self._market.start()
        self._ask_contracts()

    def _register(self) -> None:
        frame = self._frame
        frame.server.register(STRATEGY_CONTROL, self._on_control, StrategyControl)
        frame.server.register(STRATEGY_LIST, self._on_list, None, StrategyList, keep=False)
        frame.server.register(PACE, self._on_pace, PaceRequest, keep=False)
        frame.event_engine.add_idle(self._on_idle)
        frame.io_clock.set_interval("runner.beat", NS_PER_SECOND, self._on_beat)

    # --- contracts ------------------------------------------------------------------------------------------

    def _waiting(self) -> list[ControlledStrategy]:
        return [strategy for strategy in self.strategies.values() if strategy.host is None]

    def _ask_contracts(self, _timer: TimerData | None = None) -> None:
        if self._asking or not self._waiting():
            return
        if self._paced and not self._is_paced_yet:
            return  # asked for when the first pace has told the time
        self._asking = True
        names = tuple(dict.fromkeys(s for w in self._waiting() for s in w.plan.vt_symbols))
        self._oms.send(QUERY_CONTRACTS, ContractList((), names), on_reply=self._on_contracts)

    def _on_contracts(self, outcome: Outcome) -> None:
        self._asking = False
        if not isinstance(outcome, Answer):
            self._tell_once(f"waits for the OMS: {outcome.reason}")
        elif not outcome.ok or not isinstance(outcome.body, ContractList):
            self._tell_once(f"waits for contracts: {outcome.error_text or 'no list'}")
        else:
            known = {contract.vt_symbol: contract for contract in outcome.body.contracts}
            for strategy in self._waiting():
                self._begin(strategy, known)
        if self._waiting():
            due = self._frame.io_clock.now() + _RETRY_NS
            self._frame.io_clock.set_timer("runner.contracts", due, self._ask_contracts)

    def _begin(self, strategy: ControlledStrategy, known: dict[str, ContractData]) -> None:
        plan = strategy.plan
        missing = [vt_symbol for vt_symbol in plan.vt_symbols if vt_symbol not in known]
        if missing:
            self._tell_once(
                f"strategy {plan.name} waits for the contract of {', '.join(missing)}: "
                f"{plan.service} has not told the OMS of it yet"
            )
            return
        contracts = [known[vt_symbol] for vt_symbol in plan.vt_symbols]
        if plan.adapter:
            contracts = [replace(contract, adapter_name=plan.adapter) for contract in contracts]
        strategy.begin(contracts)

    def _tell_once(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            logger.warning("%s", text)
            self._on_change()

    # --- the loop -------------------------------------------------------------------------------------------

    def _on_idle(self) -> None:
        """The process's queue has run empty: commit and send, then say what has changed."""
        for strategy in self.strategies.values():
            strategy.settle()
        if self._changed:
            self._changed = False
            self._show()

    def _on_beat(self, _timer: TimerData) -> None:
        self._market.look()
        self._changed = True

    def _on_change(self) -> None:
        self._changed = True

    def _show(self) -> None:
        """Publish what has changed of the strategies, and tell the process's state."""
        now = self._frame.io_clock.now()
        for strategy in self.strategies.values():
            info = strategy.info(0)
            if self._published.get(info.name) != info:
                self._published[info.name] = info
                self._frame.publisher.publish(
                    EVENT_STRATEGY + info.name, replace(info, ts_event=now)
                )
        if not self._is_ending:
            self._show_state()

    def _show_state(self) -> None:
        unsettled = [s.name for s in self.strategies.values() if not s.is_settled]
        failed = [s.name for s in self.strategies.values() if s.stored.mode == Mode.ERROR]
        if unsettled and not self._was_ready:
            why = "; ".join(sorted(self._told)) if self._waiting() else ""
            self._frame.set_state(STARTING, why or f"{', '.join(unsettled)}: starting")
            return
        self._was_ready = True
        if failed:
            self._frame.set_state(DEGRADED, f"in ERROR: {', '.join(failed)}")
        else:
            self._frame.set_state(READY)

    def _on_oms_restart(self, _service: str, _epoch: int) -> None:
        self._orders.refresh()

    def _on_fatal(self, error: PersistenceError) -> None:
        if not self._fatal:
            self._fatal = True
            logger.critical("%s", error)
            self._frame.stop(str(error), FATAL)

    # --- what is asked --------------------------------------------------------------------------------------

    def details(self) -> dict[str, str]:
        """Strategies' states, with the last line of an error, by name: for the process's status."""
        return {
            name: f"{s.state} {s.stored.error.strip().rpartition(chr(10))[2]}".strip()
            for name, s in self.strategies.items()
        }

    def _on_list(self, _request: Incoming, _later: Callable[[], Pending]) -> StrategyList:
        now = self._frame.io_clock.now()
        return StrategyList(tuple(strategy.info(now) for strategy in self.strategies.values()))

    def _on_control(self, request: Incoming, _later: Callable[[], Pending]) -> ControlReply:
        """Carry out a verb for one strategy or all.

        Raises:
            RpcError: verb or strategy are unknown, or a class cannot be loaded.
        """
        verb, name = request.body.verb, request.body.strategy
        if verb not in VERBS:
            raise RpcError("UNKNOWN_VERB", f"there is no verb {verb!r}; use {', '.join(VERBS)}")
        if name and name not in self.strategies:
            known = ", ".join(self.strategies)
            raise RpcError("UNKNOWN_STRATEGY", f"there is no strategy {name!r} here; use {known}")
        chosen = [self.strategies[name]] if name else list(self.strategies.values())
        texts = []
        for strategy in chosen:
            try:
                texts.append(getattr(strategy, verb)())
            except FoxtrotError as error:
                raise RpcError("REFUSED", str(error)) from error
            strategy.settle()  # durable before it is answered
        logger.warning("%s asked: %s", request.source, "; ".join(texts))
        return ControlReply("; ".join(texts), len(chosen))

    def _on_pace(self, request: Incoming, _later: Callable[[], Pending]) -> PaceReply:
        """Put the clock forward, and tell how everything stands: which event all strategies have behind them.

        Raises:
            RpcError: the replay is not a paced one.
        """
        pace: PaceRequest = request.body
        strategies = self.strategies.values()
        horizon = max(pace.horizon, pace.ts)
        clock = self._put_forward(pace.ts)
        self._market.expect(pace.number, pace.ts)
        self._ask_contracts()
        if pace.epoch == self._frame.epoch and pace.round > self._round:
            self._round = pace.round
            self._go_on(clock, horizon)
        for strategy in strategies:
            strategy.settle()  # durable before it is told
        idle = self._orders.is_caught_up() and all(s.is_idle for s in strategies)
        handled = min(s.stored.handled for s in strategies)
        held = sum(s.outbox.held for s in strategies)
        due = min(clock.next_run(horizon), max(clock.next_due, horizon + 1))
        streams, idle = self._orders.cursors(), idle and clock.ns >= pace.ts
        return PaceReply(pace.number, idle, streams, handled, held, due % NEVER, clock.ns)

    def _put_forward(self, ts: int) -> SimulatedClock:
        """Set the strategies' clock; it begins where their files say, and waits for those who have not started yet.

        Raises:
            RpcError: the replay is not a paced one.
        """
        clock = self._frame.clock
        if not isinstance(clock, SimulatedClock):
            raise RpcError("NOT_PACED", "this installation runs on the machine's clock")
        strategies = self.strategies.values()
        if not self._is_paced_yet:
            self._is_paced_yet = True
            stored = max(s.stored.time for s in strategies)
            clock.ns = max(clock.ns, stored or ts)
        if all(s.is_settled for s in strategies):
            clock.ns = max(clock.ns, ts)
        return clock

    def _go_on(self, clock: SimulatedClock, horizon: int) -> None:
        """One step of a paced replay: commands that wait go, else a timer that is due runs."""
        holding = [s for s in self.strategies.values() if s.outbox.held]
        for strategy in holding:
            strategy.release()
        if not holding and clock.next_run(horizon) <= clock.ns:
            now = clock.ns
            clock.fire_next(horizon)
            clock.ns = max(now, clock.ns)
            for strategy in self.strategies.values():
                strategy.touch()

    # --- the end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Call ``on_stop``, commit, give the last commands time to leave, and close the files."""
        frame = self._frame
        self._is_ending = True
        frame.io_clock.cancel_timer("runner.beat")
        frame.io_clock.cancel_timer("runner.contracts")
        strategies = list(self.strategies.values())
        for strategy in strategies:
            strategy.end()
            strategy.settle()
        deadline = frame.io_clock.monotonic() + _LAST_WORDS_NS
        while (
            any(not s.outbox.is_quiet for s in strategies) and frame.io_clock.monotonic() < deadline
        ):
            frame.event_engine.waiter.wait(_STEP)
            for strategy in strategies:
                strategy.settle()
        frame.event_engine.remove_idle(self._on_idle)
        failures = []
        for strategy in strategies:
            try:
                strategy.close()
            except PersistenceError as error:
                failures.append(error)
        self._show()
        if failures:
            raise failures[0]
