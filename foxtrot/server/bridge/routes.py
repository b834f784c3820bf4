"""The OMS's way to a venue whose adapter is another process.

Invariants: a command is sent under an id of its own until the adapter has taken it, or its time is over; silence is
never read as a rejection. Only an adapter that says ``REFUSED`` has certainly not sent the order. What became of an
order comes as reports.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from msgspec.structs import replace

from foxtrot.bus.messages import ORDER_CANCEL, ORDER_MODIFY, ORDER_SEND, QUERY_SNAPSHOT
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome, Unknown
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.errors import BusError
from foxtrot.core.objects import CancelRequest, ModifyRequest, OrderData, OrderRequest

REFUSED = "REFUSED"
"""Code of an adapter's reply: the venue certainly did not get it, for the reason that is told."""

COMMAND_TIMEOUT = 5 * NS_PER_SECOND

logger = logging.getLogger("foxtrot.oms.routes")

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
    ) -> None:
        self.adapter = adapter
        self.waiting = 0
        self._client = client
        self._find = find
        self._report = report
        self._ask = ask

    def send_order(self, request: OrderRequest) -> str:
        """Send a new order; a client that is overfull raises, and then nothing was sent."""
        vt_orderid = request.vt_orderid

        def done(outcome: Outcome) -> None:
            self.waiting -= 1
            self._sent(vt_orderid, outcome)

        try:
            self._client.send(ORDER_SEND, request, on_reply=done, timeout=COMMAND_TIMEOUT)
        except BusError as error:
            self._conclude(vt_orderid, Status.REJECTED, f"not sent: {error}")
            return vt_orderid
        self.waiting += 1
        return vt_orderid

    def modify_order(self, request: ModifyRequest) -> None:
        """Send a change."""
        self._command(ORDER_MODIFY, request)

    def cancel_order(self, request: CancelRequest) -> None:
        """Send a cancellation."""
        self._command(ORDER_CANCEL, request)

    def query_snapshot(self) -> None:
        """Ask how the account stands; the answer comes as a report."""
        self._client.send(QUERY_SNAPSHOT, on_reply=self._asked, timeout=COMMAND_TIMEOUT)

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
        if not (isinstance(outcome, Answer) and outcome.ok):
            told = outcome.reason if isinstance(outcome, Unknown) else outcome.error_text
            logger.warning("adapter %s does not say how its account stands: %s", self.adapter, told)
