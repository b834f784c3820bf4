"""The bytes of an event log: what a segment file looks like, and how its good records are found.

A segment is a stream of msgpack ``ext 32`` objects, so any msgpack reader can walk it::

    C9 | length (uint32, big endian) | type | checksum (uint32, big endian) | body      length = 4 + size of body

Types: ``H`` the header ``[magic, version, first seq, created]``, once and first; ``R`` a record ``[seq, ts, frame]``;
``Z`` the footer ``[records, last seq, first ts, last ts]``, once and last, of a segment that is finished (its numbers
have 64 bits each, so that its size is fixed). Times are ns UTC. The checksum is the CRC-32 of created and first seq
(int64 each, big endian), length, type and body. So no copy of a record elsewhere, not even one inside a frame, is
ever taken for a record of this segment.

Invariants: the file name has first seq and created, too, so a damaged header hides no record; a changed bit is found;
what is damaged is told with its position, and everything good before and after it is read.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple
from zlib import crc32

import msgspec

from foxtrot.core.errors import DataError, PersistenceError

MAGIC = "foxtrot events"
VERSION = 1
SUFFIX = ".events"
MOST_BODY = 64 << 20
"""Largest body of a record in bytes; whatever claims more is damage."""

HEADER, RECORD, FOOTER = ord("H"), ord("R"), ord("Z")

_MARK = 0xC9
_CHUNK = 1 << 20
_HEAD = struct.Struct(">BIbI")
_SEEN = struct.Struct(">Ib")
_SALT = struct.Struct(">qq")
_FOOT = struct.Struct(">BBqBqBqBq")
_NAME = re.compile(r"(\d{20})-(\d{16})" + re.escape(SUFFIX))
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE_RECORD = msgspec.msgpack.Decoder(tuple[int, int, bytes]).decode
_DECODE_HEADER = msgspec.msgpack.Decoder(tuple[str, int, int, int]).decode

FOOTER_SIZE = _HEAD.size + _FOOT.size


class LogRecord(NamedTuple):
    """A frame as it was received: when (ns UTC), its bytes, and its number in the log."""

    ts: int
    frame: bytes
    seq: int


class Footer(NamedTuple):
    """What a finished segment holds: number of records, last number, earliest and latest time (ns UTC)."""

    records: int
    last_seq: int
    first_ts: int
    last_ts: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes of a segment that are no good record.

    Attributes:
        path: the segment.
        offset: where they begin, in bytes.
        length: how many.
        tail: whether nothing good follows: a write that was cut off, or is still going on.
    """

    path: Path
    offset: int
    length: int
    tail: bool

    def __str__(self) -> str:
        what = "is cut off" if self.tail else "is damaged"
        return f"{self.path}: {what} at byte {self.offset:,}, {self.length:,} bytes"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """One file of an event log; segments sort by time.

    Attributes:
        created: when it was begun, ns UTC; later than that of the segment before it.
        first_seq: number of its first record.
        path: the file.
    """

    created: int
    first_seq: int
    path: Path

    @property
    def salt(self) -> int:
        """What the segment's checksums begin with."""
        return salt_of(self.created, self.first_seq)

    def footer(self) -> Footer | None:
        """What it holds, if it is finished; None if it is not, or its end is damaged.

        Raises:
            PersistenceError: it cannot be read.
        """
        with _open(self.path) as file:
            size = file.seek(0, os.SEEK_END)
            if size < FOOTER_SIZE:
                return None
            file.seek(size - FOOTER_SIZE)
            data = file.read(FOOTER_SIZE)
        body = _body(data, 0, FOOTER, self.salt)
        return None if body is None else Footer(*_FOOT.unpack(body)[2::2])


def salt_of(created: int, first_seq: int) -> int:
    """What the checksums of a segment begin with."""
    return crc32(_SALT.pack(created, first_seq))


def name_of(created: int, first_seq: int) -> str:
    """The file name of a segment: created (ns UTC) and first seq, so that names sort by time."""
    return f"{created:020d}-{first_seq:016d}{SUFFIX}"


def segments_of(folder: Path) -> list[Segment]:
    """The segments in a folder, oldest first; other files are left alone.

    Raises:
        PersistenceError: the folder cannot be read.
    """
    try:
        names = [(path, _NAME.fullmatch(path.name)) for path in folder.iterdir()]
    except OSError as error:
        raise PersistenceError(f"{folder}: cannot be read: {error.strerror}") from error
    return sorted(Segment(int(m[1]), int(m[2]), path) for path, m in names if m)


