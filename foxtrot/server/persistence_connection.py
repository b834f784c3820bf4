"""The one connection to a database file: who may use it, and what becomes of it when the disk fails.

Invariants: the file's lock is held from ``open`` to ``close``, also while the connection is given up; one thread is
inside at a time, and another one is refused at once rather than made to wait; every failure of SQLite leaves as a
``PersistenceError`` that says how to mend it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from foxtrot.core.errors import PersistenceError
from foxtrot.server.persistence_files import create, make_private, prepare
from foxtrot.server.persistence_lock import OwnerLock
from foxtrot.server.persistence_schema import check_schema, migrate

BUSY_TIMEOUT_MS = 5_000

_ADVICE = {
    "SQLITE_NOTADB": "the file is no SQLite database: name another file, or restore a backup",
    "SQLITE_CORRUPT": "the file is damaged: restore it from a backup",
    "SQLITE_READONLY": "the file or its folder is read-only: make both writable for this user",
    "SQLITE_CANTOPEN": "the file cannot be opened: look at the permissions of file and folder",
    "SQLITE_FULL": "the disk is full: nothing of this transaction was saved; make room",
    "SQLITE_IOERR": "the disk does not read or write: look at the system's log",
    "SQLITE_BUSY": "another program (an SQLite shell?) is writing to the file: close it",
    "SQLITE_LOCKED": "another program (an SQLite shell?) is writing to the file: close it",
}

DAMAGED = _ADVICE["SQLITE_CORRUPT"]

FAILURES = (sqlite3.Error, UnicodeError)
"""How a statement fails; of a damaged file, even the names in SQLite's message may be no text."""


class Connection:
    """Statements on one file, for one thread at a time.

    Args:
        path: the database file; made where it is absent.
        lock_timeout: seconds to wait for another owner to let go.
    """

    def __init__(self, path: Path, lock_timeout: float) -> None:
        self.path = path
        self._lock_timeout = lock_timeout
        self._lock: OwnerLock | None = None
        self._db: sqlite3.Connection | None = None
        self._pid = 0
        self._inside = threading.RLock()
        self._user = ""

    @property
    def is_owner(self) -> bool:
        """Whether the file's lock is held, with a connection or without."""
        return self._lock is not None

    @property
    def is_open(self) -> bool:
        """Whether there is a connection."""
        return self._db is not None

    def acquire(self) -> None:
        """Keep other threads out until ``release``; may be nested.

        Raises:
            PersistenceError: another thread is inside.
        """
        if not self._inside.acquire(blocking=False):
            raise PersistenceError(
                f"{self.path} is used by thread {threading.current_thread().name!r} while thread {self._user!r} is "
                f"in a call or a transaction; let one thread do it all, or hand the work over"
            )
        self._user = threading.current_thread().name

    def release(self) -> None:
        """Let other threads in again."""
        self._inside.release()

    def open(self) -> None:
        """Take the lock, unless it is held, and open the file.

        Raises:
            DatabaseInUseError: another owner held it for all of the time.
            PersistenceError: the file cannot be used; the text says how to mend it.
        """
        if self._lock is not None:
            self.check_process()
            self._db = self._open()
            return
        self.path = prepare(self.path)
        lock = OwnerLock(self.path.with_name(f"{self.path.name}.lock"), self.path)
        lock.acquire(self._lock_timeout)
        try:
            create(self.path)
            self._db = self._open()
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        self._pid = os.getpid()

    def close(self) -> None:
        """Checkpoint, close the file and let the lock go; harmless where it is not open."""
        if self._lock is None:
            return
        self.check_process()
        try:
            if self._db is not None:
                self._db.close()
        except sqlite3.Error as error:
            raise self.error("close", error) from error
        finally:
            self._db = None
            self._lock.release()
            self._lock = None

    def handle(self) -> sqlite3.Connection:
        """The connection, after a look at who asks.

        Raises:
            PersistenceError: this is a child of the process that connected.
        """
        self.check_process()
        assert self._db is not None  # noqa: S101 - for the type checker; the owner asks is_open
        return self._db

    def check_process(self) -> None:
        """Refuse a child made by ``fork``.

        Raises:
            PersistenceError: this is not the process that connected.
        """
        if self._pid != os.getpid():
            raise PersistenceError(
                f"{self.path} is used by process {os.getpid()}, but belongs to the process that connected "
                f"({self._pid}); give each its own file"
            )

    def execute(self, sql: str, parameters: tuple[Any, ...], action: str) -> list[Any]:
        """Run one statement, inside the open transaction if there is one, and return its rows."""
        db = self.handle()
        try:
            return db.execute(sql, parameters).fetchall()
        except FAILURES as error:
            raise self.error(action, error) from error

    def execute_many(self, sql: str, rows: Sequence[tuple[Any, ...]], action: str) -> None:
        """Run one statement for many rows."""
        db = self.handle()
        try:
            db.executemany(sql, rows)
        except (*FAILURES, OverflowError) as error:
            raise self.error(action, error) from error

    def rollback(self) -> None:
        """Undo the open transaction, if SQLite has not; where it cannot, give the connection up."""
        db = self.handle()
        try:
            if db.in_transaction:
                db.execute("ROLLBACK")
        except sqlite3.Error:
            self.give_up()  # closing undoes it, too; the error that led here is on its way already

    def give_up(self) -> None:
        """Drop a connection that is of no more use; the lock stays, ``open`` makes a new one."""
        db, self._db = self._db, None
        if db is not None:
            with contextlib.suppress(sqlite3.Error):  # it is given up because it fails
                db.close()

    def error(self, action: str, error: Exception) -> PersistenceError:
        """An SQLite error in our words."""
        name: str = getattr(error, "sqlite_errorname", "")  # errors of the module itself have none
        primary = "_".join(name.split("_")[:2])
        advice = DAMAGED if isinstance(error, UnicodeError) else _ADVICE.get(primary, "")
        return PersistenceError(
            f"{self.path}: {action} failed: {error}{'; ' if advice else ''}{advice}"
        )

    def _open(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = None
        try:
            db = sqlite3.connect(
                self.path,
                isolation_level=None,
                timeout=BUSY_TIMEOUT_MS / 1000,
                check_same_thread=False,  # ``acquire`` keeps them apart
            )
            check_schema(db, self.path)
            make_private(self.path)
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise PersistenceError(
                    f"{self.path}: the file system allows no write-ahead log (journal mode stays {mode!r}); "
                    f"use a local disk"
                )
            # fullfsync: on macOS a plain fsync does not reach the platter; without effect
            # elsewhere.
            for pragma in ("synchronous = FULL", "fullfsync = 1", "checkpoint_fullfsync = 1"):
                db.execute(f"PRAGMA {pragma}")
            migrate(db, self.path)
        except FAILURES as error:
            if db is not None:
                db.close()
            raise self.error("open", error) from error
        except BaseException:
            if db is not None:
                db.close()
            raise
        return db
