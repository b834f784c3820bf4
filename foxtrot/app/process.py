"""What every service process is: one loop over sockets, timers and events; a sign of life each second; an ordered end.

Invariants:

* One thread does all the work: the event engine's loop, which waits in one poll of all sockets. Heartbeats come from
  it, so a loop that stands still falls silent.
* One process at a time has a service's name: a second one waits a while for the first to end, then gives up (exit 75).
* Each start has a number of its own (epoch), durable before anything is sent under it.
* SIGTERM and SIGINT end the process in order: what is queued is handled, parts are closed in reverse, sockets last; a
  second signal ends it at once. So does the death of its parent, where a supervisor started it.
* Whatever ends it is told by the exit code (``foxtrot.app.failures``).

Where a replay is paced, the event engine runs on a simulated clock that is put forward from outside; sockets keep to
the machine's clock all the same.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import zmq

from foxtrot.app.failures import exit_code
from foxtrot.app.files import write_durably
from foxtrot.app.installation import Installation
from foxtrot.app.process_lock import ServiceLock
from foxtrot.app.process_log import BusLog
from foxtrot.bus.heartbeat import HEARTBEAT_NS
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.messages import SERVICE_STATUS, ServiceStatus, service_codec
from foxtrot.bus.publisher import Publisher
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_methods import Incoming, Pending
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import Clock, LiveClock, SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import FoxtrotError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import TimerData

__all__ = ["ServiceProcess"]

logger = logging.getLogger("foxtrot.service")

STARTING, READY, DEGRADED, HALTED, STOPPING = (
    "STARTING",
    "READY",
    "DEGRADED",
    "HALTED",
    "STOPPING",
)

_LINGER = 0.5  # seconds that the last messages have to leave
SUPERVISED = "SUPERVISOR_ENABLED"
"""Set by supervisord in the environment of what it starts."""


class _Waiter(SocketWaiter):
    """Sockets' own timers fire here where the event engine's clock is a simulated one."""

    def __init__(self, clock: LiveClock, *, fires: bool) -> None:
        super().__init__(clock)
        self._live = clock
        self._fires = fires

    def wait(self, seconds: float) -> None:
        if not self._fires:
            super().wait(seconds)
            return
        super().wait(min(seconds, self._live.wait_ns() / NS_PER_SECOND))
        try:
            self._live.fire_due()
        except Exception:  # as the event engine does with its own clock's timers
            self.errors += 1
            logger.exception("a timer failed")


class ServiceProcess:
    """The frame of one service.

    Args:
        installation: what the whole is made of.
        service: this process's name.
        role: what it is: ``oms``, ``adapter``, ``strategy``, ``recorder`` ...
        supervised: whether it ends with its parent; by default where supervisord says so.

    Attributes:
        clock: of the event engine; a ``SimulatedClock`` where the replay is paced.
        io_clock: of sockets, time-outs and heartbeats.
        epoch: number of this start.
        started: when it began, ns UTC.
        state: where it is in its life; ``detail`` says more in words.
        details, counters: what ``svc.status`` tells besides; called when asked.

    Raises:
        BusError: the run folder or an endpoint cannot be used.
        ServiceInUseError: another process has the name.
    """

    def __init__(
        self,
        installation: Installation,
        service: str,
        role: str,
        *,
        supervised: bool | None = None,
    ) -> None:
        self.installation = installation
        self.service = service
        self.role = role
        self.io_clock = LiveClock()
        self.clock: Clock = SimulatedClock() if installation.paced else self.io_clock
        self._parent = (
            os.getppid()
        )  # before the lock is waited for, in which time the parent may die
        folder = installation.folder("state")
        self._lock = ServiceLock(folder / f"{service}.lock", service, installation.oms.lock_timeout)
        self.epoch = next_epoch(folder / f"{service}.boot")
        self.state = STARTING
        self.detail = ""
        self.details: Callable[[], dict[str, str]] = dict
        self.counters: Callable[[], dict[str, int]] = dict
        self.exit_code = 0
        self.waiter = _Waiter(self.io_clock, fires=installation.paced)
        self.event_engine = EventEngine(self.clock, waiter=self.waiter)
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.codec = service_codec()
        self._logger = logging.getLogger(f"foxtrot.service.{service}")
        self._closers: list[tuple[str, Callable[[], object]]] = []
        self.started = self.io_clock.now()
        self._reason = ""
        self._signals = 0
        env = os.environ.get(SUPERVISED)
        self._supervised = bool(env) if supervised is None else supervised
        self.publisher = Publisher(
            self.context,
            installation.endpoint(service, "pub"),
            service,
            self.epoch,
            self.io_clock,
            self.codec,
        )
        self.server = RpcServer(
            installation.endpoint(service, "rpc"),
            self.codec,
            source=service,
            epoch=self.epoch,
            clock=self.io_clock,
            context=self.context,
        )
        self.server.register(SERVICE_STATUS, self._on_status, None, keep=False)
        self.server.attach(self.waiter)
        self._log = BusLog(self.publisher, self.io_clock)

    # --- parts ----------------------------------------------------------------------------------------------

    def client(
        self, service: str, on_epoch: Callable[[str, int], object] | None = None
    ) -> RpcClient:
        """A connection to another service's answers, served by the loop and closed at the end.

        Args:
            service: its name.
            on_epoch: called with its name and new epoch when it has restarted.
        """
        client = RpcClient(
            self.installation.endpoint(service, "rpc"),
            self.codec,
            source=self.service,
            epoch=self.epoch,
            clock=self.io_clock,
            context=self.context,
            on_epoch=on_epoch,
        )
        client.attach(self.waiter)
        self.at_end(f"the connection to {service}", client.close)
        return client

    def subscriber(self, services: list[str], on_message: Any, **options: Any) -> Subscriber:
        """A reader of what services publish, served by the loop and closed at the end.

        Args:
            services: their names; they may come up later.
            on_message: called with topic and envelope.
            **options: of ``Subscriber``.
        """
        reader = Subscriber(self.context, self.io_clock, on_message, codec=self.codec, **options)
        for service in services:
            reader.connect(self.installation.endpoint(service, "pub"))
        self.waiter.add(reader.socket, reader.drain)

        def close() -> None:
            self.waiter.remove(reader.socket)
            reader.close()

        self.at_end("a reader", close)
        return reader

    def at_end(self, name: str, close: Callable[[], object]) -> None:
        """Close a part when the process ends, in reverse order of this call; sockets of the frame come last."""
        self._closers.append((name, close))

    # --- life -----------------------------------------------------------------------------------------------

    def ready(self, detail: str = "") -> None:
        """Everything is there: say so."""
        self.set_state(READY, detail)

    def set_state(self, state: str, detail: str = "") -> None:
        """Say where the process is in its life; told by the next heartbeat, and by one at once."""
        if (state, detail) == (self.state, self.detail):
            return
        self.state, self.detail = state, detail
        self._logger.log(
            logging.WARNING if state in (DEGRADED, HALTED) else logging.INFO,
            "%s%s",
            state,
            f": {detail}" if detail else "",
        )
        self._beat()

    def run(self, start: Callable[[], object]) -> int:
        """Start, serve until ``stop`` or a signal, and end in order; returns the exit code.

        Args:
            start: makes the parts; called once the loop's signals are in place. What it raises ends the process.
        """
        with self._signals_handled():
            try:
                self._logger.info(
                    "starts", extra={"epoch": self.epoch, "config": str(self.installation.path)}
                )
                self.io_clock.set_interval("service.beat", HEARTBEAT_NS, self._on_beat)
                self._beat()
                start()
                if not self._reason:  # a signal may have come meanwhile
                    self.event_engine.run()
            except BaseException as error:
                self._reason = self._reason or f"{type(error).__name__}: {error}"
                self.exit_code = exit_code(error)
                raise
            finally:
                self._end()
        return self.exit_code

    def stop(self, reason: str, code: int = 0) -> None:
        """End the loop after what is queued; from any thread or signal handler. The first reason counts."""
        if not self._reason:
            self._reason = reason
            self.exit_code = code
        self.event_engine.end()

    def _end(self) -> None:
        self.set_state(STOPPING, self._reason)
        for name, close in reversed(self._closers):
            try:
                close()
            except Exception:
                self._logger.exception("closing %s failed", name)
                self.exit_code = self.exit_code or 70
        self.io_clock.cancel_timer("service.beat")
        self._log.close()
        self.server.close()
        self.publisher.close(_LINGER)
        self.waiter.close()
        self.context.term()
        self._lock.release()
        self._logger.info("stopped", extra={"reason": self._reason, "exit_code": self.exit_code})

    def _beat(self) -> None:
        counters = {"errors": self.event_engine.errors, **self.counters()}
        self.publisher.heartbeat(self.state, counters)

    def _on_beat(self, _timer: TimerData) -> None:
        self._beat()
        if self._reason:  # it was to end just as the loop began
            self.event_engine.end()
        if self._supervised and os.getppid() != self._parent:
            self.stop("the supervisor is gone")

    def _on_status(self, _request: Incoming, _later: Callable[[], Pending]) -> ServiceStatus:
        return ServiceStatus(
            self.service,
            self.role,
            self.state,
            self.epoch,
            os.getpid(),
            self.started,
            self.detail,
            self.details(),
            {"errors": self.event_engine.errors, **self.counters()},
        )

    # --- signals --------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _signals_handled(self) -> Any:
        before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
        for number in before:
            signal.signal(number, self._on_signal)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals += 1
        if self._signals > 1:
            os._exit(128 + number)
        self.stop(f"signal {signal.Signals(number).name}")


def next_epoch(path: Path) -> int:
    """The number of this start of a service, durable when it is returned; at least the time in seconds.

    So it grows even where the file was lost.

    Raises:
        FoxtrotError: the file cannot be read or written.
    """
    try:
        try:
            last = int(path.read_text() or 0)
        except (FileNotFoundError, ValueError):  # new, or not ours: the clock is ahead of it
            last = 0
        epoch = max(last + 1, LiveClock().now() // NS_PER_SECOND)
        write_durably(path, str(epoch).encode())
    except OSError as error:
        raise FoxtrotError(f"{path}: the number of starts cannot be kept: {error}") from error
    return epoch
