"""Starting an installation, and starting one of its services anew.

Invariants:

* Each of them may be asked for again at any time: what is as it was asked to be is left alone.
* A wait has a limit, and ends early where a service stays down; then the end of its log is told.
* Nothing that runs is touched by starting the rest.
"""

from __future__ import annotations

import configparser
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from foxtrot.app.control import Desk
from foxtrot.app.control_status import (
    DOWN,
    READY,
    SILENT,
    InstallationStatus,
    ServiceRow,
    read_status,
)
from foxtrot.app.files import write_text
from foxtrot.app.installation import BACKTEST, WATCH, Installation
from foxtrot.app.supervisor_conf import (
    CONFIG_VARIABLE,
    Places,
    conf_path,
    render_conf,
    socket_path,
)
from foxtrot.app.supervisor_link import SupervisorLink
from foxtrot.core.errors import ConfigError, FoxtrotError

__all__ = ["StartError", "bring_up", "print_conf", "restart_service", "tail_of_log"]

Say = Callable[[str], None]
"""Told what happens, a line at a time."""

_ROOT = Path(__file__).resolve().parents[2]
DEGRADED = "DEGRADED"
_FINAL = ("FATAL", "EXITED")
_POLL = 0.2
_TAIL = 15


class StartError(FoxtrotError):
    """A service did not come up."""

    exit_code = 1


# --- up -------------------------------------------------------------------------------------------------------------


def print_conf(installation: Installation, here: Path) -> str:
    """The supervisor's file, as it reads in a folder."""
    return render_conf(installation, Places(_root(), Path(sys.executable), here))


def bring_up(desk: Desk, say: Say, timeout: float = 60.0) -> InstallationStatus:
    """Start everything that does not run, and wait until all is READY.

    Raises:
        StartError: a service stays down, or time is over.
        BusError: the run folder cannot be used, or its path is too long for a socket.
        FoxtrotError: the supervisor cannot be started.
    """
    installation = desk.installation
    for service in (*installation.service_names(), WATCH):
        installation.endpoint(service, "pub")  # refuses a run folder that is too deep
    link = SupervisorLink(socket_path(installation))
    _await_end(link, say, timeout)
    if link.state() == "RUNNING":
        say(f"the supervisor runs already (process {link.pid()})")
        _start_missing(link, installation, say)
    else:
        link.check_frozen()
        conf = _chosen_conf(installation, say)
        say(f"starting the supervisor with {_short(conf)}")
        _start_supervisor(installation, conf)
    return _wait_ready(desk, link, say, timeout)


def _await_end(link: SupervisorLink, say: Say, timeout: float) -> None:
    """Where a supervisor is about to end, wait until it has."""
    end = time.monotonic() + timeout
    told = False
    while link.state() == "ENDING":
        if not told:
            say("waiting for the former supervisor to end")
        told = True
        if time.monotonic() >= end:
            raise StartError(f"the former supervisor still runs after {timeout:g} s")
        time.sleep(_POLL)


def _root() -> Path:
    if not (_ROOT / "services").is_dir():
        raise ConfigError(
            f"there is no folder 'services' in {_ROOT}: start an installation from a checkout of Foxtrot"
        )
    return _ROOT


def _chosen_conf(installation: Installation, say: Say) -> Path:
    """The file that stands at the top of the project, where it is this installation's, else one made for it."""
    for folder in ("logs", "state"):
        installation.folder(folder)
    root = _root()
    own = root / "supervisord.conf"
    wanted = {*installation.service_names(), WATCH}
    config, programs = _read_conf(own)
    if config == installation.path:
        if wanted <= programs:
            return own
        missing = ", ".join(sorted(wanted - programs))
        say(f"{own} has no program for {missing}; using one made from {installation.path}")
    path = conf_path(installation)
    write_text(path, render_conf(installation, Places(root, Path(sys.executable), path.parent)))
    return path


