"""The OMS's way to a venue whose adapter is another process.

Invariants: a command is sent under an id of its own until the adapter has taken it, or its time is over; silence is
never read as a rejection. Only an adapter that says ``REFUSED`` has certainly not sent the order. What became of an
order comes as reports. Until a command was answered or given up it may still arrive: the route says since when not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace

from foxtrot.bus.messages import ORDER_CANCEL, ORDER_MODIFY, ORDER_SEND, QUERY_SNAPSHOT
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome, RpcCode, Unknown
from foxtrot.core.clock import NEVER, Clock
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.errors import BusError
from foxtrot.core.objects import CancelRequest, ModifyRequest, OrderData, OrderRequest

NO_SNAPSHOT = "NO_SNAPSHOT"
"""Code of an adapter's reply: its venue cannot say how the account stands as a whole."""

REFUSED = "REFUSED"
"""Code of an adapter's reply: the venue certainly did not get it, for the reason that is told."""

_METHODS: dict[type, str] = {
    OrderRequest: ORDER_SEND,
    ModifyRequest: ORDER_MODIFY,
    CancelRequest: ORDER_CANCEL,
}

_AGAIN = frozenset({"NOT_CONNECTED", RpcCode.BUSY})
"""Codes of replies to commands that were not looked at."""

COMMAND_TIMEOUT = 5 * NS_PER_SECOND

_KEPT_NS = 600 * NS_PER_SECOND
"""For which it is known when an order's command was settled: longer than any report takes."""

logger = logging.getLogger("foxtrot.oms.routes")

VenueCommand = OrderRequest | ModifyRequest | CancelRequest

FindOrder = Callable[[str], OrderData | None]
Report = Callable[[OrderData], None]


class RemoteRoute:
    """Commands for one adapter.

    Args:
        adapter: its name.
        client: the connection to its service.
        find: the order of an id, as it stands.
        report: takes what is to be folded as if the venue had said it.
        ask: has the adapter say how its account stands.
        cannot_tell: called where the adapter cannot say so at all.
        clock: of the OMS.

    Attributes:
        waiting: commands that the adapter has not taken yet.
    """

    snapshots = True

    def __init__(
        self,
        adapter: str,
        client: RpcClient,
        find: FindOrder,
        report: Report,
        ask: Callable[[str], None],
        cannot_tell: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self.adapter = adapter
        self.waiting = 0
        self._clock = clock
        self._began = clock.now()
        self._open: set[str] = set()
        self._settled: dict[str, int] = {}
        self._client = client
        self._find = find
        self._report = report
        self._ask = ask
        self._cannot_tell = cannot_tell

    def send_order(self, request: OrderRequest) -> str:
        """Send a new order; a client that is overfull raises, and then nothing was sent."""
        vt_orderid = request.vt_orderid

        def done(outcome: Outcome) -> None:
            self.waiting -= 1
            self._settle(vt_orderid)
            self._sent(vt_orderid, outcome)

        try:
            self._client.send(ORDER_SEND, request, on_reply=done, timeout=COMMAND_TIMEOUT)
        except BusError as error:
            self._conclude(vt_orderid, Status.REJECTED, f"not sent: {error}")
            return vt_orderid
        self.waiting += 1
        self._open.add(vt_orderid)
        return vt_orderid

    def settled(self, vt_orderid: str) -> int:
        """Since when (ns, the OMS's clock) a new order of ours cannot be sent any more.

        ``NEVER`` while its command is open. For an order of a former life the beginning of this one.
        """
        if vt_orderid in self._open:
            return NEVER
        return self._settled.get(vt_orderid, self._began)

    def modify_order(self, request: ModifyRequest) -> None:
        """Send a change."""
        self._command(ORDER_MODIFY, request)

    def cancel_order(self, request: CancelRequest) -> None:
        """Send a cancellation."""
        self._command(ORDER_CANCEL, request)

    def carry(self, command: VenueCommand, done: Callable[[bool], object]) -> None:
        """Send a command of a paced replay; ``done`` is told whether the adapter has dealt with it."""
        method = _METHODS[type(command)]

        def on_reply(outcome: Outcome) -> None:
            again = isinstance(outcome, Unknown) or outcome.error_code in _AGAIN
            if not again and isinstance(command, OrderRequest):
                self._sent(command.vt_orderid, outcome)
            elif isinstance(outcome, Answer) and not outcome.ok and not again:
                logger.error("%s of %s: %s", method, command.vt_orderid, outcome.error_text)
            done(not again)

        try:
            self._client.send(method, command, on_reply=on_reply, timeout=COMMAND_TIMEOUT)
        except BusError as error:
            logger.warning("%s of %s waits: %s", method, command.vt_orderid, error)
            done(False)

    def give_up(self, request: OrderRequest, status: Status, reason: str) -> None:
        """An order that was to be carried will not be: REJECTED where nothing was ever sent of it, else UNKNOWN."""
        self._conclude(request.vt_orderid, status, reason)
        if status is Status.UNKNOWN:
            self._ask(self.adapter)

    def query_snapshot(self) -> None:
        """Ask how the account stands; the answer comes as a report."""
        self._client.send(QUERY_SNAPSHOT, on_reply=self._asked, timeout=COMMAND_TIMEOUT)

    def _settle(self, vt_orderid: str) -> None:
        """The command is answered, or given up; what was settled long ago is forgotten."""
        now, settled = self._clock.now(), self._settled
        self._open.discard(vt_orderid)
        settled[vt_orderid] = now
        while settled[oldest := next(iter(settled))] < now - _KEPT_NS:
            del settled[oldest]

    def _command(self, method: str, request: ModifyRequest | CancelRequest) -> None:
        def done(outcome: Outcome) -> None:
            self.waiting -= 1
            if isinstance(outcome, Answer) and outcome.ok:
                return
            told = outcome.reason if isinstance(outcome, Unknown) else outcome.error_text
            logger.error("%s of %s: %s", method, request.vt_orderid, told)

        self._client.send(method, request, on_reply=done, timeout=COMMAND_TIMEOUT)
        self.waiting += 1

    def _sent(self, vt_orderid: str, outcome: Outcome) -> None:
        if isinstance(outcome, Answer):
            if outcome.ok:
                return
            if outcome.error_code == REFUSED:
                self._conclude(vt_orderid, Status.REJECTED, outcome.error_text)
                return
            reason = f"{outcome.error_code}: {outcome.error_text}"
        else:
            reason = outcome.reason
        self._conclude(vt_orderid, Status.UNKNOWN, f"sending failed, outcome unknown: {reason}")
        self._ask(self.adapter)

    def _conclude(self, vt_orderid: str, status: Status, reason: str) -> None:
        """Say what is known of an order that the venue has not spoken of."""
        order = self._find(vt_orderid)
        if order is not None and order.status is Status.SUBMITTING:
            self._report(replace(order, status=status, reason=reason))

    def _asked(self, outcome: Outcome) -> None:
        if isinstance(outcome, Answer) and outcome.error_code == NO_SNAPSHOT:
            self.snapshots = False
            self._cannot_tell(self.adapter)
        elif not (isinstance(outcome, Answer) and outcome.ok):
            told = outcome.reason if isinstance(outcome, Unknown) else outcome.error_text
            logger.warning("adapter %s does not say how its account stands: %s", self.adapter, told)
