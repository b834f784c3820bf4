"""The SQLite form: files, modes, schema, faults, one owner, and death at any moment."""

from __future__ import annotations

import errno
import os
import random
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foxtrot.core.errors import PersistenceError
from foxtrot.server import persistence_lock
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_codec import after_prefix
from foxtrot.server.persistence_sqlite import SCHEMA_VERSION, DatabaseInUseError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
def db(path: Path) -> Iterator[SqlitePersistence]:
    made = SqlitePersistence(path, lock_timeout=0)
    made.connect()
    yield made
    made.close()


def raw(path: Path, *statements: str) -> list[tuple[object, ...]]:
    """Run SQL behind the back of the class and return the last rows."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return [connection.execute(statement).fetchall() for statement in statements][-1]
    finally:
        connection.close()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- the file ----------------------------------------------------------------------------------


def test_rows_are_json_text_in_the_table_of_the_specification(
    db: SqlitePersistence, path: Path
) -> None:
    db.save("orders/SIM.1", {"volume": 1.0})
    db.close()
    assert raw(path, "SELECT key, value, typeof(value) FROM oms_state") == [
        ("orders/SIM.1", '{"volume":1.0}', "text")
    ]
    assert raw(path, "PRAGMA user_version") == [(SCHEMA_VERSION,)]
    assert raw(path, "PRAGMA journal_mode") == [("wal",)]


def test_every_commit_reaches_the_disk(db: SqlitePersistence) -> None:
    assert db._execute("PRAGMA synchronous", (), "look") == [(2,)]
    assert db._execute("PRAGMA journal_mode", (), "look") == [("wal",)]
    assert db._execute("PRAGMA busy_timeout", (), "look") == [(5000,)]


def test_only_the_owner_can_read_the_files(db: SqlitePersistence, path: Path) -> None:
    db.save("k", 1)
    for name in ("state.db", "state.db-wal", "state.db-shm", "state.db.lock"):
        assert mode(path.with_name(name)) == 0o600, name


def test_a_file_that_others_can_read_is_closed_to_them(db: SqlitePersistence, path: Path) -> None:
    db.close()
    path.chmod(0o664)
    db.connect()
    db.save("k", 1)
    assert mode(path) == mode(path.with_name("state.db-wal")) == 0o600


def test_a_missing_folder_is_made_private_but_not_a_whole_path(tmp_path: Path) -> None:
    with SqlitePersistence(tmp_path / "state" / "oms.db") as db:
        db.save("k", 1)
        assert db.path == tmp_path / "state" / "oms.db"
    assert mode(tmp_path / "state") == 0o700
    with pytest.raises(PersistenceError, match="does not exist and cannot be made"):
        SqlitePersistence(tmp_path / "sttae" / "x" / "oms.db").connect()


def test_it_connects_on_first_use_once_and_again_after_close(path: Path) -> None:
    db = SqlitePersistence(path)
    assert not path.exists()
    db.save("k", 1)
    db.connect()
    db.close()
    with pytest.raises(PersistenceError, match="closed"):
        db.load("k")
    db.connect()
    assert db.load("k") == 1
    db.close()
    SqlitePersistence(path).close()


def test_a_whole_file_is_verified_on_demand(db: SqlitePersistence) -> None:
    db.save_many((f"k{n}", n) for n in range(100))
    db.verify()


# -- what it refuses ---------------------------------------------------------------------------


def refused(path: Path, match: str) -> None:
    with pytest.raises(PersistenceError, match=match) as caught:
        SqlitePersistence(path, lock_timeout=0).connect()
    assert str(path) in str(caught.value)
    (path.with_name(f"{path.name}.lock")).unlink(missing_ok=True)  # its lock was let go


def test_a_newer_schema_is_refused_untouched(db: SqlitePersistence, path: Path) -> None:
    db.save("k", 1)
    db.close()
    raw(path, f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    before = path.read_bytes()
    refused(path, f"schema version {SCHEMA_VERSION + 1}.*newer Foxtrot")
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_refused_untouched(path: Path) -> None:
    raw(path, "CREATE TABLE moz_places (id)")
    path.chmod(0o644)
    before = path.read_bytes()
    refused(path, "another program")
    assert path.read_bytes() == before
    assert mode(path) == 0o644


def test_a_file_that_is_no_database_is_refused_untouched(path: Path) -> None:
    path.write_text("date,open,high,low,close\n" * 100)
    before = path.read_bytes()
    refused(path, "no SQLite database")
    assert path.read_bytes() == before


def test_a_folder_is_refused(path: Path) -> None:
    path.mkdir()
    refused(path, "not a regular file")


def test_a_damaged_page_is_told_as_damage(db: SqlitePersistence, path: Path) -> None:
    db.save_many((f"k{n:04}", "x" * 500) for n in range(200))
    db.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(PersistenceError, match="the file is damaged"):
        db.connect()


def test_a_damaged_page_of_rows_is_told_as_damage(db: SqlitePersistence, path: Path) -> None:
    db.save_many((f"k{n:04}", "x" * 500) for n in range(200))
    db.close()
    content = bytearray(path.read_bytes())
    place = content.index(b"k0100")
    page = place - place % 4096
    content[page : page + 4096] = b"\xff" * 4096
    path.write_bytes(content)
    db.connect()
    with pytest.raises(PersistenceError, match="the file is damaged"):
        db.verify()
    with pytest.raises(PersistenceError, match="the file is damaged"):
        db.load("k0100")


def test_a_row_that_was_edited_by_hand_is_told_by_key(db: SqlitePersistence, path: Path) -> None:
    db.close()
    raw(path, "INSERT INTO oms_state VALUES ('orders/SIM.1', '{oops')")
    db.connect()
    with pytest.raises(PersistenceError, match=r"row 'orders/SIM\.1' is not a valid JSON"):
        db.load("orders/SIM.1")


def test_a_read_only_file_is_told_as_such(db: SqlitePersistence) -> None:
    db._execute("PRAGMA query_only = 1", (), "set-up")
    with pytest.raises(PersistenceError, match=r"failed.*read-only.*make both writable"):
        db.save("k", 1)


def test_a_full_disk_saves_nothing_and_later_saves_work(db: SqlitePersistence) -> None:
    db.save("before", 1)
    (pages,) = db._execute("PRAGMA page_count", (), "look")[0]
    db._execute(f"PRAGMA max_page_count = {pages}", (), "set-up")
    with pytest.raises(PersistenceError, match="disk is full"), db.transaction():
        db.save("small", 1)
        db.save("big", "x" * 100_000)
    assert list(db.keys()) == ["before"]
    with pytest.raises(PersistenceError, match="nothing of this transaction"), db.transaction():
        db.save("small", 1)
        with pytest.raises(PersistenceError, match="disk is full"):
            db.save_many([("big", "x" * 100_000)])
    db.save("after", 2)
    assert list(db.keys()) == ["after", "before"]


def test_a_writer_behind_our_back_is_told(db: SqlitePersistence, path: Path) -> None:
    db._execute("PRAGMA busy_timeout = 1", (), "set-up")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with pytest.raises(PersistenceError, match="another program"):
            db.save("k", 1)
    finally:
        other.close()
    db.save("k", 1)


@pytest.mark.parametrize("key", ["", "a\0b", "\ud800"])
def test_an_unfit_key_is_refused(db: SqlitePersistence, key: str) -> None:
    for use in (lambda: db.save(key, 1), lambda: db.load(key), lambda: db.delete(key)):
        with pytest.raises(PersistenceError, match=r"^key "):
            use()


def in_thread(*uses: Callable[[], object]) -> list[str]:
    """Do each in another thread; the errors' texts, empty where there was none."""
    told: list[str] = []

    def work() -> None:
        for use in uses:
            try:
                use()
                told.append("")
            except PersistenceError as error:
                told.append(str(error))

    thread = threading.Thread(target=work, name="venue")
    thread.start()
    thread.join(10)
    return told


