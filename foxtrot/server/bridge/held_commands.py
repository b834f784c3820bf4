"""Commands for venues that wait for their round in a paced replay, so that nothing depends on which process is quicker.

Invariants:

* A command is in the OMS's file, in the transaction of the order that it is about, from when it was taken until its
  adapter has taken it. So it is neither lost with the process nor overtaken by another.
* Commands go in order, the next when the one before has been taken. One whose outcome is not known is sent again: a
  paper venue takes an order's id once, and a change or cancellation that comes twice changes nothing more. An order
  that waits here is therefore never UNKNOWN, unless trading is halted meanwhile: then it is not sent, or not again.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from msgspec import convert

from foxtrot.core.clock import Clock
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.errors import OmsError
from foxtrot.core.objects import CancelRequest, ModifyRequest, OrderRequest, TimerData
from foxtrot.server.bridge.routes import RemoteRoute, VenueCommand
from foxtrot.server.engines.oms_commands import CLOSING
from foxtrot.server.engines.oms_engine import OmsEngine

__all__ = ["HeldCommands"]

HELD = "paced/held"
_TIMER = "oms.held"
_RETRY_NS = NS_PER_SECOND // 20

logger = logging.getLogger("foxtrot.oms.held")


class HeldCommands:
    """Keeps commands until their round.

    Args:
        oms: whose they are.
        routes: the ways to adapters, by name.
        clock: of sockets, for pauses.
    """

    def __init__(self, oms: OmsEngine, routes: Mapping[str, RemoteRoute], clock: Clock) -> None:
        self._oms = oms
        self._routes = routes
        self._clock = clock
        self._commands: list[VenueCommand] = []
        self._doubtful: set[str] = set()
        self._free = 0
        self._is_sending = False

    def load(self) -> None:
        """Take up what waited when the last process ended; before the OMS loads its state."""
        stored = self._oms.persistence.load(HELD) or []
        kinds = OrderRequest | ModifyRequest | CancelRequest
        self._commands = [convert(command, kinds) for command in stored]
        self._doubtful = {command.vt_orderid for command in self._commands}

    @property
    def waiting(self) -> int:
        """Commands that wait for their round."""
        return len(self._commands) - self._free

    @property
    def is_going(self) -> bool:
        """Whether some are on their way."""
        return self._free > 0

    def holds_order(self, vt_orderid: str) -> bool:
        """Whether a new order of that id waits."""
        return any(
            isinstance(command, OrderRequest) and command.vt_orderid == vt_orderid
            for command in self._commands
        )

    def hold(self, command: VenueCommand) -> None:
        """Keep a command, in the step of the message in hand."""
        self._commands.append(command)
        self._note()

    def release(self) -> None:
        """Let all go that wait now."""
        self._free = len(self._commands)
        self._pump()

    def _note(self) -> None:
        self._oms.step.rows[HELD] = list(self._commands)

    def _pump(self) -> None:
        while self._free and not self._is_sending:
            command = self._commands[0]
            route = self._routes.get(command.vt_orderid.partition(".")[0])
            if route is None or self._is_over(command) or self._is_halted(command, route):
                self._take_off()
                continue
            self._doubtful.add(command.vt_orderid)
            self._is_sending = True
            route.carry(command, self._on_carried)

    def _is_over(self, command: VenueCommand) -> bool:
        order = self._oms.orders.orders.get(command.vt_orderid)
        return isinstance(command, OrderRequest) and order is not None and not order.is_active()

    def _is_halted(self, command: VenueCommand, route: RemoteRoute) -> bool:
        """Whether an order may go no more; its end is told."""
        if not isinstance(command, OrderRequest) or not self._oms.gate.closed:
            return False
        closing = command.reduce_only or command.offset in CLOSING
        why = self._oms.gate.refusal(route.adapter, command.strategy, command.vt_symbol, closing)
        if why:
            was_sent = command.vt_orderid in self._doubtful
            route.give_up(command, Status.UNKNOWN if was_sent else Status.REJECTED, why)
        return bool(why)

    def _take_off(self) -> None:
        self._doubtful.discard(self._commands.pop(0).vt_orderid)
        self._free -= 1
        self._note()
        try:
            self._oms.flush()
        except OmsError as error:
            logger.error("a command that was sent will be sent again: %s", error)

    def _on_carried(self, taken: bool) -> None:
        """The adapter has taken it; or nobody knows, and it is sent again."""
        if taken:
            self._is_sending = False
            self._take_off()
            self._pump()
        else:
            due = self._clock.now() + _RETRY_NS
            self._clock.set_timer(_TIMER, due, self._on_timer)

    def _on_timer(self, _timer: TimerData) -> None:
        self._is_sending = False
        self._pump()
