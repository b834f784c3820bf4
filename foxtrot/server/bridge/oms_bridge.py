"""The OMS among other processes: commands and reports come in by numbered, acknowledged messages; facts go out.

Invariants:

* An order is answered once it is durable. A report is acknowledged once what it did is durable; how far each sender has
  come is saved in the same transaction, so that nothing is folded twice over a restart of either side.
* Facts of a strategy (``s/<strategy>``) are published under the numbers of the journal, in order, after their commit.
  Positions, accounts and contracts are published as they change; of these the latest counts.
* A command for an adapter that is slow or away keeps nobody else waiting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from foxtrot.bus.messages import (
    CONTROL_HALT,
    CONTROL_RESUME,
    EVENT_HALT,
    ORDER_CANCEL,
    ORDER_MODIFY,
    ORDER_SEND,
    PACE,
    REPORTS,
    ControlReply,
    HaltRequest,
    PaceReply,
    PaceRequest,
    ResumeRequest,
)
from foxtrot.bus.publisher import Publisher
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_inbox import Received, ReliableReceiver, Unreadable
from foxtrot.bus.rpc_messages import RpcError
from foxtrot.bus.rpc_methods import Incoming, Pending
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.core import events
from foxtrot.core.clock import Clock, LiveClock, SimulatedClock
from foxtrot.core.errors import FrameError, OmsError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import (
    AccountData,
    CancelRequest,
    ContractData,
    ModifyRequest,
    OrderData,
    OrderRequest,
    PositionData,
    TradeData,
)
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.bridge.answers import OmsAnswers, stream_of
from foxtrot.server.bridge.held_commands import HeldCommands
from foxtrot.server.bridge.routes import RemoteRoute
from foxtrot.server.engines.oms_engine import ORDERED, OmsEngine
from foxtrot.server.engines.oms_step import Ordered
from foxtrot.server.journal.codec import Fact
from foxtrot.server.persistence_sqlite import SqlitePersistence

__all__ = ["OmsBridge", "RemoteOwner"]

_MARK = "rMark"
_INBOX = "inbox/"
_GATHER = "rGather"

MOST_GATHERED = 256
"""Messages that wait to be folded, at which no more are read before that."""

_TOPICS: dict[type[Any], str] = {
    OrderData: events.REPORT_ORDER,
    TradeData: events.REPORT_TRADE,
    PositionData: events.REPORT_POSITION,
    AccountData: events.REPORT_ACCOUNT,
    ContractData: events.REPORT_CONTRACT,
    VenueSnapshot: events.REPORT_SNAPSHOT,
}

logger = logging.getLogger("foxtrot.oms.bridge")


class _Mark(NamedTuple):
    """A sender's report of that number has been folded."""

    source: str
    number: int
    epoch: int


class RemoteOwner:
    """Stands in for the ``MainEngine``: the OMS's ways to adapters are other processes."""

    def __init__(self) -> None:
        self.routes: dict[str, RemoteRoute] = {}
        self.oms: OmsEngine | None = None

    def get_route(self, adapter_name: str) -> RemoteRoute | None:
        """The way to an adapter."""
        return self.routes.get(adapter_name)

    def get_contract(self, vt_symbol: str) -> ContractData | None:
        """A contract by its ``vt_symbol``."""
        return self.oms.get_contract(vt_symbol) if self.oms is not None else None

    def last_order_number(self, prefix: str) -> int:
        """Largest ``n`` among the known order ids ``ADAPTER.prefix-n``."""
        return self.oms.last_order_number(prefix) if self.oms is not None else 0

    def write_log(self, msg: str, source: str = "", level: int = 20) -> None:
        """The OMS logs by itself, and the process publishes what is logged."""


class Connect(Protocol):
    """Makes the connection to a service."""

    def __call__(
        self, service: str, on_epoch: Callable[[str, int], object] | None = None
    ) -> RpcClient:
        """Connect."""


