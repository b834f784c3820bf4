"""The order management system: a shell around the pure managers.

A message is folded into the books; what it changed and what follows from it wait in a step. A step is committed (rows
and facts in one transaction) when no more messages wait, or 256 facts have gathered; only then are its effects
released: published, or sent to the venue. Nothing is visible before it is durable. Commands come on ``COMMAND_*``
topics, reports of adapters on ``REPORT_*``; orders, trades, positions and accounts go out on ``EVENT_*``.

The parts: how it lives, commits, halts and recovers (``oms_life``), what all stand on (``oms_base``), contracts that
keep long and short apart (``oms_hedging``), commands (``oms_commands``), reports (``oms_reports``), the comparison
with venues (``oms_reconcile``), loading (``oms_state``), questions (``oms_queries``).

Rows, one per entity: ``orders/<vt_orderid>``, ``trades/<vt_tradeid>``, ``positions/<vt_positionid>``,
``accounts/<ADAPTER.CURRENCY>``, ``contracts/<vt_symbol>``, ``control/...`` (halts, blocks), ``requests/<vt_orderid>``
(what an id was first used for), ``counters/boot``.
"""

from __future__ import annotations

from collections.abc import Callable

from foxtrot.accounting.offset import OffsetMode
from foxtrot.core import events
from foxtrot.core.engine import EngineOwner
from foxtrot.core.event_engine import EventEngine, MessageHandler
from foxtrot.core.market import MarketView
from foxtrot.core.objects import ModifyRequest, OrderData
from foxtrot.core.topics import Topic
from foxtrot.server.engines.oms_commands import RiskCheck, accept_all
from foxtrot.server.engines.oms_control import OmsControl
from foxtrot.server.engines.oms_queries import OmsQueries
from foxtrot.server.engines.oms_reconcile import RECONCILE_NS
from foxtrot.server.engines.oms_state import load_state
from foxtrot.server.oms.reconcile_types import ReconcilePolicy
from foxtrot.server.oms.risk import RiskManager, StrategyPositions
from foxtrot.server.persistence import MemoryPersistence, Persistence

__all__ = ["ORDERED", "OmsEngine", "RiskCheck", "accept_all"]

ORDERED = "cOrdered"
"""Topic of ``Ordered``: an order whose sender waits for the answer."""


class OmsEngine(OmsQueries, OmsControl):
    """Orders, trades, positions, accounts and contracts of one process.

    Args:
        main_engine: the owner; asked for the way to a venue.
        event_engine: the dispatcher.
        persistence: where state is kept; in memory by default.
        market: newest prices, for unrealised profit; made and fed from events by default.
        risk: looks at every request before it is written.
        digits: decimal places per currency code; 8 by default.
        offset_mode: how requests are fitted to what is held of contracts with ``net_position=False``.
        policy: how patient and strict reconciliation is.
        reconcile_interval: ns between two comparisons with a venue that can tell; 0 for one per connection.
        held: where to count what each strategy holds, shared with the risk check.

    Attributes:
        duplicates: orders, reports and fills that came again and changed nothing.
        hedged: whether a contract with ``net_position=False`` is known.
        gate: halts and blocks in force.
        held: what each strategy holds by its own fills; not in a backtest.

    Raises:
        ConfigError: the ``offset_mode`` is unknown, or NET.
    """

    def __init__(
        self,
        main_engine: EngineOwner,
        event_engine: EventEngine,
        persistence: Persistence | None = None,
        *,
        market: MarketView | None = None,
        risk: RiskCheck = accept_all,
        digits: dict[str, int] | None = None,
        offset_mode: OffsetMode | str = OffsetMode.HEDGE,
        policy: ReconcilePolicy | None = None,
        reconcile_interval: int = RECONCILE_NS,
        held: StrategyPositions | None = None,
    ) -> None:
        self.risk = risk
        self.held = held if held is not None else StrategyPositions()
        self.interval = reconcile_interval
        self.policy = policy or ReconcilePolicy(digits=digits or {})
        self.begin_reconciling()
        self.market = market if market is not None else MarketView()
        self._command_order = event_engine.topic(events.COMMAND_ORDER)
        self._send_topic = _effect("oms.send", self._release)
        self._modify_topic = _effect("oms.modify", self._modify)
        self._cancel_topic = _effect("oms.cancel", self._cancel)
        self._call_topic = _effect("oms.call", _call)
        self._trusted: set[str] = set()
        self._extra: dict[str, MessageHandler] = {}
        OmsControl.__init__(
            self,
            main_engine,
            event_engine,
            persistence or MemoryPersistence(),
            digits or {},
            offset_mode,
        )
        if market is None:
            event_engine.subscribe(events.EVENT_TICK, self.market.update)
            event_engine.subscribe(events.EVENT_BAR, self.market.update)

    def handlers(self) -> dict[str, MessageHandler]:
        """The working handlers by topic."""
        return {
            events.COMMAND_ORDER: self.on_order_request,
            events.COMMAND_MODIFY: self.on_modify_request,
            events.COMMAND_CANCEL: self.on_cancel_request,
            events.REPORT_ORDER: self.on_order_report,
            events.REPORT_TRADE: self.on_trade_report,
            events.REPORT_POSITION: self.on_position_report,
            events.REPORT_ACCOUNT: self.on_account_report,
            events.REPORT_CONTRACT: self.on_contract_report,
            events.REPORT_SNAPSHOT: self.on_snapshot_report,
            ORDERED: self.on_ordered,
            **self._extra,
        }

    def extend(self, topic: str, handler: MessageHandler) -> None:
        """Handle one more topic as commands and reports are: in a step, kept while stalled, refused when halted."""
        self._extra[topic] = handler
        self.rewire()

    def check_change(self, order: OrderData, change: ModifyRequest) -> str:
        """Have the risk check look at a change, where it can."""
        if not isinstance(self.risk, RiskManager):
            return ""
        denial = self.risk.check_modify(order, change, self, self.clock.now())
        return str(denial) if denial is not None else ""

    def read_state(self) -> None:  # noqa: D102 - inherits
        load_state(self)


def _call(function: Callable[[], object]) -> None:
    function()


def _effect(name: str, handler: MessageHandler) -> Topic:
    """A topic of our own by which an effect goes through the queue in its turn."""
    topic = Topic(name)
    topic.handlers = (handler,)
    return topic