def test_threads_may_take_turns(db: SqlitePersistence) -> None:
    db.save("k", 1)
    assert in_thread(lambda: db.save("k", 2), lambda: db.commit([("l", 3)])) == ["", ""]
    assert (db.load("k"), db.load("l")) == (2, 3)
    assert in_thread(db.close) == [""]
    db.connect()
    assert db.load("k") == 2


def test_another_thread_is_refused_inside_a_transaction(db: SqlitePersistence) -> None:
    def nested() -> None:
        with db.transaction():
            db.save("k", 1)

    with db.transaction():
        db.save("k", 2)
        told = in_thread(
            lambda: db.save("k", 1),
            lambda: db.load("k"),
            lambda: db.commit([("k", 1)]),
            nested,
            db.close,
        )
        assert ["'venue' while thread 'MainThread'" in text for text in told] == [True] * 5
    assert db.load("k") == 2
    assert in_thread(lambda: db.load("k")) == [""]


def test_another_thread_is_refused_while_one_is_in_a_statement(db: SqlitePersistence) -> None:
    started, go_on = threading.Event(), threading.Event()

    def wait() -> int:
        started.set()
        go_on.wait(10)
        return 1

    db._connection.handle().create_function("wait", 0, wait)
    thread = threading.Thread(target=lambda: db._execute("SELECT wait()", (), "wait"), name="slow")
    thread.start()
    try:
        assert started.wait(10)
        with pytest.raises(PersistenceError, match="'MainThread' while thread 'slow' is in a call"):
            db.load("k")
    finally:
        go_on.set()
        thread.join(10)
    assert db.load("k") is None


