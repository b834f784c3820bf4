"""Backups, restores and archives of a database, as commands.

Invariants: a restore deletes nothing; an archive changes the database only after its files were read back.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from foxtrot.app.oms_check import Confirm, Tell
from foxtrot.app.oms_files import (
    backup_folder,
    check_file,
    command,
    is_copy,
    opened,
    size_of,
    told_as_ours,
)
from foxtrot.core.clock import LiveClock
from foxtrot.core.errors import ConfigError, PersistenceError
from foxtrot.server.archive import ArchiveReport, archive
from foxtrot.server.backup import (
    BackupReport,
    RestoreReport,
    back_up,
    check_copy,
    list_backups,
    restore,
)
from foxtrot.server.journal.high_water import HighWaterFile, MarkState
from foxtrot.server.persistence_connection import DAMAGED
from foxtrot.server.persistence_lock import OwnerLock
from foxtrot.server.persistence_sqlite import SqlitePersistence

__all__ = [
    "Archiving",
    "Backup",
    "RestorePlan",
    "archive_database",
    "back_up_database",
    "damaged_name",
    "restore_database",
]


class Backup(msgspec.Struct, frozen=True):
    """A copy that was made, and the older ones that went for it."""

    report: BackupReport
    removed: tuple[Path, ...] = ()


class RestorePlan(msgspec.Struct, frozen=True):
    """What a restore would do.

    Attributes:
        backup: the copy.
        database: where it goes.
        seq: the last journal row of the copy.
        marked: the last row that was committed to the database that is there; 0 where that is unknown.
        replaces: whether there is a database.
    """

    backup: Path
    database: Path
    seq: int
    marked: int
    replaces: bool


class Archiving(msgspec.Struct, frozen=True):
    """What an archive moved, and the bytes of the database before and after."""

    report: ArchiveReport
    before: int
    after: int


def back_up_database(path: Path, *, folder: Path | None = None, keep: int = 0) -> Backup:
    """Copy a database, and check the copy.

    Args:
        path: the database.
        folder: where the copy goes; ``backup_folder`` by default.
        keep: how many copies stay in the folder, the oldest go first; 0 for all.

    Raises:
        DatabaseInUseError: another process has it open.
        PersistenceError: it cannot be read, the copy cannot be written, or is damaged like the database itself.
    """
    with opened(path) as (db, _note):
        target = folder or backup_folder(path)
        before = list_backups(db.path, target)
        report = _copied(db, target, keep)
        left = set(list_backups(db.path, target))
        return Backup(report, tuple(old for old in before if old not in left))


def _copied(db: SqlitePersistence, folder: Path, keep: int) -> BackupReport:
    try:
        return back_up(db, folder, LiveClock().now(), keep=keep)
    except PersistenceError as error:
        if "use another backup" not in str(error) and DAMAGED not in str(error):
            raise
        raise PersistenceError(
            f"{db}: no backup is made of a database that is damaged; see `{command('verify', db)}`"
        ) from error


def restore_database(
    backup: Path, database: Path, confirm: Confirm, tell: Tell
) -> RestoreReport | None:
    """Put a backup in a database's place; what was there is kept as ``<file>.damaged-<n>``.

    Args:
        backup: a copy.
        database: the database; need not exist.
        confirm: is shown the plan (a ``RestorePlan``) where a database is there.
        tell: is told how far it is.

    Returns:
        What was done; None where ``confirm`` said no.

    Raises:
        DatabaseInUseError: another process has the database open.
        PersistenceError: the backup is damaged, or a file cannot be written; run it again.
        ConfigError: both are the same file.
    """
    if database.resolve() == backup.resolve():
        raise ConfigError(
            f"{backup} is the database itself; name a backup, and the file to replace"
        )
    if is_copy(database):
        raise ConfigError(f"--database {database} is a backup by its name; name the OMS's database")
    with told_as_ours(backup):
        check_file(backup)
    with told_as_ours(database):
        plan = _plan(backup, database, tell)
        if plan.replaces and not confirm(plan):
            return None
        tell("restoring", 0, 0)
        return restore(backup, database)


def _plan(backup: Path, database: Path, tell: Tell) -> RestorePlan:
    path = database.expanduser().absolute()
    replaces = path.exists()
    if replaces:
        path = path.resolve()
        lock = OwnerLock(path.with_name(f"{path.name}.lock"), path)
        lock.acquire(0.0)
        lock.release()
    tell("checking the backup", 0, 0)
    seq = check_copy(backup).head.seq
    state, marked, _ = HighWaterFile(path.with_name(f"{path.name}.hwm")).read()
    return RestorePlan(backup, database, seq, marked if state is MarkState.MATCHED else 0, replaces)


def archive_database(
    path: Path, before_ns: int, tell: Tell, *, folder: Path | None = None
) -> Archiving:
    """Move what was closed before a moment to Parquet files.

    Args:
        path: the database.
        before_ns: what is older goes (ns UTC).
        tell: is told how far it is.
        folder: where the files go; ``archive_folder`` by default.

    Raises:
        DatabaseInUseError: another process has it open.
        MissingExtraError: pyarrow is not installed.
        PersistenceError: the database is not whole, or something cannot be written; it is as it was.
        ConfigError: the moment lies in the future.
    """
    now = LiveClock().now()
    if before_ns > now:
        raise ConfigError("--before lies in the future; name a day that is over")
    with opened(path) as (db, _note):
        size = size_of(db.path)
        tell("checking and archiving", 0, 0)
        report = archive(db, before_ns, ts=now, folder=folder)
    return Archiving(report, size, size_of(path))


def damaged_name(report: RestoreReport) -> Path | None:
    """The file that was the database, among those that were put aside."""
    names = [path for path in report.moved if path.name.startswith(f"{report.path.name}.damaged-")]
    return names[0] if names else None
