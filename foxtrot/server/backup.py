"""Copies of a database that is in use, and their way back.

Invariants:

* A copy is made page by page through the owner's own connection, a step between two batches of work, and shows one
  moment: the last step's. What is committed meanwhile goes into it.
* A copy gets its name only after it reached the disk and was checked: structure, the whole chain of the journal, and
  the rows that trading relies on.
* ``restore`` checks first, deletes nothing (what was there becomes ``<file>.damaged-<n>``), and may be cut short at any
  point: it is run again, and until then the database is not opened.
"""

from __future__ import annotations

import datetime as dt
import glob
import os
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import ns_to_datetime
from foxtrot.server.journal.high_water import HighWaterFile, MarkState
from foxtrot.server.journal.journal import Journal, JournalHead
from foxtrot.server.journal.verify import Verification
from foxtrot.server.persistence_connection import DAMAGED, FAILURES
from foxtrot.server.persistence_files import (
    COMPANIONS,
    RESTORING,
    mark_of,
    prepare,
    put_in_place,
    sync_folder,
)
from foxtrot.server.persistence_lock import OwnerLock
from foxtrot.server.persistence_schema import check_schema
from foxtrot.server.persistence_seal import StateSeal
from foxtrot.server.persistence_sqlite import SqlitePersistence

PAGES = 64
"""Pages per step: 256 KiB, some milliseconds at most."""

_STAMP = "%Y%m%dT%H%M%S.%fZ"
_STAMPED = f"{'[0-9]' * 8}T{'[0-9]' * 6}.{'[0-9]' * 6}Z.bak"


class BackupReport(NamedTuple):
    """A copy that was checked: its file, size in bytes, and how far its journal goes."""

    path: Path
    size: int
    head: JournalHead


class RestoreReport(NamedTuple):
    """What a restore did.

    ``seq`` is where the journal ends now, ``marked`` the last row that had been committed before (0: unknown). What lay
    between them is gone from here and must come back from the venues: reconcile before trading. ``moved`` are the files
    that were put aside.
    """

    path: Path
    seq: int
    marked: int
    moved: tuple[Path, ...]


class _Aborted(Exception):  # noqa: N818 - ends a copy that nobody wants any more
    pass


