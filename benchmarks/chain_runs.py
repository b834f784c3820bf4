"""The chains as processes: started once, kept through all rounds, asked for one burst of ticks at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import zmq
from chain_link import FACTS, GO, Mailbox, post

from foxtrot.app.installation import load_installation
from foxtrot.bus.messages import SERVICE_STATUS, ServiceStatus, service_codec
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer
from foxtrot.core.clock import LiveClock

HERE = Path(__file__).resolve().parent
PATIENCE_S = 30.0
QUIET_S = 0.8
FOXTROT, BARE, BARE_ONE, VNPY = "foxtrot", "bare", "bare, one commit", "vn.py RPC"

_CONFIG = """
name = "chain"
run = "run"

[recorder]
enabled = false

[oms]
backup_every = 0.0

[[adapters]]
name = "SIM"
kind = "{here}/chain_parts.py:ChainVenue"
setting = {{ folder = "{folder}" }}

[[runners]]
name = "strategies"

[[runners.strategies]]
name = "s"
path = "{here}/chain_parts.py:ChainStrategy"
vt_symbols = ["BTCUSDT.BINANCE"]
setting = {{ folder = "{folder}" }}
"""


@dataclass(slots=True)
class Burst:
    """What became of some ticks: ns from tick to fill, commits of both files, ns of processor time by process."""

    ticks: int = 0
    taken: list[int] = field(default_factory=list)
    commits: dict[str, int] = field(default_factory=dict)
    processor_ns: dict[str, int] = field(default_factory=dict)


class Chain:
    """Three processes that wait for the go.

    Args:
        folder: of their sockets and files; it is made.
        commands: command lines by name of the process.
    """

    def __init__(self, folder: Path, commands: dict[str, list[str]]) -> None:
        self.folder = folder
        self.mailbox = Mailbox(folder / FACTS)
        self.facts: dict[str, int] = {}
        self._taken: list[int] = []
        env = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent}"}
        self.children = {
            name: subprocess.Popen(
                command,
                stdout=(folder / f"{name}.log").open("wb"),
                stderr=subprocess.STDOUT,
                env=env,
            )
            for name, command in commands.items()
        }

    def burst(self, rate: int, ticks: int) -> Burst:
        """Have ticks sent at a rate, and wait until nothing more comes."""
        before, used = self.counts(), self.used()
        self._taken = []
        post(self.folder / GO, {"rate": rate, "ticks": ticks})
        self._listen(ticks / rate + PATIENCE_S, ticks, self.facts.get("ticks", 0))
        now, used_now = self.counts(), self.used()
        return Burst(
            now["ticks"] - before.get("ticks", 0),
            self._taken,
            {name: now[name] - before.get(name, 0) for name in now if name != "ticks"},
            {name: used_now[name] - used[name] for name in used},
        )

    def ready(self) -> None:
        """Wait until a tick brings a fill."""
        end = time.monotonic() + PATIENCE_S
        while True:
            if (self.folder / GO).exists():
                self._taken = []
                post(self.folder / GO, {"rate": 100, "ticks": 3})
                self._listen(QUIET_S, 3, self.facts.get("ticks", 0))
                if self._taken:
                    return
            self.check()
            if time.monotonic() > end:
                raise SystemExit(f"{self.folder}: no fill in {PATIENCE_S} s: {self.logs()}")
            time.sleep(0.1)

    def counts(self) -> dict[str, int]:
        """Ticks seen by the strategy, commits of its file, and of the OMS's, so far."""
        return dict(self.facts)

    def used(self) -> dict[str, int]:
        """Processor time of each process so far, all threads, ns; none where the system does not tell."""
        found = {}
        for name, child in self.children.items():
            paths = Path(f"/proc/{child.pid}/task").glob("*/schedstat")
            found[name] = sum(int(path.read_text().split()[0]) for path in paths)
        return found

    def check(self) -> None:
        """See that all processes live."""
        for name, child in self.children.items():
            if child.poll() is not None:
                raise SystemExit(f"{name} has ended with {child.returncode}: {self.logs()}")

    def logs(self) -> str:
        """The last that the processes said."""
        return "\n".join(path.read_text()[-2_000:] for path in self.folder.glob("*.log"))

    def close(self) -> None:
        """End the processes."""
        for child in self.children.values():
            child.send_signal(signal.SIGKILL)
            child.wait()
        self.mailbox.close()

    def _listen(self, seconds: float, ticks: int, seen: int) -> None:
        """Read what the processes tell until all is filled, or nothing new has come for a while."""
        last, end = time.monotonic(), time.monotonic() + seconds
        while time.monotonic() < end:
            told = self.mailbox.read()
            if told is None:
                time.sleep(0.02)
            else:
                taken = told.pop("taken", [])
                self._taken += taken
                last = time.monotonic() if taken or not self._taken else last
                self.facts.update(told)
            idle = self._taken and time.monotonic() - last > QUIET_S
            if idle or (len(self._taken) >= ticks and self.facts.get("ticks", 0) - seen >= ticks):
                return


class FoxtrotChain(Chain):
    """The services, with a settings file of their own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        config = folder / "chain.toml"
        config.write_text(_CONFIG.format(here=HERE, folder=folder))
        told = ("--config", str(config), "--name")
        services = {"oms": "oms", "adapter": "adapter-sim", "strategy": "strategies"}
        super().__init__(
            folder,
            {
                role: [*(sys.executable, "-m", f"services.{role}"), *told, name]
                for role, name in services.items()
            },
        )
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._oms = RpcClient(
            load_installation(config).endpoint("oms", "rpc"),
            service_codec(),
            source="chain",
            epoch=time.time_ns(),
            clock=LiveClock(),
            context=self._context,
        )

    def counts(self) -> dict[str, int]:  # noqa: D102 - inherits
        outcome: Any = self._oms.call(SERVICE_STATUS)
        if not (isinstance(outcome, Answer) and isinstance(outcome.body, ServiceStatus)):
            raise SystemExit(f"the OMS does not answer: {outcome}: {self.logs()}")
        return {**self.facts, "oms_commits": outcome.body.counters["commits"]}

    def close(self) -> None:  # noqa: D102 - inherits
        super().close()
        self._oms.close()
        self._context.destroy(linger=0)


class ScriptChain(Chain):
    """Three processes of one script, each told what it is."""

    def __init__(self, folder: Path, python: str, script: str, *more: str) -> None:
        folder.mkdir()
        super().__init__(
            folder,
            {
                role: [python, str(HERE / script), role, str(folder), *more]
                for role in ("oms", "venue", "strategy")
            },
        )


def chains(folder: Path, vnpy: str) -> dict[str, Chain]:
    """All chains, started; vn.py's only where a Python that has it is named."""
    started: dict[str, Chain] = {
        FOXTROT: FoxtrotChain(folder / "f"),
        BARE: ScriptChain(folder / "b", sys.executable, "chain_bare.py", "all"),
        BARE_ONE: ScriptChain(folder / "o", sys.executable, "chain_bare.py", "one"),
    }
    if vnpy:
        started[VNPY] = ScriptChain(folder / "v", vnpy, "chain_vnpy.py")
    return started