def _read_conf(path: Path) -> tuple[Path | None, set[str]]:
    """Which installation a file is for, and its programs; none where it cannot be read."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",), strict=False)
    try:
        parser.read_string(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, configparser.Error):
        return None, set()
    programs = {
        name.partition(":")[2]
        for name in parser.sections()
        if name.startswith(("program:", "eventlistener:"))
    }
    text = parser.get("supervisord", "environment", fallback="").replace(
        "%(here)s", str(path.parent)
    )
    for part in _pairs(text):
        name, _, value = part.partition("=")
        if name == CONFIG_VARIABLE:
            return Path(value), programs
    return None, programs


def _pairs(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace = ","
    lexer.whitespace_split = True
    try:
        return [part.strip() for part in lexer]
    except ValueError:
        return []


def _start_supervisor(installation: Installation, conf: Path) -> None:
    environment = {**os.environ, CONFIG_VARIABLE: str(installation.path)}
    done = subprocess.run(  # noqa: S603 - our own interpreter and a file that we have made
        [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
        cwd=_ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        text = (done.stderr + done.stdout).strip()
        raise FoxtrotError(f"the supervisor cannot be started with {conf}: {text}")


def _start_missing(link: SupervisorLink, installation: Installation, say: Say) -> None:
    for info in link.processes().values():
        wanted = info.name in (*installation.service_names(), WATCH)
        if wanted and info.state in ("STOPPED", "EXITED", "FATAL"):
            say(f"starting {info.name}")
            link.start(info.name)


def _wait_ready(desk: Desk, link: SupervisorLink, say: Say, timeout: float) -> InstallationStatus:
    """Tell each change until all is READY."""
    end = time.monotonic() + timeout
    told: dict[str, str] = {}
    while True:
        status = read_status(desk, timeout=0.5, strategies=False)
        for row in status.services:
            _tell_change(row, told, say)
        if status.ready:
            return read_status(desk)
        if any(row.state == DEGRADED for row in status.services):
            _check_strategies(desk)
        failed = next((row for row in status.services if _has_failed(row)), None)
        if failed is not None:
            raise StartError(_failure(desk.installation, failed))
        if time.monotonic() >= end:
            late = next(row for row in status.services if row.state != READY)
            raise StartError(f"after {timeout:g} s: " + _failure(desk.installation, late))
        if not status.supervised and link.state() == "AWAY":
            raise StartError(
                f"the supervisor has ended; see {desk.installation.run / 'logs' / 'supervisord.log'}"
            )
        time.sleep(_POLL)


def _check_strategies(desk: Desk) -> None:
    """Refuse where a strategy has failed.

    Raises:
        StartError: so it is.
    """
    for info in read_status(desk).strategies:
        if info.error:
            raise StartError(
                f"strategy {info.name} is in {info.state}:\n{info.error.rstrip()}\n"
                f"the rest is up; mend it, then: foxtrot strategy reload {info.name}"
            )


def _tell_change(row: ServiceRow, told: dict[str, str], say: Say) -> None:
    state = "STARTING" if row.state in (SILENT, DOWN) and not _has_failed(row) else row.state
    silent = row.state == SILENT or (row.supervisor == "STARTING" and not row.epoch)
    text = state if silent or not row.detail else f"{state}: {row.detail}"
    if told.get(row.service) != text:
        told[row.service] = text
        say(f"  {row.service:<16} {text}")


def _has_failed(row: ServiceRow) -> bool:
    return row.supervisor in _FINAL or row.state == "HALTED"


def _failure(installation: Installation, row: ServiceRow) -> str:
    state = row.supervisor if row.state in (DOWN, SILENT) else row.state
    what = f"{row.service} is {state or row.state}"
    if row.detail:
        what += f" ({row.detail})"
    path = installation.run / "logs" / f"{row.service}.log"
    lines = "\n".join(f"    {line}" for line in tail_of_log(path))
    shown = (
        f"\n  the end of {_short(path)}:\n{lines}" if lines else f"\n  its log is {_short(path)}"
    )
    return what + shown


def tail_of_log(path: Path, lines: int = _TAIL) -> list[str]:
    """The last lines of a log, those in JSON as a person would write them; none where it cannot be read."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 64_000))
            found = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    readable = [line for entry in found[-lines:] for line in _readable(entry)]
    return readable[-lines * 2 :]


def _readable(entry: str) -> Iterator[str]:
    try:
        line = msgspec.json.decode(entry)
        stamp, level, text = line["ts"], line["level"], line["msg"]
    except (msgspec.DecodeError, KeyError, TypeError):
        yield entry
        return
    yield f"{stamp} {level} {text}"
    if line.get("exc"):
        yield from (f"  {part}" for part in str(line["exc"]).rstrip().splitlines()[-6:])


# --- one service ----------------------------------------------------------------------------------------------------


def restart_service(desk: Desk, service: str, say: Say, timeout: float = 60.0) -> ServiceRow:
    """Stop and start one service, and wait until it is READY.

    Raises:
        ConfigError: there is no such service.
        SupervisorAwayError: no supervisor answers.
        StartError: it does not stop, or does not come up.
    """
    known = [*desk.installation.service_names(), WATCH, BACKTEST]
    if service not in known:
        raise ConfigError(f"there is no service {service!r}; there are: {', '.join(known)}")
    link = SupervisorLink(socket_path(desk.installation))
    end = time.monotonic() + timeout
    say(f"stopping {service}")
    link.stop(service)
    while link.processes()[service].state not in ("STOPPED", "EXITED", "FATAL"):
        if time.monotonic() >= end:
            raise StartError(f"{service} does not stop within {timeout:g} s")
        time.sleep(_POLL)
    say(f"starting {service}")
    link.start(service)
    told: dict[str, str] = {}
    while True:
        row = read_status(desk, timeout=0.5, strategies=False).row(service)
        if row is not None:
            _tell_change(row, told, say)
            if row.state == READY:
                return row
            if _has_failed(row) or time.monotonic() >= end:
                raise StartError(_failure(desk.installation, row))
        time.sleep(_POLL)


def _short(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