class OnlineBackup:
    """One copy in the making.

    ``step`` copies some pages on a helper thread while the caller waits, and returns; between steps the database is
    free. When ``step`` returns False, the copying is done; syncing and checking go on without the database, and
    ``result`` waits for them. End every backup with ``result`` or ``abort``, before the database is closed.

    Args:
        db: the database; may be written to between steps.
        target: where the copy goes; must not exist.
        pages: pages per step.
        keep: how many copies of this database stay in the folder, the oldest go first; 0 for all.
    """

    def __init__(
        self, db: SqlitePersistence, target: Path, *, pages: int = PAGES, keep: int = 0
    ) -> None:
        db.connect_if_new()
        self._db = db
        self._target = target
        self._partial = target.with_name(f"{target.name}.partial")
        self._pages = pages
        self._keep = keep
        self._source = db._connection.handle()
        self._go, self._turn = threading.Semaphore(0), threading.Semaphore(0)
        self._copied = self._unwanted = False
        self._error: BaseException | None = None
        self._report: BackupReport | None = None
        self._thread = threading.Thread(target=self._work, name="backup", daemon=True)
        self._thread.start()

    def step(self) -> bool:
        """Copy some pages; False when all are copied.

        Raises:
            PersistenceError: inside a transaction, or while another thread uses the database.
        """
        if self._copied:
            return False
        self._db._acquire()
        try:
            if self._db.in_transaction:
                raise PersistenceError(f"{self._db}: no step of a backup inside a transaction")
            if (
                not self._db._connection.is_open
                or self._db._connection.handle() is not self._source
            ):
                self.abort()
                raise PersistenceError(
                    f"{self._db}: the connection was lost; begin the backup anew"
                )
            self._go.release()
            self._turn.acquire()
        finally:
            self._db._release()
        return not self._copied

    @property
    def finished(self) -> bool:
        """Whether copying and checking are over, well or not, so that ``result`` need not wait."""
        return not self._thread.is_alive()

    def result(self) -> BackupReport:
        """Copy what is left, wait for the check, and tell what came of it.

        Raises:
            PersistenceError: the copy could not be written, or is damaged; it has no name then.
        """
        while self.step():
            pass
        self._thread.join()
        if self._report is None:
            reason = self._error or "it was aborted"
            raise PersistenceError(f"{self._target}: the backup failed: {reason}") from self._error
        return self._report

    def abort(self) -> None:
        """Drop a copy that is not finished; harmless afterwards."""
        self._unwanted = True
        self._go.release()
        self._thread.join()

    def _work(self) -> None:
        try:
            self._copy()
            self._copied = True
            self._turn.release()
            report = check_copy(self._partial)
            put_in_place(self._partial, self._target)
            self._report = report._replace(path=self._target)
            self._rotate()
        except _Aborted:
            self._partial.unlink(missing_ok=True)
        except Exception as error:  # noqa: BLE001 - handed to whoever asks for the result
            self._error = error
            self._partial.unlink(missing_ok=True)
        finally:
            self._copied = True
            self._turn.release()

    def _copy(self) -> None:
        self._pause()
        if self._target.exists():
            raise PersistenceError(f"{self._target} exists; a backup replaces nothing")
        self._partial.unlink(missing_ok=True)
        os.close(os.open(self._partial, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        copy = sqlite3.connect(self._partial)
        try:
            copy.execute("PRAGMA synchronous = OFF")  # it is synced as a whole, without the owner
            self._source.backup(copy, pages=self._pages, progress=self._between)
        finally:
            copy.close()

    def _between(self, _status: int, remaining: int, _total: int) -> None:
        if remaining:
            self._turn.release()
            self._pause()

    def _pause(self) -> None:
        self._go.acquire()
        if self._unwanted:
            raise _Aborted

    def _rotate(self) -> None:
        if self._keep:
            for path in list_backups(self._db.path, self._target.parent)[: -self._keep]:
                path.unlink()


def start_backup(
    db: SqlitePersistence, folder: Path, ts: int, *, pages: int = PAGES, keep: int = 7
) -> OnlineBackup:
    """Begin a copy ``<folder>/<name>-<UTC time>.bak``.

    Args:
        db: the database.
        folder: made (0700) where it is absent.
        ts: now (ns UTC); orders the copies.
        pages: pages per step.
        keep: copies that stay.

    Raises:
        PersistenceError: the folder cannot be made.
    """
    db.connect_if_new()
    stamp = ns_to_datetime(ts).strftime(_STAMP)
    target = prepare(folder.absolute() / f"{db.path.stem}-{stamp}.bak")
    return OnlineBackup(db, target, pages=pages, keep=keep)


def back_up(db: SqlitePersistence, folder: Path, ts: int, *, keep: int = 7) -> BackupReport:
    """Make a copy at once; arguments and errors as of ``start_backup`` and ``OnlineBackup.result``."""
    return start_backup(db, folder, ts, keep=keep).result()


def list_backups(db_path: Path, folder: Path) -> list[Path]:
    """The finished copies of a database in a folder, oldest first."""
    return sorted(folder.glob(f"{glob.escape(db_path.stem)}-{_STAMPED}"))


def drop_unfinished(db_path: Path, folder: Path) -> None:
    """Remove what killed backups of a database left in a folder; only its owner may, between two backups.

    Raises:
        OSError: a file cannot be removed.
    """
    for path in folder.glob(f"{glob.escape(db_path.stem)}-{_STAMPED}.partial"):
        path.unlink()


def taken_at(backup: Path) -> int:
    """When a copy named by ``start_backup`` was begun (ns UTC, whole microseconds).

    Raises:
        PersistenceError: its name does not say.
    """
    text = backup.name.removesuffix(".bak").rpartition("-")[2]
    try:
        moment = dt.datetime.strptime(text, _STAMP).replace(tzinfo=dt.UTC)
    except ValueError as error:
        raise PersistenceError(f"{backup}: the name does not say when it was taken") from error
    return (moment - dt.datetime.fromtimestamp(0, dt.UTC)) // dt.timedelta(microseconds=1) * 1_000


def check_copy(path: Path) -> BackupReport:
    """Read a copy wholly: structure, schema, the chain of its journal and its seal. Writes nothing.

    The structure is read on a helper thread meanwhile (SQLite needs no Python for it), where there is a core to spare.

    Raises:
        PersistenceError: it is missing, damaged or not ours.
    """
    if not path.is_file():
        raise PersistenceError(f"{path} does not exist; name a backup's file")
    try:
        with (
            closing(_open_to_read(path)) as db,
            closing(_open_to_read(path)) as other,
            ThreadPoolExecutor(1, "check") as helper,
        ):
            check_schema(db, path)
            structure = helper.submit(_check_structure, other, path)
            try:
                head = _check_content(db, path)
            finally:
                structure.result()  # what it finds explains whatever else was found
        return BackupReport(path, path.stat().st_size, head)
    except FAILURES as error:
        raise PersistenceError(f"{path}: {DAMAGED} ({error})") from error


def _open_to_read(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    return sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)


def _check_structure(db: sqlite3.Connection, path: Path) -> None:
    result = db.execute("PRAGMA integrity_check(1)").fetchall()
    if result != [("ok",)]:
        raise PersistenceError(f"{path}: {DAMAGED} ({result[0][0]})")


def _check_content(db: sqlite3.Connection, path: Path) -> JournalHead:
    def execute(sql: str, parameters: tuple[Any, ...], action: str) -> list[Any]:
        try:
            return db.execute(sql, parameters).fetchall()
        except FAILURES as error:
            raise PersistenceError(f"{path}: {action} failed: {error}") from error

    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version < 1:
        raise PersistenceError(f"{path} is empty; name another backup")
    if version == 1:  # from before there was a journal
        return JournalHead()
    report = Verification(execute).run()
    if not report.ok:
        raise PersistenceError(
            f"{path}: its journal is broken at row {report.broken_seq}: {report.detail}; "
            f"use another backup"
        )
    if version > 2 and (problem := StateSeal(execute).check()):
        raise PersistenceError(f"{path}: {problem}; use another backup")
    return Journal(execute, lambda *_: None).stored_head()


def restore(backup: Path, db_path: Path, *, lock_timeout: float = 0.0) -> RestoreReport:
    """Put a backup in a database's place; the files that were there are kept as ``<file>.damaged-<n>``.

    Args:
        backup: a copy made by ``back_up``, or ``<file>.v<n>.bak``.
        db_path: the database file.
        lock_timeout: seconds to wait for an owner to let go.

    Raises:
        DatabaseInUseError: a process has the database open.
        PersistenceError: the backup is damaged, or a file cannot be written; run it again.
    """
    head = check_copy(backup).head
    path = prepare(db_path.expanduser().absolute())
    lock = OwnerLock(path.with_name(f"{path.name}.lock"), path)
    lock.acquire(lock_timeout)
    try:
        return _restore(backup, path, head)
    except OSError as error:
        raise PersistenceError(
            f"{path}: the restore was cut short: {error}; mend that, and run it again"
        ) from error
    finally:
        lock.release()


def _restore(backup: Path, path: Path, head: JournalHead) -> RestoreReport:
    mark = HighWaterFile(mark_of(path))
    state, marked, _ = mark.read()
    coming = path.with_name(path.name + RESTORING)
    partial = coming.with_name(f"{coming.name}.partial")
    shutil.copyfile(backup, partial)
    partial.chmod(0o600)
    put_in_place(partial, coming)  # from here on nobody makes an empty database in its place
    number = _free_number(path)
    moved: list[Path] = []
    for name in (*(Path(f"{path}{end}") for end in COMPANIONS), path):
        if name.exists():
            aside = name.with_name(f"{name.name}.damaged-{number}")
            name.replace(aside)
            moved.append(aside)
    if mark.path.exists():
        aside = mark.path.with_name(f"{mark.path.name}.damaged-{number}")
        shutil.copyfile(mark.path, aside)
        moved.append(aside)
    sync_folder(path.parent)
    mark.replace(*head)
    put_in_place(coming, path)
    return RestoreReport(path, head.seq, marked if state is MarkState.MATCHED else 0, tuple(moved))


def _free_number(path: Path) -> int:
    number = 1
    while any(path.parent.glob(f"{path.name}*.damaged-{number}")):
        number += 1
    return number
