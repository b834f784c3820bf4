"""How the processes of an installation stand: what they say of themselves, and what their supervisor says of them."""

from __future__ import annotations

from typing import Any

import msgspec

from foxtrot.app.control import Desk
from foxtrot.app.installation import BACKTEST, WATCH, Installation
from foxtrot.app.supervisor_conf import socket_path
from foxtrot.app.supervisor_link import ProcessInfo, SupervisorError, SupervisorLink
from foxtrot.bus.messages import SERVICE_STATUS, STRATEGY_LIST, ServiceStatus, StrategyInfo
from foxtrot.bus.rpc_messages import Answer
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND

__all__ = ["InstallationStatus", "ServiceRow", "read_status"]

READY = "READY"
SILENT = "SILENT"
"""It runs, but does not answer."""
DOWN = "DOWN"


class ServiceRow(msgspec.Struct, frozen=True, kw_only=True):
    """How one process stands.

    Attributes:
        state: what it says of itself; SILENT where it runs and does not answer, DOWN where it does not run.
        supervisor: its state in the supervisor's eyes; empty where there is none.
        uptime: seconds; 0 where it does not answer.
        restarts: starts after a crash that the watch has seen.
        heartbeat: seconds since the last one, as the watch sees it; None where it knows of none.
    """

    service: str
    state: str
    detail: str = ""
    supervisor: str = ""
    pid: int = 0
    uptime: float = 0.0
    epoch: int = 0
    restarts: int = 0
    heartbeat: float | None = None
    details: dict[str, str] = {}


class InstallationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How an installation stands.

    Attributes:
        supervised: whether a supervisor answers.
    """

    name: str
    config: str
    supervised: bool
    services: tuple[ServiceRow, ...]
    strategies: tuple[StrategyInfo, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether every process is READY."""
        return all(row.state == READY for row in self.services)

    def row(self, service: str) -> ServiceRow | None:
        """The row of a service."""
        return next((row for row in self.services if row.service == service), None)


def read_status(desk: Desk, *, timeout: float = 1.5, strategies: bool = True) -> InstallationStatus:
    """Ask everybody at once.

    Args:
        desk: the connections.
        timeout: seconds that answers may take.
        strategies: whether runners are asked for their strategies.

    Raises:
        BusError: an endpoint cannot be used.
    """
    installation = desk.installation
    try:
        processes = SupervisorLink(socket_path(installation), timeout).processes()
        supervised = True
    except SupervisorError:
        processes, supervised = {}, False
    names = [*installation.service_names(), WATCH]
    if BACKTEST in processes and processes[BACKTEST].state != "STOPPED":
        names.append(BACKTEST)
    told = desk.ask_all({name: (SERVICE_STATUS, None) for name in names}, timeout)
    answers = {
        name: outcome.body
        for name, outcome in told.items()
        if isinstance(outcome, Answer) and isinstance(outcome.body, ServiceStatus)
    }
    watch = answers.get(WATCH)
    rows = tuple(_row(name, answers.get(name), processes.get(name), watch) for name in names)
    infos = _strategies(desk, installation, set(answers), timeout) if strategies else ()
    return InstallationStatus(
        name=installation.name,
        config=str(installation.path),
        supervised=supervised,
        services=rows,
        strategies=infos,
    )


def _row(
    name: str,
    status: ServiceStatus | None,
    process: ProcessInfo | None,
    watch: ServiceStatus | None,
) -> ServiceRow:
    counters: dict[str, int] = watch.counters if watch is not None else {}
    age = counters.get(f"age_ms {name}")
    common: dict[str, Any] = {
        "service": name,
        "supervisor": process.state if process is not None else "",
        "restarts": counters.get(f"restarts {name}", 0),
        "heartbeat": age / 1_000 if age is not None else None,
    }
    if status is not None:
        uptime = max(0, LiveClock().now() - status.started) / NS_PER_SECOND
        return ServiceRow(
            state=status.state,
            detail=status.detail,
            pid=status.pid,
            uptime=uptime,
            epoch=status.epoch,
            details=status.details,
            **common,
        )
    if process is None or not process.pid:
        return ServiceRow(state=DOWN, detail=_why(process), **common)
    state = "STARTING" if process.state == "STARTING" else SILENT
    return ServiceRow(state=state, detail="does not answer", pid=process.pid, **common)


def _why(process: ProcessInfo | None) -> str:
    if process is None or process.state == "STOPPED":
        return ""
    if process.error:
        return process.error
    code = process.exit_code
    return "killed by a signal" if code < 0 else f"exit code {code}"


def _strategies(
    desk: Desk, installation: Installation, alive: set[str], timeout: float
) -> tuple[StrategyInfo, ...]:
    runners = [runner.name for runner in installation.runners if runner.name in alive]
    told = desk.ask_all({name: (STRATEGY_LIST, None) for name in runners}, timeout)
    return tuple(
        info
        for outcome in told.values()
        if isinstance(outcome, Answer) and outcome.ok and outcome.body is not None
        for info in outcome.body.strategies
    )
