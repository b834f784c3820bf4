"""The journal: every fact in order, in the same file and the same transactions as the state that follows from it.

Invariants:

* ``seq`` counts 1, 2, 3 ... over the whole journal, ``stream_seq`` within each stream; neither has gaps. A row is never
  changed and never removed, except by an archive, which moves the oldest rows out and leaves a cut.
* Each row's checksum is chained to the row before (``codec.chain``); every ``anchor_every`` rows the chain's value is
  sealed into ``anchors``, from where a check may begin.
* What is appended counts when the owner's transaction commits; ``undo`` forgets it when the transaction fails.
* Memory does not grow with the journal: one number per stream that was used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from foxtrot.core.errors import PersistenceError
from foxtrot.server.journal.codec import GENESIS, Fact, chain, decode_fact, encode_fact
from foxtrot.server.journal.high_water import HighWater, HighWaterFile, MarkState

ANCHOR_EVERY = 10_000

Execute = Callable[[str, tuple[Any, ...], str], list[Any]]
"""Runs one statement with parameters; the text says what for, should it fail."""

ExecuteMany = Callable[[str, Sequence[tuple[Any, ...]], str], None]

_INSERT = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)"
_ANCHOR = "INSERT INTO anchors VALUES (?, ?, ?, ?)"
_COLUMNS = "SELECT seq, stream, stream_seq, ts, kind, payload FROM journal "
_STREAM_PAGE = _COLUMNS + "WHERE stream = ? AND stream_seq > ? ORDER BY stream_seq LIMIT ?"
_PAGE = _COLUMNS + "WHERE seq > ? ORDER BY seq LIMIT ?"
_LAST = "SELECT seq, checksum FROM journal ORDER BY seq DESC LIMIT 1"
_CUT = "SELECT seq, checksum, base FROM cuts ORDER BY seq DESC LIMIT 1"
_LAST_ANCHOR = "SELECT seq, checksum FROM anchors ORDER BY seq DESC LIMIT 1"
_BASE = "SELECT key, value FROM base_state WHERE key > ? ORDER BY key LIMIT ?"
_CHECKSUM = "SELECT checksum FROM journal WHERE seq = ?"
_STREAM_LAST = "SELECT max(stream_seq) FROM journal WHERE stream = ?"
_STREAM_START = "SELECT stream_seq FROM stream_starts WHERE stream = ?"


class JournalRow(NamedTuple):
    """One fact and its place: in the journal (``seq``) and in its stream; ``ts`` in ns UTC."""

    seq: int
    stream: str
    stream_seq: int
    ts: int
    kind: str
    fact: Fact


class JournalHead(NamedTuple):
    """The last row's number and checksum; 0 and the genesis constant of an empty journal."""

    seq: int = 0
    checksum: bytes = GENESIS


class Cut(NamedTuple):
    """Where the journal begins: after row ``seq``; ``base`` is the digest of the state there (empty: none)."""

    seq: int = 0
    checksum: bytes = GENESIS
    base: bytes = b""


class JournalView(Protocol):
    """What a reader needs: pages of facts from a cut on."""

    def read_all(self, after: int = 0, limit: int = 1_000) -> list[JournalRow]:
        """A page of all streams."""

    def cut(self) -> Cut:
        """Where the journal begins."""


