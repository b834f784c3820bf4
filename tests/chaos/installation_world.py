"""A whole installation of real processes under load, in a folder with a short path, and a desk that listens.

Its processes are the desk's own children here: ``respawn`` stands in for the supervisor, at once.
``installation_supervised`` has the same under a real one.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zmq

from foxtrot.app.installation import Installation, load_installation
from foxtrot.bus.codec import Envelope
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.messages import SERVICE_STATUS, ServiceStatus, service_codec
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import Status
from foxtrot.core.objects import OrderData

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
ROLES = {
    "recorder": "recorder",
    "oms": "oms",
    "adapter-paper": "adapter",
    "strategies": "strategy",
}
SECOND = 1_000_000_000
NOT_YET = (Status.SUBMITTING, Status.UNKNOWN)

CONFIG = """
name = "chaos"
run = "run"

[oms]
digits = {{ USD = 2 }}
grace = 2.0
backup_every = 0.0

[watch]
crash_starts = 0

[recorder]
seal = false

[[adapters]]
name = "PAPER"

[adapters.account]
capital = 100_000_000.0
currency = "USD"
digits = 2

[[adapters.data]]
sample = "GOOG"

[adapters.replay]
begin = "2005-06-01"
speed = {speed}
max_wait = {pause}
loop = true

[[runners]]
name = "strategies"

[[runners.strategies]]
name = "d"
path = "strategy.py:Diligent"
vt_symbols = ["GOOG.NASDAQ"]
warmup_bars = 20
{more}
"""


@contextlib.contextmanager
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for sockets; gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="fx"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def environment() -> dict[str, str]:
    """For children: they may keep compiled modules, as Python does unless it is told otherwise."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def configure(folder: Path, *, pause: float = 0.02, more: str = "") -> Path:
    """Write an installation whose prices come every ``pause`` seconds."""
    shutil.copy(HERE / "installation_strategy.py", folder / "strategy.py")
    path = folder / "chaos.toml"
    path.write_text(CONFIG.format(pause=pause, speed=86_400 / pause, more=more))
    return path


class Ear:
    """Asks services, and hears heartbeats and what becomes of orders.

    Attributes:
        beats: the newest heartbeat of each service, and when it came (s, monotonic).
        known: ids of orders that were heard of as acknowledged.
        new: when (s, monotonic) each such id was first heard of, since ``forget``.
    """

    def __init__(self, installation: Installation, *topics: str) -> None:
        self.installation = installation
        self.clock = LiveClock()
        self.context: zmq.Context[Any] = zmq.Context()
        self.codec = service_codec()
        self.beats: dict[str, tuple[Heartbeat, float]] = {}
        self.known: set[str] = set()
        self.new: dict[str, float] = {}
        self.events: list[tuple[str, Any, float]] = []
        self.reader = Subscriber(
            self.context,
            self.clock,
            self._on_message,
            codec=self.codec,
            on_heartbeat=self._on_beat,
            durable=(),
        )
        self.reader.socket.set(zmq.RECONNECT_IVL, 10)
        for service in (*installation.service_names(), "watch"):
            self.reader.connect(installation.endpoint(service, "pub"))
        for topic in topics or ("eOrder.",):
            self.reader.subscribe(topic)

    def _on_beat(self, beat: Heartbeat, _now: int) -> None:
        self.beats[beat.service] = (beat, time.monotonic())

    def _on_message(self, topic: str, envelope: Envelope[Any]) -> None:
        message, now = envelope.message, time.monotonic()
        if not isinstance(message, OrderData):
            self.events.append((topic, message, now))
        elif message.status not in NOT_YET and message.vt_orderid not in self.known:
            self.known.add(message.vt_orderid)
            self.new[message.vt_orderid] = now

    def listen(self, seconds: float) -> None:
        """Take what comes within so many seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.reader.socket.poll(max(1, int(left * 1_000))):
                self.reader.drain()

    def until(self, condition: Callable[[], object], seconds: float, what: str) -> float:
        """Listen until a condition holds; returns when it did (s, monotonic)."""
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
            self.listen(0.01)
        return time.monotonic()

    def acknowledged_since(self, moment: float) -> float | None:
        """When the first new order was heard of as acknowledged after a moment."""
        return min((at for at in self.new.values() if at > moment), default=None)

    def ask(self, service: str, method: str, body: Any = None, seconds: float = 3.0) -> Any:
        """What a service answers; None where it does not, or refuses."""
        client = RpcClient(
            self.installation.endpoint(service, "rpc"),
            self.codec,
            source="ear",
            epoch=self.clock.now(),
            clock=self.clock,
            context=self.context,
        )
        try:
            outcome = client.call(method, body, timeout=int(seconds * SECOND))
        finally:
            client.close()
        return outcome.body if isinstance(outcome, Answer) and outcome.ok else None

    def status(self, service: str, seconds: float = 0.05) -> ServiceStatus | None:
        """What a service says of itself; None where it does not in time."""
        told: ServiceStatus | None = self.ask(service, SERVICE_STATUS, None, seconds)
        return told

    def state(self, service: str) -> str:
        """A service's state; empty where it does not answer."""
        told = self.status(service)
        return told.state if told is not None else ""

    def close(self) -> None:
        self.reader.close()
        self.context.destroy(linger=0)


class Spawned:
    """The processes as children of the test."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.installation = load_installation(config)
        self.ear = Ear(self.installation)
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.log = (config.parent / "log").open("ab")

    def start(self, service: str) -> None:
        """Start a service."""
        role = ROLES.get(service, "strategy")
        self.children[service] = subprocess.Popen(
            [sys.executable, "-m", f"services.{role}", "--config", self.config, "--name", service],
            cwd=ROOT,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=self.log,
        )

    def start_all(self, seconds: float = 60.0) -> None:
        """Start everything and wait until it is READY."""
        names = self.installation.service_names()
        for service in names:
            self.start(service)
        for service in names:
            self.ear.until(lambda s=service: self.ear.state(s) == "READY", seconds, service)

    def respawn(self, service: str) -> float:
        """Kill a service and start it at once; returns when it was killed (s, monotonic)."""
        child = self.children[service]
        killed = time.monotonic()
        child.kill()
        child.wait(10)
        self.start(service)
        return killed

    def stop_all(self) -> dict[str, int]:
        """End everything in order; returns the exit codes."""
        codes = {}
        for service in reversed(self.installation.service_names()):
            child = self.children[service]
            child.send_signal(signal.SIGTERM)
            codes[service] = child.wait(30)
        return codes

    def close(self) -> None:
        """End whatever is left."""
        for child in self.children.values():
            if child.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGCONT)
                child.kill()
            child.wait(10)
        self.log.close()
        self.ear.close()

    def tail(self) -> str:
        """The end of the log."""
        return (self.config.parent / "log").read_text()[-4_000:]
