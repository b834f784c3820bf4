"""The high-water mark: how far the journal had come, kept in a small file outside the database.

A database that is behind its mark was rolled back, truncated or replaced; the chain alone cannot tell.

Invariants:

* The mark is written after the commit it tells of, so it is never ahead of an undamaged database.
* It is written without fsync, in place: two slots in turn, each with a checksum of its own, so that a slot torn by a
  loss of power leaves the other. That costs microseconds, needs no free disk space, and is done at every commit.
* A file that is missing or unreadable means "unknown", and is said; it is never taken for "all is well".
"""

from __future__ import annotations

import os
from enum import StrEnum
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from foxtrot.core.errors import PersistenceError

_SLOT = 128
_MAGIC = "foxtrot-hwm 1"


class MarkState(StrEnum):
    """What the mark says of the database."""

    FRESH = "FRESH"  # no mark, and nothing was journaled yet
    MATCHED = "MATCHED"  # the journal has the marked row, unchanged
    MISSING = "MISSING"  # no file: unknown
    TORN = "TORN"  # the file cannot be read: unknown
    BEHIND = "BEHIND"  # the journal ends before the mark: rolled back or truncated
    DIFFERENT = "DIFFERENT"  # the marked row is another one now: history was rewritten


class HighWater(NamedTuple):
    """A mark beside the journal's head: sequence numbers, and what the comparison says."""

    state: MarkState
    seq: int = 0
    head: int = 0
    detail: str = ""

    @property
    def refuses(self) -> bool:
        """Whether nobody may trade on this database."""
        return self.state in (MarkState.BEHIND, MarkState.DIFFERENT)


class HighWaterFile:
    """The file with the mark.

    Args:
        path: where it is; made (0600) at the first ``write``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problem = ""
        self._fd = -1
        self._slot = 0

    def read(self) -> tuple[MarkState, int, bytes]:
        """State (MATCHED for readable, MISSING, TORN), and the newest readable mark: seq, checksum.

        Raises:
            PersistenceError: the file is there and the system refuses to read it.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return MarkState.MISSING, 0, b""
        except OSError as error:
            raise PersistenceError(
                f"{self.path}: cannot be read: {error.strerror}; it must belong to this user"
            ) from error
        slots = [_parse(content[start : start + _SLOT]) for start in (0, _SLOT)]
        marks = [(mark, place) for place, mark in enumerate(slots) if mark is not None]
        if not marks:
            return MarkState.TORN, 0, b""
        (seq, checksum), place = max(marks)
        self._slot = 1 - place
        return MarkState.MATCHED, seq, checksum

    def write(self, seq: int, checksum: bytes) -> None:
        """Note a commit. A failure does not raise (the commit stands): ``problem`` says what it was."""
        try:
            if self._fd < 0:
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
                self._fd = os.open(self.path, flags, 0o600)
            os.pwrite(self._fd, _slot(seq, checksum), self._slot * _SLOT)
            self._slot = 1 - self._slot
            self.problem = ""
        except OSError as error:
            self.problem = f"{self.path}: cannot be written: {error.strerror}"

    def replace(self, seq: int, checksum: bytes) -> None:
        """Put a new file with this mark alone in the old one's place, durably.

        Raises:
            PersistenceError: it cannot be written.
        """
        self.close()
        partial = self.path.with_name(f"{self.path.name}.partial")
        self._slot = 0
        target, self.path = self.path, partial
        try:
            partial.unlink(missing_ok=True)
            self.write(seq, checksum)
            self.close()
            if not self.problem:
                partial.replace(target)
        except OSError as error:
            self.problem = f"{target}: cannot be replaced: {error.strerror}"
        finally:
            self.path = target
        if self.problem:
            raise PersistenceError(self.problem)

    def sync(self) -> None:
        """Bring the mark to the disk, as far as that works."""
        if self._fd >= 0:
            try:
                os.fsync(self._fd)
            except OSError as error:
                self.problem = f"{self.path}: cannot be synced: {error.strerror}"

    def close(self) -> None:
        """Sync and let the file go; harmless where it is not open."""
        if self._fd >= 0:
            self.sync()
            os.close(self._fd)
            self._fd = -1


def _slot(seq: int, checksum: bytes) -> bytes:
    text = f"{_MAGIC} {seq} {checksum.hex()}".encode()
    sealed = text + b" " + blake2b(text, digest_size=8).hexdigest().encode()
    return sealed.ljust(_SLOT - 1) + b"\n"


def _parse(slot: bytes) -> tuple[int, bytes] | None:
    """Seq and checksum of a slot; None where it is empty or does not match its own checksum."""
    text, _, seal = slot.rstrip().rpartition(b" ")
    if not text or blake2b(text, digest_size=8).hexdigest().encode() != seal:
        return None
    magic, _, rest = text.decode("ascii", "replace").partition(f"{_MAGIC} ")
    number, _, checksum = rest.partition(" ")
    if magic or not number.isdigit():
        return None
    return int(number), bytes.fromhex(checksum)
