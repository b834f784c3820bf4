"""Backups while the OMS trades: one every so often, a few pages at a time.

Invariants:

* ``poll`` copies one step at most and never waits for the disk to sync nor for the check of the copy: those go on in
  the helper thread of ``OnlineBackup``.
* A backup that fails is told and tried again later; it never raises into the loop that polls, and never stops trading.
* The first backup is due by the newest one in the folder, so that a service that starts often does not copy often.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from foxtrot.core.errors import ConfigError, PersistenceError
from foxtrot.server.backup import (
    PAGES,
    BackupReport,
    OnlineBackup,
    drop_unfinished,
    list_backups,
    start_backup,
    taken_at,
)
from foxtrot.server.persistence_sqlite import SqlitePersistence

__all__ = ["RETRY_NS", "BackupSchedule"]

RETRY_NS = 60_000_000_000
"""How long after a failure the next backup begins, where the schedule does not want it earlier: a minute."""


class BackupSchedule:
    """Backups at an interval, driven by the loop that owns the database.

    Args:
        db: the database; open while polled.
        folder: where the copies go; made (0700) where it is absent.
        every_ns: from the beginning of one backup to that of the next.
        keep: copies that stay in the folder, the oldest go first; 0 for all.
        pages_per_step: pages (4 KiB) that one ``poll`` copies.
        on_done: is told of every copy that reached the disk and was checked.
        on_failed: is told why one did not.
        retry_ns: after a failure, the least time until the next attempt.

    Raises:
        ConfigError: an interval or a number is out of range.
    """

    def __init__(
        self,
        db: SqlitePersistence,
        folder: Path,
        every_ns: int,
        keep: int = 7,
        pages_per_step: int = PAGES,
        *,
        on_done: Callable[[BackupReport], None],
        on_failed: Callable[[Exception], None],
        retry_ns: int = RETRY_NS,
    ) -> None:
        _check("every_ns", every_ns, 1)
        _check("keep", keep, 0)
        _check("pages_per_step", pages_per_step, 1)
        self._db = db
        self._folder = folder.absolute()
        self._every = every_ns
        self._retry = min(retry_ns, every_ns)
        self._keep = keep
        self._pages = pages_per_step
        self._on_done = on_done
        self._on_failed = on_failed
        self._running: OnlineBackup | None = None
        self._began = 0
        self._due: int | None = None
        self._closed = False

    @property
    def running(self) -> bool:
        """Whether a backup is being copied or checked."""
        return self._running is not None

    @property
    def due(self) -> int | None:
        """When the next backup begins (ns UTC); None before the first ``poll``."""
        return self._due

    def poll(self, now_ns: int) -> bool:
        """Begin a backup that is due, or go on with the one that runs.

        Call it between two transactions, at least now and then also when nothing else is to do.

        Args:
            now_ns: now (ns UTC).

        Returns:
            Whether there are pages to copy, so that it is worth calling again soon.
        """
        if self._closed:
            return False
        if self._running is not None:
            return self._go_on(self._running, now_ns)
        if self._due is None:
            self._due = self._first_due(now_ns)
        if now_ns < self._due or self._db.in_transaction:
            return False
        return self._begin(now_ns)

    def close(self) -> None:
        """Drop an unfinished backup; call it before the database is closed. Harmless twice."""
        self._closed = True
        running, self._running = self._running, None
        if running is not None:
            running.abort()

    def _first_due(self, now_ns: int) -> int:
        try:
            there = list_backups(self._db.path, self._folder)
            return min(taken_at(there[-1]), now_ns) + self._every if there else now_ns
        except (PersistenceError, OSError):  # no way to know: one backup too many does no harm
            return now_ns

    def _begin(self, now_ns: int) -> bool:
        self._began = now_ns
        try:
            self._db.connect()  # makes a connection anew that a disk error has cost
            drop_unfinished(self._db.path, self._folder)
            self._running = start_backup(
                self._db, self._folder, now_ns, pages=self._pages, keep=self._keep
            )
        except (PersistenceError, OSError, RuntimeError) as error:  # the last: no more threads
            self._fail(error, now_ns)
            return False
        return True

    def _go_on(self, running: OnlineBackup, now_ns: int) -> bool:
        if self._db.in_transaction:
            return True
        try:
            if running.step():
                return True
            if not running.finished:
                return False
            report = running.result()
        except PersistenceError as error:
            running.abort()
            self._fail(error, now_ns)
            return False
        self._running = None
        self._due = max(self._began + self._every, now_ns)
        self._on_done(report)
        return False

    def _fail(self, error: Exception, now_ns: int) -> None:
        self._running = None
        self._due = now_ns + self._retry
        self._on_failed(error)


def _check(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"backup schedule: {name} must be {least} or more, not {value}")
