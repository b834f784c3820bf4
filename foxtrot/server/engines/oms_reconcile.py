"""The OMS beside its venues: asks how accounts stand, and folds what was missed (``reconciler``).

An adapter that answers such questions (``BaseAdapter.snapshots``) gets no new order before the first answer after it
was connected, or after the OMS recovered. From then on it is asked every ``interval``, and every two seconds while an
order of it is UNKNOWN or has been in flight for longer than the grace period.

Invariants: what a reconciliation adds is folded by the path of live reports, in one step with the blocks that it found;
blocks of an adapter are replaced as a whole by each pass, and are state that a restart finds again.
"""

from __future__ import annotations

import logging
from typing import Any

from foxtrot.core import events
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.objects import AccountData, OrderData, PositionData, TimerData, TradeData
from foxtrot.core.venue import VenueSnapshot
from foxtrot.server.engines.oms_reports import OmsReports
from foxtrot.server.journal.facts import Blocked, Reconciled, Unblocked, control_key
from foxtrot.server.oms.reconcile_types import Block, Code, Discrepancy
from foxtrot.server.oms.reconciler import OwnState, ReconcilePolicy, Reconciliation, reconcile

RECONCILE_NS = 30 * NS_PER_SECOND
HASTE_NS = 2 * NS_PER_SECOND
PATIENCE_NS = 10 * NS_PER_SECOND
"""How long an order may wait for an adapter that was just connected; later it would be too old to be sent unasked."""
_TICK = "oms.reconcile"
_HARMLESS = frozenset({Code.ORDER_EXTERNAL, Code.POSITION_OPENED, Code.ORDER_UNLISTED})