def test_many_threads_never_mix_their_transactions(db: SqlitePersistence) -> None:
    done: dict[int, int] = {}

    def work(number: int) -> None:
        for count in range(1, 40):
            try:
                with db.transaction():
                    db.save(f"a/{number}", count)
                    db.save(f"b/{number}", count)
            except PersistenceError as error:
                assert "let one thread do it all" in str(error)
            else:
                done[number] = count

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert done
    assert {n: db.load(f"a/{n}") for n in done} == {n: db.load(f"b/{n}") for n in done} == done


def test_the_end_of_a_prefix() -> None:
    assert after_prefix("orders/") == "orders0"
    assert after_prefix("a\ud7ff") == "a\ue000"
    assert after_prefix("a\U0010ffff") == "b"
    assert after_prefix("") == after_prefix("\U0010ffff") == b""


# -- one owner ---------------------------------------------------------------------------------

HOLD = """
import sys
from foxtrot.server.persistence import SqlitePersistence
db = SqlitePersistence(sys.argv[1])
db.connect()
print("held", flush=True)
sys.stdin.readline()
db.close()
print("gone", flush=True)
sys.stdin.readline()
"""

STREAM = """
import random, sys
from foxtrot.server.persistence import SqlitePersistence
db = SqlitePersistence(sys.argv[1])
rng = random.Random(int(sys.argv[2]))
number = int(sys.argv[3])
while True:
    group = range(number, number + rng.choice([1, 1, 2, 5, 20]))
    if len(group) == 1:
        db.save(f"orders/SIM.{number}", {"number": number, "group": [number, number + 1]})
    else:
        with db.transaction():
            for n in group:
                db.save(f"orders/SIM.{n}", {"number": n, "group": [group.start, group.stop]})
            db.save("last", group.stop)
    sys.stdout.write("".join(f"{n}\\n" for n in group))
    sys.stdout.flush()
    number = group.stop
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().strip()


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("\n")
    child.stdin.flush()


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    with start(HOLD, path) as child:
        try:
            assert line(child) == "held"
            yield child
        finally:
            child.kill()


@pytest.mark.timeout(60)
def test_a_second_process_is_told_who_holds_the_file(
    path: Path, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(DatabaseInUseError, match=f"in use by process {holder.pid} ") as caught:
        SqlitePersistence(path, lock_timeout=0.1).connect()
    assert f"kill {holder.pid}" in str(caught.value)
    assert "0.1 s" in str(caught.value)
    assert caught.value.exit_code == 75


@pytest.mark.timeout(60)
def test_a_second_process_waits_for_the_first_to_close(
    path: Path, holder: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = []

    def wait(seconds: float) -> None:
        if not waits:
            tell(holder)
            assert line(holder) == "gone"
        waits.append(seconds)

    monkeypatch.setattr(persistence_lock.time, "sleep", wait)
    with SqlitePersistence(path) as db:
        db.save("k", 1)
    assert len(waits) == 1


@pytest.mark.timeout(60)
def test_a_killed_owner_leaves_no_lock(path: Path, holder: subprocess.Popen[str]) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait(10)
    with SqlitePersistence(path, lock_timeout=0) as db:
        db.save("k", 1)
        assert path.with_name("state.db.lock").read_text() == f"{os.getpid()}\n"
    assert path.with_name("state.db.lock").read_text() == ""


def test_a_second_object_in_one_process_is_refused_too(db: SqlitePersistence, path: Path) -> None:
    link = path.with_name("link.db")
    link.symlink_to(path)
    with pytest.raises(DatabaseInUseError, match="this very process"):
        SqlitePersistence(link, lock_timeout=0).connect()


def test_a_holder_that_wrote_no_id_is_still_a_holder(db: SqlitePersistence, path: Path) -> None:
    path.with_name("state.db.lock").write_text("garbage")
    with pytest.raises(DatabaseInUseError, match="another process"):
        SqlitePersistence(path, lock_timeout=0).connect()


def test_a_lock_file_replaced_while_waiting_is_not_taken_for_ours(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = path.with_name("state.db.lock")
    real = os.open
    replaced = []

    def open_and_lose(name: str | Path, *arguments: int) -> int:
        fd = real(name, *arguments)
        if Path(name) == lock and not replaced:
            replaced.append(name)
            lock.unlink()
        return fd

    monkeypatch.setattr(persistence_lock.os, "open", open_and_lose)
    with SqlitePersistence(path, lock_timeout=5) as db:
        db.save("k", 1)
        with pytest.raises(DatabaseInUseError):
            SqlitePersistence(path, lock_timeout=0).connect()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_lock_file_that_cannot_be_opened_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(name: Path, *arguments: int) -> int:
        raise OSError(number, os.strerror(number), str(name))

    path.with_name("state.db.lock").touch()
    monkeypatch.setattr(persistence_lock.os, "open", refuse)
    with pytest.raises(PersistenceError, match=r"state\.db\.lock: cannot be opened"):
        SqlitePersistence(path, lock_timeout=30).connect()


@pytest.mark.timeout(60)
def test_a_forked_child_neither_uses_nor_keeps_the_file(db: SqlitePersistence, path: Path) -> None:
    code = f"""
