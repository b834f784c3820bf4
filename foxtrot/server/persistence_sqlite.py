"""State in one SQLite file: durable before visible, one owner.

Invariants:

* WAL with ``synchronous=FULL``: what ``save``, ``commit`` or a transaction has returned from is on the disk; a
  process that is killed afterwards, or a machine that loses power, finds it again.
* Exactly one process owns the file: it holds a lock on ``<file>.lock`` while it is connected, and has one connection.
  Any thread may use it, one at a time: use while another thread is inside a call or a transaction is refused, so that
  no statement can slip into a transaction that is not its own. Nothing here is for use after ``fork``.
* The file, its ``-wal``, ``-shm`` and ``.lock`` can be read by their owner alone (0600). A missing parent folder is
  made (0700) if its own parent exists; a longer missing path is taken for a slip of the pen.
* The schema's version is in ``PRAGMA user_version``: older files are brought up step by step, newer ones refused.
* An SQLite error inside a transaction dooms it: SQLite may have rolled back already, so it can no longer commit. Where
  even the rollback fails, the connection is given up and made anew at the next use.
* The rows that trading relies on are sealed by a digest in the same transactions (``persistence_seal``).
* A file whose journal is behind ``<file>.hwm`` takes no further facts, and the mark stays as it is.

``oms_state(key, value)`` has one row an entity, JSON text. Further tables take part in the same transactions: append a
step to ``persistence_schema.MIGRATIONS`` and write through ``_execute``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server import persistence_index as index
from foxtrot.server.journal.codec import Fact
from foxtrot.server.journal.high_water import HighWater, HighWaterFile, MarkState
from foxtrot.server.journal.journal import ANCHOR_EVERY, Journal, compare_with_mark
from foxtrot.server.journal.verify import PAGE_ROWS, JournalReport, Verification
from foxtrot.server.persistence import Persistence
from foxtrot.server.persistence_codec import after_prefix, checked_key, decode, decode_as, encode
from foxtrot.server.persistence_connection import DAMAGED, Connection
from foxtrot.server.persistence_files import mark_of
from foxtrot.server.persistence_lock import DatabaseInUseError
from foxtrot.server.persistence_query import Page, PageQuery
from foxtrot.server.persistence_schema import SCHEMA_VERSION
from foxtrot.server.persistence_seal import StateSeal

__all__ = ["SCHEMA_VERSION", "DatabaseInUseError", "SqlitePersistence"]

T = TypeVar("T")

_PAGE_ROWS = 1_000

_SELECT = "SELECT value FROM oms_state WHERE key = ?"
_UPSERT = (
    "INSERT INTO oms_state (key, value) VALUES (?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_DELETE = "DELETE FROM oms_state WHERE key = ?"
_PAGE_OF_KEYS = "SELECT key FROM oms_state WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3"
_PAGE_OF_ROWS = _PAGE_OF_KEYS.replace("SELECT key", "SELECT key, value", 1)


class SqlitePersistence(Persistence):
    """Rows and the journal of facts in one SQLite file.

    Connects on first use, or by ``connect``. Belongs to the process that connected; one thread may use it at a time.

    Args:
        db_path: the database file; its folder must exist or be makeable in one step.
        lock_timeout: seconds to wait for another owner to let go, for instance a dying predecessor.
        anchor_every: journal rows between two anchors.
    """

    def __init__(
        self,
        db_path: str | os.PathLike[str],
        *,
        lock_timeout: float = 30.0,
        anchor_every: int = ANCHOR_EVERY,
    ) -> None:
        super().__init__()
        self._connection = Connection(Path(db_path).expanduser().absolute(), lock_timeout)
        self._journal = Journal(self._execute, self._execute_many, anchor_every)
        self._seal = StateSeal(self._execute)
        self._mark = HighWaterFile(mark_of(self._connection.path))
        self._high_water = HighWater(MarkState.MISSING)
        self._closed = False

    def __str__(self) -> str:
        return str(self._connection.path)

    @property
    def path(self) -> Path:
        """The database file, absolute."""
        return self._connection.path

    @property
    def journal(self) -> Journal:
        """The facts; appended to by ``commit``."""
        self.connect_if_new()
        return self._journal

    @property
    def high_water(self) -> HighWater:
        """What the mark beside the database said when it was opened; where it ``refuses``, so does ``commit``."""
        self.connect_if_new()
        return self._high_water

    @property
    def high_water_problem(self) -> str:
        """Why the mark could not be written lately; empty where it could."""
        return self._mark.problem

    def connect(self) -> None:
        """Take the lock, open the file and bring its schema up to date; harmless where connected.

        After ``close`` it opens the file again.

        Raises:
            DatabaseInUseError: another owner held it for all of ``lock_timeout``.
            PersistenceError: the folder is missing; the file is no database, another program's, of a newer schema,
                damaged, or cannot be written. Each text says how to mend it.
        """
        self._acquire()
        try:
            if self._connection.is_owner:
                self._ready()
                return
            self._connection.open()
            self._closed = False
            try:
                self._take_up()
            except BaseException:
                self._connection.close()
                raise
        finally:
            self._release()

    def connect_if_new(self) -> None:
        """Connect on first use; nothing where it is connected or was closed."""
        if not self._connection.is_owner and not self._closed:
            self.connect()

    def close(self) -> None:
        """Checkpoint, close the file and let the lock go; closing twice is harmless.

        Raises:
            PersistenceError: inside a transaction, or while another thread is in a call.
        """
        self._acquire()
        try:
            self._refuse_open_transaction()
            self._connection.close()
            self._mark.close()
            self._closed = True
        finally:
            self._release()

    def save(self, key: str, data: Any) -> None:  # noqa: D102 - inherits
        self._write([(checked_key(key), encode(key, data))], f"save of {key!r}")

    def save_many(self, items: Iterable[tuple[str, Any]]) -> None:  # noqa: D102
        rows = [(checked_key(key), encode(key, data)) for key, data in items]
        self._write(rows, f"save of {len(rows)} rows")

    def commit(  # noqa: D102
        self, rows: Sequence[tuple[str, Any]], facts: Sequence[tuple[str, Fact]] = ()
    ) -> None:
        last = dict(rows)
        texts = [(checked_key(key), encode(key, data)) for key, data in last.items()]
        self._write(texts, f"commit of {len(texts)} rows", facts)

    def _write(
        self, rows: list[tuple[str, bytes]], action: str, facts: Sequence[tuple[str, Fact]] = ()
    ) -> None:
        """Rows (key, JSON text) and facts in one transaction, sealed and indexed."""
        with self.transaction():
            self._seal.ready()
            self._execute_many(_UPSERT, [(key, text.decode()) for key, text in rows], action)
            if facts:
                if self._high_water.refuses:
                    raise PersistenceError(self._high_water.detail)
                first = self._journal.append(facts)
                index.index_facts(self._execute_many, facts, first)
            self._seal.changed(rows, facts)

    def load(self, key: str) -> Any | None:  # noqa: D102
        text = self._text(key)
        return None if text is None else decode(str(self), key, text)

    def load_as(self, key: str, type_: type[T]) -> T | None:  # noqa: D102
        text = self._text(key)
        return None if text is None else decode_as(str(self), key, text, type_)

    def delete(self, key: str) -> None:  # noqa: D102
        with self.transaction():
            self._seal.ready()
            self._execute(_DELETE, (checked_key(key),), f"delete of {key!r}")
            self._seal.changed([(key, None)])

    def keys(self, prefix: str = "") -> Iterator[str]:  # noqa: D102
        for (key,) in self._scan(_PAGE_OF_KEYS, prefix):
            yield key

    def load_prefix(self, prefix: str) -> Iterator[tuple[str, Any]]:  # noqa: D102
        for key, text in self._scan(_PAGE_OF_ROWS, prefix):
            yield key, decode(str(self), key, text)

    def load_prefix_as(self, prefix: str, type_: type[T]) -> Iterator[tuple[str, T]]:  # noqa: D102
        for key, text in self._scan(_PAGE_OF_ROWS, prefix):
            yield key, decode_as(str(self), key, text, type_)

    def _scan(self, sql: str, prefix: str) -> Iterator[tuple[str, ...]]:
        """Yield rows by key, in pages: memory stays small and no read is open while rows are saved."""
        start, end = prefix, after_prefix(prefix)
        while True:
            page = self._execute(sql, (start, end, _PAGE_ROWS), f"reading of {prefix!r}")
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            start = page[-1][0] + "\0"  # the least text after that key

    def load_active_orders(self) -> list[OrderData]:  # noqa: D102
        return index.load_active_orders(self._execute, str(self))

    def load_fills(self, vt_orderid: str) -> list[TradeData]:  # noqa: D102
        return index.load_fills(self._execute, str(self), vt_orderid)

    def load_active_fills(self) -> dict[str, list[TradeData]]:  # noqa: D102
        return index.load_active_fills(self._execute, str(self))

    def knows_order(self, vt_orderid: str) -> bool:  # noqa: D102
        return index.knows_order(self._execute, vt_orderid)

    def knows_trade(self, vt_tradeid: str) -> bool:  # noqa: D102
        return index.knows_trade(self._execute, vt_tradeid)

    def problems(self) -> list[str]:  # noqa: D102
        from foxtrot.server.start_check import check_start  # it knows this class

        return check_start(self)

    def recover(self) -> None:  # noqa: D102
        self._acquire()
        try:
            self._refuse_open_transaction()
            if self._closed:
                raise PersistenceError(f"{self} is closed; call connect() to open it again")
            if self._connection.is_owner:
                self._connection.give_up()
                self._connection.open()
                # What a failed sync left in the log may never reach the disk, though later syncs succeed.
                busy = self._execute("PRAGMA wal_checkpoint(TRUNCATE)", (), "checkpoint")[0][0]
                if busy:
                    raise PersistenceError(f"{self}: another program reads the file; close it")
                self._take_up()
            else:
                self.connect()
        finally:
            self._release()

    def is_archived(self, key: str) -> bool:  # noqa: D102
        return index.is_archived(self._execute, key)

    def orders_page(self, query: PageQuery) -> Page[OrderData]:  # noqa: D102
        return index.load_page(self._execute, str(self), OrderData, query)

    def trades_page(self, query: PageQuery) -> Page[TradeData]:  # noqa: D102
        return index.load_page(self._execute, str(self), TradeData, query)

    def verify(self) -> None:
        """Read the whole file and check its structure; raises ``PersistenceError`` with the first fault."""
        result = self._execute("PRAGMA integrity_check(1)", (), "verification")
        if result != [("ok",)]:
            raise PersistenceError(f"{self}: {DAMAGED} ({result[0][0]})")

    def verification(self, *, full: bool = True, page: int = PAGE_ROWS) -> Verification:
        """A check of the journal to be taken page by page, for instance between batches.

        Args:
            full: from the beginning, or from the last anchor on.
            page: rows per step.
        """
        mark = compare_with_mark(self._execute, self.journal, self._mark)
        return Verification(self._execute, full=full, page=page, mark=mark)

    def verify_journal(
        self,
        *,
        full: bool = True,
        page: int = PAGE_ROWS,
        callback: Callable[[int], None] | None = None,
    ) -> JournalReport:
        """Check the journal at once; ``callback`` is told the rows so far after each page."""
        return self.verification(full=full, page=page).run(callback)

    def check_seal(self) -> str:
        """Compare the rows that trading relies on with their seal; what is wrong, or nothing. Raises as a load."""
        self.connect_if_new()
        return self._seal.check()

    def renew_seal(self) -> None:
        """Take the rows that trading relies on for the truth (they were made from the journal); raises as a save."""
        with self.transaction():
            self._seal.renew()

    def accept_journal(self) -> None:
        """Take the journal as it is for the truth and set the mark to its end: an operator's decision.

        Raises:
            PersistenceError: the mark cannot be written.
        """
        self._mark.replace(*self.journal.head)
        self._high_water = compare_with_mark(self._execute, self._journal, self._mark)

    def _text(self, key: str) -> str | None:
        rows = self._execute(_SELECT, (checked_key(key),), f"load of {key!r}")
        return rows[0][0] if rows else None

    def _execute(self, sql: str, parameters: tuple[Any, ...], action: str) -> list[Any]:
        """Run one statement, inside the open transaction if there is one, and return its rows."""
        self._acquire()
        try:
            return self._ready().execute(sql, parameters, action)
        except PersistenceError:
            self._broken = True
            raise
        finally:
            self._release()

    def _execute_many(self, sql: str, rows: Sequence[tuple[Any, ...]], action: str) -> None:
        """Run one statement for many rows."""
        self._acquire()
        try:
            self._ready().execute_many(sql, rows, action)
        except PersistenceError:
            self._broken = True
            raise
        finally:
            self._release()

    def _acquire(self) -> None:
        self._connection.acquire()

    def _release(self) -> None:
        self._connection.release()

    def _begin(self) -> None:
        self._execute("BEGIN IMMEDIATE", (), "begin of a transaction")

    def _commit(self) -> None:
        try:
            self._seal.write()
            self._execute("COMMIT", (), "commit")
        except PersistenceError:
            self._rollback()
            raise
        self._seal.committed()
        if self._journal.committed():
            self._mark.write(*self._journal.head)

    def _rollback(self) -> None:
        self._journal.undo()
        self._seal.undo()
        if self._connection.is_open:
            self._connection.rollback()

    def _ready(self) -> Connection:
        """The connection, made where it is not."""
        if self._connection.is_open:
            return self._connection
        if self._connection.is_owner:
            self._connect_again()
        elif self._closed:
            raise PersistenceError(f"{self} is closed; call connect() to open it again")
        else:
            self.connect()
        return self._connection

    def _connect_again(self) -> None:
        """Make a connection in place of one that failed; the file must end where we think it does."""
        if self._depth:
            raise PersistenceError(f"{self}: the connection was lost in this transaction")
        self._connection.open()
        self._seal.forget()
        stored = self._journal.stored_head()
        if stored != self._journal.head:
            self._connection.give_up()
            raise PersistenceError(
                f"{self}: the journal ends at row {stored.seq} instead of {self._journal.head.seq}: a commit that "
                f"failed with a disk error was saved after all; start anew to take it up"
            )

    def _take_up(self) -> None:
        """What a new connection begins with."""
        self._mark.path = mark_of(self._connection.path)  # links are followed by now
        self._journal.load()
        self._seal.forget()
        self._high_water = compare_with_mark(self._execute, self._journal, self._mark)
