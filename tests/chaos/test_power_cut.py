"""F8: the power goes at any moment; everything acknowledged is on the disk."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import ContractData
from foxtrot.server.backup import check_copy, list_backups
from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_schema import APPLICATION_ID
from foxtrot.server.persistence_verify import verify_state
from foxtrot.server.start_check import check_start
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault
from tests.chaos.power import Disk, Op, build_recorder, read_trace

ROOT = Path(__file__).resolve().parents[2]
CONTRACT = msgspec.json.encode(ContractData("OLD.LOCAL", adapter_name="SIM")).decode()


class Recorded(NamedTuple):
    """What a process did to its disk, what was there before, and its journal's checksums by row."""

    before: dict[str, bytes]
    trace: list[Op]
    checksums: dict[int, bytes]


def make_legacy(path: Path) -> None:
    """A database of schema version 1, so that the first boot migrates."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("CREATE TABLE oms_state (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID")
    connection.execute("INSERT INTO oms_state VALUES ('contracts/OLD.LOCAL', ?)", (CONTRACT,))
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.close()


def record(tmp_path: Path, synchronous: str, boots: int, orders: int) -> Recorded:
    library, trace = build_recorder(tmp_path), tmp_path / "trace"
    folder = tmp_path / "traced"
    folder.mkdir()
    make_legacy(folder / "oms.db")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    subprocess.run(
        [
            *(sys.executable, "-m", "tests.chaos.power_child"),
            *(str(folder), synchronous, str(boots), str(orders)),
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "LD_PRELOAD": str(library),
            "POWER_CUT_FOLDER": str(folder),
            "POWER_CUT_TRACE": str(trace),
        },
        check=True,
        timeout=120,
    )
    ops = [op for op in read_trace(trace) if not op.name.endswith(("-shm", ".lock"))]
    for kind, name in (("W", "oms.db-wal"), ("S", "oms.db-wal"), ("W", "oms.db"), ("W", "ack")):
        assert any(op.kind == kind and op.name == name for op in ops), (kind, name)
    with SqlitePersistence(folder / "oms.db", lock_timeout=0) as db:
        rows = db._execute("SELECT seq, checksum FROM journal", (), "test")
    return Recorded(before, ops, dict(rows))


def cuts(fault: Fault, recorded: Recorded) -> Iterator[tuple[dict[str, bytes], int]]:
    """Disks after a cut, each with the last row that had been acknowledged."""
    places = sorted(fault.rng("places").choices(range(len(recorded.trace) + 1), k=fault.count))
    disk, done, acknowledged = Disk(recorded.before), 0, 0
    for run, place in zip(fault.runs(), places, strict=True):
        for op in recorded.trace[done:place]:
            disk.do(op)
            if op.name == "ack" and op.kind == "W":
                acknowledged = int(op.data)
        done = place
        yield disk.cut(run.rng), acknowledged


def judge(fault: Fault, folder: Path, acknowledged: int, checksums: dict[int, bytes]) -> str:
    """Open what is left as the next owner; returns what is wrong beside what was lost."""
    db = SqlitePersistence(folder / "oms.db", lock_timeout=0, anchor_every=16)
    try:
        problems = check_start(db)
        head = db.journal.head
        fault.lost += max(0, acknowledged - head.seq)
        if problems:
            fault.detected += 1
            return f"refused: {problems[0]}"
        if head.seq and checksums[head.seq] != head.checksum:
            return f"another history up to row {head.seq}"
        state = db.high_water.state.value
        fault.notes[f"mark {state}"] = fault.notes.get(f"mark {state}", 0) + 1
        report = verify_state(db)
        if not report.ok:
            return f"not whole: {report}"
        if db.load("contracts/OLD.LOCAL") is None:
            return "a row from before the migration is gone"
        for copy in (*list_backups(db.path, folder), *folder.glob("*.v1.bak")):
            check_copy(copy)
    except PersistenceError as error:
        return f"not whole: {error}"
    finally:
        db.close()
    return ""


def make_cuts(fault: Fault, tmp_path: Path, synchronous: str, size: tuple[int, int]) -> None:
    recorded = record(tmp_path, synchronous, *size)
    folder = tmp_path / "after"
    for files, acknowledged in cuts(fault, recorded):
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        wrong = judge(fault, folder, acknowledged, recorded.checksums)
        if wrong:
            fault.notes.setdefault("wrong", []).append(wrong.replace(str(folder), "")[:300])
        shutil.rmtree(folder)
    fault.notes["steps of the disk"] = len(recorded.trace)


def test_f8_the_power_goes(chaos: Chaos, tmp_path: Path) -> None:
    must_hold = {
        **NOTHING_LOST_OR_DOUBLED,
        "whole, and not refused": lambda fault: "wrong" not in fault.notes,
    }
    with chaos.fault(
        "F8", "the power goes at any write", runs=(40, 1_000), must_hold=must_hold
    ) as fault:
        make_cuts(fault, tmp_path, "FULL", (3, 12) if fault.count > 100 else (3, 4))


def test_f8_would_fail_where_commits_are_not_synced(chaos: Chaos, tmp_path: Path) -> None:
    must_hold = {"acknowledged rows are lost": lambda fault: fault.lost > 0}
    with chaos.fault(
        "F8 synchronous=NORMAL",
        "the same without a sync at each commit: must fail",
        runs=(25, 300),
        must_hold=must_hold,
    ) as fault:
        make_cuts(fault, tmp_path, "NORMAL", (3, 12) if fault.count > 100 else (3, 4))
        fault.notes["wrong"] = fault.notes.get("wrong", [])[:2]  # examples
