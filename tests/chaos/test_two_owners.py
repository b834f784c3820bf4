"""F21: two processes want the same database at once."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from foxtrot.server.persistence import SqlitePersistence
from foxtrot.server.persistence_verify import verify_state
from tests.chaos.harness import NOTHING_LOST_OR_DOUBLED, Chaos, Fault, Run

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 30.0


class Owner:
    """A process that wants the database; it begins when told to."""

    def __init__(self, path: Path, lock_timeout: float) -> None:
        command = [sys.executable, "-m", "tests.chaos.owner_child", str(path), str(lock_timeout)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT)

    def wait_for_line(self) -> str:
        """Its next line; empty where it ended."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], PATIENCE)
        assert ready, "the process says nothing"
        return os.fsdecode(self.process.stdout.readline().strip())

    def begin(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self.process.stdin.flush()

    def end(self, *, kill: bool = False) -> tuple[list[int], str]:
        """End it; returns the journal rows that it had acknowledged, and what it complained of."""
        if kill:
            self.process.send_signal(signal.SIGKILL)
        out, err = self.process.communicate(timeout=PATIENCE)
        lines = out.decode().split("\n")[:-1]
        return [int(line) for line in lines if line.isdigit()], err.decode()


@contextlib.contextmanager
def owners(path: Path, *lock_timeouts: float) -> Iterator[list[Owner]]:
    """Processes that are up; whatever happens, none of them is left."""
    made: list[Owner] = []
    try:
        made += [Owner(path, seconds) for seconds in lock_timeouts]
        for owner in made:
            assert owner.wait_for_line() == "up"
        yield made
    finally:
        for owner in made:
            if owner.process.poll() is None:
                owner.process.kill()
            with contextlib.suppress(ValueError, BrokenPipeError):
                owner.process.communicate()


def race(fault: Fault, run: Run, path: Path) -> None:
    """Two begin at once, a third waits for the winner, which is killed."""
    with owners(path, 0.05, 0.05, PATIENCE) as (one, other, heir):
        first, second = (one, other) if run.number % 2 else (other, one)
        first.begin()
        time.sleep(run.rng.choice((0.0, 0.0, 0.001, 0.01)))
        second.begin()
        said = {first: first.wait_for_line(), second: second.wait_for_line()}
        winners = [owner for owner, line in said.items() if line == "READY"]
        fault.duplicated += max(0, len(winners) - 1)
        assert winners, "none of them runs"
        (loser,) = {first, second} - set(winners[:1])
        _, complaint = loser.end()
        assert loser.process.returncode == 75, (loser.process.returncode, complaint)
        assert f"in use by process {winners[0].process.pid}" in complaint
        assert "Traceback" not in complaint
        fault.detected += 1

        heir.begin()
        time.sleep(run.rng.uniform(0.0, 0.05))  # it may be waiting by now, or not yet
        acknowledged, _ = winners[0].end(kill=True)
        killed = time.perf_counter()
        assert heir.wait_for_line() == "READY"
        waited = time.perf_counter() - killed
        fault.notes["longest wait"] = max(fault.notes.get("longest wait", 0.0), round(waited, 3))
        more, _ = heir.end()
        assert heir.process.returncode == 0
    with SqlitePersistence(path, lock_timeout=0) as db:
        present = set(range(1, db.journal.head.seq + 1))
        fault.lost += len({*acknowledged, *more} - present)
        fault.duplicated += len({*acknowledged} & {*more})
        assert verify_state(db).ok


def test_f21_two_are_started_at_once(chaos: Chaos, tmp_path: Path) -> None:
    must_hold = {
        **NOTHING_LOST_OR_DOUBLED,
        "one is refused each time": lambda fault: fault.detected == fault.done,
    }
    with chaos.fault(
        "F21",
        "two owners started at once, then a third takes over from the killed one",
        runs=(2, 100),
        must_hold=must_hold,
    ) as fault:
        for run in fault.runs():
            race(fault, run, tmp_path / "oms.db")
