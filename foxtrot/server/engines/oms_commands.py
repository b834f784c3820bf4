"""The OMS's way with commands: judge an order, write it down, and only then send it.

Invariants: an order's id is used once, for ever: the same request again is told how its order stands and is not sent
again, another request under that id is refused. A send that fails leaves its order UNKNOWN, never rejected; while an
order is UNKNOWN its strategy sends no other one in that instrument.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from foxtrot.core.constants import Offset, Status, VolumeMode
from foxtrot.core.engine import OrderRoute
from foxtrot.core.errors import OmsError, OrderError
from foxtrot.core.objects import CancelRequest, ModifyRequest, OrderData, OrderRequest
from foxtrot.core.topics import Topic
from foxtrot.core.validation import check_max_volume, check_modify, check_request
from foxtrot.server.engines.oms_hedging import OmsHedging
from foxtrot.server.engines.oms_step import Ordered
from foxtrot.server.oms.requests import check_id, order_of, request_digest, storable

if TYPE_CHECKING:
    from foxtrot.server.engines.oms_engine import OmsEngine

UNITS = VolumeMode.UNITS

CLOSING = frozenset({Offset.CLOSE, Offset.CLOSETODAY, Offset.CLOSEYESTERDAY})

RiskCheck = Callable[[OrderRequest, "OmsEngine"], str]
"""Looks at a request before it is written; returns why it is refused, or an empty string."""


def accept_all(_request: OrderRequest, _oms: OmsEngine) -> str:
    """The risk check of an account without limits."""
    return ""


ChangeCheck = Callable[[OrderData, ModifyRequest], str]
"""Looks at a change of a working order; returns why it is refused, or an empty string."""


class VenueQueue(Protocol):
    """Where commands for venues wait for their round, in a paced replay."""

    def hold(self, command: OrderRequest | ModifyRequest | CancelRequest) -> None:
        """Keep a command, in the step of the message in hand."""

    def holds_order(self, vt_orderid: str) -> bool:
        """Whether a new order of that id waits."""


class OmsCommands(OmsHedging):
    """Part of ``OmsEngine``: what comes down from strategies.

    Attributes:
        held_commands: takes what would go to a venue at once; None where nothing waits.
    """

    held_commands: VenueQueue | None = None

    risk: RiskCheck
    check_change: ChangeCheck
    _trusted: set[str]
    _call_topic: Topic
    _send_topic: Topic
    _modify_topic: Topic
    _cancel_topic: Topic

    @abstractmethod
    def on_order_report(self, report: OrderData) -> None:
        """Fold what a venue says of an order."""

    @abstractmethod
    def ask(self, adapter: str) -> None:
        """Have a venue say how its account stands."""

    @abstractmethod
    def awaited(self, adapter: str) -> str:
        """Why no order may go to an adapter before it was reconciled; empty where it may."""

    def on_order_request(self, request: OrderRequest) -> None:
        """Write a new order down, then send it; or deny it and say why.

        Raises:
            OrderError: its id is malformed, or was used for another order; nothing was changed.
        """
        vt_orderid = request.vt_orderid
        if vt_orderid in self.orders.orders or (
            self.keeps and self.persistence.knows_order(vt_orderid)
        ):
            self._came_again(request)
            return
        came = request
        request, reason = self._judged(request)
        if self.hedged and not reason:
            parts, reason = self._in_parts(request)
            if parts:
                self._place(came, parts)
                return
        order = order_of(request, self.clock.now())
        orders = self.orders  # OrderManager.add without its call: the id was looked for above
        orders.orders[vt_orderid] = orders.active[vt_orderid] = order
        if reason:
            order = orders.deny(order, reason)
        if self.keeps:
            self._note_order(order)
            self.step.rows["requests/" + vt_orderid] = request_digest(came)
        topic = (self._topics.get(order.strategy) or self._topics_of(order.strategy))[0]
        if topic.handlers:  # _publish_order without its call
            self._emit((topic, order))
        if not reason:
            self._send(request, order)

    def _came_again(self, request: OrderRequest) -> None:
        """Answer a request whose id is known.

        Raises:
            OrderError: the id stands for another request.
        """
        vt_orderid = request.vt_orderid
        self.duplicates += 1
        known = self._recall(vt_orderid)
        if self.keeps:
            key = "requests/" + vt_orderid
            digest = self.step.rows.get(key) or self.persistence.load(key)
            if digest != request_digest(request):
                story = f"; it stands for {known}" if known is not None else ""
                raise OrderError(
                    f"order refused, its id {vt_orderid} was used before for another order{story}; send it under an id "
                    f"of its own: {request}"
                )
        self._log(f"order id {vt_orderid} came again and was not sent again", logging.WARNING)
        if known is not None:
            self._publish_order(known)

    def on_modify_request(self, request: ModifyRequest) -> str:
        """Pass a change on to the venue; what became of it comes back as a report.

        Returns why it was refused, or an empty string.
        """
        order = self._working(request.vt_orderid, "modify")
        if order is None:
            return f"order {request.vt_orderid} is not working"
        try:
            instrument = self.instrument(order.adapter_name, order.vt_symbol)
            request = check_modify(request, instrument.tick, instrument.lot)
            reason = self.check_change(order, request)
        except OrderError as error:
            reason = str(error)
        if reason:
            self._log(f"change refused: {reason}", logging.ERROR)
            return reason
        if self.held_commands is not None:
            self.held_commands.hold(request)
        elif self.keeps:
            self._emit((self._modify_topic, request))
        else:
            self._modify(request)
        return ""

    def on_cancel_request(self, request: CancelRequest) -> str:
        """Pass a cancellation on to the venue; what became of it comes back as a report.

        Returns why it was refused, or an empty string.
        """
        if self._working(request.vt_orderid, "cancel") is None:
            return f"order {request.vt_orderid} is not working"
        if self.held_commands is not None:
            self.held_commands.hold(request)
        elif self.keeps:
            self._emit((self._cancel_topic, request))
        else:
            self._cancel(request)
        return ""

    def when_durable(self, function: Callable[[], object]) -> None:
        """Have something done once the step of the message in hand is durable."""
        self._emit((self._call_topic, function))

    def on_ordered(self, ordered: Ordered) -> None:
        """A new order whose sender waits: it is answered when the order is durable."""
        try:
            self.on_order_request(ordered.request)
        except OrderError as error:
            self.when_durable(partial(ordered.refuse, str(error)))
        else:
            self._answer(ordered)

    def _answer(self, ordered: Ordered) -> None:
        order = self._recall(ordered.request.vt_orderid)
        if order is not None:
            self.when_durable(partial(ordered.answer, order))

    def deny_kept(self, order: OrderRequest | Ordered, reason: str) -> None:  # noqa: D102 - inherits
        request = order.request if isinstance(order, Ordered) else order
        check_id(request)
        if self._recall(request.vt_orderid) is None:
            denied = order_of(storable(request), self.clock.now())
            self.orders.add(denied)
            denied = self.orders.deny(denied, reason)
            self._note_order(denied)
            self.step.rows["requests/" + request.vt_orderid] = request_digest(request)
            self._publish_order(denied)
        if isinstance(order, Ordered):
            self._answer(order)

    # --- judging --------------------------------------------------------------------------------------------

    def _judged(self, request: OrderRequest) -> tuple[OrderRequest, str]:
        """The request with prices on the tick, and why it is refused (empty where it is not).

        Raises:
            OrderError: its id is not ``ADAPTER.id``, so that it cannot even be written down.
        """
        adapter, _, rest = request.vt_orderid.partition(".")
        if not (adapter and rest):
            check_id(request)
        try:
            contract = self.contracts.get(request.vt_symbol)
            if contract is None:
                raise OrderError(
                    f"no contract {request.vt_symbol} is known; subscribe to it or connect its adapter first"
                )
            instrument = self.instrument(adapter, request.vt_symbol)
            request = check_request(request, instrument.tick, instrument.lot)
            if contract.max_volume and request.volume_mode is UNITS:
                check_max_volume(request, contract.max_volume)
        except OrderError as error:
            return storable(request), str(error)
        if self.keeps:
            barred = self._barred(request, adapter)
            if barred:
                return request, barred
        try:
            if self.risk is accept_all or request.vt_orderid in self._trusted:
                return request, ""
            return request, self.risk(request, self)  # type: ignore[arg-type]
        except Exception as error:
            self._logger.exception("the risk check failed on %s", request)
            return request, f"the risk check failed: {error!r}"

    def _barred(self, request: OrderRequest, adapter: str) -> str:
        """Why nothing of the kind may be sent now: a halt, a block, or something that is not known."""
        strategy, vt_symbol = request.strategy, request.vt_symbol
        if self.gate.closed:
            closing = request.reduce_only or request.offset in CLOSING
            reason = self.gate.refusal(adapter, strategy, vt_symbol, closing)
            if reason:
                return reason
        for order in self.doubtful.values():
            if order.strategy == strategy and order.vt_symbol == vt_symbol:
                return (
                    f"order {order.vt_orderid} of {strategy or 'the same owner'} in {vt_symbol} is UNKNOWN "
                    f"({order.reason}); no other one is sent before its outcome is known"
                )
        return self.awaited(adapter)

    # --- sending --------------------------------------------------------------------------------------------

    def _send(self, request: OrderRequest, order: OrderData) -> None:
        if self.held_commands is not None:
            self.held_commands.hold(request)
        elif self.keeps:
            self._emit((self._send_topic, (request, order)))
        else:
            self._transmit((request, order))

    def _release(self, sent: tuple[OrderRequest, OrderData]) -> None:
        """Send an order that is durable now, unless a comparison with the venue has closed it meanwhile."""
        known = self.orders.orders.get(sent[1].vt_orderid)
        if known is not None and not known.is_active():
            self._log(f"order {known.vt_orderid} is {known.status.value}, it is not sent", 30)
            return
        self._transmit(sent)

    def _transmit(self, sent: tuple[OrderRequest, OrderData]) -> None:
        """Hand over a written order to its venue; a failure in between leaves it UNKNOWN, never rejected."""
        request, order = sent
        route = self.main_engine.get_route(request.vt_orderid.partition(".")[0])
        if route is None:
            self.on_order_report(replace(order, status=Status.REJECTED, reason=_no_route(order)))
            return
        try:
            route.send_order(request)
        except Exception as error:  # noqa: BLE001 - the venue's library may raise anything
            self._log(f"sending {order.vt_orderid} failed: {error!r}", logging.ERROR)
            reason = f"sending failed, outcome unknown: {error!r}"
            self.on_order_report(replace(order, status=Status.UNKNOWN, reason=reason))
            self.ask(order.adapter_name)

    def _modify(self, request: ModifyRequest) -> None:
        route = self._route(request.vt_orderid, "modify")
        if route is not None:
            route.modify_order(request)

    def _cancel(self, request: CancelRequest) -> None:
        route = self._route(request.vt_orderid, "cancel")
        if route is not None:
            route.cancel_order(request)

    def _route(self, vt_orderid: str, verb: str) -> OrderRoute | None:
        adapter = vt_orderid.partition(".")[0]
        route = self.main_engine.get_route(adapter)
        if route is None:
            self._log(
                f"cannot {verb} order {vt_orderid}: no adapter {adapter} is connected",
                logging.ERROR,
            )
        return route

    def _working(self, vt_orderid: str, verb: str) -> OrderData | None:
        order = self.orders.active.get(vt_orderid)
        if order is None:
            known = self._recall(vt_orderid)
            state = f"is {known.status.value}" if known else "is unknown"
            self._log(f"cannot {verb} order {vt_orderid}: it {state}", logging.INFO)
        return order

    def submit(self, request: OrderRequest, adapter: str) -> str:
        """Queue a request under an id minted here (unless it has one) and return the id; any thread may call.

        Ids name the start of the process, so none is minted twice, not even one that was minted just before a crash
        and never written.

        Raises:
            OmsError: the OMS is halted.
            OrderError: the request has an id that is not ``ADAPTER.id``.
        """
        if not self.loaded and not self.halted:
            self.event_engine.call(self.load_state)
        if self.halted or self.stalled:
            raise OmsError(f"order refused, the OMS is halted: {self.halted or self.stalled}")
        if request.vt_orderid:
            check_id(request)
        else:
            request = replace(request, vt_orderid=f"{adapter}.{self.ids.next()}")
        self.event_engine.put_topic(self._command_order, request)
        return request.vt_orderid

    _command_order: Topic


def _no_route(order: OrderData) -> str:
    return f"no adapter {order.adapter_name} is connected"