import os, signal, sys
from foxtrot.core.errors import PersistenceError
from foxtrot.server.persistence import SqlitePersistence
db = SqlitePersistence({str(path.with_name("forked.db"))!r})
db.save("k", 1)
child = os.fork()
if child == 0:
    try:
        db.save("k", 2)
    except PersistenceError:
        os.write(1, b"refused\\n")  # one write each: the two share a pipe
    sys.stdin.readline()
    os._exit(0)
os.write(1, b"child\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""
    with start(code) as parent:
        try:
            told = {line(parent).split()[0], line(parent).split()[0]}
            assert told == {"child", "refused"}
            parent.wait(10)
            with SqlitePersistence(path.with_name("forked.db"), lock_timeout=5) as heir:
                assert heir.load("k") == 1
        finally:
            tell(parent)


# -- death at any moment -----------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_what_was_acknowledged_survives_a_kill_at_any_moment(path: Path) -> None:
    rng = random.Random(20_240_229)
    acknowledged: set[int] = set()
    for seed in range(5):
        first = 1_000_000 * seed
        with start(STREAM, path, seed, first) as child:
            assert child.stdout is not None
            for _ in range(rng.randint(1, 120)):
                acknowledged.add(int(line(child)))
            child.send_signal(signal.SIGKILL)
            whole = [text for text in child.stdout.read().split("\n")[:-1] if text]
            acknowledged.update(map(int, whole))
        with SqlitePersistence(path, lock_timeout=0) as db:
            db.verify()
            rows = {row["number"]: row["group"] for _, row in db.load_prefix("orders/")}
        assert acknowledged <= rows.keys()
        for begin, end in rows.values():  # each transaction is there as a whole, or not at all
            assert all(number in rows for number in range(begin, end))
    assert acknowledged


def test_a_prefix_is_read_without_looking_at_the_rows_behind_it(db: SqlitePersistence) -> None:
    db.save_many([("accounts/A", 1), *((f"orders/{number}", number) for number in range(5_000))])
    steps = 0

    def count() -> int:
        nonlocal steps
        steps += 1
        return 0

    db._connection.handle().set_progress_handler(count, 100)
    assert list(db.load_prefix("accounts/")) == [("accounts/A", 1)]
    assert list(db.keys("accounts/")) == ["accounts/A"]
    db._connection.handle().set_progress_handler(None, 0)
    assert steps < 10