class OmsBridge:
    """Wires an OMS to a server and a publisher.

    Args:
        oms: whose owner is ``owner``.
        owner: takes the routes.
        store: the OMS's database.
        server: answers requests.
        publisher: publishes.
        connect: makes a connection to a service.
    """

    def __init__(
        self,
        oms: OmsEngine,
        owner: RemoteOwner,
        store: SqlitePersistence,
        server: RpcServer,
        publisher: Publisher,
        connect: Connect,
    ) -> None:
        self.oms = oms
        self.owner = owner
        self.store = store
        self.server = server
        self.publisher = publisher
        self._connect = connect
        self._engine: EventEngine = oms.event_engine
        self._services: dict[str, str] = {}
        self._receiver: ReliableReceiver | None = None
        self._gather = self._engine.topic(_GATHER)
        self._is_live = isinstance(self._engine.clock, LiveClock)
        self.held: HeldCommands | None = None
        self._round = 0

    def hold_commands(self, clock: Clock) -> None:
        """Have commands for venues wait for their round (``pace``), on the clock of sockets; before ``start``."""
        self.held = HeldCommands(self.oms, self.owner.routes, clock)
        self.oms.held_commands = self.held

    def start(self, adapters: Iterable[tuple[str, str]], strategies: Iterable[str]) -> None:
        """Load the OMS's state, open the ways to adapters and begin to answer.

        Args:
            adapters: names of adapters and of their services.
            strategies: whose streams heartbeats tell of from the beginning.

        Raises:
            OmsError: the state cannot be read, or is not to be trusted.
        """
        oms = self.oms
        oms.extend(_MARK, self._on_mark)
        self._engine.subscribe(_GATHER, self._on_gather)
        oms.on_commit = self._publish_facts
        if self.held is not None:
            self.held.load()
        oms.load_state()
        journal = self.store.journal
        for strategy in dict.fromkeys([*strategies, "EXTERNAL", ""]):
            self.publisher.seed(stream_of(strategy), journal.last(stream_of(strategy)))
        self._receive()
        OmsAnswers(oms, self.store).register(self.server)
        self._register()
        for topic in (events.EVENT_POSITION, events.EVENT_ACCOUNT, events.EVENT_CONTRACT):
            self._engine.subscribe(topic, self._publish)
        for adapter, service in adapters:
            self._open(adapter, service)

    def _open(self, adapter: str, service: str) -> None:
        client = self._connect(service, on_epoch=lambda _source, _epoch: self.oms.expect(adapter))
        self._services[service] = adapter
        self.owner.routes[adapter] = RemoteRoute(
            adapter,
            client,
            self.oms.orders_by_id,
            lambda report: self._put(events.REPORT_ORDER, report),
            self.oms.ask_soon,
            self.oms.cannot_tell,
            self._engine.clock,
        )
        self.oms.expect(adapter)

    @property
    def idle(self) -> bool:
        """Whether no command is on its way to an adapter, and nothing waits to be folded or committed."""
        waiting = any(route.waiting for route in self.owner.routes.values())
        waiting = waiting or (self.held is not None and self.held.is_going)
        oms = self.oms
        return not (
            waiting or self._engine.queue or oms.step.facts or oms.step.rows or oms.awaiting
        )

    def counters(self) -> dict[str, int]:
        """Figures for ``svc.status``."""
        oms = self.oms
        return {
            "commits": oms.commits,
            "active_orders": len(oms.orders.active),
            "unknown_orders": len(oms.doubtful),
            "duplicates": oms.duplicates,
            "refused": oms.refused,
        }

    # --- reports --------------------------------------------------------------------------------------------

    def _receive(self) -> None:
        state = {
            key.removeprefix(_INBOX): Received(int(row[0]), int(row[1]))
            for key, row in self.store.load_prefix(_INBOX)
        }
        self._receiver = ReliableReceiver(REPORTS, self._on_report, self._on_lost, state=state)
        self.server.receive_reports(self._receiver)

    def _on_report(self, source: str, number: int, body: Any) -> None:
        """Queue a report, and the note of how far its sender has come behind it."""
        topic = _TOPICS.get(type(body))
        if isinstance(body, Unreadable):
            logger.error("report %d of %s cannot be read: %s", number, source, body.text)
            self._miss(source)
        elif topic is None:
            logger.error("report %d of %s is of no kind that is folded: %s", number, source, body)
        else:
            self._put(topic, body)
        epoch = self._receiver.epoch(source) if self._receiver is not None else 0
        self._put(_MARK, _Mark(source, number, epoch))

    def _on_lost(self, source: str, first: int, last: int) -> None:
        logger.warning("reports %d to %d of %s are lost with its former life", first, last, source)
        self._miss(source)

    def _miss(self, source: str) -> None:
        """Something of an adapter will never come: have it say how the account stands."""
        adapter = self._services.get(source)
        if adapter is not None:
            self.oms.expect(adapter)

    def _on_mark(self, mark: _Mark) -> None:
        """Save with this step how far a sender has come, and tell it when that is durable."""
        oms = self.oms
        oms.step.rows[_INBOX + mark.source] = [mark.number, mark.epoch]
        oms.when_durable(lambda: self._acknowledge(mark.source, mark.number))

    def _acknowledge(self, source: str, number: int) -> None:
        if self._receiver is not None:
            self._receiver.ack(source, number)

    # --- commands -------------------------------------------------------------------------------------------

    def _register(self) -> None:
        server = self.server
        server.register(ORDER_SEND, self._on_order, OrderRequest)
        server.register(ORDER_MODIFY, self._on_modify, ModifyRequest)
        server.register(ORDER_CANCEL, self._on_cancel, CancelRequest)
        server.register(CONTROL_HALT, self._on_halt, HaltRequest)
        server.register(CONTROL_RESUME, self._on_resume, ResumeRequest)
        server.register(PACE, self._on_pace, PaceRequest, keep=False)

    def _on_order(self, asked: Incoming, later: Callable[[], Pending]) -> None:
        """Queue an order; it is answered with how it stands once that is durable."""
        request: OrderRequest = asked.body
        if self.oms.halted:
            raise RpcError("HALTED", self.oms.halted)
        if not request.vt_orderid:
            raise RpcError("NO_ID", "an order needs vt_orderid = ADAPTER.id, minted by its sender")
        adapter = request.vt_orderid.partition(".")[0]
        if self.oms.is_soon_ready(adapter) and not self.store.knows_order(request.vt_orderid):
            raise RpcError("NOT_READY", self.oms.awaited(adapter))
        pending = later()
        ordered = Ordered(request, pending.answer, lambda reason: pending.fail("REFUSED", reason))
        self._put(ORDERED, ordered)

    def _on_modify(self, asked: Incoming, _later: Callable[[], Pending]) -> None:
        self._command(self.oms.on_modify_request, asked.body)

    def _on_cancel(self, asked: Incoming, _later: Callable[[], Pending]) -> None:
        self._command(self.oms.on_cancel_request, asked.body)

    def _command(self, fold: Callable[[Any], str], request: Any) -> None:
        """Fold a command that changes nothing here and so needs no commit."""
        if self.oms.halted or (self.oms.stalled and isinstance(request, ModifyRequest)):
            raise RpcError("HALTED", self.oms.halted or self.oms.stalled)
        refused = fold(request)
        if refused:
            raise RpcError("REFUSED", refused)

    def _on_halt(self, asked: Incoming, _later: Callable[[], Pending]) -> ControlReply:
        request: HaltRequest = asked.body
        oms, whose = self.oms, f"strategy {request.strategy}" if request.strategy else "all trading"
        try:
            oms.halt_trading(request.reason, request.strategy, closing=request.flatten)
        except OmsError as error:
            raise RpcError("NOT_SAVED", f"the halt is in force but not durable: {error}") from error
        finally:  # adapters refuse what waits there; what closes a position is sent later
            self._send(EVENT_HALT + (request.strategy or "all"), request)
        text, changed = f"{whose} is halted", 0
        if request.cancel or request.flatten:
            changed = oms.cancel_all(request.strategy)
            text += f", cancels on their way: {changed}"
        if request.flatten:
            closing = oms.flatten(request.strategy)
            changed += closing
            text += f", closing orders sent: {closing}"
        return ControlReply(text, changed)

    def _on_resume(self, asked: Incoming, _later: Callable[[], Pending]) -> ControlReply:
        request: ResumeRequest = asked.body
        whose = f"strategy {request.strategy}" if request.strategy else "all trading"
        try:
            changed = self.oms.resume_trading(request.reason, request.strategy)
        except OmsError as error:
            raise RpcError("NOT_SAVED", str(error)) from error
        text = f"{whose} goes on" if changed else f"{whose} was not halted"
        return ControlReply(text, int(changed))

    def _on_pace(self, asked: Incoming, _later: Callable[[], Pending]) -> PaceReply:
        """Put the clock of a paced replay forward, and say how things stand."""
        request: PaceRequest = asked.body
        clock = self._engine.clock
        if isinstance(clock, SimulatedClock) and request.ts > clock.now():
            self._engine.advance(request.ts)
        held = self.held
        if held is not None and request.epoch == self.server.epoch and request.round > self._round:
            self._round = request.round
            held.release()
        streams = {
            name: number for name, number in self.publisher.streams.items() if name.startswith("s/")
        }
        waiting = held.waiting if held is not None else 0
        return PaceReply(
            request.number, self.idle, streams, request.number, waiting, ts=clock.now()
        )

    # --- what goes out --------------------------------------------------------------------------------------

    def _publish_facts(self, facts: list[tuple[str, Fact]]) -> None:
        """Publish what strategies own, under the journal's numbers."""
        counts: dict[str, int] = {}
        for stream, _ in facts:
            counts[stream] = counts.get(stream, 0) + 1
        last = self.store.journal.last
        numbers = {stream: last(stream) - count for stream, count in counts.items()}
        for stream, fact in facts:
            numbers[stream] += 1
            if isinstance(fact, OrderData):
                self._send(events.EVENT_ORDER + fact.strategy, fact, numbers[stream], stream)
            elif isinstance(fact, TradeData):
                self._send(events.EVENT_TRADE + fact.strategy, fact, numbers[stream], stream)

    def _publish(self, message: PositionData | AccountData | ContractData) -> None:
        if isinstance(message, PositionData):
            topic = events.EVENT_POSITION + message.vt_symbol
        elif isinstance(message, AccountData):
            topic = events.EVENT_ACCOUNT + message.vt_accountid
        else:
            topic = events.EVENT_CONTRACT + message.vt_symbol
        self._send(topic, message)

    def _send(
        self, topic: str, message: Any, number: int | None = None, stream: str | None = None
    ) -> None:
        try:
            self.publisher.publish(topic, message, number, stream)
        except FrameError as error:  # readers find the gap and ask for it
            logger.error("%s cannot be published: %s", topic, error)

    def _put(self, topic: str, message: Any) -> None:
        engine = self._engine
        if self._is_live and not engine.queue:
            engine.put_topic(self._gather, None)
        engine.put_topic(engine.topic(topic), message)

    def _on_gather(self, _message: None) -> None:
        """Before the first of what came is folded, read what waits besides: it shares the commit."""
        queue, before = self._engine.queue, -1
        while before < len(queue) < MOST_GATHERED:
            before = len(queue)
            self._engine.waiter.wait(0.0)
