"""Processes of this machine as the watch needs them: whose child, stopped or not, an end that hits no other one.

A process is held by a descriptor (pidfd, Linux) from the moment that it is heard of, so that a number that was given to
another process meanwhile is never signalled. Elsewhere its parent is looked at right before.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from pathlib import Path

__all__ = ["ProcessHandle", "is_running", "is_stopped", "parent_of"]

_PS = "/bin/ps"


class ProcessHandle:
    """A child of a supervisor.

    Args:
        pid: its number.
        parent: the supervisor's.

    Attributes:
        fd: readable when the process has ended; -1 where there are no such descriptors.

    Raises:
        ProcessLookupError: it is no child of that parent.
    """

    def __init__(self, pid: int, parent: int) -> None:
        self.pid = pid
        self.fd = -1
        self._parent = parent
        if pid <= 1:
            raise ProcessLookupError(f"{pid} is no process to be watched")
        if hasattr(os, "pidfd_open"):
            with contextlib.suppress(PermissionError):  # where a sandbox forbids it
                self.fd = os.pidfd_open(pid)
        if parent_of(pid) != parent:
            self.close()
            raise ProcessLookupError(f"process {pid} is no child of {parent}")

    def end(self) -> bool:
        """Kill it; returns whether it was there."""
        try:
            if self.fd >= 0:
                signal.pidfd_send_signal(self.fd, signal.SIGKILL)
                return True
            if parent_of(self.pid) != self._parent:
                return False
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def close(self) -> None:
        """Let go of the descriptor."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)


def parent_of(pid: int) -> int:
    """The parent of a process; 0 where there is no such process."""
    fields = _stat(pid)
    return int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else 0


def is_stopped(pid: int) -> bool:
    """Whether a process is held by SIGSTOP or a debugger."""
    fields = _stat(pid)
    return bool(fields) and fields[0][:1] in ("T", "t")


def is_running(pid: int) -> bool:
    """Whether a process is there, and not only waiting for its parent to take note of its end."""
    fields = _stat(pid)
    return bool(fields) and fields[0][:1] not in ("Z", "X")


def _stat(pid: int) -> list[str]:
    """State and parent of a process; empty where there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return [] if Path("/proc/self").exists() else _ps(pid)
    return text.rpartition(")")[2].split()[:2]


def _ps(pid: int) -> list[str]:
    done = subprocess.run(  # noqa: S603 - the arguments are a fixed list and a number
        [_PS, "-o", "state=,ppid=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=5,
        check=False,
    )
    return done.stdout.split()[:2]
