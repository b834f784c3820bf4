"""The files of a database: made private, synced to the disk, copied and put in place whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from foxtrot.core.errors import PersistenceError

COMPANIONS = ("-wal", "-shm")
"""What SQLite keeps beside a database, by the end of the name."""

RESTORING = ".restoring"
"""End of the name of a restored copy that is about to take the database's place."""


def mark_of(path: Path) -> Path:
    """The file of the high-water mark beside a database."""
    return path.with_name(f"{path.name}.hwm")


def prepare(path: Path) -> Path:
    """Make the parent folder if just that one is missing; return the path with links followed.

    Raises:
        PersistenceError: the folder cannot be made, or the path is no regular file.
    """
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


def create(path: Path) -> None:
    """Make the database file where it is absent; SQLite gives its companions the same mode.

    Raises:
        PersistenceError: it cannot be made, or a restore was cut short, so that what is there is not to be used.
    """
    pending = path.with_name(path.name + RESTORING)
    if pending.exists():
        raise PersistenceError(
            f"{path}: {pending.name} lies beside it: a restore was cut short; run it again"
        )
    if path.exists():
        return
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        sync_folder(path.parent)
    except OSError as error:
        raise PersistenceError(f"{path}: cannot be made: {error.strerror}") from error


def make_private(path: Path) -> None:
    """Shut others out of a file that was made with a wider mode.

    Raises:
        PersistenceError: it belongs to somebody else.
    """
    try:
        for name in (path, *(Path(f"{path}{end}") for end in COMPANIONS)):
            if name.exists():
                mode = stat.S_IMODE(name.stat().st_mode)
                if mode & 0o077:
                    name.chmod(mode & 0o700)
    except OSError as error:
        raise PersistenceError(
            f"{path}: cannot be made private (mode 0600): {error.strerror}; it must belong to this user"
        ) from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder themselves survive a loss of power."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def sync_file(path: Path) -> None:
    """Bring a file's content to the disk."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def put_in_place(partial: Path, target: Path) -> None:
    """Give a finished file its name, whole or not at all, so that it survives a loss of power."""
    sync_file(partial)
    partial.replace(target)
    sync_folder(target.parent)
