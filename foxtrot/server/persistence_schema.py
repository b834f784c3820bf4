"""The tables of a database file, and how an older file becomes a newer one.

Invariants:

* ``PRAGMA user_version`` is the schema's version. All steps to the newest one are one transaction: whoever dies in
  between leaves the old schema or the new one, never a mixture. Newer files and files of other programs are refused
  before anything is written to them.
* Before a file with content is changed, a copy of it is kept as ``<file>.v<version>.bak``.
* A step that has been released is never changed.

Tables: ``oms_state`` one row an entity, JSON text; ``journal``, ``anchors`` the chained facts; ``cuts``,
``stream_starts``, ``base_state`` where the journal begins and the state there; ``archived_ids`` what was moved out;
``active_orders``, ``order_index``, ``trade_index`` what start-up and pages of history are found by;
``state_seal`` one digest over the rows that trading relies on.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.journal.codec import GENESIS, base_digest
from foxtrot.server.persistence_codec import decode_as
from foxtrot.server.persistence_files import put_in_place
from foxtrot.server.persistence_seal import FIRST, StateSeal

APPLICATION_ID = 0x464F5854  # "FOXT", so that another program's database is never taken for ours

Step = str | Callable[[sqlite3.Connection, str], None]


def _index_rows(db: sqlite3.Connection, where: str) -> None:
    """Index the orders and trades that an older version saved."""
    orders = "SELECT key, value FROM oms_state WHERE key >= 'orders/' AND key < 'orders0'"
    for key, text in db.execute(orders):
        order = decode_as(where, key, text, OrderData)
        db.execute(
            "INSERT INTO order_index VALUES (?, ?, ?, ?, ?, 0)",
            (order.vt_orderid, order.ts_init, order.strategy, order.vt_symbol, order.status.value),
        )
        if order.is_active():
            db.execute("INSERT INTO active_orders VALUES (?)", (order.vt_orderid,))
    trades = "SELECT key, value FROM oms_state WHERE key >= 'trades/' AND key < 'trades0'"
    for key, text in db.execute(trades):
        trade = decode_as(where, key, text, TradeData)
        db.execute(
            "INSERT INTO trade_index VALUES (?, ?, ?, ?, ?, 0)",
            (
                trade.vt_tradeid,
                trade.vt_orderid,
                trade.ts_event,
                trade.strategy,
                trade.vt_symbol,
            ),
        )


def _keep_base(db: sqlite3.Connection, _where: str) -> None:
    """State from before there was a journal is what the journal is folded onto."""
    db.execute("INSERT INTO base_state SELECT key, value FROM oms_state")
    digest = base_digest(db.execute("SELECT key, value FROM base_state ORDER BY key"))
    if digest:
        db.execute("INSERT INTO cuts VALUES (0, ?, 0, ?, '')", (GENESIS, digest))


def _seal_state(db: sqlite3.Connection, _where: str) -> None:
    """The rows that trading relies on are sealed as they are."""
    seal = StateSeal(lambda sql, parameters, _action: db.execute(sql, parameters).fetchall())
    seal.renew()
    db.execute(FIRST, (seal.digest,))


MIGRATIONS: tuple[tuple[Step, ...], ...] = (
    ("CREATE TABLE oms_state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",),
    (
        "CREATE TABLE journal (seq INTEGER PRIMARY KEY, stream TEXT NOT NULL, stream_seq INTEGER NOT NULL, "
        "ts INTEGER NOT NULL, kind TEXT NOT NULL, payload BLOB NOT NULL, checksum BLOB NOT NULL, "
        "UNIQUE (stream, stream_seq))",
        "CREATE TABLE anchors (seq INTEGER PRIMARY KEY, checksum BLOB NOT NULL, rows INTEGER NOT NULL, "
        "ts INTEGER NOT NULL)",
        "CREATE TABLE cuts (seq INTEGER PRIMARY KEY, checksum BLOB NOT NULL, ts INTEGER NOT NULL, "
        "base BLOB NOT NULL, manifest TEXT NOT NULL)",
        "CREATE TABLE stream_starts (stream TEXT PRIMARY KEY, stream_seq INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE base_state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID",
        "CREATE TABLE archived_ids (kind TEXT, id TEXT, PRIMARY KEY (kind, id)) WITHOUT ROWID",
        "CREATE TABLE active_orders (vt_orderid TEXT PRIMARY KEY) WITHOUT ROWID",
        "CREATE TABLE order_index (vt_orderid TEXT PRIMARY KEY, ts INTEGER, strategy TEXT, vt_symbol TEXT, "
        "status TEXT, seq INTEGER) WITHOUT ROWID",
        "CREATE INDEX order_by_strategy ON order_index (strategy, ts, vt_orderid)",
        "CREATE INDEX order_by_symbol ON order_index (vt_symbol, ts, vt_orderid)",
        "CREATE INDEX order_by_time ON order_index (ts, vt_orderid)",
        "CREATE TABLE trade_index (vt_tradeid TEXT PRIMARY KEY, vt_orderid TEXT, ts INTEGER, strategy TEXT, "
        "vt_symbol TEXT, seq INTEGER) WITHOUT ROWID",
        "CREATE INDEX trade_by_order ON trade_index (vt_orderid, vt_tradeid)",
        "CREATE INDEX trade_by_strategy ON trade_index (strategy, ts, vt_tradeid)",
        "CREATE INDEX trade_by_symbol ON trade_index (vt_symbol, ts, vt_tradeid)",
        "CREATE INDEX trade_by_time ON trade_index (ts, vt_tradeid)",
        _index_rows,
        _keep_base,
    ),
    (
        "CREATE TABLE state_seal (id INTEGER PRIMARY KEY, digest BLOB NOT NULL)",
        _seal_state,
    ),
)
"""Step ``n`` turns schema ``n`` into ``n + 1``."""

SCHEMA_VERSION = len(MIGRATIONS)


def check_schema(db: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not ours before anything is written to it.

    Raises:
        PersistenceError: another program's file, or a newer Foxtrot's.
    """
    (application,) = db.execute("PRAGMA application_id").fetchone()
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and application != APPLICATION_ID:
        raise PersistenceError(
            f"{path} is a database of another program (application id {application:#x}); name another file"
        )
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version > SCHEMA_VERSION:
        raise PersistenceError(
            f"{path} has schema version {version}, this Foxtrot knows up to {SCHEMA_VERSION}: it was "
            f"written by a newer Foxtrot; upgrade this one, or name another file"
        )


def migrate(db: sqlite3.Connection, path: Path) -> None:
    """Bring a file up to ``SCHEMA_VERSION``; a file with content is copied first.

    Raises:
        sqlite3.Error: the file cannot be written; it is as it was.
        PersistenceError: a row cannot be read, or the copy cannot be made; the file is as it was.
    """
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version == SCHEMA_VERSION:
        return
    if version:
        _back_up(db, path.with_name(f"{path.name}.v{version}.bak"))
    db.execute("BEGIN IMMEDIATE")
    try:
        for step in MIGRATIONS[version:]:
            for action in step:
                if isinstance(action, str):
                    db.execute(action)
                else:
                    action(db, str(path))
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _back_up(db: sqlite3.Connection, target: Path) -> None:
    partial = target.with_name(f"{target.name}.partial")
    try:
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
        copy = sqlite3.connect(partial)
        try:
            db.backup(copy)
        finally:
            copy.close()
        put_in_place(partial, target)
    except OSError as error:
        raise PersistenceError(
            f"{target}: the copy before the migration cannot be made: {error.strerror}; make room, or "
            f"make the folder writable"
        ) from error
