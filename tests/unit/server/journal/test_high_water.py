"""The mark beside the database."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.errors import PersistenceError
from foxtrot.server.journal import Break, HighWaterFile, MarkState, Note
from foxtrot.server.persistence import SqlitePersistence


def commit(db: SqlitePersistence, *texts: str) -> None:
    for text in texts:
        db.commit([], [("a", Note(text))])


@pytest.fixture
def mark(path: Path) -> Path:
    return path.with_name("oms.db.hwm")


def again(db: SqlitePersistence) -> MarkState:
    db.close()
    db.connect()
    return db.high_water.state


def test_the_mark_follows_every_commit(db: SqlitePersistence, mark: Path) -> None:
    assert db.high_water.state is MarkState.FRESH
    for number in range(1, 6):
        commit(db, "x")
        assert HighWaterFile(mark).read() == (MarkState.MATCHED, *db.journal.head)
        assert db.journal.head.seq == number
    assert again(db) is MarkState.MATCHED
    assert mark.stat().st_mode & 0o077 == 0


def test_a_missing_mark_is_said_and_made_anew(db: SqlitePersistence, mark: Path) -> None:
    commit(db, "x")
    db.close()
    mark.unlink()
    db.connect()
    assert db.high_water.state is MarkState.MISSING
    assert "unknown" in db.high_water.detail
    assert db.verify_journal().high_water is MarkState.MISSING
    commit(db, "y")
    assert again(db) is MarkState.MATCHED


@pytest.mark.parametrize("place", [0, 128])
def test_one_torn_slot_leaves_the_other(db: SqlitePersistence, mark: Path, place: int) -> None:
    commit(db, "1", "2", "3")
    db.close()
    content = bytearray(mark.read_bytes())
    content[place + 20] ^= 1
    mark.write_bytes(content)
    state, seq, _ = HighWaterFile(mark).read()
    assert state is MarkState.MATCHED
    assert seq in (2, 3)
    assert again(db) is MarkState.MATCHED


@pytest.mark.parametrize("content", [b"", b"garbage", b"foxtrot-hwm 1 x y z" * 20, bytes(300)])
def test_an_unreadable_mark_is_said(db: SqlitePersistence, mark: Path, content: bytes) -> None:
    commit(db, "x")
    db.close()
    mark.write_bytes(content)
    assert again(db) is MarkState.TORN
    commit(db, "y")
    assert again(db) is MarkState.MATCHED


def test_a_flip_anywhere_in_the_mark_is_never_taken_for_a_mark(
    db: SqlitePersistence, mark: Path
) -> None:
    commit(db, "1", "2")
    head = db.journal.head
    db.close()
    content = mark.read_bytes()
    right = [(1, HighWaterFile(mark).read()[2]), head]
    for bit in range(0, len(content) * 8, 7):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        mark.write_bytes(flipped)
        state, seq, checksum = HighWaterFile(mark).read()
        assert state is MarkState.MATCHED
        assert (seq, checksum) == head or seq == right[0][0]


def test_a_database_that_was_rolled_back_takes_no_more_facts(
    db: SqlitePersistence, path: Path, mark: Path
) -> None:
    commit(db, "1")
    db.close()
    shutil.copy(path, path.with_name("old.db"))
    db.connect()
    commit(db, "2", "3")
    db.close()
    shutil.copy(path.with_name("old.db"), path)
    before = mark.read_bytes()
    db.connect()
    assert db.high_water.state is MarkState.BEHIND
    assert db.high_water.refuses
    with pytest.raises(PersistenceError, match=r"row 3 was committed.*ends at row 1.*oms restore"):
        commit(db, "x")
    db.save("k", 1)
    report = db.verify_journal()
    assert (report.reason, report.broken_seq) == (Break.HIGH_WATER, 2)
    db.close()
    assert mark.read_bytes() == before
    db.connect()
    db.accept_journal()
    commit(db, "x")
    assert again(db) is MarkState.MATCHED


def test_a_database_with_another_history_takes_no_more_facts(
    db: SqlitePersistence, path: Path, mark: Path
) -> None:
    commit(db, "1", "2")
    with SqlitePersistence(path.with_name("other.db")) as other:
        commit(other, "1", "another", "3")
    db.close()
    shutil.copy(path.with_name("other.db"), path)
    db.connect()
    assert db.high_water.state is MarkState.DIFFERENT
    with pytest.raises(PersistenceError, match="changed or replaced"):
        commit(db, "x")
    assert db.verify_journal().reason is Break.REWRITTEN


def test_a_mark_that_cannot_be_written_is_told_and_fails_no_commit(
    db: SqlitePersistence, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", refuse)
    commit(db, "x")
    assert "Input/output error" in db.high_water_problem
    monkeypatch.undo()
    commit(db, "y")
    assert db.high_water_problem == ""
    assert again(db) is MarkState.MATCHED


def test_a_mark_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder.hwm"
    folder.mkdir()
    with pytest.raises(PersistenceError, match="cannot be read"):
        HighWaterFile(folder).read()
