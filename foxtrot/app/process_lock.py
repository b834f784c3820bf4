"""One process at a time under a service's name: an advisory lock, dropped by the kernel when its holder dies.

The file stays where it is: removing it would let two processes lock two different files. It holds the process's id,
for the error's text alone.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from foxtrot.app.failures import IN_USE
from foxtrot.core.errors import FoxtrotError

__all__ = ["ServiceInUseError", "ServiceLock"]

_POLL_SECONDS = 0.02


class ServiceInUseError(FoxtrotError):
    """Another process runs under the service's name; ends a process with exit code 75."""

    exit_code = IN_USE


class ServiceLock:
    """The right to a service's name, from making it to ``release``.

    Args:
        path: the lock file.
        service: the name, for error texts.
        timeout: seconds to wait for whoever has it.

    Raises:
        ServiceInUseError: somebody else still has it.
        FoxtrotError: the file cannot be used.
    """

    def __init__(self, path: Path, service: str, timeout: float) -> None:
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FoxtrotError(f"{path}: cannot be opened: {error.strerror}") from error
        deadline = time.monotonic() + timeout
        while not self._try():
            if time.monotonic() >= deadline:
                pid = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip()
                self.release()
                who = f"process {pid}" if pid.isdigit() else "another process"
                raise ServiceInUseError(
                    f"{who} runs as {service!r} already, still after {timeout:g} s of waiting (lock file {path}); stop "
                    f"it first, or use another run folder"
                )
            time.sleep(_POLL_SECONDS)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def _try(self) -> bool:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        """Give the name up; again without effect."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
