"""An event log: every frame that a process received, with its time, in files that survive whatever happens.

Invariants:

* A frame that ``append`` took is numbered, kept in order, and never changed. One for which it raised was not taken.
* What was synced survives a loss of power, what was flushed the death of the process; the rest is at most what came
  since the last ``tick``, ``flush`` or ``sync``.
* A write that was cut off is cut away when the log is opened again. Nothing good is ever cut: damage with something
  good behind it stays, and is told.
* One process writes; files have mode 0600. A segment's name sorts after that of the one before it, even where the
  clock steps back. Times are handed in.

The bytes are described in ``event_log_format``. Readers need no lock, and may read while the log is written.
"""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

from foxtrot.core.constants import NS_PER_HOUR
from foxtrot.core.errors import DataError, PersistenceError
from foxtrot.data.event_log_format import (
    SUFFIX,
    Damage,
    Footer,
    LogRecord,
    Segment,
    encode_footer,
    encode_header,
    encode_record,
    name_of,
    scan,
    segments_of,
)
from foxtrot.data.event_log_reader import EventLogReader, prune_segments

__all__ = [
    "Damage",
    "EventLogReader",
    "EventLogWriter",
    "LogRecord",
    "Recovery",
    "Segment",
    "prune_segments",
    "segments_of",
]

SEGMENT_BYTES = 256 << 20
SEGMENT_SPAN = NS_PER_HOUR
SYNC_INTERVAL = 200_000_000

