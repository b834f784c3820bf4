"""The watch as a process: supervisor's event listener, and the reader of every heartbeat.

It reports starts, ends and crashes on the bus (its log, and ``eService.<name>``), halts all trading on a crash loop and
when a service stays down for good, and ends a process that is said to run but has fallen silent, so that the supervisor
starts it anew.

Invariants:

* Standard output carries the listener's protocol and nothing else; whatever prints is led to standard error.
* Nothing here waits: standard input, sockets and timers share one loop, and the supervisor is asked with a time limit.
* A halt is asked for until the OMS has confirmed it, however long the OMS is away.
* Only children of its own supervisor are ever ended, and none while the supervisor itself ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

from foxtrot.app.failures import FAULT
from foxtrot.app.installation import BACKTEST, OMS, WATCH, Installation
from foxtrot.app.process import DEGRADED, SUPERVISED, ServiceProcess
from foxtrot.app.service_command import run_service
from foxtrot.app.supervisor_conf import socket_path
from foxtrot.app.supervisor_link import SupervisorError, SupervisorLink
from foxtrot.app.watch_host import ProcessHandle, is_stopped
from foxtrot.app.watch_protocol import READY_LINE, RESULT_LINE, EventReader, SupervisorEvent
from foxtrot.app.watch_rules import CrashCounter, PulseRules
from foxtrot.bus.codec import Envelope
from foxtrot.bus.health import Health
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.messages import CONTROL_HALT, HaltRequest, ServiceStatus
from foxtrot.bus.rpc_messages import Answer, Outcome
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import BusError
from foxtrot.core.objects import TimerData

__all__ = ["EVENT_SERVICE", "WatchService", "run_watch_service"]

EVENT_SERVICE = "eService."
"""What became of a process goes out on ``eService.<name>`` as ``ServiceStatus``, in the supervisor's words."""

_LOOK_NS = NS_PER_SECOND // 4
_AGAIN_NS = 20_000_000
_HALT_NS = 10 * NS_PER_SECOND
_MS = 1_000_000
_AFTER_CRASH = ("EXITED", "BACKOFF")

logger = logging.getLogger("foxtrot.service.watch")


