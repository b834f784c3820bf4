"""History that moves out, and all that stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foxtrot.core.constants import Status
from foxtrot.core.errors import MissingExtraError, PersistenceError
from foxtrot.server import archive as module
from foxtrot.server.archive import archive, check_archive
from foxtrot.server.backup import check_copy
from foxtrot.server.journal import Archived, Break
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_query import PageQuery
from foxtrot.server.persistence_verify import rebuild_state, verify_active, verify_state

parquet = pytest.importorskip("pyarrow.parquet")
SECOND = 1_000_000_000


@pytest.fixture
def trading(db: SqlitePersistence, desk: Any) -> Any:
    """A day that is over but for two orders, and a second one."""
    desk.day(20)
    desk.long_running = [desk.order().vt_orderid, desk.order().vt_orderid]
    desk.fill(desk.long_running[0], 4.0)
    desk.end = desk.now + SECOND // 2
    desk.day(5)
    return desk


def state(db: SqlitePersistence, prefix: str) -> dict[str, Any]:
    return dict(db.load_prefix(prefix))


def test_closed_history_moves_and_what_trading_needs_stays(
    db: SqlitePersistence, trading: Any
) -> None:
    orders, trades = state(db, "orders/"), state(db, "trades/")
    money = state(db, "positions/") | state(db, "accounts/")
    active = db.load_active_orders()
    head = db.journal.head.seq
    report = archive(db, trading.end, ts=99 * SECOND)
    assert report.manifest is not None
    manifest = check_archive(report.manifest)
    assert manifest.after == 0
    assert report.rows == manifest.seq == manifest.files[0].rows
    assert state(db, "positions/") | state(db, "accounts/") == money
    assert db.load_active_orders() == active
    assert len(db.load_fills(trading.long_running[0])) == 1
    left, left_trades = state(db, "orders/"), state(db, "trades/")
    assert report.orders == len(orders) - len(left) > 5
    assert report.trades == len(trades) - len(left_trades) > 5
    gone = orders.keys() - left.keys()
    assert all(db.is_archived(key) for key in gone | (trades.keys() - left_trades.keys()))
    assert not any(db.is_archived(key) for key in left)
    assert len(db.orders_page(PageQuery(limit=1000)).items) == len(left)
    assert db.journal.head.seq == head + 1
    last = db.journal.read_all(head)[0].fact
    assert isinstance(last, Archived)
    assert verify_active(db) == []
    assert last.checksum == manifest.checksum
    assert verify_state(db).ok


def test_trading_restarts_and_archives_go_on_after_an_archive(
    db: SqlitePersistence, trading: Any
) -> None:
    first = archive(db, trading.end, ts=1)
    db.close()
    db.connect()
    trading.fill(trading.long_running[0], 6.0)
    trading.report(trading.long_running[1], Status.CANCELLED)
    trading.day(5)
    assert verify_state(db).ok
    assert db.verify_journal(full=False).ok
    second = archive(db, trading.now + SECOND, ts=trading.now)
    assert first.manifest is not None
    assert second.manifest is not None
    one, two = check_archive(first.manifest), check_archive(second.manifest)
    assert (two.after, two.checksum_before) == (one.seq, one.checksum)
    assert db.journal.read_all()[0].seq == two.seq + 1
    trading.day(3)
    db.close()
    db.connect()
    assert verify_state(db).ok
    assert verify_active(db) == []
    assert rebuild_state(db) == []
    assert verify_state(db).ok
    assert archive(db, 1, ts=1).manifest is None


def test_the_files_hold_every_row(db: SqlitePersistence, trading: Any) -> None:
    orders = state(db, "orders/")
    facts = db._execute("SELECT * FROM journal ORDER BY seq", (), "look")
    report = archive(db, trading.end, ts=1)
    assert report.manifest is not None
    names = [file.name for file in check_archive(report.manifest).files]
    journal, kept_orders, trades = (
        parquet.ParquetFile(report.manifest.with_name(name)).read().to_pylist() for name in names
    )
    assert [tuple(row.values()) for row in journal] == facts[: report.rows]
    assert [["Order", *row.values()] for row in kept_orders] == [
        orders[f"orders/{row['vt_orderid']}"] for row in kept_orders
    ]
    assert len(trades) == report.trades


def test_a_reader_is_told_what_was_archived(db: SqlitePersistence, trading: Any) -> None:
    last = db.journal.last("s/trend")
    archive(db, trading.end, ts=1)
    start = db.journal.first("s/trend")
    assert 0 < start < last == db.journal.last("s/trend")
    assert [row.stream_seq for row in db.journal.read("s/trend", start)][-1] == last
    with pytest.raises(PersistenceError, match=f"facts 3 to {start} were archived"):
        db.journal.read("s/trend", 2)
    archive(db, trading.now + SECOND, ts=1)
    assert db.journal.read("s/trend", last) == []
    with pytest.raises(PersistenceError, match=f"read after {last}"):
        db.journal.read("s/trend", 0)
    db.close()
    db.connect()
    assert db.journal.last("s/trend") == last


def test_a_changed_base_is_found(db: SqlitePersistence, trading: Any, tamper: Any) -> None:
    cut = archive(db, trading.end, ts=1).rows
    tamper("UPDATE base_state SET value = '[1]' WHERE key LIKE 'positions/%'")
    report = db.verify_journal()
    assert (report.reason, report.broken_seq) == (Break.BASE, cut)


def test_a_backup_after_an_archive_is_whole(
    db: SqlitePersistence, trading: Any, tmp_path: Path
) -> None:
    from foxtrot.server.backup import back_up

    archive(db, trading.now + SECOND, ts=1)
    report = back_up(db, tmp_path / "backups", 0)
    assert check_copy(report.path).head == db.journal.head


def test_a_damaged_archive_is_found(db: SqlitePersistence, trading: Any) -> None:
    report = archive(db, trading.end, ts=1)
    assert report.manifest is not None
    file = report.manifest.with_name(check_archive(report.manifest).files[1].name)
    whole = file.read_bytes()
    file.write_bytes(whole[:-20] + b"x" + whole[-19:])
    with pytest.raises(PersistenceError, match="not as it was written"):
        check_archive(report.manifest)
    file.unlink()
    with pytest.raises(PersistenceError, match="cannot be read"):
        check_archive(report.manifest)


def test_nothing_is_archived_from_a_damaged_database(
    db: SqlitePersistence, trading: Any, tamper: Any
) -> None:
    tamper("UPDATE journal SET ts = ts + 1 WHERE seq = 3")
    with pytest.raises(PersistenceError, match="before the database is whole"):
        archive(db, trading.end, ts=1)


@pytest.mark.parametrize("place", ["check_archive", "_cut", "put_in_place"])
def test_an_archive_that_fails_changes_nothing_and_is_run_again(
    db: SqlitePersistence, trading: Any, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = [*db.load_prefix(""), db.journal.head]
    monkeypatch.setattr(module, place, fail)
    with pytest.raises((OSError, PersistenceError), match="No space"):
        archive(db, trading.end, ts=1)
    monkeypatch.undo()
    assert [*db.load_prefix(""), db.journal.head] == before
    assert verify_state(db).ok
    assert archive(db, trading.end, ts=1).orders
    assert verify_state(db).ok


def test_the_missing_package_is_told(
    db: SqlitePersistence, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match="parquet"):
        archive(db, 1, ts=1)
