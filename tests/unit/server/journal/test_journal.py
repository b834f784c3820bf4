"""The journal: order, streams, transactions, anchors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.errors import PersistenceError
from foxtrot.server.journal import GENESIS, Note, all_facts
from foxtrot.server.persistence import MemoryPersistence, SqlitePersistence


def notes(*texts: str, stream: str = "a") -> list[tuple[str, Any]]:
    return [(stream, Note(text)) for text in texts]


def test_facts_are_numbered_over_all_and_within_their_stream(db: SqlitePersistence) -> None:
    db.commit([], [*notes("1"), *notes("2", stream="b"), *notes("3")])
    db.commit([], notes("4", stream="b"))
    places = [(row.seq, row.stream, row.stream_seq) for row in db.journal.read_all()]
    assert places == [(1, "a", 1), (2, "b", 1), (3, "a", 2), (4, "b", 2)]
    assert (db.journal.last("a"), db.journal.last("b"), db.journal.last("none")) == (2, 2, 0)
    assert [row.fact.text for row in db.journal.read("b")] == ["2", "4"]


def test_reading_goes_on_after_a_number_and_keeps_its_limit(db: SqlitePersistence) -> None:
    db.commit([], notes(*map(str, range(10))))
    assert [row.stream_seq for row in db.journal.read("a", after=3, limit=2)] == [4, 5]
    assert [row.seq for row in db.journal.read_all(after=8)] == [9, 10]
    assert db.journal.read("a", after=10) == db.journal.read("none") == []
    assert [row.seq for row in all_facts(db.journal, 3)] == list(range(1, 11))


def test_numbers_go_on_after_a_restart(db: SqlitePersistence) -> None:
    db.commit([], notes("1", "2"))
    head = db.journal.head
    db.close()
    db.connect()
    assert db.journal.head == head
    db.commit([], notes("3"))
    assert db.journal.head.seq == db.journal.last("a") == 3
    assert db.verify_journal().ok


def test_an_empty_journal_begins_with_the_genesis(db: SqlitePersistence) -> None:
    assert db.journal.head == (0, GENESIS)
    assert db.verify_journal().ok


def test_a_transaction_that_fails_leaves_no_fact_and_no_gap(db: SqlitePersistence) -> None:
    db.commit([("k", 1)], notes("1"))
    with pytest.raises(RuntimeError), db.transaction():
        db.commit([("k", 2)], notes("lost"))
        assert db.journal.last("a") == 2
        raise RuntimeError
    with pytest.raises(PersistenceError, match="no fact"):
        db.commit([("k", 3)], [*notes("lost"), ("a", "text")])
    with pytest.raises(PersistenceError, match=r"'k'.*nan"):
        db.commit([("k", float("nan"))], notes("lost"))
    assert db.load("k") == 1
    db.commit([("k", 4)], notes("2"))
    assert [row.fact.text for row in db.journal.read_all()] == ["1", "2"]
    assert db.verify_journal().ok


def test_commits_in_one_transaction_are_one(db: SqlitePersistence) -> None:
    with db.transaction():
        db.commit([("k", 1)], notes("1"))
        db.commit([("k", 2)], notes("2"))
    assert db.load("k") == 2
    assert db.verify_journal().rows == 2


def test_of_rows_with_one_key_the_last_counts(db: SqlitePersistence) -> None:
    for store in (db, MemoryPersistence()):
        store.commit([("k", 1), ("l", 2), ("k", 3)], notes("x"))
        assert (store.load("k"), store.load("l")) == (3, 2)


def test_a_commit_without_facts_saves_rows_alone(db: SqlitePersistence) -> None:
    db.commit([("k", 1)])
    assert db.load("k") == 1
    assert db.journal.head.seq == 0


def test_anchors_are_sealed_every_so_many_rows(db: SqlitePersistence) -> None:
    db.commit([], notes(*map(str, range(20))))  # the fixture seals every 8
    db.commit([], notes(*map(str, range(5))))
    anchors = db._execute("SELECT seq, rows FROM anchors ORDER BY seq", (), "look")
    assert anchors == [(8, 8), (16, 8), (24, 8)]
    rows = dict(db._execute("SELECT seq, checksum FROM journal", (), "look"))
    sealed = db._execute("SELECT seq, checksum FROM anchors", (), "look")
    assert all(rows[seq] == checksum for seq, checksum in sealed)


def test_anchors_go_on_after_a_restart_and_an_undone_one_comes_again(db: SqlitePersistence) -> None:
    db.commit([], notes(*map(str, range(5))))
    with pytest.raises(RuntimeError), db.transaction():
        db.commit([], notes(*map(str, range(5))))
        raise RuntimeError
    db.close()
    db.connect()
    db.commit([], notes(*map(str, range(5))))
    assert db._execute("SELECT seq FROM anchors", (), "look") == [(8,)]
    assert db.verify_journal().ok


def test_a_memory_store_keeps_rows_and_no_facts(tmp_path: Path) -> None:
    rows: dict[str, Any] = {}
    db = MemoryPersistence(rows)
    db.commit([("k", 1)], notes("x"))
    assert rows == {"k": 1}
    with pytest.raises(RuntimeError), db.transaction():
        db.commit([("k", 2)])
        raise RuntimeError
    assert rows == {"k": 1}
    db.close()
    with pytest.raises(PersistenceError, match="closed"):
        db.commit([("k", 2)])
