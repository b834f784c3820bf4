"""What one strategy of a runner has decided and read: folded, committed, and only then sent.

Invariants:

* An event of the order stream is folded and its hook called; then view, what ``on_save`` returned, cursor and the
  commands that were decided are committed together; only then the commands leave. Events that wait together share a
  commit.
* Ids of orders come from the strategy's counter, which is part of that commit; so a crash leads to the same ids or to
  none.
* An event that arrives while hooks are not called (paused, stopped, in ERROR) is folded and kept; its hook is called
  when they are again.
* Each strategy has an event engine of its own on the process's clock; so nothing that one does reaches another.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import msgspec

from foxtrot.bus.messages import ORDER_SEND, StreamSnapshot
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.client.runner_outbox import Outbox, method_of
from foxtrot.client.runner_plan import StrategyPlan
from foxtrot.client.runner_store import Command, RunnerStore, UnsentCommand, as_stored
from foxtrot.core import events
from foxtrot.core.clock import Clock, LiveClock
from foxtrot.core.errors import PersistenceError, StrategyError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import ContractData, OrderData, OrderRequest, TradeData
from foxtrot.strategy.host import StrategyHost, StrategyState
from foxtrot.strategy.order_verbs import OrderVerbs
from foxtrot.strategy.strategy import Strategy

__all__ = ["Mode", "StrategyBooks"]

STEPS_A_COMMIT = 64
"""Events that may share a commit."""

ACKNOWLEDGED_A_COMMIT = 100
"""Acknowledged commands that are worth a commit of their own."""

FLATTENINGS = 3
"""Times that a failed strategy's position is closed before somebody has to look."""

FLATTENING = "on_error"
"""Reference of the orders that close a failed strategy's positions."""

MAX_TRACE = 8_000
_FLAT = [0, 0, 0, 0]


class Mode(StrEnum):
    """What is wanted of a strategy; kept over restarts."""

    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    STOPPED = "STOPPED"
    ERROR = "ERROR"


