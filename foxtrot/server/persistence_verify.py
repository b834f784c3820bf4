"""Is the state what the journal says, and how to make it so: ``foxtrot oms verify`` and ``foxtrot oms rebuild``.

Invariants: ``verify_state`` changes nothing; ``rebuild_state`` begins only with a journal that is whole, and changes
all in one transaction or nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
from msgspec.json import decode

from foxtrot.core.errors import PersistenceError
from foxtrot.server.journal.codec import chain, decode_fact
from foxtrot.server.journal.verify import JournalReport
from foxtrot.server.persistence_codec import encode
from foxtrot.server.persistence_index import order_entry, trade_entry
from foxtrot.server.persistence_sqlite import SqlitePersistence
from foxtrot.server.rebuild import FOLDED, Difference, Rebuilt, compare, rebuild

_PAGE_ROWS = 1_000
_ACTIVE = (
    "SELECT a.vt_orderid, s.value, b.value, j.seq, j.stream, j.stream_seq, j.ts, j.kind, j.payload, j.checksum, "
    "p.checksum FROM (SELECT vt_orderid FROM active_orders WHERE vt_orderid > ? ORDER BY vt_orderid LIMIT ?) a "
    "LEFT JOIN order_index i ON i.vt_orderid = a.vt_orderid "
    "LEFT JOIN oms_state s ON s.key = 'orders/' || a.vt_orderid "
    "LEFT JOIN base_state b ON b.key = 'orders/' || a.vt_orderid "
    "LEFT JOIN journal j ON j.seq = i.seq LEFT JOIN journal p ON p.seq = i.seq - 1 ORDER BY a.vt_orderid"
)
_INDEXES: dict[str, tuple[str, tuple[str, ...]]] = {
    "order_index": ("vt_orderid", ("ts", "strategy", "vt_symbol", "status", "seq")),
    "trade_index": ("vt_tradeid", ("vt_orderid", "ts", "strategy", "vt_symbol", "seq")),
    "active_orders": ("vt_orderid", ()),
}


class StateReport(msgspec.Struct, frozen=True):
    """What a whole check found: faults of the file (empty: none), the journal, and rows that differ from its fold."""

    journal: JournalReport
    structure: str = ""
    differences: tuple[Difference, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return self.journal.ok and not self.structure and not self.differences


def verify_state(
    db: SqlitePersistence,
    digits: dict[str, int] | None = None,
    *,
    callback: Callable[[int], None] | None = None,
) -> StateReport:
    """Check structure and journal, fold the journal, and compare the state and the indexes with the fold.

    Args:
        db: the database.
        digits: decimal places per currency code, as the OMS has them.
        callback: is told how many journal rows were checked so far.

    Raises:
        PersistenceError: the file cannot be read at all.
    """
    structure = ""
    try:
        db.verify()
    except PersistenceError as error:
        structure = str(error)
    report = db.verify_journal(callback=callback)
    if structure or not report.ok:
        return StateReport(report, structure)
    rebuilt = rebuild(db.journal, digits)
    differences = rebuilt.faults + compare(db.load_prefix(""), rebuilt.rows)
    differences += _compare_indexes(db, rebuilt)
    if not differences and (problem := db.check_seal()):  # a row that follows from no fact
        differences.append(Difference("seal", detail=problem))
    return StateReport(report, "", tuple(differences))


def verify_active(db: SqlitePersistence) -> list[Difference]:
    """Compare every working order's row with its last fact, and that fact with its checksum: for start-up.

    Found by index: the work grows with the orders that work, not with history.

    Raises:
        PersistenceError: the file cannot be read.
    """
    found: list[Difference] = []
    cut = db.journal.cut()
    after = ""
    while rows := db._execute(_ACTIVE, (after, _PAGE_ROWS), "check of working orders"):
        for vt_orderid, stored, base, *fact, before in rows:
            expected = base
            if fact[0] is not None:
                expected = _proven(fact, cut.checksum if before is None else before)
            if stored is None or (stored != expected and not _same(stored, expected)):
                detail = "the row is not what its last fact says"
                found.append(Difference(f"orders/{vt_orderid}", stored, expected, detail))
        after = rows[-1][0]
    return found


def _same(stored: str, expected: str | None) -> bool:
    """Whether two texts are the same order; a whole number may have been written without its point."""
    try:
        return expected is not None and decode(stored.encode()) == decode(expected.encode())
    except msgspec.DecodeError:
        return False


def _proven(row: list[Any], before: bytes) -> str | None:
    """The state row (JSON text) that a journal row stands for; None where it is not as it was written."""
    try:
        if chain(before, *row[:6]) != row[6]:
            return None
        return encode("", decode_fact(row[0], row[4], row[5])).decode()
    except (PersistenceError, AttributeError, TypeError, struct.error):
        return None  # damaged: the caller tells which order it was


def rebuild_state(db: SqlitePersistence, digits: dict[str, int] | None = None) -> list[Difference]:
    """Make state and indexes what the journal says; returns what was different.

    Rows that do not follow from facts (the counter of boots) stay.

    Raises:
        PersistenceError: the journal is not whole, or the file cannot be written; nothing is changed.
    """
    report = db.verify_journal()
    if not report.ok:
        raise PersistenceError(
            f"{db}: the journal is broken at row {report.broken_seq}: {report.detail}; state is not made from "
            f"it: restore a backup"
        )
    rebuilt = rebuild(db.journal, digits)
    differences = compare(db.load_prefix(""), rebuilt.rows) + _compare_indexes(db, rebuilt)
    with db.transaction():
        rows = rebuilt.rows
        for prefix in FOLDED:
            for key in db.keys(prefix):
                if key not in rows:
                    db.delete(key)
        db.save_many(rows.items())
        _write_indexes(db, rebuilt)
        db.renew_seal()
    return differences


def _index_entries(rebuilt: Rebuilt) -> dict[str, dict[str, tuple[Any, ...]]]:
    """The rows of the index tables, by table and id; the last column is the journal row."""
    fold, rows_of = rebuilt.fold, rebuilt.fold.rows_of
    orders = {
        key: order_entry(order, rows_of.get(f"orders/{key}", 0))
        for key, order in fold.orders.orders.items()
    }
    trades = {
        key: trade_entry(trade, rows_of.get(f"trades/{key}", 0))
        for key, trade in fold.trades.trades.items()
    }
    active: dict[str, tuple[Any, ...]] = {key: (key,) for key in fold.orders.active}
    return {"order_index": orders, "trade_index": trades, "active_orders": active}


def _compare_indexes(db: SqlitePersistence, rebuilt: Rebuilt) -> list[Difference]:
    found: list[Difference] = []
    cut = db.journal.cut().seq
    for table, entries in _index_entries(rebuilt).items():
        for row in _index_rows(db, table):
            entry = entries.pop(row[0], None)
            if entry is None or not _same_entry(row, entry, cut):
                key = f"{table}/{row[0]}"
                found.append(Difference(key, row, entry, "the index is wrong"))
        found += [
            Difference(f"{table}/{key}", None, entry, "the index lacks it")
            for key, entry in entries.items()
        ]
    return found


def _same_entry(row: tuple[Any, ...], entry: tuple[Any, ...], cut: int) -> bool:
    """Whether an index row is right; of one from before the cut the journal row is not known any more."""
    if len(row) > 1 and entry[-1] == 0 and row[-1] <= cut:
        return row[:-1] == entry[:-1]
    return row == entry


def _index_rows(db: SqlitePersistence, table: str) -> Iterator[tuple[Any, ...]]:
    vt_id, others = _INDEXES[table]
    columns = ", ".join((vt_id, *others))
    # The names are the constants above.
    sql = f"SELECT {columns} FROM {table} WHERE {vt_id} > ? ORDER BY {vt_id} LIMIT ?"  # noqa: S608
    after = ""
    while rows := db._execute(sql, (after, _PAGE_ROWS), f"reading of {table}"):
        yield from rows
        after = rows[-1][0]


def _write_indexes(db: SqlitePersistence, rebuilt: Rebuilt) -> None:
    for table, entries in _index_entries(rebuilt).items():
        db._execute(f"DELETE FROM {table}", (), f"clearing of {table}")  # noqa: S608 - a constant
        if entries:
            rows = list(entries.values())
            marks = ", ".join("?" * len(rows[0]))
            insert = f"INSERT INTO {table} VALUES ({marks})"  # noqa: S608 - a constant
            db._execute_many(insert, rows, f"writing of {table}")
