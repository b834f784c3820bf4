"""An adapter's reports on their way to the OMS: numbered, kept until they are durable there, told anew after a loss.

Invariants:

* Reports go out in the order in which the adapter made them.
* The outbox is in memory. What a crash or an overflow loses, the next announcement brings: the contracts, then all
  that the venue says of the account. So an announcement is made at the start, whenever the OMS has restarted, when an
  overflow is over, and whenever it is asked for.
* Nothing that is too long for a frame gets into the outbox: it would hold up all that comes after it.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import Any

import msgspec
from msgspec.structs import replace

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.app.failures import FAILED
from foxtrot.app.process import DEGRADED, STARTING, ServiceProcess
from foxtrot.bus.messages import REPORTS
from foxtrot.bus.rpc_outbox import OutboxFullError, OutboxLimits, ReliableSender
from foxtrot.core import events
from foxtrot.core.errors import FrameError
from foxtrot.core.objects import ContractData
from foxtrot.core.venue import VenueSnapshot

__all__ = ["ReportDesk", "fit_snapshot"]

_REPORTS = (
    events.REPORT_ORDER,
    events.REPORT_TRADE,
    events.REPORT_POSITION,
    events.REPORT_ACCOUNT,
    events.REPORT_CONTRACT,
    events.REPORT_SNAPSHOT,
)
_HEADROOM = 4_096  # bytes of a frame besides the report

logger = logging.getLogger("foxtrot.service.adapter")


class ReportDesk:
    """Takes an adapter's reports off the event engine.

    Args:
        process: of the service.
        adapter: who reports.
        limits: bounds of the outbox.

    Attributes:
        outbox: to be sent by the client of the OMS.
        contracts: the newest of each instrument.
        reported: reports taken so far.
        counters: what has happened, by name.
    """

    def __init__(
        self, process: ServiceProcess, adapter: BaseAdapter, limits: OutboxLimits | None = None
    ) -> None:
        self._process = process
        self._adapter = adapter
        self._limits = limits if limits is not None else OutboxLimits()
        self.outbox = ReliableSender(
            REPORTS,
            process.codec,
            process.io_clock,
            on_halt=self._on_halt,
            on_acked=self._on_acked,
            limits=self._limits,
        )
        self.contracts: dict[str, ContractData] = {}
        self.reported = 0
        self.counters: Counter[str] = Counter()
        self._announced_at = -1  # reports taken when an announcement was complete; -1 before
        self._full = ""
        for topic in _REPORTS:
            process.event_engine.subscribe(topic, self._on_report)

    @property
    def waiting(self) -> int:
        """Reports that the OMS has not made durable yet."""
        return self.outbox.waiting

    def announce(self) -> None:
        """Have the OMS told the contracts, and then how the account stands as a whole."""
        adapter = self._adapter
        self.counters["announcements"] += 1
        for contract in tuple(self.contracts.values()):
            self._put(contract)
        if adapter.snapshots:
            adapter.query_snapshot()
            return
        adapter.query_orders()
        adapter.query_trades()
        adapter.query_position()
        adapter.query_account()
        self._complete()

    def look(self) -> None:
        """READY once an announcement has arrived; called whenever there is time."""
        process = self._process
        if process.state not in (STARTING, DEGRADED) or self._full or self._announced_at < 0:
            return
        if self.reported - self.outbox.waiting >= self._announced_at:
            process.ready()

    def close(self) -> None:
        """Take no more."""
        for topic in _REPORTS:
            self._process.event_engine.unregister(topic, self._on_report)

    # --- what comes in --------------------------------------------------------------------------------------

    def _on_report(self, report: Any) -> None:
        if isinstance(report, ContractData):
            self.contracts[report.vt_symbol] = report
            self._publish_contract(report)
        elif isinstance(report, VenueSnapshot):
            self._on_snapshot(report)
            return
        self._put(report)

    def _on_snapshot(self, snapshot: VenueSnapshot) -> None:
        limit = self._process.codec.max_frame - _HEADROOM
        fitting = fit_snapshot(snapshot, limit)
        if fitting is None:
            self.counters["oversized"] += 1
            self._process.set_state(
                DEGRADED, f"the account's open orders do not fit into a frame of {limit} bytes"
            )
            return
        self._put(fitting)
        self._complete()

    def _complete(self) -> None:
        """An announcement is on its way; READY waits for the first, however many follow it."""
        if self._announced_at < 0:
            self._announced_at = self.reported

    def _put(self, report: msgspec.Struct) -> None:
        if self._full or self.outbox.halted:
            self.counters["lost"] += 1
            return
        try:
            self.outbox.put(report)
        except OutboxFullError:
            self.counters["lost"] += 1
        except FrameError as error:
            self.counters["unsendable"] += 1
            logger.error("a report cannot be sent: %s", error)
        else:
            self.reported += 1

    def _publish_contract(self, contract: ContractData) -> None:
        topic = events.EVENT_CONTRACT + contract.vt_symbol
        try:
            self._process.publisher.publish(topic, contract)
        except FrameError as error:
            self.counters["unsendable"] += 1
            logger.error("%s cannot be published: %s", topic, error)

    # --- the outbox -----------------------------------------------------------------------------------------

    def _on_halt(self, reason: str) -> None:
        """The outbox is full: what comes now is told by an announcement later. Or its numbers are no good any more."""
        if self.outbox.halted:
            self._process.stop(f"the reports must begin anew: {reason}", FAILED)
            return
        self._full = reason
        self._process.set_state(DEGRADED, reason)

    def _on_acked(self, _number: int) -> None:
        outbox, limits = self.outbox, self._limits
        if self._full and outbox.waiting * 2 < limits.reports:
            if outbox.waiting_bytes * 2 >= limits.bytes:
                return
            self._full = ""
            self._announced_at = -1
            logger.info("the OMS takes reports again; %d were lost", self.counters["lost"])
            self.announce()


def fit_snapshot(snapshot: VenueSnapshot, limit: int) -> VenueSnapshot | None:
    """A snapshot within so many bytes: older history is left out and said to be; None where no history is left to.

    Args:
        snapshot: orders and fills in any order.
        limit: bytes of msgpack.
    """
    while len(msgspec.msgpack.encode(snapshot)) > limit:
        closed = sorted(
            (order for order in snapshot.orders if not order.is_active()),
            key=lambda order: order.ts_event,
        )
        fills = sorted(snapshot.fills, key=lambda trade: trade.ts_event)
        if not closed and not fills:
            return None
        gone = closed[: (len(closed) + 1) // 2]
        old = fills[: (len(fills) + 1) // 2]
        left_out = {order.vt_orderid for order in gone}
        snapshot = replace(
            snapshot,
            orders=tuple(o for o in snapshot.orders if o.vt_orderid not in left_out),
            fills=tuple(fills[len(old) :]),
            history_since=_after(snapshot.history_since, gone),
            fills_since=_after(snapshot.fills_since, old),
        )
    return snapshot


def _after(since: int | None, gone: list[Any]) -> int | None:
    """Since when all are listed, once the oldest are left out."""
    return since if since is None or not gone else max(since, gone[-1].ts_event + 1)