class StrategyBooks:
    """Half of ``ManagedStrategy``: the books; the other half is its life.

    Args:
        plan: what it is.
        clock: the strategies' time.
        io_clock: the time of sockets.
        store: its file.
        client: to the OMS.
        on_fatal: called where the file cannot be written: nothing more may be decided.
        on_change: called when where it stands has changed.
        paced: whether commands wait for their round (``release``), and timers go on over restarts where they were.

    Attributes:
        host: what runs the user's class, or a plain strategy that only folds.
        stored: what is, or will be, in the file.
        is_active: whether the host runs the user's class, so that ``on_save`` means something.
        is_caught_up: whether the order stream has been read to its end.
    """

    def __init__(
        self,
        plan: StrategyPlan,
        clock: Clock,
        io_clock: LiveClock,
        store: RunnerStore,
        client: RpcClient,
        on_fatal: Callable[[PersistenceError], object],
        on_change: Callable[[], object],
        *,
        paced: bool = False,
    ) -> None:
        self.plan = plan
        self.name = plan.name
        self.clock = clock
        self.store = store
        self.host: StrategyHost | None = None
        self.contracts: list[ContractData] = []
        self.is_active = False
        self.is_caught_up = False
        self.stored, unsent = store.load()
        self.stored.missed = self.stored.missed or []
        self._paced = paced
        released = self.stored.released if paced else None
        prefix = f"{plan.name}.{store.birth}"
        self.outbox = Outbox(prefix, client, io_clock, self._on_refused, released)
        self.outbox.add(unsent)
        self.engine = EventEngine(clock)
        for topic in (events.COMMAND_ORDER, events.COMMAND_MODIFY, events.COMMAND_CANCEL):
            self.engine.subscribe(topic, self._on_command)
        self.logger = logging.getLogger(f"foxtrot.runner.{plan.name}")
        self._commands: list[UnsentCommand] = []
        self._dirty = False
        self._steps = 0
        self._policy_due = self.stored.mode == Mode.ERROR
        self._flattenings = 0
        self._on_fatal = on_fatal
        self._on_change = on_change
        self._encode = msgspec.msgpack.Encoder().encode

    @property
    def running(self) -> StrategyHost:
        """The host; there is one as soon as contracts are known.

        Raises:
            StrategyError: not yet.
        """
        if self.host is None:
            raise StrategyError(f"strategy {self.name} waits for its contracts")
        return self.host

    @property
    def missed(self) -> list[OrderData | TradeData]:
        """Events whose hooks were not called."""
        if self.stored.missed is None:
            self.stored.missed = []
        return self.stored.missed

    # --- order events ---------------------------------------------------------------------------------------

    def on_fact(self, fact: OrderData | TradeData, seq: int) -> None:
        """Fold an event of the order stream and call its hook; committed before anything leaves."""
        host = self.running
        hooked = host.state is StrategyState.RUNNING
        kind = events.EVENT_ORDER if isinstance(fact, OrderData) else events.EVENT_TRADE
        self.engine.dispatch(self.engine.topic(kind + self.name), fact)
        if not hooked:
            self.missed.append(fact)
        self._note_id(fact.vt_orderid)
        self.stored.cursor = seq
        self._dirty = True
        self._count_step()

    def _note_id(self, vt_orderid: str) -> None:
        """Never use an id again that the OMS knows, though this file be older than that (a restored copy)."""
        ids = self.running.context.ids
        prefix, _, number = vt_orderid.partition(".")[2].rpartition("-")
        if prefix == self.name and number.isdecimal() and int(number) > ids.last:
            self.logger.warning("order %s is unknown here: the file is an old one", vt_orderid)
            ids.last = int(number)

    def begin_view(self) -> None:
        """Forget orders and positions: they are folded anew."""
        context = self.running.context
        context.orders.clear()
        for leg in context.legs.values():
            leg.position.restore(list(_FLAT))
        self.missed.clear()
        self.is_caught_up = False

    def fold_past(self, fact: TradeData) -> None:
        """Fold a fill of the past; no hook is called."""
        self.running.context.fold_trade(fact)

    def end_view(self, snapshot: StreamSnapshot) -> None:
        """Take the working orders of a snapshot, and go on behind its number."""
        context = self.running.context
        context.orders = {o.vt_orderid: o for o in snapshot.orders if o.is_active()}
        waiting = {row.vt_orderid for row in (*self.outbox.rows.values(), *self._commands)}
        context.pending = {
            vt_orderid: request
            for vt_orderid, request in context.pending.items()
            if vt_orderid in waiting and vt_orderid not in context.orders
        }
        context.ids.last = max(context.ids.last, snapshot.last_id)
        self.stored.cursor = snapshot.seq
        self._dirty = True

    def tell_missed(self) -> None:
        """Call the hooks of events that were folded while none were called."""
        host = self.running
        while self.missed and host.state is StrategyState.RUNNING:
            host.tell(self.missed.pop(0))
            self.engine.drain()
            self._dirty = True

    # --- commands -------------------------------------------------------------------------------------------

    def _on_command(self, command: Command) -> None:
        self.stored.number += 1
        method = method_of(command)
        row = UnsentCommand(self.stored.number, method, command.vt_orderid, as_stored(command))
        self._commands.append(row)
        self._dirty = True

    def _on_refused(self, row: UnsentCommand, why: str) -> None:
        """The OMS will not carry out a command: a change may come too late, an order must not be refused so."""
        if row.method != ORDER_SEND:
            self.logger.warning("%s of %s was refused: %s", row.method, row.vt_orderid, why)
            return
        if self.host is not None:
            self.host.context.pending.pop(row.vt_orderid, None)
        self.fail(
            StrategyError(f"the OMS refused order {row.vt_orderid} of strategy {self.name}: {why}")
        )

    # --- failures -------------------------------------------------------------------------------------------

    def fail(self, error: Exception) -> None:
        """Put the strategy into ERROR."""
        if self.host is None:
            self.on_error(None, error, None)
        else:
            self.host.fail(error, None)

    def on_error(self, _host: StrategyHost | None, error: Exception, message: Any) -> None:
        """A hook raised, or an order was refused: the strategy stands still, its policy decides on its orders."""
        trace = "".join(traceback.format_exception(error))
        self.logger.error("strategy %s is in ERROR on %r:\n%s", self.name, message, trace)
        if self.stored.mode != Mode.ERROR:
            self._flattenings = 0
        self.stored.mode = Mode.ERROR
        self.stored.error = trace[-MAX_TRACE:]
        self.is_active = False
        self._policy_due = True
        self._dirty = True
        self._on_change()

    def _apply_policy(self) -> None:
        """Cancel what works and close what is held, as ``on_error`` says; once everything is known."""
        policy, host = self.plan.on_error, self.host
        if self.stored.mode != Mode.ERROR or policy == "keep" or not self.is_caught_up:
            return
        if host is None:
            return
        context = host.context
        if self._policy_due:
            self._policy_due = False
            known: dict[str, OrderRequest | OrderData] = {**context.pending, **context.orders}
            for vt_orderid in context.working_ids():
                if known[vt_orderid].reference != FLATTENING:
                    context.cancel(vt_orderid)
        held = [s for s, leg in context.legs.items() if not leg.position.is_flat]
        if policy == "flatten" and held and not context.working_ids():
            self._flatten(host, held)
        self.engine.drain()

    def _flatten(self, host: StrategyHost, held: list[str]) -> None:
        self._flattenings += 1
        if self._flattenings > FLATTENINGS:
            if self._flattenings == FLATTENINGS + 1:
                self.logger.critical("positions in %s could not be closed: look", ", ".join(held))
            return
        host.context.trading = True
        try:
            for vt_symbol in held:
                OrderVerbs.close(host.strategy, vt_symbol, FLATTENING)
        finally:
            host.context.trading = False

    # --- commits --------------------------------------------------------------------------------------------

    def _count_step(self) -> None:
        self._steps += 1
        if self._steps >= STEPS_A_COMMIT:
            self.settle()

    def settle(self) -> None:
        """Handle what timers have queued, commit what there is to commit, and let commands go."""
        if self.engine.queue:
            self.engine.drain()
        try:
            if self._policy_due:
                self._apply_policy()
            acknowledged = len(self.outbox.acknowledged)
            if self._dirty or acknowledged >= ACKNOWLEDGED_A_COMMIT:
                self.commit()
        except PersistenceError as error:
            self._on_fatal(error)

    def commit(self) -> None:
        """Write everything down, then send.

        Raises:
            PersistenceError: nothing was written, and nothing is sent.
        """
        self.save_user()
        self._apply_policy()
        if self.host is not None:
            self.stored.view = self.host.view()
            self._note_time(self.host)
        commands, acknowledged = list(self._commands), list(self.outbox.acknowledged)
        self.store.commit(self.stored, commands, acknowledged)
        self._commands.clear()
        self._dirty = False
        self._steps = 0
        self.outbox.forget(acknowledged)
        self.outbox.add(commands)

    def _note_time(self, host: StrategyHost) -> None:
        """Where a paced replay's clock stands, and its timers."""
        if self._paced and self.is_active:
            self.stored.time, self.stored.timers = self.clock.now(), host.timers()

    def touch(self) -> None:
        """Something has happened that is to be durable."""
        self._dirty = True

    def release(self) -> None:
        """Let the commands go that wait for their round; durably, so that a restart does not hold them again."""
        self.stored.released = self.stored.number
        self._dirty = True
        self.settle()
        if not self._dirty:
            self.outbox.release(self.stored.released)

    def save_user(self) -> None:
        """Take what ``on_save`` returns; where it raises, the strategy goes to ERROR and the last one counts."""
        if not self.is_active or self.host is None:
            return
        try:
            self.stored.user = self._encode(dict(self.host.strategy.on_save()))
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            self.fail(error)

    def load_user(self) -> None:
        """Give ``on_load`` what ``on_save`` returned before, if it ever did."""
        if not self.stored.user or self.host is None:
            return
        try:
            self.host.strategy.on_load(msgspec.msgpack.decode(self.stored.user))
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            self.fail(error)

    def fold_only(self) -> StrategyHost:
        """A host that runs no code of the user's and folds what comes.

        Raises:
            StrategyError: the stored view cannot be read.
        """
        host = StrategyHost(
            Strategy, self.name, {}, self.engine, self.contracts, None, self.on_error
        )
        if self.stored.view:
            host.restore(self.stored.view)
            for vt_symbol, position in self.stored.view["positions"].items():
                if position[0] and vt_symbol not in host.context.legs:
                    self.logger.error(
                        "a position in %s was held, which is traded no longer: it is not seen from here on",
                        vt_symbol,
                    )
        return host