_BUFFER = 64 << 10
_PARTIAL = SUFFIX + ".partial"


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was found when a log was opened.

    Attributes:
        segment: the newest segment; None in an empty folder.
        records: good records in it, where it was not finished.
        truncated: bytes cut away behind the last good record.
        damage: what is damaged in it before that, and stays.
    """

    segment: Segment | None = None
    records: int = 0
    truncated: int = 0
    damage: tuple[Damage, ...] = ()


class EventLogWriter:
    """Appends frames to the segments in a folder. For one thread.

    Args:
        folder: made where it is not there (mode 0700; the one above it must be).
        segment_bytes: size at which a new segment begins.
        segment_span: ns after which a new segment begins.
        sync_interval: ns after which what was appended is brought to the disk.

    Attributes:
        recovery: what was found in the folder.
        next_seq: number of the next frame.

    Raises:
        PersistenceError: another process writes there, or the folder cannot be used.
        DataError: the newest segment is of a later version.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        segment_bytes: int = SEGMENT_BYTES,
        segment_span: int = SEGMENT_SPAN,
        sync_interval: int = SYNC_INTERVAL,
    ) -> None:
        self.folder = Path(folder)
        self._segment_bytes = segment_bytes
        self._segment_span = segment_span
        self._sync_interval = sync_interval
        self._pending = bytearray()
        self._fd = -1
        self._size = 0
        self._torn = self._unsynced = False
        self._opened = self._synced = self._last_created = 0
        self._segment: Segment | None = None
        self._footer: Footer | None = None
        self.next_seq = 1
        self._lock = _lock(self.folder)
        try:
            self.recovery = self._recover()
        except BaseException:
            self._leave()
            os.close(self._lock)
            raise

    @property
    def segment(self) -> Segment | None:
        """The segment that is being written; None before the first frame and after a rotation."""
        return self._segment

    def append(self, ts: int, frame: bytes) -> int:
        """Take a frame and return its number.

        It is on its way to the file with the next ``flush``, or when enough has come together; earlier frames are
        synced, and a new segment begun, as they fall due by ``ts``.

        Args:
            ts: when it was received, ns UTC (the epoch or later).
            frame: its bytes, with the topic.

        Raises:
            PersistenceError: the disk failed; the frame was not taken and may be appended again.
            DataError: the frame is larger than 64 MiB, or the time is negative.
        """
        if ts < 0:
            raise DataError(f"the time of a frame must not be negative, got {ts}")
        self.tick(ts)
        if len(self._pending) >= _BUFFER:
            self.flush()
        if self._segment is None or self._footer is None:
            self._begin(ts)
            return self.append(ts, frame)
        data = encode_record(LogRecord(ts, frame, self.next_seq), self._segment.salt)
        held = self._footer
        if held.records and self._size + len(self._pending) + len(data) > self._segment_bytes:
            self.rotate()
            return self.append(ts, frame)
        self._pending += data
        self._unsynced = True
        first, last = (min(held.first_ts, ts), max(held.last_ts, ts)) if held.records else (ts, ts)
        self._footer = Footer(held.records + 1, self.next_seq, first, last)
        self.next_seq += 1
        return self.next_seq - 1

    def tick(self, now: int) -> None:
        """Do what is due: sync, or end the segment; to be called whenever there is time, also when nothing comes.

        Args:
            now: ns UTC. Where it is earlier than before, waiting begins anew from it.

        Raises:
            PersistenceError: the disk failed; it is tried again next time.
        """
        if self._segment is None:
            return
        self._opened = min(self._opened, now)
        self._synced = min(self._synced, now)
        if now - self._opened >= self._segment_span:
            self.rotate()
        elif self._unsynced and now - self._synced >= self._sync_interval:
            self.sync()
            self._synced = now

    def flush(self) -> None:
        """Hand what was appended to the operating system, so that it outlives this process.

        Raises:
            PersistenceError: the disk failed; nothing is lost, and the next call tries again.
        """
        if not self._pending:
            return
        try:
            if self._torn:  # what a failed write left behind
                os.ftruncate(self._fd, self._size)
            self._torn = True
            _write(self._fd, self._pending)
            self._torn = False
        except OSError as error:
            raise self._failed("written", error) from error
        self._size += len(self._pending)
        self._pending.clear()

    def sync(self) -> None:
        """Bring everything appended to the disk, so that it outlives a loss of power.

        Raises:
            PersistenceError: the disk failed.
        """
        self.flush()
        if self._fd >= 0 and self._unsynced:
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise self._failed("synced", error) from error
            self._unsynced = False

    def rotate(self) -> Segment | None:
        """Finish the segment; the next frame begins a new one.

        Returns:
            The finished segment, None where there was none.

        Raises:
            PersistenceError: the disk failed; the segment goes on.
        """
        segment, footer = self._segment, self._footer
        if segment is None or footer is None:
            return None
        self.flush()
        before = self._size
        self._pending += encode_footer(footer, segment.salt)
        self._unsynced = True
        try:
            self.sync()
        except PersistenceError:  # without the footer, so that it can go on
            self._pending.clear()
            self._size, self._torn = before, True
            raise
        self._leave()
        return segment

    def close(self) -> None:
        """Finish the segment and let others write; closing again does nothing.

        Raises:
            PersistenceError: the disk failed; the log is closed all the same.
        """
        if self._lock < 0:
            return
        try:
            self.rotate()
        finally:
            self._leave()
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> EventLogWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin(self, ts: int) -> None:
        """Make a segment: its header is on the disk before the file has its name."""
        if self._lock < 0:
            raise PersistenceError(f"{self.folder}: the event log was closed")
        created = max(ts, self._last_created + 1)
        path = self.folder / name_of(created, self.next_seq)
        partial = path.with_suffix(_PARTIAL)
        header = encode_header(created, self.next_seq)
        flags = os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        try:
            self._fd = os.open(partial, flags, 0o600)
            _write(self._fd, header)
            os.fsync(self._fd)
            partial.replace(path)
            _sync_folder(self.folder)
        except OSError as error:
            failure = self._failed(f"begun as {path.name}", error)
            self._leave()
            partial.unlink(missing_ok=True)
            raise failure from error
        self._segment = Segment(created, self.next_seq, path)
        self._footer = Footer(0, self.next_seq - 1, 0, 0)
        self._last_created, self._opened, self._synced = created, ts, ts
        self._size = len(header)

    def _recover(self) -> Recovery:
        for partial in self.folder.glob("*" + _PARTIAL):
            partial.unlink(missing_ok=True)
        segments = segments_of(self.folder)
        if not segments:
            return Recovery()
        newest = segments[-1]
        self._last_created = newest.created
        footer = newest.footer()
        if footer is not None:
            self.next_seq = footer.last_seq + 1
            return Recovery(newest)
        return self._take_up(newest)

    def _take_up(self, segment: Segment) -> Recovery:
        """Go on in a segment that was not finished, behind its last good record."""
        footer = Footer(0, segment.first_seq - 1, 0, 0)
        damage: list[Damage] = []
        good = len(encode_header(segment.created, segment.first_seq))
        for end, found in scan(segment):
            if isinstance(found, Damage):
                damage.append(found)
                continue
            good = end
            times = (found.ts, footer.first_ts, footer.last_ts) if footer.records else (found.ts,)
            footer = Footer(footer.records + 1, found.seq, min(times), max(times))
        self.next_seq = footer.last_seq + 1
        try:
            self._fd = os.open(segment.path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
            os.fchmod(self._fd, 0o600)
            size = os.fstat(self._fd).st_size
            if footer.records == 0 and damage:  # not even the header is whole
                header = encode_header(segment.created, segment.first_seq)
                os.ftruncate(self._fd, 0)
                _write(self._fd, header)
            elif size > good:
                os.ftruncate(self._fd, good)
            os.fsync(self._fd)
        except OSError as error:
            raise self._failed(f"taken up ({segment.path.name})", error) from error
        self._segment, self._footer, self._size = segment, footer, good
        self._opened = self._synced = segment.created
        kept = tuple(one for one in damage if not one.tail)
        return Recovery(segment, footer.records, max(0, size - good), kept)

    def _leave(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._segment = self._footer = None
        self._pending.clear()
        self._torn = self._unsynced = False

    def _failed(self, verb: str, error: OSError) -> PersistenceError:
        where = self._segment.path if self._segment is not None else self.folder
        return PersistenceError(
            f"{where}: the event log could not be {verb}: {error.strerror or error}"
        )


def _lock(folder: Path) -> int:
    """Be the only one who writes in a folder.

    Raises:
        PersistenceError: somebody else does, or the folder cannot be used.
    """
    try:
        if not folder.is_dir():
            folder.mkdir(mode=0o700)
        fd = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PersistenceError(f"{folder}: cannot be used: {error.strerror}") from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise PersistenceError(
            f"{folder}: another process writes this event log; give each recorder its own folder"
        ) from error
    return fd


def _write(fd: int, data: bytes | bytearray) -> None:
    """Write all of it.

    Raises:
        OSError: the disk failed; some of it may be there.
    """
    with memoryview(data) as view:
        done = 0
        while done < len(view):
            done += os.write(fd, view[done:])


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
