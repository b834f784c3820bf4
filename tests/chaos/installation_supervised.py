"""The installation of ``installation_world`` under a real supervisord."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

from foxtrot.app.control import Desk
from foxtrot.app.control_down import bring_down
from foxtrot.app.control_status import InstallationStatus, read_status
from foxtrot.app.control_up import bring_up
from foxtrot.app.installation import load_installation
from foxtrot.app.supervisor_conf import pid_path, socket_path
from foxtrot.app.supervisor_link import SupervisorLink
from foxtrot.app.watch_host import is_running
from tests.chaos.installation_world import Ear, environment

OTHERS = """
[[runners]]
name = "others"

[[runners.strategies]]
name = "odd"
path = "strategy.py:Odd"
vt_symbols = ["GOOG.NASDAQ"]
setting = {{ folder = "{folder}" }}
"""


class Supervised:
    """An installation that is brought up and down as a person does it."""

    def __init__(self, config: Path) -> None:
        self.installation = load_installation(config)
        self.ear = Ear(self.installation, "eOrder.", "eService.")
        self.link = SupervisorLink(socket_path(self.installation))
        self.seen: set[int] = set()
        self.said: list[str] = []

    def up(self) -> None:
        """Start what does not run, and wait until all is READY."""
        with (
            Desk(self.installation) as desk,
            mock.patch.dict(os.environ, environment(), clear=True),
        ):
            bring_up(desk, self.said.append, 60.0)
        self.pids()

    def down(self) -> None:
        """End all in order."""
        bring_down(self.installation, self.said.append, 60.0)

    def pids(self) -> dict[str, int]:
        """Process numbers of what runs, by name."""
        found = {name: info.pid for name, info in self.link.processes().items() if info.pid}
        self.seen |= {*found.values(), self.link.pid()}
        return found

    def status(self) -> InstallationStatus:
        """What ``foxtrot status`` shows."""
        with Desk(self.installation) as desk:
            return read_status(desk, timeout=0.4, strategies=False)

    def is_ready(self, service: str, not_pid: int = 0) -> bool:
        """Whether a service is READY, in another process than ``not_pid``."""
        told = self.ear.status(service, 0.1)
        return told is not None and told.state == "READY" and told.pid != not_pid

    def kill(self, pid: int, number: int) -> None:
        """Signal one of the processes that belong to the installation."""
        assert pid in self.seen
        os.kill(pid, number)

    def log(self, service: str) -> str:
        path = self.installation.run / "logs" / f"{service}.log"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        """End whatever is left, by number, and remove the logs of services whose supervisor went first."""
        with contextlib.suppress(OSError, ValueError):
            self.seen.add(int(pid_path(self.installation).read_text()))
        for lock in (self.installation.run / "state").glob("*.lock"):
            with contextlib.suppress(ValueError):
                self.seen.add(int(lock.read_text()))
        for pid in self.seen:
            if pid > 1 and is_running(pid) and is_ours(pid, self.installation.run):
                os.kill(pid, signal.SIGKILL)
        for pid in self.seen:
            (Path(tempfile.gettempdir()) / f"foxtrot-{pid}.log").unlink(missing_ok=True)
        self.ear.close()


def is_ours(pid: int, run: Path) -> bool:
    """Whether a process was started for an installation."""
    try:
        line = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(run.parent) in line


@contextlib.contextmanager
def supervised(config: Path) -> Iterator[Supervised]:
    """An installation that is up; afterwards nothing of it is left."""
    world = Supervised(config)
    try:
        world.up()
        yield world
        world.down()
    finally:
        world.close()
