"""The file of a paper venue: what it must know again after it was killed.

Invariants: one transaction holds everything that a step changed, so the file is always the venue between two steps. A
durable commit is on the disk when ``commit`` returns (WAL, ``synchronous=FULL``); one that is not durable survives the
end of the process, but not of the machine. One process owns the file (an exclusive lock, given up with the process).
Nothing is ever deleted: ids are recognised for ever. Mode 0600.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from foxtrot.adapter.replay_messages import ReplayState
from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import ContractData, OrderData, OrderRequest, TradeData
from foxtrot.simulation.state import SimBookState, SimOrderState, SimVenueState

VERSION = 2
LOCK_WAIT_S = 2.0

_SCHEMA = """
CREATE TABLE header (one INTEGER PRIMARY KEY CHECK (one = 1), data BLOB NOT NULL);
CREATE TABLE books (vt_symbol TEXT PRIMARY KEY, contract BLOB NOT NULL, data BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE orders (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, ts INTEGER NOT NULL,
  working BLOB, request BLOB NOT NULL, report BLOB NOT NULL
);
CREATE INDEX orders_working ON orders (seq) WHERE working IS NOT NULL;
CREATE INDEX orders_closed ON orders (ts) WHERE working IS NULL;
CREATE TABLE fills (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, order_id TEXT NOT NULL, ts INTEGER NOT NULL, report BLOB NOT NULL
);
CREATE INDEX fills_ts ON fills (ts);
CREATE INDEX fills_order ON fills (order_id);
"""
_UNSENT = "CREATE TABLE unsent (seq INTEGER PRIMARY KEY, report BLOB NOT NULL)"
_LAYOUTS = {0: f"{_SCHEMA};{_UNSENT}", 1: _UNSENT}
"""Statements that make the present layout out of an older one; 0 is an empty file."""


class PaperHeader(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="PaperHeader"
):
    """What belongs to no single row.

    Attributes:
        adapter: the name that all ids begin with.
        currency: code and digits that money is counted in.
        venue: the exchange's own figures.
        market_ts: the market's time (ns UTC).
        stamp: newest stamp of a report (ns UTC).
        source: where the replay stood that feeds the venue, if one does.
    """

    adapter: str
    currency: tuple[str, int]
    venue: SimVenueState
    market_ts: int = 0
    stamp: int = 0
    source: ReplayState | None = None


class OrderRow(NamedTuple):
    """An order as it is kept; ``working`` is None for one that has ended."""

    working: SimOrderState | None
    request: OrderRequest
    report: OrderData


class Stored(NamedTuple):
    """What a file holds for going on."""

    header: PaperHeader
    books: list[tuple[ContractData, SimBookState]]
    orders: list[SimOrderState]


_encode = msgspec.msgpack.Encoder().encode
_header = msgspec.msgpack.Decoder(PaperHeader).decode
_contract = msgspec.msgpack.Decoder(ContractData).decode
_book = msgspec.msgpack.Decoder(SimBookState).decode
_working = msgspec.msgpack.Decoder(SimOrderState).decode
_request = msgspec.msgpack.Decoder(OrderRequest).decode
_order = msgspec.msgpack.Decoder(OrderData).decode
_report = msgspec.msgpack.Decoder(OrderData | TradeData).decode
_fill = msgspec.msgpack.Decoder(TradeData).decode


class PaperStore:
    """One file, or memory where there is no path.

    Args:
        path: the file; made where it is absent, in a folder that must exist.

    Raises:
        PersistenceError: the file cannot be used; the text says why.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._full: bool | None = None
        try:
            if path is not None:
                _make(path)
            self._db = sqlite3.connect(
                path if path is not None else ":memory:",
                timeout=LOCK_WAIT_S,
                isolation_level=None,
                check_same_thread=False,  # the adapter's calls come one at a time
            )
            self._open()
        except (sqlite3.Error, OSError) as error:
            raise self._error("open", error) from error

    def _open(self) -> None:
        execute = self._db.execute
        execute("PRAGMA locking_mode=EXCLUSIVE")
        execute("PRAGMA journal_mode=WAL")
        execute("BEGIN IMMEDIATE")
        (version,) = execute("PRAGMA user_version").fetchone()
        if version in _LAYOUTS:
            for statement in filter(str.strip, _LAYOUTS[version].split(";")):
                execute(statement)
            execute(f"PRAGMA user_version={VERSION}")
        execute("COMMIT")
        if version not in (*_LAYOUTS, VERSION):
            self._db.close()
            raise PersistenceError(
                f"{self.path}: made by another version (layout {version}, this one reads {VERSION}); name another file"
            )

    def close(self) -> None:
        """Close the file and give up its lock."""
        self._db.close()

    # --- writing --------------------------------------------------------------------------------------------

    def commit(
        self,
        header: PaperHeader,
        books: Iterable[tuple[ContractData, SimBookState]],
        orders: Iterable[OrderRow],
        fills: Iterable[TradeData],
        *,
        durable: bool,
        reports: Iterable[tuple[int, OrderData | TradeData]] = (),
        arrived: int = 0,
    ) -> None:
        """Save what a step has changed, all of it or nothing.

        Args:
            header: what belongs to no single row.
            books: changed books.
            orders: changed orders.
            fills: new fills.
            durable: whether it is on the disk on return.
            reports: what is about to be sent, by number.
            arrived: reports up to that number need not be sent again.

        Raises:
            PersistenceError: it was not saved.
        """
        execute = self._db.execute
        try:
            if durable is not self._full:
                execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                self._full = durable
            execute("BEGIN IMMEDIATE")
            execute("INSERT OR REPLACE INTO header VALUES (1, ?)", (_encode(header),))
            self._db.executemany(
                "INSERT OR REPLACE INTO books VALUES (?, ?, ?)",
                [(b.vt_symbol, _encode(contract), _encode(b)) for contract, b in books],
            )
            self._db.executemany(
                "INSERT INTO orders (id, ts, working, request, report) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO "
                "UPDATE SET ts=excluded.ts, working=excluded.working, request=excluded.request, report=excluded.report",
                [_order_values(row) for row in orders],
            )
            self._db.executemany(
                "INSERT INTO fills (id, order_id, ts, report) VALUES (?, ?, ?, ?)",
                [(t.vt_tradeid, t.vt_orderid, t.ts_event, _encode(t)) for t in fills],
            )
            if arrived:
                execute("DELETE FROM unsent WHERE seq <= ?", (arrived,))
            self._db.executemany(
                "INSERT INTO unsent VALUES (?, ?)", [(seq, _encode(r)) for seq, r in reports]
            )
            execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._error("write", error) from error

    def _roll_back(self) -> None:
        self._full = None
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    # --- reading --------------------------------------------------------------------------------------------

    def load(self) -> Stored | None:
        """What is needed to go on; None in a new file."""
        row = self._rows("SELECT data FROM header")
        if not row:
            return None
        books = self._rows("SELECT contract, data FROM books ORDER BY vt_symbol")
        orders = self._rows("SELECT working FROM orders WHERE working IS NOT NULL ORDER BY seq")
        return Stored(
            _header(row[0][0]),
            [(_contract(contract), _book(data)) for contract, data in books],
            [_working(data) for (data,) in orders],
        )

    def order(self, vt_orderid: str) -> tuple[OrderRequest, OrderData] | None:
        """An order by id, however old: what was asked for, and how it stands."""
        rows = self._rows("SELECT request, report FROM orders WHERE id = ?", vt_orderid)
        return (_request(rows[0][0]), _order(rows[0][1])) if rows else None

    def fills_of(self, vt_orderid: str) -> list[TradeData]:
        """The fills of an order, oldest first."""
        rows = self._rows("SELECT report FROM fills WHERE order_id = ? ORDER BY seq", vt_orderid)
        return [_fill(data) for (data,) in rows]

    def working_orders(self) -> list[OrderData]:
        """Every order that works, in order of placement."""
        rows = self._rows("SELECT report FROM orders WHERE working IS NOT NULL ORDER BY seq")
        return [_order(data) for (data,) in rows]

    def unsent(self) -> list[tuple[int, OrderData | TradeData]]:
        """Reports that may not have arrived, by number, oldest first."""
        rows = self._rows("SELECT seq, report FROM unsent ORDER BY seq")
        return [(int(seq), _report(data)) for seq, data in rows]

    def closed_orders(self, limit: int) -> tuple[list[OrderData], int]:
        """The newest closed orders, oldest first, and the time since when none is missing (ns UTC; 0 for ever)."""
        rows = self._rows(
            "SELECT ts, report FROM orders WHERE working IS NULL ORDER BY ts DESC LIMIT ?",
            limit + 1,
        )
        return [_order(data) for _, data in reversed(rows)], _since(rows, limit)

    def fills(self, limit: int) -> tuple[list[TradeData], int]:
        """The newest fills, oldest first, and the time since when none is missing (ns UTC; 0 for ever)."""
        rows = self._rows(
            "SELECT ts, report FROM fills ORDER BY ts DESC, seq DESC LIMIT ?", limit + 1
        )
        return [_fill(data) for _, data in reversed(rows)], _since(rows, limit)

    def _rows(self, sql: str, *values: object) -> list[tuple[bytes, ...]]:
        try:
            return self._db.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            raise self._error("read", error) from error

    def _error(self, action: str, error: Exception) -> PersistenceError:
        code = getattr(error, "sqlite_errorname", "")
        advice = (
            "another process uses it: stop that one, or name another file"
            if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
            else "look at the disk, and at the permissions of file and folder"
        )
        return PersistenceError(
            f"{self.path}: cannot {action} the venue's state: {error}; {advice}"
        )


def _since(rows: list[tuple[bytes, ...]], limit: int) -> int:
    """Where one row more than asked for was found there are older ones: complete is what is later than it."""
    return int(rows[-1][0]) + 1 if len(rows) > limit else 0


def _order_values(row: OrderRow) -> tuple[str, int, bytes | None, bytes, bytes]:
    working = _encode(row.working) if row.working is not None else None
    report = row.report
    return report.vt_orderid, report.ts_event, working, _encode(row.request), _encode(report)


def _make(path: Path) -> None:
    """Make the file where it is absent, for this user alone; SQLite gives its companion the same mode."""
    try:
        fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    os.close(fd)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
