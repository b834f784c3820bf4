"""F23, F24: bits turn over on the disk, and parts of the write-ahead log are lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_seal import StateSeal
from tests.chaos.books import Truth, files_of, flipped, judge, put, trade_a_day, truth_of
from tests.chaos.harness import Chaos, Fault

MUST_HOLD = {
    "every change of meaning is refused at the start or found by the check of history": (
        lambda fault: fault.lost == 0
    ),
}


def count(fault: Fault, outcome: str, what: str) -> None:
    """Book one judgement."""
    kind = outcome.partition(":")[0]
    fault.notes[kind] = fault.notes.get(kind, 0) + 1
    fault.detected += kind in ("refused", "found")
    if kind == "SILENT":
        fault.lost += 1
        fault.notes.setdefault("unseen", []).append(f"{what}: {outcome}")


def test_f23_bits_turn_over_in_the_database(chaos: Chaos, tmp_path: Path) -> None:
    path, copy = tmp_path / "day.db", tmp_path / "copy.db"
    with SqlitePersistence(path, anchor_every=32) as db:
        trade_a_day(db)
        truth = truth_of(db)
    files = files_of(path)
    assert judge(path, truth) == "harmless"
    with chaos.fault(
        "F23", "a bit of the database turns over", runs=(60, 1_000), must_hold=MUST_HOLD
    ) as fault:
        for run in fault.runs():
            place = run.rng.randrange(len(files[""]) * 8)
            put(copy, files | {"": flipped(files[""], place)})
            count(fault, judge(copy, truth), f"bit {place}")
    assert fault.done < 50 or fault.notes["refused"]


def day_in_the_log(path: Path) -> tuple[dict[str, bytes], Truth]:
    """The files of a process that was killed: some of the day is in the database, the rest in the log."""
    with SqlitePersistence(path, anchor_every=32) as db:
        desk = trade_a_day(db, 15)
        db._execute("PRAGMA wal_checkpoint(PASSIVE)", (), "checkpoint")
        desk.day(25)
        return files_of(path), truth_of(db)


def test_f24_the_log_is_damaged(chaos: Chaos, tmp_path: Path) -> None:
    files, truth = day_in_the_log(tmp_path / "day.db")
    copy = tmp_path / "copy.db"
    put(copy, files)
    assert judge(copy, truth) == "harmless"
    with chaos.fault(
        "F24",
        "the write-ahead log has a bit turned over, is cut short, or is gone",
        runs=(30, 300),
        must_hold=MUST_HOLD,
    ) as fault:
        outcomes: Counter[str] = Counter()
        for run in fault.runs():
            log = files["-wal"]
            kind = run.rng.choices(("gone", "cut short", "bit"), (1, 8, 11))[0]
            place = run.rng.randrange(len(log) * 8)
            if kind == "gone":
                damaged = {end: content for end, content in files.items() if end != "-wal"}
            elif kind == "cut short":
                damaged = files | {"-wal": log[: place // 8]}
            else:
                damaged = files | {"-wal": flipped(log, place)}
            put(copy, damaged)
            outcome = judge(copy, truth)
            outcomes[f"{kind}: {outcome.partition(':')[0]}"] += 1
            count(fault, outcome, f"{kind} at bit {place}")
        fault.notes["by kind"] = dict(sorted(outcomes.items()))


def test_without_the_seal_a_position_would_be_traded_on_wrongly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "day.db"
    with SqlitePersistence(path, anchor_every=32) as db:
        trade_a_day(db)
        truth = truth_of(db)
        held = db._execute(
            "SELECT value FROM oms_state WHERE key = 'positions/SIM.ES.CME.NET'", (), "test"
        )[0][0]
    files = files_of(path)
    place = files[""].index(held.encode()) + next(n for n, c in enumerate(held) if c in "123456")
    damaged = files | {"": flipped(files[""], place * 8)}
    put(path, damaged)
    assert judge(path, truth) == "refused"
    put(path, damaged)
    monkeypatch.setattr(StateSeal, "check", lambda _: "")
    assert judge(path, truth).startswith("SILENT: traded on wrong rows")
