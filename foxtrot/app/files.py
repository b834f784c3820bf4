"""Files that are there wholly or not at all.

Invariant: a file appears under its name only when it is complete; whoever is killed leaves the old one as it was.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from foxtrot.core.errors import ConfigError

__all__ = ["check_folder", "make_folder", "write_atomically", "write_durably", "write_text"]


def check_folder(folder: Path) -> None:
    """Make sure that a folder could be made and written to, without making it.

    Raises:
        ConfigError: it could not.
    """
    there = folder
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise ConfigError(f"output folder {folder}: {there} is a file; choose another folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"output folder {folder}: {there} cannot be written to; choose another")


def make_folder(folder: Path) -> Path:
    """Make a folder, with those above it, where it is not there.

    Raises:
        ConfigError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output folder {folder}: cannot be made: {error.strerror}") from error
    return folder


def write_atomically(path: Path, write: Callable[[Path], object]) -> Path:
    """Have ``write`` make a file under a name of its own beside ``path``, then rename it.

    Args:
        path: where the file is to be.
        write: writes the file whose path it is given; its suffixes are those of ``path``.

    Raises:
        ConfigError: the file cannot be written.
    """
    draft = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(draft)
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return path


def write_text(path: Path, text: str) -> Path:
    """Write text as UTF-8, wholly or not at all.

    Raises:
        ConfigError: the file cannot be written.
    """
    return write_atomically(path, lambda draft: draft.write_text(text, encoding="utf-8"))


def write_durably(path: Path, content: bytes) -> None:
    """Write a small private file (0600), so that after a loss of power it is there wholly, or as it was before.

    Raises:
        OSError: it cannot be written; the old file is as it was.
    """
    partial = path.with_name(f".{path.name}.new")
    fd = os.open(partial, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    try:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(fd, rest) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    partial.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