class Journal:
    """Facts on a connection that somebody else owns.

    Args:
        execute: runs one statement; raises ``PersistenceError``.
        execute_many: runs one statement for many rows.
        anchor_every: rows between two anchors.
    """

    def __init__(
        self, execute: Execute, execute_many: ExecuteMany, anchor_every: int = ANCHOR_EVERY
    ) -> None:
        self._execute = execute
        self._execute_many = execute_many
        self._every = anchor_every
        self._streams: dict[str, int] = {}
        self.head = JournalHead()
        self._anchor = 0
        self._before: tuple[JournalHead, int, dict[str, int]] | None = None

    def load(self) -> None:
        """Take up where the file ends.

        Raises:
            PersistenceError: the file cannot be read.
        """
        self._streams.clear()
        self._before = None
        self.head = self.stored_head()
        anchors = self._execute(_LAST_ANCHOR, (), "reading of the last anchor")
        self._anchor = max(anchors[0][0] if anchors else 0, self.cut().seq)

    def stored_head(self) -> JournalHead:
        """The head as the file has it."""
        rows = self._execute(_LAST, (), "reading of the journal's end")
        if rows:
            return JournalHead(*rows[0])
        cut = self.cut()
        return JournalHead(cut.seq, cut.checksum)

    def cut(self) -> Cut:
        """Where the journal begins: after what was archived, or at 0."""
        rows = self._execute(_CUT, (), "reading of the journal's beginning")
        return Cut(*rows[0]) if rows else Cut()

    def last(self, stream: str) -> int:
        """The number of a stream's last fact; 0 where there is none. What a transaction appended counts at once."""
        known = self._streams.get(stream)
        if known is None:
            last = self._execute(_STREAM_LAST, (stream,), f"reading of {stream!r}")[0][0]
            known = self._streams[stream] = self.first(stream) if last is None else last
        return known

    def first(self, stream: str) -> int:
        """The number of a stream's last archived fact: what is here begins after it."""
        rows = self._execute(_STREAM_START, (stream,), f"reading of {stream!r}")
        return rows[0][0] if rows else 0

    def append(self, facts: Sequence[tuple[str, Fact]]) -> int:
        """Append facts (stream, Struct) inside the owner's transaction; returns the first one's ``seq``.

        Raises:
            PersistenceError: something is no fact, or the file cannot be written; the transaction must fail then.
        """
        seq, checksum = self.head
        if self._before is None:
            self._before = (self.head, self._anchor, dict(self._streams))
        first, streams = seq + 1, self._streams
        rows: list[tuple[Any, ...]] = []
        anchors: list[tuple[Any, ...]] = []
        for stream, fact in facts:
            ts, kind, payload = encode_fact(fact)
            seq += 1
            number = (streams[stream] if stream in streams else self.last(stream)) + 1
            checksum = chain(checksum, seq, stream, number, ts, kind, payload)
            streams[stream] = number
            rows.append((seq, stream, number, ts, kind, payload, checksum))
            if seq - self._anchor >= self._every:
                anchors.append((seq, checksum, seq - self._anchor, ts))
                self._anchor = seq
        self._execute_many(_INSERT, rows, f"journaling of {len(rows)} facts")
        if anchors:
            self._execute_many(_ANCHOR, anchors, "sealing of the journal")
        self.head = JournalHead(seq, checksum)
        return first

    def committed(self) -> bool:
        """The owner's transaction is durable; returns whether it appended anything."""
        appended = self._before is not None
        self._before = None
        return appended

    def undo(self) -> None:
        """The owner's transaction failed: forget what it appended."""
        if self._before is not None:
            self.head, self._anchor, self._streams = self._before
            self._before = None

    def base_rows(self) -> Iterator[tuple[str, str]]:
        """The state where the journal begins: rows (key, JSON text), in order of keys."""
        return base_rows(self._execute)

    def read(self, stream: str, after: int = 0, limit: int = 1_000) -> list[JournalRow]:
        """Up to ``limit`` facts of a stream after number ``after``, in order.

        Raises:
            PersistenceError: the facts that follow ``after`` were archived, or a row cannot be read.
        """
        rows = self._execute(_STREAM_PAGE, (stream, after, limit), f"reading of {stream!r}")
        following = rows[0][2] if rows else self.last(stream) + 1
        if following > after + 1 and after < (first := self.first(stream)):
            raise PersistenceError(
                f"stream {stream!r}: facts {after + 1} to {first} were archived; "
                f"take a snapshot and read after {first}"
            )
        return _decoded(rows)

    def read_all(self, after: int = 0, limit: int = 1_000) -> list[JournalRow]:
        """Up to ``limit`` facts of all streams after row ``after``, in order; begins at the cut.

        Raises:
            PersistenceError: a row cannot be read or is of an unknown kind.
        """
        return _decoded(self._execute(_PAGE, (after, limit), "reading of the journal"))


def base_rows(execute: Execute, page: int = 1_000) -> Iterator[tuple[str, str]]:
    """The state rows (key, JSON text) that the journal's facts are folded onto, in order of keys."""
    after = ""
    while rows := execute(_BASE, (after, page), "reading of the base state"):
        yield from rows
        after = rows[-1][0]


def all_facts(view: JournalView, page: int = 1_000) -> Iterator[JournalRow]:
    """Every fact from the cut on, read in pages."""
    after = view.cut().seq
    while rows := view.read_all(after, page):
        yield from rows
        after = rows[-1].seq


def compare_with_mark(execute: Execute, journal: Journal, mark: HighWaterFile) -> HighWater:
    """Compare the journal in the file with the mark beside it.

    Raises:
        PersistenceError: one of them cannot be read.
    """
    state, seq, checksum = mark.read()
    head, cut = journal.stored_head(), journal.cut()
    if state is MarkState.MISSING and head.seq == 0:
        return HighWater(MarkState.FRESH)
    if state is not MarkState.MATCHED:
        what = "is missing" if state is MarkState.MISSING else "cannot be read"
        detail = f"{mark.path} {what}: whether the database is whole at its end is unknown"
        return HighWater(state, 0, head.seq, detail)
    advice = "restore the newest backup: foxtrot oms restore <backup>"
    if seq > head.seq:
        detail = (
            f"{mark.path}: row {seq} was committed, but the journal ends at row {head.seq}: the database was "
            f"rolled back or truncated; {advice}"
        )
        return HighWater(MarkState.BEHIND, seq, head.seq, detail)
    rows = execute(_CHECKSUM, (seq,), "reading of the marked row")
    stored = rows[0][0] if rows else cut.checksum
    if seq >= cut.seq and stored != checksum:
        detail = (
            f"{mark.path}: row {seq} is not the one that was committed: the database was changed or "
            f"replaced; {advice}"
        )
        return HighWater(MarkState.DIFFERENT, seq, head.seq, detail)
    return HighWater(MarkState.MATCHED, seq, head.seq)


def _decoded(rows: list[Any]) -> list[JournalRow]:
    return [
        JournalRow(seq, stream, number, ts, kind, decode_fact(seq, kind, payload))
        for seq, stream, number, ts, kind, payload in rows
    ]