def segment_of(path: Path) -> Segment:
    """The segment that a file is by its name.

    Raises:
        DataError: the name is not that of a segment.
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        raise DataError(
            f"{path}: is not named as a segment of an event log ({name_of(0, 1)}); keep the name it was given"
        )
    return Segment(int(match[1]), int(match[2]), path)


def encode_header(created: int, first_seq: int) -> bytes:
    """The first bytes of a segment."""
    body = _ENCODE((MAGIC, VERSION, first_seq, created))
    return _framed(HEADER, body, salt_of(created, first_seq))


def encode_record(record: LogRecord, salt: int) -> bytes:
    """A record as it stands in the segment with that salt.

    Raises:
        DataError: the frame is too large.
    """
    body = _ENCODE((record.seq, record.ts, record.frame))
    if len(body) > MOST_BODY:
        raise DataError(
            f"a frame of {len(record.frame):,} bytes is too large for the event log, which takes "
            f"{MOST_BODY >> 20} MiB"
        )
    return _framed(RECORD, body, salt)


def encode_footer(footer: Footer, salt: int) -> bytes:
    """The last bytes of a finished segment."""
    parts = [part for number in footer for part in (0xD3, number)]
    return _framed(FOOTER, _FOOT.pack(0x94, *parts), salt)


def scan(segment: Segment) -> Iterator[tuple[int, LogRecord | Damage]]:
    """What a segment holds, in order, with the byte at which it ends.

    One piece of the file is in memory at a time. A damaged header is told and does not matter.

    Raises:
        DataError: the segment is of a later version.
        PersistenceError: it cannot be read.
    """
    with _open(segment.path) as file:
        yield from _Scanner(segment, file.fileno()).run()


class _Scanner:
    """Reads a segment piece by piece: ``data`` begins at byte ``base`` of the file."""

    def __init__(self, segment: Segment, fd: int) -> None:
        self._segment = segment
        self._salt = segment.salt
        self._fd = fd
        self._size = os.fstat(fd).st_size
        self._base = 0
        self._data = b""

    def run(self) -> Iterator[tuple[int, LogRecord | Damage]]:
        offset = 0
        header = self._at(0, HEADER)
        if header is not None:
            self._check_version(header)
            offset = _HEAD.size + len(header)
        while offset < self._size:
            body = self._at(offset, RECORD)
            record = None if body is None else _record(body)
            if body is not None and record is not None:
                offset += _HEAD.size + len(body)
                yield offset, record
            elif self._at(offset, FOOTER) is not None:
                offset += FOOTER_SIZE
            else:
                end = self._next(offset + 1)
                yield end, Damage(self._segment.path, offset, end - offset, end >= self._size)
                offset = end

    def _at(self, offset: int, kind: int) -> bytes | None:
        """Body of the good object of a kind at a byte of the file; None where there is none."""
        data, at = self._data, offset - self._base
        if at < 0 or at + _HEAD.size > len(data):
            data, at = self._load(offset, _HEAD.size), 0
            if len(data) < _HEAD.size:
                return None
        mark, length, type_, _ = _HEAD.unpack_from(data, at)
        if mark != _MARK or type_ != kind or not 4 <= length <= MOST_BODY + 4:
            return None
        whole = _HEAD.size - 4 + length
        if offset + whole > self._size:
            return None
        if at + whole > len(data):
            data, at = self._load(offset, whole), 0
        return _body(data, at, kind, self._salt)

    def _next(self, offset: int) -> int:
        """The first byte from ``offset`` on where a good record or the footer begins; the end where there is none."""
        while offset < self._size:
            if not self._base <= offset < self._base + len(self._data):
                self._load(offset, _CHUNK)
            found = self._data.find(_MARK, offset - self._base)
            if found < 0:
                offset = self._base + len(self._data)
                continue
            offset = self._base + found
            body = self._at(offset, RECORD)
            if body is not None and _record(body) is not None:
                return offset
            if self._at(offset, FOOTER) is not None:
                return offset
            offset += 1
        return self._size

    def _load(self, offset: int, need: int) -> bytes:
        """Have the file from ``offset`` on in memory, at least ``need`` bytes of it if there are so many."""
        parts, have = [], 0
        want = min(max(need, _CHUNK), self._size - offset)
        try:
            while have < want:
                part = os.pread(self._fd, want - have, offset + have)
                if not part:
                    self._size = offset + have  # it was cut meanwhile
                    break
                parts.append(part)
                have += len(part)
        except OSError as error:
            raise PersistenceError(f"{self._segment.path}: cannot be read: {error}") from error
        self._base, self._data = offset, b"".join(parts)
        return self._data

    def _check_version(self, body: bytes) -> None:
        path = self._segment.path
        try:
            magic, version, _, _ = _DECODE_HEADER(body)
        except msgspec.MsgspecError as error:
            raise DataError(f"{path}: its header is not that of an event log: {error}") from error
        if magic != MAGIC or version > VERSION:
            raise DataError(
                f"{path}: is {magic!r} of version {version}; this program reads {MAGIC!r} up to version {VERSION}"
            )


def _framed(kind: int, body: bytes, salt: int) -> bytes:
    length = len(body) + 4
    return (
        _HEAD.pack(_MARK, length, kind, crc32(body, crc32(_SEEN.pack(length, kind), salt))) + body
    )


def _body(data: bytes, at: int, kind: int, salt: int) -> bytes | None:
    """Body of the object at a place that holds it wholly, if its checksum is right."""
    mark, length, type_, checksum = _HEAD.unpack_from(data, at)
    if mark != _MARK or type_ != kind:
        return None
    body = data[at + _HEAD.size : at + _HEAD.size - 4 + length]
    good = crc32(body, crc32(_SEEN.pack(length, kind), salt))
    return body if good == checksum and len(body) == length - 4 else None


def _record(body: bytes) -> LogRecord | None:
    """A record by its body; None where the body is none, although its checksum is right."""
    try:
        seq, ts, frame = _DECODE_RECORD(body)
    except msgspec.MsgspecError:
        return None
    return LogRecord(ts, frame, seq)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise PersistenceError(f"{path}: cannot be read: {error.strerror}") from error