class OmsReconcile(OmsReports):
    """Part of ``OmsEngine``.

    Attributes:
        interval: ns between two questions; 0 for none but the first after each connection.
        policy: how patient and how strict to be.
        discrepancies: what the last pass found, by adapter.
        awaiting: adapters that have not said yet how their account stands, and since when (ns).
    """

    interval: int
    policy: ReconcilePolicy

    def begin_reconciling(self) -> None:
        """Nothing is known of any venue."""
        self.awaiting: dict[str, int] = {}
        self._asked: dict[str, int] = {}
        self.discrepancies: dict[str, tuple[Discrepancy, ...]] = {}

    def expect(self, adapter: str) -> None:
        """An adapter was connected (anew): no order goes to it before it has said how the account stands."""
        route = self.main_engine.get_route(adapter)
        if not self.keeps or route is None or not route.snapshots:
            return
        self.awaiting.setdefault(adapter, self.clock.now())
        self.ask(adapter)
        if _TICK not in self.clock.timer_names():
            self.clock.set_interval(_TICK, NS_PER_SECOND, self._on_tick)

    def cannot_tell(self, adapter: str) -> None:
        """An adapter has no way to say how its account stands: orders go to it, and nothing is compared."""
        if self.awaiting.pop(adapter, None) is not None:
            self._log(
                f"adapter {adapter} cannot say how its account stands: what happens while it is away is not noticed",
                logging.WARNING,
            )
        self._asked.pop(adapter, None)

    def is_soon_ready(self, adapter: str) -> bool:
        """Whether an adapter has been asked how its account stands and may well answer in the next seconds."""
        since = self.awaiting.get(adapter)
        return since is not None and self.clock.now() - since < PATIENCE_NS

    def awaited(self, adapter: str) -> str:  # noqa: D102 - inherits
        if adapter not in self.awaiting:
            return ""
        return (
            f"adapter {adapter} has not said yet how its account stands; no order is sent before it was compared with "
            f"what is known here"
        )

    def ask(self, adapter: str) -> None:  # noqa: D102 - inherits
        route = self.main_engine.get_route(adapter)
        if route is None or not route.snapshots:
            return
        self._asked[adapter] = self.clock.now()
        try:
            route.query_snapshot()
        except Exception as error:  # noqa: BLE001 - the venue's library may raise anything
            self._log(
                f"adapter {adapter} cannot be asked how its account stands: {error!r}",
                logging.ERROR,
            )

    def ask_soon(self, adapter: str) -> None:
        """As ``ask``, but not again within seconds: of a hundred doubts that arise at once all have the same answer."""
        if self.clock.now() - self._asked.get(adapter, -HASTE_NS) >= HASTE_NS:
            self.ask(adapter)

    def after_recovery(self) -> None:  # noqa: D102 - inherits
        for adapter in list(self._asked):
            self.expect(adapter)

    def _on_tick(self, _timer: TimerData) -> None:
        """Ask whoever is due."""
        if self.halted or self.stalled:
            return
        now = self.clock.now()
        hasty = self._hasty(now)
        for adapter, asked in list(self._asked.items()):
            wait = HASTE_NS if adapter in self.awaiting or adapter in hasty else self.interval
            if wait and now - asked >= wait:
                self.ask(adapter)

    def _hasty(self, now: int) -> set[str]:
        """Adapters with an order whose outcome is not known, or overdue."""
        overdue = now - self.policy.grace
        found = {order.adapter_name for order in self.doubtful.values()}
        found |= {
            order.adapter_name
            for order in self.orders.active.values()
            if order.status is Status.SUBMITTING and order.ts_init <= overdue
        }
        return found

    # --- one pass -------------------------------------------------------------------------------------------

    def on_snapshot_report(self, snapshot: VenueSnapshot) -> None:
        """Compare ourselves with a venue, fold what is missing, and block what cannot be explained.

        Raises:
            OmsError: the snapshot holds ids of another adapter, or a fill that it brings cannot be booked.
        """
        self.flush()  # what is compared is read from the disk, too
        if self.stalled:
            return
        self.step.messages.append((events.REPORT_SNAPSHOT, snapshot))  # the flush has let go of it
        outcome = reconcile(snapshot, self._own_state(snapshot.adapter), self.policy)
        for report in outcome.reports:
            self._fold(report)
        self._take_blocks(snapshot.adapter, outcome)
        self._tell(snapshot.adapter, outcome)
        self.awaiting.pop(snapshot.adapter, None)

    def _fold(self, report: Any) -> None:
        if isinstance(report, OrderData):
            self.on_order_report(report)
        elif isinstance(report, TradeData):
            if not self._knows_trade(report.vt_tradeid):
                self._recall(report.vt_orderid)
                self.fold_fill(report)
        elif isinstance(report, PositionData):
            self.on_position_report(report)
        elif isinstance(report, AccountData):
            self.on_account_report(report)

    def _own_state(self, adapter: str) -> OwnState:
        now = self.clock.now()
        accounts = [
            account
            for account in self.accounts.snapshots(now)
            if self.accounts.is_used(*account.vt_accountid.split(".", 1))
        ]
        route = self.main_engine.get_route(adapter)
        return OwnState(
            active=dict(self.orders.active),
            order=self._recall,
            trade=self.persistence.find_trade,
            trades_of=self.persistence.load_fills,
            contract=self.contracts.get,
            last_fill_ts=lambda vt_symbol: self._last_fill(adapter, vt_symbol),
            positions=self.positions.snapshots(lambda _symbol: 0.0, now),
            accounts=accounts,
            now=now,
            settled=getattr(route, "settled", _at_once),
        )

    def _last_fill(self, adapter: str, vt_symbol: str) -> int:
        """Time of the newest fill in an instrument, ns; 0 where there never was one."""
        return max(
            (
                leg.ts_event
                for leg in list(self.positions.legs.values())
                if leg.adapter == adapter
                and leg.instrument.vt_symbol == vt_symbol
                and (leg.book.opened or leg.book.closed)
            ),
            default=0,
        )

    def _take_blocks(self, adapter: str, outcome: Reconciliation) -> None:
        now = self.clock.now()
        reasons = {
            found.blocks: found.explanation
            for found in outcome.discrepancies
            if found.blocks is not None
        }
        new, over = self.gate.replace_blocks(adapter, reasons)
        for block in over:
            self._note_block(Unblocked(*_parts(block), "reconciled", now))
            self._log(f"no longer blocked: {_words(block)}", logging.WARNING)
        for block in new:
            self._note_block(Blocked(*_parts(block), reasons[block], now))
        changed = len(outcome.reports)
        if changed or new or over or adapter in self.awaiting:
            fact = Reconciled(adapter, changed, len(reasons), now)
            self.step.note(str(control_key(fact)), fact, "control", fact)

    def _note_block(self, fact: Blocked | Unblocked) -> None:
        self.step.note(str(control_key(fact)), fact, "control", fact)

    def _tell(self, adapter: str, outcome: Reconciliation) -> None:
        """Log what was found, once."""
        before = set(self.discrepancies.get(adapter, ()))
        for found in outcome.discrepancies:
            if found not in before:
                level = logging.INFO if found.code in _HARMLESS else logging.WARNING
                level = logging.ERROR if found.blocks is not None else level
                self._log(f"reconciliation of {adapter}: {found.code}: {found.explanation}", level)
        self.discrepancies[adapter] = outcome.discrepancies


def _parts(block: Block) -> tuple[str, str, str]:
    return block.adapter, block.vt_symbol, block.strategy


def _words(block: Block) -> str:
    what = block.vt_symbol or "everything"
    who = f" for strategy {block.strategy}" if block.strategy else ""
    return f"{what} at {block.adapter}{who}"


def _at_once(_vt_orderid: str) -> int:
    """Of a route within the process: what is sent has arrived, or failed, when ``send_order`` returns."""
    return 0
