"""A whole installation under a real supervisord: up, deaths and their ends, down, and nothing left behind.

Prices come slowly, so that the machine is free for starting and ending processes.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foxtrot.app.control import Desk
from foxtrot.app.control_status import InstallationStatus, read_status
from foxtrot.app.installation import Installation, load_installation
from foxtrot.app.supervisor_conf import pid_path, socket_path
from foxtrot.app.supervisor_link import SupervisorLink
from foxtrot.app.watch_host import is_running
from tests.integration.service_world import CONFIG

ROOT = Path(__file__).resolve().parents[2]
SERVICES = ("recorder", "oms", "adapter-paper", "strategies", "watch")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


class Supervised:
    """An installation that is commanded as a person would."""

    def __init__(self, folder: Path, more: str = "", strategy: str = "") -> None:
        self.path = folder / "test.toml"
        text = CONFIG.format(replay="max_wait = 5.0", more=more)
        self.path.write_text(text.replace("lock_timeout = 0.2", "lock_timeout = 20.0"))
        if strategy:
            self.path.write_text(
                self.path.read_text().replace("foxtrot.strategy:Strategy", strategy)
            )
        self.installation: Installation = load_installation(self.path)
        self.link = SupervisorLink(socket_path(self.installation))

    def foxtrot(self, *arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "foxtrot.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            cwd=ROOT,
            env={**os.environ, "FOXTROT_CONFIG": str(self.path)},
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def status(self) -> InstallationStatus:
        with Desk(self.installation) as desk:
            return read_status(desk, timeout=0.5)

    def pids(self) -> dict[str, int]:
        return {row.service: row.pid for row in self.status().services}

    def until(self, condition: Callable[[], object], seconds: float = 30.0) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, self.foxtrot("status", code=1)
            time.sleep(0.1)

    def log(self, service: str) -> str:
        path = self.installation.run / "logs" / f"{service}.log"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """End whatever is left, by number."""
        pids = [info.pid for info in self._known()]
        with contextlib.suppress(OSError, ValueError):
            pids.insert(0, int(pid_path(self.installation).read_text()))
        locks = (self.installation.run / "state").glob("*.lock")
        pids += [int(lock.read_text() or 0) for lock in locks]
        for pid in pids:
            if pid > 1 and is_running(pid) and _is_ours(pid):
                os.kill(pid, signal.SIGKILL)

    def _known(self) -> list:
        with contextlib.suppress(Exception):
            return list(self.link.processes().values())
        return []


def _is_ours(pid: int) -> bool:
    line = Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"services." in line or b"supervisor" in line


@pytest.fixture
def folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="fx"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def made(folder: Path) -> Iterator[Supervised]:
    made = Supervised(folder, "[watch]\ncrash_starts = 3\ndead_after = 3.1\n")
    yield made
    made.close()


def test_an_installation_comes_up_survives_and_goes_down(made: Supervised) -> None:
    # up, and up again
    told = made.foxtrot("up")
    assert "strategies       READY" in told
    before = made.pids()
    assert all(before[name] for name in SERVICES)
    assert "runs already" in made.foxtrot("up")
    assert made.pids() == before

    # a death is followed by a start
    os.kill(before["strategies"], signal.SIGKILL)
    made.until(lambda: made.status().ready and made.pids()["strategies"] != before["strategies"])

    # one that stands still is ended and started again, within a few seconds
    stopped = made.pids()["recorder"]
    os.kill(stopped, signal.SIGSTOP)
    made.until(lambda: not is_running(stopped), 15.0)
    made.until(lambda: made.status().ready and made.pids()["recorder"] != stopped)
    assert "has had no heartbeat for 3." in made.log("watch")

    # one service anew
    before = made.pids()
    made.foxtrot("restart", "adapter-paper")
    after = made.pids()
    assert [name for name in SERVICES if after[name] != before[name]] == ["adapter-paper"]

    # down, and down again
    told = made.foxtrot("down")
    order = [line.split()[0] for line in told.splitlines() if line.endswith(" stopped")]
    assert order == ["strategies", "adapter-paper", "oms", "recorder", "watch"]
    assert not any(is_running(pid) for pid in after.values())
    assert list((made.installation.run / "sockets").iterdir()) == []
    assert "nothing was running" in made.foxtrot("down")


def test_services_end_with_a_supervisor_that_was_killed_and_come_up_anew(made: Supervised) -> None:
    made.foxtrot("up")
    pids = made.pids()

    os.kill(int(pid_path(made.installation).read_text()), signal.SIGKILL)
    made.until(lambda: not any(is_running(pid) for pid in pids.values()), 10.0)

    made.foxtrot("up")
    assert made.status().ready
    made.foxtrot("down")


def test_a_crash_loop_halts_trading_over_restarts(made: Supervised) -> None:
    made.foxtrot("up")
    for _ in range(3):
        before = made.pids()["strategies"]
        os.kill(before, signal.SIGKILL)
        made.until(lambda: made.pids()["strategies"] not in (0, before))  # noqa: B023
        made.until(lambda: made.link.processes()["strategies"].state == "RUNNING")

    def halted() -> bool:
        row = made.status().row("oms")
        return row is not None and "strategies crashed" in row.details.get("halt all", "")

    made.until(halted)
    made.foxtrot("restart", "oms")
    assert halted()
    assert "goes on" in made.foxtrot("resume")
    made.foxtrot("down")


def test_a_strategy_that_fails_is_told_with_its_error(folder: Path) -> None:
    made = Supervised(folder, strategy="nowhere.py:Missing")
    try:
        told = made.foxtrot("up", "--timeout", "60", code=1)
        assert "error: strategy sma is in ERROR" in told
        assert "nowhere.py" in told
        document = json.loads(made.foxtrot("status", "--json", code=1))
        assert document["services"]["oms"]["state"] == "READY"
        assert document["services"]["strategies"]["state"] == "DEGRADED"
        made.foxtrot("down")
    finally:
        made.close()


def test_a_service_that_cannot_start_is_told_with_the_end_of_its_log(made: Supervised) -> None:
    database = made.installation.database
    database.write_text("this is no database, whatever its name says\n" * 100)

    told = made.foxtrot("up", "--timeout", "60", code=1)

    assert "error: oms is" in told
    assert "the end of" in told
    assert "oms.db" in told
    made.foxtrot("down")
