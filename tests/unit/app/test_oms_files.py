"""What an operator may do to the files of an OMS: check, rebuild, accept, copy, restore, archive, read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from foxtrot.app import oms_copies
from foxtrot.app.oms_check import accept_database, rebuild_database, verify_database
from foxtrot.app.oms_copies import archive_database, back_up_database, restore_database
from foxtrot.app.oms_files import backup_folder, command, is_copy, newest_backup, opened
from foxtrot.app.oms_history import load_journal, load_orders, load_trades, moment
from foxtrot.core.errors import ConfigError, PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.journal import MarkState, Note
from foxtrot.server.journal.verify import Break
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_lock import DatabaseInUseError
from foxtrot.server.persistence_query import PageQuery
from tests.unit.app.oms_world import FIRST_DAY, make_database, spoil_state, sql, trade_on
from tests.unit.server.journal.test_migration import make_v1


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make_database(tmp_path / "oms.db")


def yes(_shown: Any) -> bool:
    return True


def no(_shown: Any) -> bool:
    return False


def quiet(_what: str, _done: int, _total: int) -> None:
    pass


# --- opening ----------------------------------------------------------------------------------------------------


def test_nothing_is_made_where_there_was_nothing(tmp_path: Path) -> None:
    with pytest.raises(PersistenceError, match=r"none\.db: no such file; name the OMS's database"):
        verify_database(tmp_path / "none.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"", "is empty"), (b"date,open\n1,2\n" * 50, "is no database, or its beginning is damaged")],
)
def test_what_is_no_database_is_told_and_left_alone(
    tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "prices.csv"
    path.write_bytes(content)
    with pytest.raises(PersistenceError, match=told):
        verify_database(path)
    assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(PersistenceError, match="is not a file"):
        verify_database(tmp_path)


def test_other_programs_and_newer_schemas_are_refused(tmp_path: Path, path: Path) -> None:
    sql(tmp_path / "other.db", "CREATE TABLE x (a)")
    sql(path, "PRAGMA user_version = 99")
    with pytest.raises(PersistenceError, match="another program"):
        verify_database(tmp_path / "other.db")
    with pytest.raises(PersistenceError, match="written by a newer Foxtrot"):
        verify_database(path)


def test_an_older_schema_is_brought_up_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    make_v1(path)
    first, second = verify_database(path), verify_database(path)
    assert "The schema was brought from version 1 to" in first.note
    assert (first.ok, second.ok, second.note) == (True, True, "")
    kept = tmp_path / "old.db.v1.bak"
    assert str(kept) in first.note
    with pytest.raises(PersistenceError, match=r"older schema; .*restore it elsewhere"):
        load_orders(kept, PageQuery())


def test_a_database_in_use_is_told_with_its_owner_and_what_can_be_read(path: Path) -> None:
    backup = back_up_database(path).report.path
    with SqlitePersistence(path, lock_timeout=0) as db:
        db.connect()
        for work in (
            lambda: verify_database(path),
            lambda: rebuild_database(path, yes),
            lambda: accept_database(path, yes),
            lambda: back_up_database(path),
            lambda: restore_database(backup, path, yes, quiet),
            lambda: load_orders(path, PageQuery()),
        ):
            with pytest.raises(DatabaseInUseError, match=r"in use by process \d+.*stop it") as told:
                work()
            assert str(backup) in str(told.value)
        assert len(load_orders(backup, PageQuery()).items) == 10
        assert load_journal(backup, newest=True, limit=1)[0].seq == db.journal.head.seq


def test_a_copy_is_not_changed(path: Path) -> None:
    backup = back_up_database(path).report.path
    before = backup.read_bytes()
    assert is_copy(backup)
    with pytest.raises(PersistenceError, match="is a copy, which is only read"), opened(backup):
        pass
    assert verify_database(backup).ok
    assert load_trades(backup, PageQuery()).items
    assert backup.read_bytes() == before
    assert list(backup.parent.iterdir()) == [backup]


def test_the_usual_folder_follows_links(path: Path, tmp_path: Path) -> None:
    backup = back_up_database(path).report.path
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(path)
    assert backup_folder(link) == backup_folder(path) == backup.parent
    assert newest_backup(link) == newest_backup(path) == backup
    assert command("verify", "my oms.db") == "foxtrot oms verify 'my oms.db'"


# --- checking and mending -----------------------------------------------------------------------------------------


def test_a_whole_database_is_whole_and_the_check_tells_how_far_it_is(path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    found = verify_database(path, lambda *what: told.append(what))
    assert found.ok
    assert found.high_water is not None
    assert found.high_water.state is MarkState.MATCHED
    stages = [what for what, _, _ in told]
    assert stages[0] == "checking the structure of the file"
    assert stages[-1] == "comparing the state with the journal"


def test_differences_are_found_and_a_rebuild_mends_them_and_keeps_the_file(path: Path) -> None:
    spoil_state(path)
    found = verify_database(path)
    keys = {difference.key for difference in found.report.differences}
    assert found.only_state_differs
    assert {
        "accounts/SIM.USD",
        "active_orders/SIM.oms-3",
        "orders/SIM.oms-2",
        "orders/SIM.x",
        "positions/SIM.AAPL.NASDAQ.NET",
        "trades/SIM.t-1700000006",
    } <= keys

    assert rebuild_database(path, no) is None
    assert not list(path.parent.glob("*rebuild*"))

    done = rebuild_database(path, yes)

    assert done is not None
    assert (len(done.changed), done.left) == (len(keys), ())
    assert done.kept == path.with_name("oms.db.before-rebuild-1.bak")
    assert newest_backup(path) is None
    assert sql(done.kept, "SELECT 1 FROM oms_state WHERE key = 'orders/SIM.x'") == [(1,)]
    assert verify_database(path).ok
    note = load_journal(path, newest=True, limit=1)[0].fact
    assert isinstance(note, Note)
    assert "rebuilt from the journal by an operator" in note.text


def test_where_nothing_differs_a_rebuild_does_nothing_and_asks_nothing(path: Path) -> None:
    def never(_: Any) -> bool:
        raise AssertionError

    done = rebuild_database(path, never)
    assert done is not None
    assert (done.changed, done.kept) == ([], None)


def test_what_the_journal_contradicts_is_left_and_told(path: Path) -> None:
    with SqlitePersistence(path, lock_timeout=0) as db:
        fill = next(trade for _, trade in db.load_prefix_as("trades/", TradeData))
        db.commit([], [("s/trend", fill)])
        order = next(order for _, order in db.load_prefix_as("orders/", OrderData) if order.traded)
        key = f"orders/{order.vt_orderid}"
        db.save(key, {"not": "an order"})
    done = rebuild_database(path, yes)
    assert done is not None
    assert key in {difference.key for difference in done.changed}
    assert "a second time" in done.left[0].detail


def test_a_broken_journal_is_no_base_for_anything(path: Path) -> None:
    sql(path, "UPDATE journal SET ts = ts + 1 WHERE seq = 7")
    path.with_name("oms.db.hwm").unlink()
    found = verify_database(path)
    assert (found.report.journal.broken_seq, found.ok) == (7, False)
    assert not found.only_state_differs
    with pytest.raises(PersistenceError, match="the journal or the file is not whole"):
        rebuild_database(path, yes)
    with pytest.raises(PersistenceError, match="cannot be accepted: foxtrot oms restore"):
        accept_database(path, yes)
    with pytest.raises(PersistenceError, match="no backup is made of a database that is damaged"):
        back_up_database(path)
    assert newest_backup(path) is None


def test_damaged_pages_are_a_finding_and_not_an_error(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xa5" * 8192 + whole[16384:])
    found = verify_database(path)
    assert not found.ok
    assert found.report.structure


def test_what_would_keep_the_oms_from_starting_is_found(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[52:56] = (1).to_bytes(4, "big")  # the header's word for auto_vacuum
    path.write_bytes(content)
    found = verify_database(path)
    assert not found.ok
    assert found.report.structure


def test_a_journal_behind_its_mark_is_accepted_by_decision_alone(path: Path) -> None:
    backup = back_up_database(path).report.path
    trade_on(path, 3)
    mark = path.with_name("oms.db.hwm").read_bytes()
    restore_database(backup, path, yes, quiet)
    path.with_name("oms.db.hwm").write_bytes(mark)

    found = verify_database(path)
    assert found.only_mark_differs
    assert found.report.journal.reason is Break.HIGH_WATER
    assert accept_database(path, no) is None
    assert not verify_database(path).ok

    before = accept_database(path, yes)

    assert before is not None
    assert before.seq - before.head == 3
    assert verify_database(path).ok
    note = load_journal(path, newest=True, limit=1)[0].fact
    assert isinstance(note, Note)
    assert f"row {before.seq} was committed" in note.text


@pytest.mark.parametrize("content", [None, b"torn"])
def test_a_lost_mark_is_said_and_can_be_made_anew(path: Path, content: bytes | None) -> None:
    file = path.with_name("oms.db.hwm")
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    found = verify_database(path)
    assert found.ok
    assert found.high_water is not None
    assert found.high_water.state in (MarkState.MISSING, MarkState.TORN)
    accept_database(path, yes)
    found = verify_database(path)
    assert found.high_water is not None
    assert found.high_water.state is MarkState.MATCHED


# --- copies -----------------------------------------------------------------------------------------------------


def test_backups_are_kept_unless_a_number_is_given(path: Path) -> None:
    made = [back_up_database(path).report.path for _ in range(3)]
    last = back_up_database(path, keep=2)
    assert last.removed == tuple(made[:2])
    assert sorted(backup_folder(path).iterdir()) == [made[2], last.report.path]


def test_a_restore_shows_what_is_lost_before_it_does_anything(path: Path) -> None:
    backup = back_up_database(path).report
    trade_on(path, 3)
    shown: list[Any] = []
    assert restore_database(backup.path, path, lambda plan: bool(shown.append(plan)), quiet) is None
    assert (shown[0].seq, shown[0].marked) == (backup.head.seq, backup.head.seq + 3)
    assert not list(path.parent.glob("*.damaged-*"))

    done = restore_database(backup.path, path, yes, quiet)

    assert done is not None
    aside = oms_copies.damaged_name(done)
    assert aside == path.with_name("oms.db.damaged-1")
    assert [row.fact.text for row in load_journal(aside, after=done.seq)] == [  # type: ignore[union-attr]
        "later 0",
        "later 1",
        "later 2",
    ]
    assert verify_database(path).ok


def test_where_no_database_is_there_a_restore_does_not_ask(path: Path, tmp_path: Path) -> None:
    backup = back_up_database(path).report.path
    done = restore_database(backup, tmp_path / "new.db", no, quiet)
    assert done is not None
    assert (done.moved, oms_copies.damaged_name(done)) == ((), None)
    assert verify_database(tmp_path / "new.db").ok


def test_a_restore_is_not_made_from_or_to_the_wrong_file(path: Path) -> None:
    backup = back_up_database(path).report.path
    with pytest.raises(ConfigError, match="is the database itself"):
        restore_database(path, path, yes, quiet)
    with pytest.raises(ConfigError, match="is a backup by its name"):
        restore_database(path, backup, yes, quiet)
    with pytest.raises(PersistenceError, match="no such file; name a backup"):
        restore_database(path.with_name("none.bak"), path, yes, quiet)


def test_an_archive_tells_rows_and_sizes(path: Path) -> None:
    pytest.importorskip("pyarrow")
    done = archive_database(path, FIRST_DAY + 10**15, quiet)
    assert done.report.orders > 3
    assert done.report.manifest is not None
    assert done.report.manifest.parent == path.with_name("oms.db.archive")
    assert done.before > 0 < done.after
    assert verify_database(path).ok
    first = load_journal(path)[0].seq
    assert first == done.report.rows + 1
    assert load_journal(path, "s/trend") == []
    with pytest.raises(ConfigError, match="lies in the future"):
        archive_database(path, 2**62, quiet)


# --- history ----------------------------------------------------------------------------------------------------


def test_pages_are_filled_up_and_continue(path: Path) -> None:
    every = load_orders(path, PageQuery(limit=5_000)).items
    assert [order.vt_orderid for order in every] == [f"SIM.oms-{n}" for n in range(1, 11)]
    first = load_orders(path, PageQuery(limit=4))
    rest = load_orders(path, PageQuery(limit=4_000, cursor=first.cursor))
    assert [*first.items, *rest.items] == every
    assert rest.cursor == ""
    both = PageQuery("trend", "AAPL.NASDAQ", limit=1)
    found = load_orders(path, both)
    assert (len(found.items), bool(found.cursor)) == (1, True)
    newest = load_trades(path, PageQuery(limit=1, newest_first=True)).items[0]
    assert newest == load_trades(path, PageQuery(limit=1_000)).items[-1]


def test_the_journal_is_read_by_row_by_stream_and_from_its_end(path: Path) -> None:
    every = load_journal(path, limit=10_000)
    assert load_journal(path, after=5, limit=2) == every[5:7]
    assert load_journal(path, newest=True, limit=3) == every[-3:]
    trend = [row for row in every if row.stream == "s/trend"]
    assert load_journal(path, "s/trend", limit=10_000) == trend
    assert load_journal(path, "s/trend", 2, 1) == trend[2:3]
    assert load_journal(path, "s/trend", newest=True, limit=2) == trend[-2:]
    with pytest.raises(PersistenceError, match=r"no stream 'x'; there are: accounts, contracts"):
        load_journal(path, "x")


@pytest.mark.parametrize(
    ("text", "last", "seconds"),
    [
        ("2023-11-14", False, 1_699_920_000),
        ("2023-11-14", True, 1_700_006_400),
        ("2023-11-14T22:13:20", True, 1_700_000_000),
        ("2023-11-14T23:13:20+01:00", False, 1_700_000_000),
        (None, True, 0),
    ],
)
def test_a_day_or_time_is_a_moment(text: str | None, last: bool, seconds: int) -> None:
    assert moment("--from", text, last=last) == seconds * 1_000_000_000


@pytest.mark.parametrize("text", ["yesterday", "2023-13-01", "9999-12-31"])
def test_what_is_no_time_is_told(text: str) -> None:
    with pytest.raises(ConfigError, match=f"--to '{text}' is no time; write a day as"):
        moment("--to", text, last=True)
