"""Talking to the supervisor through its socket: what runs, start, stop, the end.

Invariants: every call has a time limit; that nobody answers is told as ``SupervisorAwayError`` and nothing else.
"""

from __future__ import annotations

import contextlib
import http.client
import socket
import xmlrpc.client
from pathlib import Path
from typing import Any, Literal, NamedTuple

from foxtrot.core.errors import FoxtrotError

__all__ = ["ProcessInfo", "SupervisorAwayError", "SupervisorError", "SupervisorLink"]

_GONE = frozenset({60, 70})  # ALREADY_STARTED, NOT_RUNNING: it is as it was asked to be
_BAD_NAME = 10
_ENDING = 6
_ANSWERED = (OSError, http.client.HTTPException, xmlrpc.client.ProtocolError, ValueError)


class SupervisorError(FoxtrotError):
    """The supervisor refuses, or cannot do, what was asked."""

    exit_code = 1


class SupervisorAwayError(SupervisorError):
    """No supervisor answers at the socket."""


class ProcessInfo(NamedTuple):
    """A process as its supervisor sees it.

    Attributes:
        name: of the program.
        state: STOPPED, STARTING, RUNNING, BACKOFF, STOPPING, EXITED, FATAL or UNKNOWN.
        pid: 0 where there is none.
        started: when (s since the epoch).
        exit_code: of its last end; -1 for a signal.
        error: why it could not be started.
    """

    name: str
    state: str
    pid: int = 0
    started: int = 0
    exit_code: int = 0
    error: str = ""


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            line.settimeout(self.timeout)
            line.connect(str(self._path))
        except OSError:
            line.close()
            raise
        self.sock = line


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__()
        self._path = path
        self._timeout = timeout

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _Connection(self._path, self._timeout)
        self._connection = (host, connection)  # so that close() finds it
        return connection


class SupervisorLink:
    """The supervisor behind a socket.

    Args:
        path: of the socket.
        timeout: seconds that a call may take.
    """

    def __init__(self, path: Path, timeout: float = 5.0) -> None:
        self.path = path
        self.timeout = timeout

    def pid(self) -> int:
        """Process number of the supervisor.

        Raises:
            SupervisorAwayError: nobody answers.
            SupervisorError: it is about to end.
        """
        return int(self._call("getPID"))

    def state(self) -> Literal["RUNNING", "ENDING", "AWAY"]:
        """Whether it answers, and is not about to end."""
        try:
            self._call("getState")
        except SupervisorAwayError:
            return "AWAY"
        except SupervisorError:
            return "ENDING"
        return "RUNNING"

    def check_frozen(self) -> None:
        """Refuse where a supervisor is there and does not answer.

        Raises:
            SupervisorError: so it is.
        """
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
                line.settimeout(1.0)
                line.connect(str(self.path))
        except OSError:
            return
        raise SupervisorError(
            f"a supervisor is there and does not answer at {self.path}; is it stopped? Continue it: kill -CONT its "
            f"process, whose number is in {self.path.with_name('supervisord.pid')}"
        )

    def processes(self) -> dict[str, ProcessInfo]:
        """Every process by name.

        Raises:
            SupervisorAwayError: nobody answers.
            SupervisorError: it is about to end.
        """
        return {
            info["name"]: ProcessInfo(
                info["name"],
                info["statename"],
                info["pid"],
                info["start"],
                info["exitstatus"],
                info["spawnerr"],
            )
            for info in self._call("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Have a process started, without waiting for it; one that runs is left alone.

        Raises:
            SupervisorAwayError: nobody answers.
            SupervisorError: there is no such process, or it cannot be started.
        """
        self._call("startProcess", name, False)

    def stop(self, name: str) -> None:
        """Have a process stopped, without waiting for it; one that does not run is left alone.

        Raises:
            SupervisorAwayError: nobody answers.
            SupervisorError: there is no such process.
        """
        self._call("stopProcess", name, False)

    def shut_down(self) -> None:
        """Have everything stopped in order, and the supervisor end, without waiting for it.

        Raises:
            SupervisorAwayError: nobody answers.
            SupervisorError: it is about to end already.
        """
        self._call("shutdown")

    def nudge(self) -> None:
        """Have it look at its children now, which it does once a second by itself; never waits, never raises."""
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as line,
        ):
            line.connect(str(self.path))

    def _call(self, method: str, *arguments: Any) -> Any:
        transport = _Transport(self.path, self.timeout)
        server = xmlrpc.client.ServerProxy("http://localhost", transport=transport)
        try:
            return getattr(server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as fault:
            if fault.faultCode in _GONE:
                return None
            if fault.faultCode == _ENDING:
                raise SupervisorError("the supervisor is about to end") from fault
            what = f"there is no process {arguments[0]!r}" if fault.faultCode == _BAD_NAME else ""
            raise SupervisorError(f"the supervisor: {what or fault.faultString}") from fault
        except _ANSWERED as error:
            raise SupervisorAwayError(
                f"no supervisor answers at {self.path} ({error}); start it: foxtrot up"
            ) from error
        finally:
            transport.close()
