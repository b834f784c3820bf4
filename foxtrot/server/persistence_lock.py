"""One owner for one database file: an advisory lock on a file beside it.

The kernel drops the lock when its holder dies, however it dies, so there is no stale lock to clean
up; the lock file itself stays where it is (removing it would let two processes lock two different
files). It holds the owner's process id, for the error text alone.

A child made by ``fork`` would keep its parent's lock alive: the descriptor is closed in the child.
"""

from __future__ import annotations

import errno
import os
import time
import weakref
from pathlib import Path

from foxtrot.core.errors import PersistenceError

_POLL_SECONDS = 0.02
_BUSY = frozenset({errno.EAGAIN, errno.EACCES})


class DatabaseInUseError(PersistenceError):
    """Another process holds the database; a service ends with ``exit_code`` and its supervisor tries again."""

    exit_code = 75
    """``EX_TEMPFAIL`` of sysexits.h: try again later."""


class OwnerLock:
    """Exclusive ``flock`` on ``path``, held from ``acquire`` to ``release``.

    Args:
        path: the lock file; made with mode 0600 where it is absent.
        subject: what the lock guards, for error texts.
    """

    def __init__(self, path: Path, subject: Path) -> None:
        self._path = path
        self._subject = subject
        self._fd = -1

    def acquire(self, timeout: float) -> None:
        """Wait up to ``timeout`` seconds for the lock (0: try once).

        Raises:
            DatabaseInUseError: somebody else still holds it; names the process and how to mend it.
            PersistenceError: the file cannot be opened, or its file system has no locks.
        """
        deadline = time.monotonic() + timeout
        while not self._try():
            if time.monotonic() >= deadline:
                raise self._in_use(timeout)
            time.sleep(_POLL_SECONDS)
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)
        _HELD.add(self)

    def release(self) -> None:
        """Give the lock up; harmless where it is not held."""
        if self._fd >= 0:
            _HELD.discard(self)
            os.ftruncate(self._fd, 0)
            self._drop()

    def _try(self) -> bool:
        import fcntl

        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._drop()
            if error.errno in _BUSY and self._path.exists():
                return self._not_forbidden(error)
            raise self._cannot(error) from error
        if self._is_current():
            return True
        self._drop()  # removed or replaced between open and flock: lock the new one
        return False

    def _not_forbidden(self, error: OSError) -> bool:
        """Tell "held" (wait) from "no permission to open the file" (give up)."""
        if error.filename is not None:  # only ``open`` names its file
            raise self._cannot(error) from error
        return False

    def _is_current(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._fd), self._path.stat())
        except FileNotFoundError:
            return False

    def _drop(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _cannot(self, error: OSError) -> PersistenceError:
        return PersistenceError(
            f"{self._path}: cannot be opened and locked: {error.strerror}; the folder must be writable for "
            f"this user and on a local file system"
        )

    def _in_use(self, timeout: float) -> DatabaseInUseError:
        pid = self._holder()
        if pid == str(os.getpid()):
            who, mend = "this very process", "close the other SqlitePersistence on it first"
        else:
            who = f"process {pid}" if pid else "another process"
            mend = f"stop that process (`kill {pid or '<pid>'}`) or use another database file"
        return DatabaseInUseError(
            f"{self._subject} is in use by {who} (lock file {self._path}), still after {timeout:g} s of "
            f"waiting: {mend}"
        )

    def _holder(self) -> str:
        try:
            text = self._path.read_bytes()[:20].decode("ascii", "replace").strip()
        except OSError:  # just removed: the holder stays unnamed in the error's text
            return ""
        return text if text.isdigit() else ""


_HELD: weakref.WeakSet[OwnerLock] = weakref.WeakSet()


def _close_in_child() -> None:
    for lock in list(_HELD):
        lock._drop()
    _HELD.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_in_child)
