"""Commands of one strategy on their way to the OMS: committed before they leave, sent until they are acknowledged.

Invariants:

* Only what is in the strategy's file is sent; a command leaves the file after the OMS has answered it.
* A command goes under the same request id until there is an answer, also after a restart; an order always under the
  same ``vt_orderid``. So it is carried out once.
* An outcome that is not known is never taken for a failure: the command is sent again.
* Commands about one order go one after the other; those about different orders do not wait for each other.
* Where a replay is paced, commands wait for their round (``release``), and then go strictly one after the other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from foxtrot.bus.messages import ORDER_CANCEL, ORDER_MODIFY, ORDER_SEND
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome, RpcCode
from foxtrot.client.runner_store import Command, UnsentCommand
from foxtrot.core.clock import Clock
from foxtrot.core.errors import BusError, FrameError
from foxtrot.core.objects import CancelRequest, ModifyRequest, TimerData

__all__ = ["NOT_YET", "Outbox", "method_of"]

WINDOW = 256
"""Commands of one strategy that are under way at a time."""

NOT_YET = frozenset({RpcCode.BUSY, RpcCode.UNKNOWN_METHOD, "NOT_READY", "NOT_CONNECTED"})
"""Error codes of a service that has not done anything because it is not ready: it is asked again."""

HALTED = "HALTED"
_PAUSE_NS = 200_000_000

OnRefused = Callable[[UnsentCommand, str], object]


def method_of(command: Command) -> str:
    """The OMS's method for a command."""
    if isinstance(command, CancelRequest):
        return ORDER_CANCEL
    return ORDER_MODIFY if isinstance(command, ModifyRequest) else ORDER_SEND


class Outbox:
    """What one strategy has told the OMS and was not answered.

    Args:
        prefix: of request ids; unique for ever: strategy and birth of its file.
        client: to the OMS.
        clock: of sockets, for pauses.
        on_refused: called with a command that the OMS has refused, and why; it is not sent again.

    Attributes:
        rows: by number, oldest first.
        acknowledged: numbers that may leave the file.
    """

    def __init__(
        self,
        prefix: str,
        client: RpcClient,
        clock: Clock,
        on_refused: OnRefused,
        released: int | None = None,
    ) -> None:
        self.rows: dict[int, UnsentCommand] = {}
        self.acknowledged: list[int] = []
        self._prefix = prefix
        self._client = client
        self._clock = clock
        self._on_refused = on_refused
        self._under_way: dict[int, str] = {}
        self._again: dict[
            int, int
        ] = {}  # a server keeps its answers: one that says "not yet" needs a new id
        self._released = released
        self._closed = False
        self._told = False
        self._timer = f"outbox.{prefix}"
        self._logger = logging.getLogger(f"foxtrot.runner.{prefix.partition('.')[0]}")

    @property
    def held(self) -> int:
        """Commands that wait for their round."""
        limit = self._released
        return 0 if limit is None else sum(number > limit for number in self.rows)

    @property
    def is_quiet(self) -> bool:
        """Whether everything that may go has been acknowledged."""
        return len(self.rows) == self.held

    def release(self, number: int) -> None:
        """Let commands up to that number go; call it once that is durable."""
        self._released = number
        self.pump()

    def add(self, commands: Iterable[UnsentCommand]) -> None:
        """Take commands that are in the file, and send what may go."""
        for command in commands:
            self.rows[command.number] = command
        self.pump()

    def forget(self, acknowledged: Sequence[int]) -> None:
        """Those have left the file."""
        gone = set(acknowledged)
        self.acknowledged = [number for number in self.acknowledged if number not in gone]

    def close(self) -> None:
        """Send nothing more; what has no answer stays in the file."""
        self._closed = True
        self._clock.cancel_timer(self._timer)

    def pump(self) -> None:
        """Send what may go: in order, each order's commands one at a time."""
        if self._closed:
            return
        busy = set(self._under_way.values())
        limit, window = self._released, WINDOW if self._released is None else 1
        for number, row in tuple(self.rows.items()):
            if len(self._under_way) >= window or (limit is not None and number > limit):
                return
            if row.vt_orderid not in busy:
                busy.add(row.vt_orderid)
                self._send(number, row)

    def _send(self, number: int, row: UnsentCommand) -> None:
        self._under_way[number] = row.vt_orderid

        def on_reply(outcome: Outcome) -> None:
            self._on_outcome(row, outcome)

        again = self._again.get(number, 0)
        id_ = f"{self._prefix}.{number}" + (f".{again}" if again else "")
        try:
            self._client.send(row.method, row.body, on_reply=on_reply, request_id=id_)
        except FrameError as error:
            self._under_way.pop(number)
            self._done(row)
            self._on_refused(row, str(error))
        except BusError as error:
            self._under_way.pop(number)
            self._tell_once(f"commands wait: {error}")
            self._pause()

    def _on_outcome(self, row: UnsentCommand, outcome: Outcome) -> None:
        self._under_way.pop(row.number, None)
        if not isinstance(outcome, Answer):
            self._tell_once(f"{row.method} of {row.vt_orderid}: {outcome.reason}; it is sent again")
            self.pump()
        elif outcome.ok:
            self._told = False
            self._done(row)
        elif _was_not_done(row, outcome.error_code):
            self._tell_once(f"the OMS is not ready ({outcome.error_text}); commands wait")
            self._again[row.number] = self._again.get(row.number, 0) + 1
            self._pause()
        else:
            self._done(row)
            self._on_refused(row, f"{outcome.error_code}: {outcome.error_text}")

    def _done(self, row: UnsentCommand) -> None:
        self.rows.pop(row.number, None)
        self._again.pop(row.number, None)
        self.acknowledged.append(row.number)
        self.pump()

    def _pause(self) -> None:
        due = self._clock.now() + _PAUSE_NS
        self._clock.set_timer(self._timer, due, self._on_timer)

    def _on_timer(self, _timer: TimerData) -> None:
        self.pump()

    def _tell_once(self, text: str) -> None:
        if not self._told and not self._closed:
            self._told = True
            self._logger.warning("%s", text)


def _was_not_done(row: UnsentCommand, code: str) -> bool:
    """Whether a command was not looked at, and is to be asked again under a new request id.

    An order that had waited for the end of a halt would be an old one; a cancellation is still wanted then. A request
    id is in use where this file is a copy of an older one; whether the order's own id is, only the OMS can say.
    """
    return (
        code in NOT_YET
        or code == RpcCode.ID_REUSED
        or (code == HALTED and row.method == ORDER_CANCEL)
    )