class WatchService:
    """The parts of the watch's process.

    Args:
        process: its frame.
        installation: what it is told.
        stdin, stdout: the listener's protocol; -1 where no supervisor speaks it.
        link: the way to the supervisor.
    """

    def __init__(
        self,
        process: ServiceProcess,
        installation: Installation,
        *,
        stdin: int,
        stdout: int,
        link: SupervisorLink,
    ) -> None:
        settings = installation.watch
        self.process = process
        self.rules = PulseRules(_ns(settings.dead_after), _ns(settings.grace))
        self.crashes = CrashCounter(settings.crash_starts, _ns(settings.crash_minutes * 60))
        self._settings = settings
        self._trading = frozenset(installation.service_names())
        self._services = [*installation.service_names(), BACKTEST]
        self._stdin = stdin
        self._stdout = stdout
        self._link = link
        self._supervisor = os.getppid()
        self._reader = EventReader()
        self._handles: dict[str, ProcessHandle] = {}
        self._down: dict[str, str] = {}
        self._states: dict[str, str] = {}
        self._halt = ""
        self._asked_at = 0
        self._known = False
        self._ending = False
        self._frozen = False
        self._oms = process.client(OMS)
        process.details = self._details
        process.counters = self._counters
        process.at_end("the watch", self.close)

    # --- life -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Read heartbeats, and events of the supervisor."""
        self.process.subscriber(
            self._services, _ignored, on_heartbeat=self._on_heartbeat, durable=()
        )
        if self._stdin >= 0:
            os.set_blocking(self._stdin, False)
            self.process.waiter.add(self._stdin, self._on_readable)
            self._write(READY_LINE)
        self.process.io_clock.set_interval("watch.look", _LOOK_NS, self._on_look)
        self.process.ready()

    def close(self) -> None:
        """Watch no longer."""
        self.process.io_clock.cancel_timer("watch.look")
        if self._stdin >= 0:
            self.process.waiter.remove(self._stdin)
        for service in tuple(self._handles):
            self._let_go(service)

    # --- the supervisor -------------------------------------------------------------------------------------

    def _on_readable(self) -> None:
        try:
            data = os.read(self._stdin, 65_536)
            if not data:
                raise BusError("the supervisor has closed the line")
            events = self._reader.feed(data)
        except BlockingIOError:
            return
        except (BusError, OSError) as error:
            logger.error("%s", error)
            self.process.waiter.remove(self._stdin)
            self._stdin = -1
            self.process.stop("the supervisor does not speak any more", FAULT)
            return
        for event in events:
            self.on_event(event)
            self._write(RESULT_LINE)
            self._write(READY_LINE)

    def _write(self, data: bytes) -> None:
        try:
            os.write(self._stdout, data)
        except OSError as error:
            self.process.stop(f"the supervisor does not listen any more: {error}", FAULT)

    def on_event(self, event: SupervisorEvent) -> None:
        """Take up what the supervisor says."""
        if event.name.startswith("SUPERVISOR_STATE_CHANGE_"):
            self._ending = event.name.endswith("STOPPING")
            logger.info("the supervisor is %s", "ending" if self._ending else "running")
            return
        state = event.name.removeprefix("PROCESS_STATE_")
        service = event.process
        if state == event.name or service not in self._services:
            return
        self._states[service] = state
        text = self._take(service, state, event)
        level = logging.ERROR if service in self._down or state == "BACKOFF" else logging.INFO
        if state == "EXITED":
            level = logging.ERROR
        logger.log(level, "%s: %s", service, text)
        self._tell(service, state, event.pid, text)
        self._tell_state()

    def _take(self, service: str, state: str, event: SupervisorEvent) -> str:
        """Draw the consequences of a process's new state; returns it in words."""
        if state == "RUNNING":
            self._down.pop(service, None)
            self._hold(service, event.pid)
            return "runs"
        if state == "STARTING":
            return self._on_start(service, event.fields.get("from_state", ""))
        if state in ("STOPPING", "UNKNOWN"):
            return state.lower()
        self.rules.ended(service)
        self._let_go(service)
        self._down.pop(service, None)
        return self._on_down(service, state, expected=event.fields.get("expected") != "0")

    def _on_down(self, service: str, state: str, *, expected: bool) -> str:
        if state == "BACKOFF":
            return "ended within a second of its start; it is tried again"
        if state == "EXITED" and not expected:
            return "ended unexpectedly"
        if state == "EXITED":
            self._down[service] = "ended with an exit code that asks for no other try; see its log"
            return self._down[service]
        if state == "FATAL":
            self._down[service] = "does not stay up and is not started any more"
            self._halt_all(service, self._down[service])
            return self._down[service]
        return "was stopped"

    def _on_start(self, service: str, before: str) -> str:
        if before not in _AFTER_CRASH:
            return "is started"
        if self.crashes.started(service, self.process.io_clock.monotonic()):
            starts, minutes = self._settings.crash_starts, self._settings.crash_minutes
            self._halt_all(service, f"crashed and was started {starts} times in {minutes:g} min")
        return f"is started again ({self.crashes.totals[service]} times by now)"

    def _hold(self, service: str, pid: int) -> None:
        self.rules.runs(service, pid, self.process.io_clock.monotonic())
        held = self._handles.get(service)
        if held is not None and held.pid == pid:
            return
        self._let_go(service)
        try:
            handle = ProcessHandle(pid, self._supervisor)
        except ProcessLookupError:
            self.rules.pulses.pop(service, None)  # gone already, or somebody else's
            return
        self._handles[service] = handle
        if handle.fd >= 0:
            self.process.waiter.add(handle.fd, lambda: self._on_end(service, handle))

    def _let_go(self, service: str) -> None:
        handle = self._handles.pop(service, None)
        if handle is not None:
            if handle.fd >= 0:
                self.process.waiter.remove(handle.fd)
            handle.close()

    def _on_end(self, service: str, handle: ProcessHandle) -> None:
        """A process has ended: have the supervisor look at once, and again when it has taken note."""
        if self._handles.get(service) is handle:
            self._let_go(service)
            self.rules.pulses.pop(service, None)
        self._link.nudge()
        clock = self.process.io_clock
        clock.set_delay("watch.nudge", _AGAIN_NS, lambda _: self._link.nudge())

    def _learn(self) -> None:
        """Ask the supervisor once what ran before we did."""
        try:
            infos = self._link.processes()
        except SupervisorError:
            return
        self._known = True
        for info in infos.values():
            if info.name not in self._services:
                continue
            self._states.setdefault(info.name, info.state)
            if info.state == "RUNNING":
                self._hold(info.name, info.pid)
            elif info.state == "FATAL":
                self._down[info.name] = "does not stay up and is not started any more"

    # --- heartbeats -----------------------------------------------------------------------------------------

    def _on_heartbeat(self, beat: Heartbeat, now: int) -> None:
        change = self.rules.beat(beat, now)
        if change is not None and change.now is Health.ALIVE and change.before is Health.STALE:
            logger.info("%s: is heard again", beat.service)

    def _on_look(self, _timer: TimerData) -> None:
        now = self.process.io_clock.monotonic()
        if not self._known and self._stdin >= 0:
            self._learn()
        frozen = is_stopped(self._supervisor) and self._stdin >= 0
        if frozen != self._frozen:
            self._frozen = frozen
            logger.log(
                logging.ERROR if frozen else logging.WARNING,
                "the supervisor %s",
                "is stopped (SIGSTOP): nothing is started again" if frozen else "goes on",
            )
        for service, silence in self.rules.look(now):
            if not self._ending:
                self._end_silent(service, silence)
        if self._halt and now - self._asked_at > 2 * _HALT_NS:
            self._ask_halt()
        self._tell_state()

    def _end_silent(self, service: str, silence: int) -> None:
        handle = self._handles.get(service)
        if handle is None:
            return
        seconds = silence / NS_PER_SECOND
        text = f"has had no heartbeat for {seconds:.1f} s (process {handle.pid}) and is ended"
        logger.error("%s: %s", service, text)
        self._tell(service, "DEAD", handle.pid, text)
        handle.end()

    # --- consequences ---------------------------------------------------------------------------------------

    def _halt_all(self, service: str, what: str) -> None:
        if self._ending or service not in self._trading:
            return
        reason = f"{service} {what}"
        logger.critical("all trading is to be halted: %s", reason)
        self._halt = reason
        self._ask_halt()

    def _ask_halt(self) -> None:
        reason = self._halt
        self._asked_at = self.process.io_clock.monotonic()

        def settled(outcome: Outcome) -> None:
            if isinstance(outcome, Answer) and outcome.ok:
                logger.warning("the OMS confirms: %s", outcome.body.text if outcome.body else "")
                if self._halt == reason:
                    self._halt = ""
            elif isinstance(outcome, Answer):
                logger.error("the OMS cannot halt as asked, it is asked again: %s", outcome)
            elif self._halt == reason and not self._ending:
                logger.error("the OMS has not confirmed the halt yet; it is asked again")
                self._ask_halt()

        with contextlib.suppress(BusError):  # too much is open: the next look asks again
            self._oms.send(CONTROL_HALT, HaltRequest(reason), on_reply=settled, timeout=_HALT_NS)

    def _tell(self, service: str, state: str, pid: int, text: str) -> None:
        now = self.process.io_clock.now()
        status = ServiceStatus(service, "", state, 0, pid, now, text)
        self.process.publisher.publish(EVENT_SERVICE + service, status)

    def _tell_state(self) -> None:
        parts = [f"{service} {why}" for service, why in self._down.items()]
        if self._frozen:
            parts.append("the supervisor is stopped")
        if self._halt:
            parts.append(f"the OMS has not confirmed the halt: {self._halt}")
        if parts:
            self.process.set_state(DEGRADED, "; ".join(parts))
        else:
            self.process.ready()

    def _details(self) -> dict[str, str]:
        return {f"process {service}": state for service, state in self._states.items()}

    def _counters(self) -> dict[str, int]:
        now = self.process.io_clock.monotonic()
        found = {f"restarts {name}": count for name, count in self.crashes.totals.items()}
        for service in self._services:
            age = self.rules.age(service, now)
            if age is not None:
                found[f"age_ms {service}"] = age // _MS
        return found


def _ns(seconds: float) -> int:
    return int(seconds * NS_PER_SECOND)


def _ignored(_topic: str, _envelope: Envelope[Any]) -> None:
    """Only heartbeats are read."""


def run_watch_service(arguments: Sequence[str]) -> int:
    """Run the watch and return the exit code of the process.

    Args:
        arguments: of the command line, without the program's name.
    """
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)  # what anybody prints must not reach the supervisor
    supervised = SUPERVISED in os.environ

    def start(process: ServiceProcess) -> None:
        installation = process.installation
        WatchService(
            process,
            installation,
            stdin=0 if supervised else -1,
            stdout=stdout,
            link=SupervisorLink(socket_path(installation), timeout=0.5),
        ).start()

    try:
        return run_service(WATCH, arguments, start, name=WATCH)
    finally:
        os.close(stdout)
