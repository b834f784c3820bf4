"""Ending an installation.

Invariants:

* The supervisor ends its processes in order: strategies, adapters, the OMS, the recorder, the watch.
* Afterwards no process and no socket is left, not even of services that a killed supervisor left behind.
* It may be asked for again at any time; where nothing runs nothing happens.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import socket
import time
from pathlib import Path

from foxtrot.app.control_up import Say, StartError
from foxtrot.app.installation import BACKTEST, WATCH, Installation
from foxtrot.app.supervisor_conf import pid_path, socket_path
from foxtrot.app.supervisor_link import SupervisorError, SupervisorLink
from foxtrot.app.watch_host import is_running
from foxtrot.core.errors import FoxtrotError

__all__ = ["bring_down"]

_END_WAIT = 90.0
_PATIENCE = 20.0
"""Seconds that a service left behind has to end in order."""


def bring_down(installation: Installation, say: Say, timeout: float = _END_WAIT) -> bool:
    """End everything in order; returns whether anything ran.

    Raises:
        StartError: something is still there when time is over.
        SupervisorError: a supervisor is there and does not answer.
    """
    link = SupervisorLink(socket_path(installation))
    end = time.monotonic() + timeout
    state = link.state()
    if state == "AWAY":
        link.check_frozen()
        ran = _end_orphans(installation, say, end)
        _clear_sockets(installation)
        return ran
    pid = _pid(link, installation)
    ran_in = _running(link, installation)
    say(f"stopping the supervisor (process {pid}) and what it runs")
    if state == "RUNNING":
        with contextlib.suppress(SupervisorError):  # it ends already
            link.shut_down()
    while is_running(pid):
        for name in [name for name, number in ran_in.items() if not is_running(number)]:
            del ran_in[name]
            say(f"  {name:<16} stopped")
        if time.monotonic() >= end:
            raise StartError(
                f"the supervisor (process {pid}) still runs after {timeout:g} s, with "
                f"{', '.join(ran_in) or 'nothing'}; see {installation.run / 'logs' / 'supervisord.log'}"
            )
        time.sleep(0.05)
    for name in ran_in:
        say(f"  {name:<16} stopped")
    _end_orphans(installation, say, end)
    _clear_sockets(installation)
    return True


def _running(link: SupervisorLink, installation: Installation) -> dict[str, int]:
    """Process numbers by name in order of stopping."""
    with contextlib.suppress(FoxtrotError):  # it ends already
        known = link.processes()
        order = [WATCH, *installation.service_names(), BACKTEST]
        return {
            name: known[name].pid for name in reversed(order) if name in known and known[name].pid
        }
    return {}


def _pid(link: SupervisorLink, installation: Installation) -> int:
    try:
        return link.pid()
    except SupervisorError:  # it ends, and answers nothing else
        text = pid_path(installation).read_text().strip() if pid_path(installation).exists() else ""
        return int(text) if text.isdigit() else 0


def _end_orphans(installation: Installation, say: Say, end: float) -> bool:
    """End services that a supervisor has left behind, in order; returns whether there were any."""
    found = False
    for service in reversed([WATCH, *installation.service_names(), BACKTEST]):
        pid = _holder(installation.run / "state" / f"{service}.lock")
        if not pid:
            continue
        found = True
        say(f"  {service:<16} runs without a supervisor (process {pid}); it is stopped")
        patience = time.monotonic() + _PATIENCE
        _signal(pid, signal.SIGTERM)
        _signal(pid, signal.SIGCONT)
        while is_running(pid):
            now = time.monotonic()
            if now >= patience:
                _signal(pid, signal.SIGKILL)
            if now >= end:
                raise StartError(f"{service} (process {pid}) does not end")
            time.sleep(0.05)
    return found


def _holder(lock: Path) -> int:
    """The process that holds a service's lock; 0 where nobody does."""
    try:
        with lock.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                text = file.read(20).decode("ascii", "replace").strip()
                return int(text) if text.isdigit() else 0
    except FileNotFoundError:
        pass
    return 0


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _clear_sockets(installation: Installation) -> None:
    """Remove what killed processes have left of their sockets: those that nobody listens at."""
    left = [*(installation.run / "sockets").glob("*.sock"), socket_path(installation)]
    for path in left:
        if path.is_socket() and not _is_listened_at(path):
            path.unlink(missing_ok=True)


def _is_listened_at(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(0.5)
        try:
            line.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True
