"""The whole journal is read again between batches."""

from __future__ import annotations

from pathlib import Path

from foxtrot.server.background_check import BackgroundCheck
from foxtrot.server.journal import Break, JournalReport
from foxtrot.server.persistence import SqlitePersistence
from tests.unit.server.journal.conftest import Desk, sql


def make(path: Path) -> SqlitePersistence:
    db = SqlitePersistence(path, lock_timeout=0, anchor_every=8)
    desk = Desk(db)
    desk.open()
    desk.day(20)
    return db


def test_a_whole_journal_is_checked_a_page_at_a_time_while_trading_goes_on(tmp_path: Path) -> None:
    told: list[JournalReport] = []
    with make(tmp_path / "oms.db") as db:
        end = db.journal.head.seq
        check = BackgroundCheck(db, told.append, page=10)
        polls = 0
        while check.poll():
            polls += 1
            Desk(db).open()
        assert polls >= end // 10
        assert (check.done, check.report.ok, check.report.rows) == (True, True, end)
        assert not check.poll()
        check.restart()
        assert check.poll()
    assert told == []


def test_a_break_is_told_once(tmp_path: Path) -> None:
    told: list[JournalReport] = []
    make(tmp_path / "oms.db").close()
    sql(tmp_path / "oms.db", "UPDATE journal SET ts = ts + 1 WHERE seq = 25")
    with SqlitePersistence(tmp_path / "oms.db", lock_timeout=0) as db:
        check = BackgroundCheck(db, told.append, page=10)
        while check.poll():
            pass
        check.restart()
        assert not check.poll()
    assert [(report.broken_seq, report.reason) for report in told] == [(25, Break.CHECKSUM)]
