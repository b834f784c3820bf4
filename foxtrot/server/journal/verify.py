"""Reading a journal again: is every row there, in its place, and as it was written?

Invariants: a check reads in pages and may be taken a page at a time between batches of work; it covers what the
journal held when it began; it changes nothing, and it never raises for damage: the report says what is broken.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Any

import msgspec

from foxtrot.core.errors import PersistenceError
from foxtrot.server.journal.codec import base_digest, chain, decode_fact
from foxtrot.server.journal.high_water import HighWater, MarkState
from foxtrot.server.journal.journal import Cut, Execute, base_rows

PAGE_ROWS = 1_000

_PAGE = (
    "SELECT seq, stream, stream_seq, ts, kind, payload, checksum FROM journal "
    "WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?"
)
_HEAD = "SELECT seq FROM journal ORDER BY seq DESC LIMIT 1"
_CUT = "SELECT seq, checksum, base FROM cuts ORDER BY seq DESC LIMIT 1"
_ANCHORS = "SELECT seq, checksum, rows FROM anchors WHERE seq > ? AND seq <= ? ORDER BY seq"
_LAST_ANCHOR = "SELECT seq, checksum FROM anchors ORDER BY seq DESC LIMIT 1"
_CHECKSUM = "SELECT checksum FROM journal WHERE seq = ?"
_BEFORE = "SELECT 1 FROM journal WHERE stream = ? AND stream_seq = ? AND seq <= ?"
_START = "SELECT stream_seq FROM stream_starts WHERE stream = ?"


class Break(StrEnum):
    """Why a journal is broken."""

    CHECKSUM = "bad checksum"
    SEQ_GAP = "gap in seq"
    STREAM_GAP = "gap in stream_seq"
    ANCHOR = "anchor mismatch"
    BASE = "base state changed"
    HIGH_WATER = "behind the high-water mark"
    REWRITTEN = "differs from the high-water mark"
    KIND = "unknown kind or unreadable fact"
    UNREADABLE = "the file cannot be read"


class JournalReport(msgspec.Struct, frozen=True):
    """What a check found.

    ``rows`` were checked, after row ``after`` (the cut, or the last anchor); ``broken_seq`` is the first row that is
    not as it was written, with ``reason`` and a sentence for people in ``detail``.
    """

    rows: int = 0
    after: int = 0
    last: int = 0
    full: bool = True
    broken_seq: int | None = None
    reason: Break | None = None
    detail: str = ""
    high_water: MarkState = MarkState.MISSING

    @property
    def ok(self) -> bool:
        """Whether nothing is broken."""
        return self.reason is None


class _Broken(Exception):  # noqa: N818 - an answer, not an error
    def __init__(self, seq: int, reason: Break, detail: str) -> None:
        super().__init__(detail)
        self.seq, self.reason = seq, reason


class Verification:
    """A check of a journal, a page at a time.

    Args:
        execute: runs a statement on the database.
        full: from the beginning (the cut), or from the last anchor on.
        page: rows per step.
        mark: the high-water mark beside the database; None where there is none to compare (a backup).
    """

    def __init__(
        self,
        execute: Execute,
        *,
        full: bool = True,
        page: int = PAGE_ROWS,
        mark: HighWater | None = None,
    ) -> None:
        self._execute = execute
        self._page = page
        self._mark = mark
        self._streams: dict[str, int] = {}
        self._rows = 0
        self._last = 0
        state = mark.state if mark else MarkState.MISSING
        self.report = JournalReport(full=full, high_water=state)
        self._work = self._pages(full)

    def step(self) -> bool:
        """Check one more page; False when done, then ``report`` is complete."""
        try:
            return next(self._work, False)
        except _Broken as broken:
            self._finish(broken.seq, broken.reason, str(broken))
        except PersistenceError as error:
            self._finish(self._last + 1, Break.UNREADABLE, str(error))
        return False

    def run(self, callback: Callable[[int], None] | None = None) -> JournalReport:
        """Check all of it; ``callback`` is told the rows so far after each page."""
        while self.step():
            if callback is not None:
                callback(self._rows)
        return self.report

    def _finish(self, seq: int | None, reason: Break | None, detail: str) -> None:
        self._work = iter(())
        self.report = msgspec.structs.replace(
            self.report,
            rows=self._rows,
            last=self._last,
            broken_seq=seq,
            reason=reason,
            detail=detail,
        )

    def _pages(self, full: bool) -> Iterator[bool]:
        cut = self._cut()
        rows = self._execute(_HEAD, (), "reading of the journal's end")
        end = rows[0][0] if rows else cut.seq
        after, checksum = self._start(cut, end, full)
        self._last = after
        self.report = msgspec.structs.replace(self.report, after=after)
        if full:
            yield from self._check_base(cut)
        anchored = after
        while page := self._read(after, end):
            sums: dict[int, bytes] = {}
            for row in page:
                checksum = sums[row[0]] = self._check(row, checksum, cut)
            after = page[-1][0]
            for seq, sealed, count in self._execute(_ANCHORS, (anchored, after), "anchors"):
                # The first anchor after a cut may count rows from before it.
                begins = max(seq - count, cut.seq) if cut.seq else seq - count
                if sums.get(seq) != sealed or begins != anchored:
                    raise _Broken(seq, Break.ANCHOR, f"the anchor at row {seq} is not its row's")
                anchored = seq
            yield True
        self._check_mark()
        self._finish(None, None, "")

    def _read(self, after: int, end: int) -> list[Any]:
        """A page; a single row where the page cannot be read, so that the broken row is found."""
        try:
            return self._execute(_PAGE, (after, end, self._page), "reading of the journal")
        except PersistenceError:
            return self._execute(_PAGE, (after, end, 1), "reading of the journal")

    def _start(self, cut: Cut, end: int, full: bool) -> tuple[int, bytes]:
        """Where to begin: row and checksum."""
        anchors = self._execute(_LAST_ANCHOR, (), "reading of the last anchor")
        if anchors and anchors[0][0] > end:
            detail = f"the journal ends at row {end}, before its last anchor at {anchors[0][0]}"
            raise _Broken(end + 1, Break.ANCHOR, detail)
        if full or not anchors or anchors[0][0] <= cut.seq:
            return cut.seq, cut.checksum
        seq, checksum = anchors[0]
        if self._execute(_CHECKSUM, (seq,), "reading of an anchor's row") != [(checksum,)]:
            raise _Broken(seq, Break.ANCHOR, f"the anchor at row {seq} is not its row's")
        return seq, checksum

    def _check(self, row: tuple[Any, ...], before: bytes, cut: Cut) -> bytes:
        """One row; returns its checksum."""
        seq, stream, number, ts, kind, payload, checksum = row
        expected = self._last + 1
        if seq != expected:
            raise _Broken(expected, Break.SEQ_GAP, f"row {expected} is missing; {seq} follows")
        try:
            right = chain(before, seq, stream, number, ts, kind, payload) == checksum
        except (AttributeError, TypeError, struct.error, UnicodeError):
            right = False  # a column has another type than was written
        if not right:
            raise _Broken(seq, Break.CHECKSUM, f"row {seq} is not as it was written")
        last = self._streams.get(stream)
        if last is None:
            last = self._stream_before(stream, number, cut)
        if number != last + 1:
            detail = f"row {seq}: stream {stream!r} goes from {last} to {number}"
            raise _Broken(seq, Break.STREAM_GAP, detail)
        try:
            decode_fact(seq, kind, payload)
        except PersistenceError as error:
            raise _Broken(seq, Break.KIND, str(error)) from error
        self._streams[stream] = number
        self._last = seq
        self._rows += 1
        return before if checksum is None else checksum

    def _stream_before(self, stream: str, number: int, cut: Cut) -> int:
        """The last number of a stream before the first row that is checked; looked up by index."""
        if self.report.after > cut.seq and self._execute(
            _BEFORE, (stream, number - 1, self.report.after), f"reading of {stream!r}"
        ):
            return number - 1
        starts = self._execute(_START, (stream,), f"reading of {stream!r}")
        return starts[0][0] if starts else 0

    def _cut(self) -> Cut:
        rows = self._execute(_CUT, (), "reading of the journal's beginning")
        return Cut(*rows[0]) if rows else Cut()

    def _check_base(self, cut: Cut) -> Iterator[bool]:
        """The state at the cut, against its digest."""
        if base_digest(base_rows(self._execute, self._page)) != cut.base:
            detail = f"the state kept for row {cut.seq} is not as it was written"
            raise _Broken(cut.seq, Break.BASE, detail)
        yield True

    def _check_mark(self) -> None:
        mark = self._mark
        if mark is not None and mark.refuses:
            behind = mark.state is MarkState.BEHIND
            reason = Break.HIGH_WATER if behind else Break.REWRITTEN
            raise _Broken(mark.head + 1 if behind else mark.seq, reason, mark.detail)
