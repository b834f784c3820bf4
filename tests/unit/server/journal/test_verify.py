"""What a check of the journal finds."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.errors import PersistenceError
from foxtrot.server.journal import Break, Note
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_verify import verify_state


def found(db: SqlitePersistence, *, full: bool = True) -> tuple[Break | None, int | None]:
    report = db.verify_journal(full=full, page=7)
    assert report.ok == (report.reason is None)
    assert bool(report.detail) != report.ok
    return report.reason, report.broken_seq


@pytest.fixture
def db(db: SqlitePersistence, desk: Any) -> SqlitePersistence:
    desk.day()
    return db


def test_a_whole_journal_is_whole_in_full_and_at_its_tail(db: SqlitePersistence) -> None:
    head = db.journal.head.seq
    full, tail = db.verify_journal(page=3), db.verify_journal(full=False)
    assert full.ok
    assert (full.rows, full.after, full.last) == (head, 0, head)
    assert tail.ok
    assert (tail.rows, tail.after, tail.last) == (head % 8, head - head % 8, head)


def test_a_check_goes_on_page_by_page_while_facts_come_in(db: SqlitePersistence) -> None:
    head = db.journal.head.seq
    check = db.verification(page=5)
    pages = 0
    while check.step():
        pages += 1
        db.commit([], [("control", Note("meanwhile"))])
    assert check.report.ok
    assert check.report.rows == head
    assert pages >= head // 5
    told: list[int] = []
    assert db.verify_journal(page=10, callback=told.append).ok
    assert told[-1] == db.journal.head.seq


@pytest.mark.parametrize(
    "change",
    [
        "stream = 's/other'",
        "stream_seq = stream_seq + 1000",
        "ts = ts + 1",
        "kind = 'Note'",
        "payload = substr(payload, 1, length(payload) - 1)",
        "payload = zeroblob(3)",
        "payload = 'text'",
        "checksum = zeroblob(16)",
        "checksum = x''",
        "ts = 'text'",
        "stream = 5",
    ],
)
def test_any_changed_column_is_found_at_its_row(
    db: SqlitePersistence, tamper: Any, change: str
) -> None:
    tamper(f"UPDATE journal SET {change} WHERE seq = 12")  # noqa: S608
    assert found(db) == (Break.CHECKSUM, 12)


def test_a_row_that_is_no_text_any_more_is_found(db: SqlitePersistence, tamper: Any) -> None:
    tamper("UPDATE journal SET kind = CAST(x'c3' AS TEXT) WHERE seq = 12")
    assert found(db) == (Break.UNREADABLE, 12)


def test_a_missing_row_is_found(db: SqlitePersistence, tamper: Any) -> None:
    tamper("DELETE FROM journal WHERE seq = 12")
    assert found(db) == (Break.SEQ_GAP, 12)
    tamper("UPDATE journal SET seq = seq - 1 WHERE seq > 12")
    assert found(db) == (Break.CHECKSUM, 12)


def test_the_first_rows_cannot_be_dropped(db: SqlitePersistence, tamper: Any) -> None:
    tamper("DELETE FROM journal WHERE seq < 5")
    assert found(db) == (Break.SEQ_GAP, 1)


def test_missing_last_rows_are_found_by_the_mark(db: SqlitePersistence, tamper: Any) -> None:
    head = db.journal.head.seq
    tamper("DELETE FROM journal WHERE seq = ?", head)
    assert found(db) == found(db, full=False) == (Break.HIGH_WATER, head)


def test_rows_missing_back_to_an_anchor_are_found_without_a_mark(
    db: SqlitePersistence, tamper: Any, path: Path
) -> None:
    tamper("DELETE FROM journal WHERE seq > 6")
    path.with_name("oms.db.hwm").unlink()
    assert found(db) == found(db, full=False) == (Break.ANCHOR, 7)


def test_a_chain_that_was_computed_anew_is_found_by_anchors_and_mark(
    db: SqlitePersistence, tamper: Any
) -> None:
    """Somebody with the code can forge rows; the anchors and the mark still know the old ones."""
    from foxtrot.server.journal.codec import GENESIS, chain

    rows = db._execute("SELECT * FROM journal ORDER BY seq", (), "look")
    db.close()
    checksum = GENESIS
    connection = sqlite3.connect(db.path, isolation_level=None)
    for seq, stream, number, ts, kind, payload, _ in rows:
        checksum = chain(checksum, seq, stream, number, ts + (seq == 3), kind, payload)
        connection.execute(
            "UPDATE journal SET ts = ?, checksum = ? WHERE seq = ?",
            (ts + (seq == 3), checksum, seq),
        )
    connection.close()
    db.connect()
    assert found(db) == (Break.ANCHOR, 8)
    tamper("DELETE FROM anchors")
    assert found(db)[0] is Break.REWRITTEN


def test_changed_anchors_are_found(db: SqlitePersistence, tamper: Any) -> None:
    tamper("UPDATE anchors SET checksum = zeroblob(16) WHERE seq = 16")
    assert found(db) == (Break.ANCHOR, 16)
    tamper("DELETE FROM anchors WHERE seq = 16")
    assert found(db) == (Break.ANCHOR, 24)


def test_the_tail_is_checked_against_its_anchor_and_streams(
    db: SqlitePersistence, tamper: Any
) -> None:
    head = db.journal.head.seq
    last = head - head % 8
    tamper("UPDATE journal SET ts = ts + 1 WHERE seq = 2")
    assert found(db, full=False) == (None, None)  # long ago: for the full check
    tamper("UPDATE journal SET ts = ts + 1 WHERE seq = ?", last + 1)
    assert found(db, full=False) == (Break.CHECKSUM, last + 1)
    tamper("UPDATE journal SET checksum = zeroblob(16) WHERE seq = ?", last)
    assert found(db, full=False) == (Break.ANCHOR, last)


def test_a_gap_in_a_stream_is_found_even_where_the_chain_holds(db: SqlitePersistence) -> None:
    head = db.journal.head.seq
    db.journal._streams["s/trend"] += 1
    db.commit([], [("s/trend", Note("numbered wrongly"))])
    assert found(db) == found(db, full=False) == (Break.STREAM_GAP, head + 1)


def test_an_unknown_kind_is_found_even_where_the_chain_holds(
    db: SqlitePersistence, monkeypatch: pytest.MonkeyPatch
) -> None:
    from foxtrot.server.journal import journal

    head = db.journal.head.seq
    monkeypatch.setattr(journal, "encode_fact", lambda fact: (0, "Later", b"\x91\xa5Later"))
    db.commit([], [("a", Note("x"))])
    assert found(db) == (Break.KIND, head + 1)
    with pytest.raises(PersistenceError, match="unknown kind 'Later'"):
        db.journal.read_all(head)


def test_a_file_that_cannot_be_read_is_told(db: SqlitePersistence, path: Path) -> None:
    check = db.verification(page=5)
    assert check.step()
    db._execute("DROP TABLE anchors", (), "damage")
    while check.step():
        pass
    assert check.report.reason is Break.UNREADABLE
    db._execute("CREATE TABLE anchors (seq, checksum, rows, ts)", (), "repair")


def everything(path: Path) -> dict[str, list[Any]]:
    connection = sqlite3.connect(path)
    try:
        tables = ("journal", "oms_state", "order_index", "trade_index", "active_orders")
        return {t: sorted(connection.execute(f"SELECT * FROM {t}").fetchall()) for t in tables}  # noqa: S608
    finally:
        connection.close()


@pytest.mark.timeout(100)
def test_a_bit_that_flips_anywhere_in_the_file_is_found_or_changes_nothing(
    db: SqlitePersistence, path: Path
) -> None:
    db.close()
    whole, rows = path.read_bytes(), everything(path)
    mark = path.with_name("oms.db.hwm").read_bytes()
    rng = random.Random(3)
    outcomes = {"refused": 0, "reported": 0, "harmless": 0}
    for _ in range(120):
        flipped = bytearray(whole)
        place = rng.randrange(len(whole))
        flipped[place] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        path.with_name("oms.db.hwm").write_bytes(mark)
        store = SqlitePersistence(path, lock_timeout=0)
        try:
            store.connect()
            outcome = "harmless" if verify_state(store).ok else "reported"
        except PersistenceError:
            outcome = "refused"
        finally:
            store.close()
        outcomes[outcome] += 1
        if outcome == "harmless":
            assert everything(path) == rows, place
    assert outcomes["reported"] > 0
    assert outcomes["harmless"] > 0  # free space of pages
