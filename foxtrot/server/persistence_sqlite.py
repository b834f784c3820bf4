"""State in one SQLite file: durable before visible, one owner.

Invariants:

* WAL with ``synchronous=FULL``: what ``save`` or a transaction has returned from is on the disk; a
  process that is killed afterwards, or a machine that loses power, finds it again.
* Exactly one process owns the file: it holds a lock on ``<file>.lock`` while it is connected, and
  has one connection, used by the thread that connected. Nothing here is for use after ``fork``.
* The file, its ``-wal``, ``-shm`` and ``.lock`` can be read by their owner alone (0600). A missing
  parent folder is made (0700) if its own parent exists; a longer missing path is taken for a slip
  of the pen.
* The schema's version is in ``PRAGMA user_version``: older files are brought up step by step, newer
  ones refused.
* An SQLite error inside a transaction dooms it: SQLite may have rolled back already, so it can no
  longer commit.

``oms_state(key, value)`` has one row an entity, JSON text. Further tables take part in the same
transactions: append a step to ``_MIGRATIONS`` and write through ``_execute``.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from foxtrot.core.errors import PersistenceError
from foxtrot.server.persistence import Persistence
from foxtrot.server.persistence_codec import decode, decode_as, encode
from foxtrot.server.persistence_lock import DatabaseInUseError, OwnerLock

__all__ = ["SCHEMA_VERSION", "DatabaseInUseError", "SqlitePersistence"]

T = TypeVar("T")

_APPLICATION_ID = 0x464F5854  # "FOXT", so that another program's database is never taken for ours

_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    ("CREATE TABLE oms_state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",),
)
"""Step ``n`` turns schema ``n`` into ``n + 1``; a step that has been released is never changed."""

SCHEMA_VERSION = len(_MIGRATIONS)

_BUSY_TIMEOUT_MS = 5_000
_PAGE_ROWS = 1_000

_SELECT = "SELECT value FROM oms_state WHERE key = ?"
_UPSERT = (
    "INSERT INTO oms_state (key, value) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_DELETE = "DELETE FROM oms_state WHERE key = ?"
_PAGE_OF_KEYS = (
    "SELECT key FROM oms_state WHERE key >= ?1 AND (?2 IS NULL OR key < ?2) ORDER BY key LIMIT ?3"
)
_PAGE_OF_ROWS = _PAGE_OF_KEYS.replace("SELECT key", "SELECT key, value", 1)

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


class SqlitePersistence(Persistence):
    """Rows in one SQLite file.

    Connects on first use, or by ``connect``. Belongs to the process and thread that connected.

    Args:
        db_path: the database file; its folder must exist or be makeable in one step.
        lock_timeout: seconds to wait for another owner to let go, for instance a dying predecessor.
    """

    def __init__(self, db_path: str | os.PathLike[str], *, lock_timeout: float = 30.0) -> None:
        super().__init__()
        self._path = Path(db_path).expanduser().absolute()
        self._lock_timeout = lock_timeout
        self._lock: OwnerLock | None = None
        self._db: sqlite3.Connection | None = None
        self._closed = False
        self._owner = (0, 0)

    def __str__(self) -> str:
        return str(self._path)

    @property
    def path(self) -> Path:
        """The database file, absolute."""
        return self._path

    def connect(self) -> None:
        """Take the lock, open the file and bring its schema up to date; harmless where connected.

        After ``close`` it opens the file again.

        Raises:
            DatabaseInUseError: another owner held it for all of ``lock_timeout``.
            PersistenceError: the folder is missing; the file is no database, another program's, of
                a newer
                schema, damaged, or cannot be written. Each text says how to mend it.
        """
        if self._db is not None:
            self._connection()
            return
        self._path = _prepare(self._path)
        lock = OwnerLock(self._path.with_name(f"{self._path.name}.lock"), self._path)
        lock.acquire(self._lock_timeout)
        try:
            _create(self._path)
            self._db = self._open()
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        self._owner = (os.getpid(), threading.get_ident())
        self._closed = False

    def close(self) -> None:
        """Checkpoint, close the file and let the lock go; closing twice is harmless.

        Raises:
            PersistenceError: inside a transaction, or on another thread than the owner's.
        """
        self._refuse_open_transaction()
        if self._db is not None:
            db = self._connection()
            try:
                db.close()
            except sqlite3.Error as error:
                raise self._error("close", error) from error
            finally:
                self._db = None
                if self._lock is not None:
                    self._lock.release()
                    self._lock = None
        self._closed = True

    def save(self, key: str, data: Any) -> None:  # noqa: D102 - inherits
        self._execute(_UPSERT, (_checked(key), encode(key, data).decode()), f"save of {key!r}")

    def save_many(self, items: Iterable[tuple[str, Any]]) -> None:  # noqa: D102
        rows = [(_checked(key), encode(key, data).decode()) for key, data in items]
        with self.transaction():
            db = self._connection()
            try:
                db.executemany(_UPSERT, rows)
            except sqlite3.Error as error:
                self._broken = True
                raise self._error(f"save of {len(rows)} rows", error) from error

    def load(self, key: str) -> Any | None:  # noqa: D102
        text = self._text(key)
        return None if text is None else decode(str(self), key, text)

    def load_as(self, key: str, type_: type[T]) -> T | None:  # noqa: D102
        text = self._text(key)
        return None if text is None else decode_as(str(self), key, text, type_)

    def delete(self, key: str) -> None:  # noqa: D102
        self._execute(_DELETE, (_checked(key),), f"delete of {key!r}")

    def keys(self, prefix: str = "") -> Iterator[str]:  # noqa: D102
        for (key,) in self._scan(_PAGE_OF_KEYS, prefix):
            yield key

    def load_prefix(self, prefix: str) -> Iterator[tuple[str, Any]]:  # noqa: D102
        for key, text in self._scan(_PAGE_OF_ROWS, prefix):
            yield key, decode(str(self), key, text)

    def load_prefix_as(self, prefix: str, type_: type[T]) -> Iterator[tuple[str, T]]:  # noqa: D102
        for key, text in self._scan(_PAGE_OF_ROWS, prefix):
            yield key, decode_as(str(self), key, text, type_)

    def _scan(self, sql: str, prefix: str) -> Iterator[tuple[str, ...]]:
        """Yield rows by key, in pages: memory stays small and no read is open while rows are saved."""
        start, end = prefix, _after_prefix(prefix)
        while True:
            page = self._execute(sql, (start, end, _PAGE_ROWS), f"reading of {prefix!r}")
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            start = page[-1][0] + "\0"  # the least text after that key

    def verify(self) -> None:
        """Read the whole file and check its structure; takes as long as reading it does.

        Raises:
            PersistenceError: the file is damaged; names the first fault.
        """
        result = self._execute("PRAGMA integrity_check(1)", (), "verification")
        if result != [("ok",)]:
            raise PersistenceError(f"{self}: {_ADVICE['SQLITE_CORRUPT']} ({result[0][0]})")

    def _text(self, key: str) -> str | None:
        rows = self._execute(_SELECT, (_checked(key),), f"load of {key!r}")
        return rows[0][0] if rows else None

    def _execute(self, sql: str, parameters: tuple[Any, ...], action: str) -> list[Any]:
        """Run one statement, inside the open transaction if there is one, and return its rows."""
        db = self._connection()
        try:
            return db.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            self._broken = True
            raise self._error(action, error) from error

    def _begin(self) -> None:
        self._execute("BEGIN IMMEDIATE", (), "begin of a transaction")

    def _commit(self) -> None:
        try:
            self._execute("COMMIT", (), "commit")
        except PersistenceError:
            self._rollback()
            raise

    def _rollback(self) -> None:
        if (
            self._connection().in_transaction
        ):  # not after an error on which SQLite rolls back itself
            self._execute("ROLLBACK", (), "rollback")

    def _connection(self) -> sqlite3.Connection:
        """Return the connection, made where it is not, after a look at who asks."""
        if self._db is None:
            if self._closed:
                raise PersistenceError(f"{self} is closed; call connect() to open it again")
            self.connect()
            assert self._db is not None  # noqa: S101 - for the type checker
        if self._owner != (os.getpid(), threading.get_ident()):
            raise PersistenceError(
                f"{self} is used by process {os.getpid()}, thread {threading.current_thread().name!r}, but belongs to "
                f"the process ({self._owner[0]}) and thread that connected; give each its own file"
            )
        return self._db

    def _open(self) -> sqlite3.Connection:
        db: sqlite3.Connection | None = None
        try:
            db = sqlite3.connect(self._path, isolation_level=None, timeout=_BUSY_TIMEOUT_MS / 1000)
            self._check_schema(db)
            _make_private(self._path)
            mode = db.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise PersistenceError(
                    f"{self}: the file system allows no write-ahead log (journal mode stays {mode!r}); "
                    f"use a local disk"
                )
            # fullfsync: on macOS a plain fsync does not reach the platter; without effect
            # elsewhere.
            for pragma in ("synchronous = FULL", "fullfsync = 1", "checkpoint_fullfsync = 1"):
                db.execute(f"PRAGMA {pragma}")
            self._migrate(db)
        except sqlite3.Error as error:
            if db is not None:
                db.close()
            raise self._error("open", error) from error
        except BaseException:
            if db is not None:
                db.close()
            raise
        return db

    def _check_schema(self, db: sqlite3.Connection) -> None:
        """Refuse what is not ours before anything is written to it."""
        (application,) = db.execute("PRAGMA application_id").fetchone()
        (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if tables and application != _APPLICATION_ID:
            raise PersistenceError(
                f"{self} is a database of another program (application id {application:#x}); name another file"
            )
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version > SCHEMA_VERSION:
            raise PersistenceError(
                f"{self} has schema version {version}, this Foxtrot knows up to {SCHEMA_VERSION}: it was "
                f"written by a newer Foxtrot; upgrade this one, or name another file"
            )

    def _migrate(self, db: sqlite3.Connection) -> None:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == SCHEMA_VERSION:
            return
        db.execute("BEGIN IMMEDIATE")
        for step in _MIGRATIONS[version:]:
            for statement in step:
                db.execute(statement)
        db.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")

    def _error(self, action: str, error: sqlite3.Error) -> PersistenceError:
        name: str = getattr(error, "sqlite_errorname", "")  # errors of the module itself have none
        primary = "_".join(name.split("_")[:2])
        advice = _ADVICE.get(primary, "")
        return PersistenceError(f"{self}: {action} failed: {error}{'; ' if advice else ''}{advice}")


def _checked(key: str) -> str:
    if not key or "\0" in key:
        raise PersistenceError(f"key {key!r} must be text, not empty and without NUL")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise PersistenceError(f"key {key!r} is not Unicode text: {error}") from error
    return key


def _after_prefix(prefix: str) -> str | None:
    """Return the least text after all that begin with ``prefix``; ``None`` if there is no such text."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return None
    following = ord(head[-1]) + 1
    if following == 0xD800:  # surrogates are no characters
        following = 0xE000
    return head[:-1] + chr(following)


def _prepare(path: Path) -> Path:
    """Make the parent folder if just that one is missing; return the path with links followed."""
    folder = path.parent
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
        path = path.resolve()
    except OSError as error:
        raise PersistenceError(
            f"{path}: folder {folder} does not exist and cannot be made: {error.strerror}; make it, "
            f"or name another path"
        ) from error
    if path.exists() and not path.is_file():
        raise PersistenceError(f"{path} is not a regular file; name the database file itself")
    return path


def _create(path: Path) -> None:
    """Make the file where it is absent; SQLite gives its companions the same mode."""
    if path.exists():
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        _sync_folder(path.parent)
    except OSError as error:
        raise PersistenceError(f"{path}: cannot be made: {error.strerror}") from error


def _make_private(path: Path) -> None:
    """Shut others out of a file that was made with a wider mode."""
    try:
        for name in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
            if name.exists():
                mode = stat.S_IMODE(name.stat().st_mode)
                if mode & 0o077:
                    name.chmod(mode & 0o700)
    except OSError as error:
        raise PersistenceError(
            f"{path}: cannot be made private (mode 0600): {error.strerror}; it must belong to this user"
        ) from error


def _sync_folder(folder: Path) -> None:
    """Make the new file's name itself survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
