"""F25: a process is killed while it brings an older database up to date."""

from __future__ import annotations

import os
import select
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_schema import MIGRATIONS, SCHEMA_VERSION
from foxtrot.server.persistence_verify import verify_state
from foxtrot.server.start_check import check_start
from tests.chaos.books import files_of, put
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault, Run
from tests.unit.server.journal.test_migration import make_v1

ROOT = Path(__file__).resolve().parents[2]
MIGRATE = """
import sys
from foxtrot.server.persistence import SqlitePersistence
db = SqlitePersistence(sys.argv[1])
print("up", flush=True)
db.connect()
print("done", flush=True)
db.close()
"""


class Old(NamedTuple):
    """A database of an older schema: its files, tables and rows, and how long a migration takes (seconds)."""

    version: int
    files: dict[str, bytes]
    tables: frozenset[str]
    rows: dict[str, object]
    seconds: float


def schema_of(path: Path) -> tuple[int, frozenset[str]]:
    """Version and statements of the schema."""
    connection = sqlite3.connect(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        texts = connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall()
        return version, frozenset(text for (text,) in texts)
    finally:
        connection.close()


def make_old(path: Path, version: int, orders: int) -> Old:
    make_v1(path, orders)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN")
    for step in MIGRATIONS[1:version]:
        for action in step:
            if isinstance(action, str):
                connection.execute(action)
            else:
                action(connection, str(path))
    connection.execute(f"PRAGMA user_version = {version}")
    connection.execute("COMMIT")
    connection.close()
    files, tables = files_of(path), schema_of(path)[1]
    start = time.perf_counter()
    with SqlitePersistence(path, lock_timeout=0) as db:
        db.connect()
        seconds = time.perf_counter() - start
        rows = dict(db.load_prefix(""))
    return Old(version, files, tables, rows, seconds)


def kill_after(path: Path, seconds: float) -> None:
    """Start a migration, and kill it after a time or when it is done."""
    command = [sys.executable, "-c", MIGRATE, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as child:
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == b"up\n"
            select.select([child.stdout], [], [], seconds)
        finally:
            child.send_signal(signal.SIGKILL)


def judge(fault: Fault, run: Run, path: Path, old: Old, new: frozenset[str]) -> None:
    version, tables = schema_of(path)
    outcome = "old" if version == old.version else "new"
    fault.notes[outcome] = fault.notes.get(outcome, 0) + 1
    expected = (old.version, old.tables) if outcome == "old" else (SCHEMA_VERSION, new)
    if (version, tables) != expected:
        fault.notes.setdefault("mixed", []).append(f"run {run.number}: version {version}")
        return
    with SqlitePersistence(path, lock_timeout=0) as db:
        problems = check_start(db)
        rows = dict(db.load_prefix(""))
        fault.lost += len(old.rows.keys() - rows.keys())
        if problems or rows != old.rows or not verify_state(db).ok:
            fault.notes.setdefault("mixed", []).append(f"run {run.number}: {problems}")
    for end in (f".v{old.version}.bak", f".v{old.version}.bak.partial"):
        Path(os.fspath(path) + end).unlink(missing_ok=True)


def test_f25_a_migration_is_killed(chaos: Chaos, tmp_path: Path) -> None:
    must_hold = {
        **NOTHING_LOST_OR_DOUBLED,
        "old or new schema, never mixed": lambda fault: "mixed" not in fault.notes,
    }
    with chaos.fault("F25", "a migration is killed", runs=(4, 100), must_hold=must_hold) as fault:
        olds = [
            make_old(tmp_path / f"v{version}.db", version, 1_500)
            for version in range(1, SCHEMA_VERSION)
        ]
        new = schema_of(tmp_path / "v1.db")[1]
        path = tmp_path / "killed.db"
        for run in fault.runs():
            old = olds[run.number % len(olds)]
            put(path, old.files)
            kill_after(path, run.rng.uniform(0.0, 1.5 * old.seconds))
            judge(fault, run, path, old, new)
    assert fault.done < 20 or {"old", "new"} <= fault.notes.keys()
