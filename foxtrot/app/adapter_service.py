"""A venue connection as a process: commands in, market data and numbered reports out.

Invariants:

* A command is answered as soon as it was handed on (a paper venue has saved it); what became of it comes as reports. It
  is refused (``REFUSED``) only where the venue certainly did not get it, neither now nor in this process's former life.
* Market data is published as it comes; reports go to the OMS alone, which publishes what they did once it is durable.
* An order that the OMS sent before it halted trading, and that is not with the venue yet, is refused.
* READY means connected, and that the OMS has taken the contracts and the account's state.

Exit codes are those of ``foxtrot.app.failures``.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from foxtrot.app.adapter_build import build_adapter
from foxtrot.app.adapter_pacing import PaceDriver
from foxtrot.app.adapter_reports import ReportDesk
from foxtrot.app.installation import OMS, AdapterSettings, Installation
from foxtrot.app.process import DEGRADED, ServiceProcess
from foxtrot.app.service_command import run_service
from foxtrot.bus.codec import Envelope
from foxtrot.bus.messages import (
    EVENT_HALT,
    MARKET_SUBSCRIBE,
    ORDER_CANCEL,
    ORDER_MODIFY,
    ORDER_SEND,
    PACE,
    QUERY_CONTRACTS,
    QUERY_HISTORY,
    QUERY_SNAPSHOT,
    BarPage,
    ContractList,
    HaltRequest,
    PaceReply,
)
from foxtrot.bus.messages import PaceRequest as Pace
from foxtrot.bus.rpc_messages import RpcError
from foxtrot.bus.rpc_methods import Incoming, Pending
from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import FrameError, OrderError
from foxtrot.core.event_engine import Event
from foxtrot.core.objects import (
    CancelRequest,
    HistoryRequest,
    LogData,
    ModifyRequest,
    OrderRequest,
    SubscribeRequest,
    TimerData,
)

__all__ = ["MOST_BARS", "AdapterService", "run_adapter_service"]

MOST_BARS = 4_000
"""Bars in one answer to ``q.history``: the newest of what was asked for; for older ones ask for what ends there."""

REFUSED = "REFUSED"
NO_SNAPSHOT = "NO_SNAPSHOT"
"""The venue certainly did not get it."""

NOT_CONNECTED = "NOT_CONNECTED"
"""There is no connection now; whether the venue got it before is not known."""

HALTED = "HALTED"
"""Not passed on because trading was halted; whether the venue got it before is not known."""

_MARKET = (events.EVENT_TICK, events.EVENT_BAR, events.EVENT_TRADE_TICK, events.EVENT_BOOK)
_RETRY_NS = 5 * NS_PER_SECOND
_NOT_SENT = (OrderError, ConnectionRefusedError)

logger = logging.getLogger("foxtrot.service.adapter")

Later = Callable[[], Pending]


class AdapterService:
    """The parts of an adapter's process.

    Args:
        process: its frame.
        settings: which adapter.

    Raises:
        ConfigError: the adapter cannot be made.
        DataError: the data that it is to replay cannot be used.
    """

    def __init__(self, process: ServiceProcess, settings: AdapterSettings) -> None:
        self.process = process
        self.settings = settings
        self.counters: Counter[str] = Counter()
        self.is_connected = False
        self._is_asked = False
        installation = process.installation
        self.built = build_adapter(
            settings,
            process.event_engine,
            state=installation.folder("state"),
            folder=installation.path.parent,
            watch=process.io_clock,
        )
        self.adapter = self.built.adapter
        self.reports = ReportDesk(process, self.adapter)
        self.driver: PaceDriver | None = None
        self._answers: list[Pending] = []
        self._answered = process.event_engine.topic(f"rAnswered.{settings.name}")
        self._oms = process.client(OMS, on_epoch=self._on_oms_restarted)
        self._halted: dict[str, int] = {}
        self._halts = process.subscriber([OMS], self._on_halt, durable=())
        self._halts.subscribe(EVENT_HALT)
        self._logger = logging.getLogger(f"foxtrot.adapter.{settings.name}")

    # --- life -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Answer, connect, and announce what there is.

        Raises:
            ConfigError: a setting of the adapter is wrong.
            PersistenceError: the file of a paper venue cannot be used.
        """
        process, engine = self.process, self.process.event_engine
        for topic in _MARKET:
            engine.register(topic, self._on_market)
        engine.subscribe(events.EVENT_LOG, self._on_log)
        engine.add_idle(self._on_idle)
        self._register()
        process.counters = self._count
        process.details = self._tell
        self._oms.send_reports(self.reports.outbox)
        if self.settings.replay.paced and self.built.source is not None:
            self.driver = PaceDriver(
                process, self.settings, self.built.source, self.reports, self._oms, self.commands
            )
            self.driver.prepare()
        process.at_end("the adapter", self.close)
        self._connect(None)

    def commands(self) -> int:
        """Commands taken so far."""
        return self.counters["commands"]

    def close(self) -> None:
        """Stop the data, then close the venue, which saves; last reports stay with it until it is asked again."""
        engine = self.process.event_engine
        self.process.io_clock.cancel_timer("adapter.connect")
        engine.remove_idle(self._on_idle)
        if self.driver is not None:
            self.driver.close()
        if self.built.source is not None:
            self.built.source.replay.close()
        self.is_connected = False
        self.adapter.close()
        engine.drain()
        self.reports.close()

    def _connect(self, _timer: TimerData | None) -> None:
        """Open the connection; what the network says is tried again, what the settings say ends the process."""
        try:
            self.adapter.connect(self.built.setting)
        except OSError as error:
            clock = self.process.io_clock
            self.process.set_state(DEGRADED, f"no connection: {error}")
            clock.set_delay("adapter.connect", _RETRY_NS, self._connect)
            return
        self.is_connected = True
        self.reports.announce()
        if self.built.source is not None:
            self.built.source.connect()
        if self.driver is not None:
            self.driver.start()

    def _on_idle(self) -> None:
        for pending in self._answers:
            pending.answer(None)
        self._answers.clear()
        if self.is_connected:
            if not self.reports.waiting:
                self.adapter.reports_arrived()
            if self._is_asked:
                self._is_asked = False
                self.reports.announce()
            self.reports.look()
        if self.driver is not None:
            self.driver.look()

    def _on_oms_restarted(self, _source: str, _epoch: int) -> None:
        logger.info("the OMS has restarted: it is told everything again")
        if self.is_connected:
            self.reports.announce()

    def _count(self) -> dict[str, int]:
        return {
            **self.counters,
            **self.reports.counters,
            "reported": self.reports.reported,
            "outbox": self.reports.waiting,
        }

    def _tell(self) -> dict[str, str]:
        told = {"adapter": self.settings.name, "kind": self.settings.kind}
        source = self.built.source
        if source is not None:
            told["replay"] = "playing" if source.replay.is_playing else "not playing"
        if self.driver is not None:
            told |= self.driver.tell()
        return told

    # --- what goes out --------------------------------------------------------------------------------------

    def _on_market(self, event: Event) -> None:
        driver = self.driver
        try:
            if driver is not None:
                driver.publish(event.type, event.data)
            else:
                self.process.publisher.publish(event.type, event.data)
        except FrameError as error:
            self.counters["unsendable"] += 1
            logger.error("%s cannot be published: %s", event.type, error)
        else:
            self.counters["market_data"] += 1

    def _on_log(self, line: LogData) -> None:
        self._logger.log(line.level, "%s", line.msg)

    # --- what is asked --------------------------------------------------------------------------------------

    def _register(self) -> None:
        server = self.process.server
        server.register(ORDER_SEND, self._on_order, OrderRequest)
        server.register(ORDER_MODIFY, self._on_modify, ModifyRequest)
        server.register(ORDER_CANCEL, self._on_cancel, CancelRequest)
        server.register(MARKET_SUBSCRIBE, self._on_subscribe, SubscribeRequest)
        server.register(QUERY_HISTORY, self._on_history, HistoryRequest, keep=False)
        server.register(QUERY_CONTRACTS, self._on_contracts, ContractList, None, keep=False)
        server.register(QUERY_SNAPSHOT, self._on_snapshot, None, keep=False)
        server.register(PACE, self._on_pace, Pace, keep=False)

    def _on_halt(self, _topic: str, envelope: Envelope[HaltRequest]) -> None:
        """The OMS has halted a strategy, or all: what it sent before that moment is not to reach the venue."""
        if isinstance(envelope.message, HaltRequest):
            self._halted[envelope.message.strategy] = envelope.ts

    def _on_order(self, asked: Incoming, later: Later) -> None:
        self._halts.drain()  # it may have been halted while this one waited in line
        if self._halted:
            halts = (self._halted.get(name, 0) for name in ("", asked.body.strategy))
            if asked.ts <= max(halts):
                # A former life of this process may have passed it on: that is for the next comparison to find out.
                code = REFUSED if asked.ts >= self.process.started else HALTED
                raise RpcError(code, "trading was halted before it was sent to the venue")
        self._command(asked, self.adapter.send_order, later)

    def _on_modify(self, asked: Incoming, later: Later) -> None:
        self._command(asked, self.adapter.modify_order, later)

    def _on_cancel(self, asked: Incoming, later: Later) -> None:
        self._command(asked, self.adapter.cancel_order, later)

    def _command(self, asked: Incoming, carry_out: Callable[[Any], object], later: Later) -> None:
        """Hand a command to the venue; it is answered when the queue has run empty: a paper venue has saved it then.

        Raises:
            RpcError: ``REFUSED`` where the venue certainly did not get it.
        """
        vt_orderid = asked.body.vt_orderid
        self.counters["commands"] += 1
        if vt_orderid.partition(".")[0] != self.settings.name:
            raise RpcError(REFUSED, f"{vt_orderid!r} is no order of adapter {self.settings.name}")
        if not self.is_connected:
            raise self._not_connected(asked)
        try:
            carry_out(asked.body)
        except _NOT_SENT as error:
            raise RpcError(REFUSED, str(error)) from error
        except ConnectionError as error:
            # A reset may come when half of it is out; the bare class says that there was no connection at all.
            if type(error) is ConnectionError:
                raise self._not_connected(asked, str(error)) from error
            raise
        self._answers.append(later())
        self.process.event_engine.put_topic(self._answered, None)

    def _not_connected(self, asked: Incoming, text: str = "") -> RpcError:
        """The refusal; what was asked before this process began may have reached the venue through its predecessor."""
        code = REFUSED if asked.ts >= self.process.started else NOT_CONNECTED
        return RpcError(code, text or f"{self.settings.name} is not connected to its venue")

    def _on_subscribe(self, asked: Incoming, _later: Later) -> None:
        self._need_connection()
        self.adapter.subscribe(asked.body)

    def _on_history(self, asked: Incoming, _later: Later) -> BarPage:
        self._need_connection()
        driver = self.driver
        ask = self.adapter.query_history if driver is None else driver.history
        bars = ask(asked.body)
        return BarPage(tuple(bars[-MOST_BARS:]))

    def _on_contracts(self, asked: Incoming, _later: Later) -> ContractList:
        known = self.reports.contracts
        names = asked.body.names if asked.body is not None else ()
        found = [known[name] for name in names if name in known] if names else known.values()
        return ContractList(tuple(found))

    def _on_snapshot(self, _asked: Incoming, _later: Later) -> None:
        if not self.adapter.snapshots:
            raise RpcError(NO_SNAPSHOT, f"{self.settings.name} cannot say how its account stands")
        self._need_connection()
        self._is_asked = True  # told when there is time, once for all that ask meanwhile

    def _on_pace(self, asked: Incoming, _later: Later) -> PaceReply:
        """Of a replay that another adapter drives: put the clock forward, and say how things stand."""
        request: Pace = asked.body
        engine = self.process.event_engine
        clock = engine.clock
        if self.driver is None and isinstance(clock, SimulatedClock) and request.ts > clock.ns:
            engine.advance(request.ts)
        idle = not engine.queue and not self.reports.waiting
        return PaceReply(request.number, idle, {}, request.number)

    def _need_connection(self) -> None:
        if not self.is_connected:
            raise RpcError(NOT_CONNECTED, f"{self.settings.name} is not connected; ask again later")


def run_adapter_service(arguments: Sequence[str]) -> int:
    """Run an adapter and return the exit code of the process.

    Args:
        arguments: of the command line, without the program's name.
    """

    def find(installation: Installation, name: str) -> str:
        return installation.adapter(name).service

    def start(process: ServiceProcess) -> None:
        AdapterService(process, process.installation.adapter(process.service)).start()

    return run_service("adapter", arguments, start, find=find)
