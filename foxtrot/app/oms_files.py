"""The files of an OMS's database, as a person names them: opened for one command, with errors that say what to do.

Invariants: nothing here makes a database where there was none; whatever goes wrong with a file leaves as a
``FoxtrotError``. A *copy* (a backup, or what a restore put aside) is only ever read, without a lock.
"""

from __future__ import annotations

import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from foxtrot.core.errors import PersistenceError
from foxtrot.server.backup import list_backups
from foxtrot.server.persistence_connection import DAMAGED
from foxtrot.server.persistence_files import COMPANIONS, prepare, put_in_place
from foxtrot.server.persistence_lock import DatabaseInUseError
from foxtrot.server.persistence_schema import SCHEMA_VERSION
from foxtrot.server.persistence_sqlite import SqlitePersistence

__all__ = [
    "DEFAULT_DATABASE",
    "archive_folder",
    "backup_folder",
    "check_file",
    "command",
    "is_copy",
    "keep_as_it_is",
    "newest_backup",
    "opened",
    "size_of",
    "told_as_ours",
]

DEFAULT_DATABASE = Path("run/oms.db")
"""Where the database is looked for when nobody says."""

_COPY = re.compile(r"\.bak$|\.damaged-\d+$")
_MAGIC = b"SQLite format 3\0"
_VERSION = slice(60, 64)  # of the header: PRAGMA user_version, big-endian


def backup_folder(database: Path) -> Path:
    """The folder ``<database>.backups`` beside a database: where its backups go when nobody says."""
    path = database.resolve() if database.is_symlink() else database
    return path.with_name(f"{path.name}.backups")


def archive_folder(database: Path) -> Path:
    """The folder ``<database>.archive`` beside a database: where old history goes when nobody says."""
    return database.with_name(f"{database.name}.archive")


def newest_backup(database: Path) -> Path | None:
    """The newest backup in ``backup_folder``, if there is one."""
    folder = backup_folder(database)
    there = list_backups(folder.with_suffix(""), folder)
    return there[-1] if there else None


def command(name: str, *arguments: object) -> str:
    """A command of ``foxtrot oms`` as one would type it."""
    return f"foxtrot oms {name} {shlex.join(str(argument) for argument in arguments)}"


def is_copy(path: Path) -> bool:
    """Whether a name is that of a backup (``.bak``) or of a file put aside (``.damaged-<n>``)."""
    return bool(_COPY.search(path.name))


def size_of(database: Path) -> int:
    """Bytes of a database with what SQLite keeps beside it."""
    files = (database, *(Path(f"{database}{end}") for end in COMPANIONS))
    return sum(file.stat().st_size for file in files if file.exists())


def keep_as_it_is(db: SqlitePersistence, folder: Path) -> Path:
    """Copy a database with all its faults to ``<file>.before-rebuild-<n>.bak``; returns the copy.

    Unlike a backup it is not checked, and is never offered as one.

    Raises:
        PersistenceError: it cannot be written.
    """
    names = (folder / f"{db.path.name}.before-rebuild-{number}.bak" for number in count(1))
    target = prepare(next(name for name in names if not name.exists()))
    partial = target.with_name(f"{target.name}.partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600, exist_ok=False)
    with closing(sqlite3.connect(partial)) as copy:
        db._connection.handle().backup(copy)
    put_in_place(partial, target)
    return target


class _Examined(SqlitePersistence):
    """A database that may be damaged: a row that is no JSON comes as its text, so that a rebuild can replace it."""

    def load_prefix(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Rows (key, builtins, or the text where it cannot be read) in order of keys."""
        for key in self.keys(prefix):
            try:
                yield key, self.load(key)
            except PersistenceError as error:
                if isinstance(error.__cause__, sqlite3.Error):
                    raise
                yield key, self._text(key)


@contextmanager
def told_as_ours(path: Path) -> Iterator[None]:
    """Turn what the system or SQLite raises about a file into a ``PersistenceError``; mend the texts of ours.

    Raises:
        DatabaseInUseError: another process has the database open; says what can be done.
        PersistenceError: everything else.
    """
    try:
        yield
    except DatabaseInUseError:
        raise DatabaseInUseError(_in_use(path)) from None
    except sqlite3.Error as error:
        raise PersistenceError(f"{path}: {error}") from error
    except OSError as error:
        raise PersistenceError(f"{error.filename or path}: {error.strerror or error}") from error


def check_file(path: Path) -> int:
    """Look at a file before it is opened; returns the version of its schema as the header has it.

    Raises:
        PersistenceError: it is missing, empty, or no SQLite database.
    """
    what = "a backup" if is_copy(path) else "the OMS's database"
    if not path.exists():
        raise PersistenceError(f"{path}: no such file; name {what}")
    if not path.is_file():
        raise PersistenceError(f"{path} is not a file; name {what} itself")
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        raise PersistenceError(f"{path} is empty; name {what}, or restore a backup")
    if not header.startswith(_MAGIC):
        raise PersistenceError(
            f"{path} is no database, or its beginning is damaged; name another file, or restore a backup{_hint(path)}"
        )
    return int.from_bytes(header[_VERSION], "big")


@contextmanager
def opened(path: Path) -> Iterator[tuple[SqlitePersistence, str]]:
    """Open a database that exists, alone; yields it, with a note on what opening it changed (empty: nothing).

    Raises:
        DatabaseInUseError: another process has it open.
        PersistenceError: it is missing, a copy, no database of ours, damaged, or cannot be written.
    """
    if is_copy(path):
        raise PersistenceError(
            f"{path} is a copy, which is only read; put it in the database's place first: "
            f"{command('restore', path, '--database', 'DATABASE')}"
        )
    with told_as_ours(path):
        version = check_file(path)
        db = _Examined(path, lock_timeout=0.0)
        try:
            db.connect()
        except PersistenceError as error:
            raise _with_hint(error, path) from error
        try:
            yield db, _migrated(db.path, version)
        finally:
            db.close()


def _migrated(path: Path, version: int) -> str:
    if version in (0, SCHEMA_VERSION):
        return ""
    kept = path.with_name(f"{path.name}.v{version}.bak")
    return f"The schema was brought from version {version} to {SCHEMA_VERSION}; the file as it was is {kept}"


def _with_hint(error: PersistenceError, path: Path) -> PersistenceError:
    if isinstance(error, DatabaseInUseError) or DAMAGED not in str(error):
        return error
    return PersistenceError(f"{error}{_hint(path)}")


def _hint(path: Path) -> str:
    backup = newest_backup(path)
    return f": {command('restore', backup, '--database', path)}" if backup else ""


def _in_use(path: Path) -> str:
    pid = _holder(path)
    who, stop = (f"process {pid}", f"`kill {pid}`") if pid else ("another process", "`kill`")
    text = (
        f"{path} is in use by {who}. An OMS that runs is alone with its database: stop it first, by its "
        f"supervisor or with {stop}, and run this again"
    )
    backup = newest_backup(path)
    if backup:
        text += f". Orders, trades and the journal can be read from its newest backup meanwhile: {backup}"
    return text


def _holder(path: Path) -> str:
    lock = path.resolve()
    try:
        text = lock.with_name(f"{lock.name}.lock").read_text(encoding="ascii").strip()
    except (OSError, ValueError):  # the process stays unnamed
        return ""
    return text if text.isdigit() else ""
