"""Real service processes in a run folder of the test's own, and a desk that asks and listens."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zmq

from foxtrot.app.installation import Installation, load_installation
from foxtrot.bus.codec import Envelope
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.messages import REPORTS, SERVICE_STATUS, ServiceStatus, service_codec
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_inbox import ReliableReceiver
from foxtrot.bus.rpc_messages import Answer, Outcome
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import LiveClock

ROOT = Path(__file__).resolve().parents[2]
SECOND = 1_000_000_000

CONFIG = """
name = "test"
run = "run"

[oms]
lock_timeout = 0.2

[[adapters]]
name = "PAPER"

[[adapters.data]]
sample = "GOOG"

[adapters.replay]
begin = "2010-01-01"
{replay}

[[runners]]
name = "strategies"

[[runners.strategies]]
name = "sma"
path = "foxtrot.strategy:Strategy"
vt_symbols = ["GOOG.NASDAQ"]
{more}
"""


def installation(folder: Path, replay: str = "speed = 86_400_000.0", more: str = "") -> Path:
    """Write an installation's file."""
    path = folder / "test.toml"
    path.write_text(CONFIG.format(replay=replay, more=more))
    return path


class Service:
    """A service as a child process; ``lines`` are what it logged."""

    def __init__(self, role: str, config: Path, name: str, *more: str, **env: str) -> None:
        self.name = name
        self.log = config.parent / f"{name}.log"
        with self.log.open("ab") as out:
            self.child = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    f"services.{role}",
                    "--config",
                    config,
                    "--name",
                    name,
                    *more,
                ],
                cwd=ROOT,
                stdout=out,
                stderr=out,
                env={**os.environ, **env},
            )

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]

    def wait(self, timeout: float = 15.0) -> int:
        return self.child.wait(timeout)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.child.send_signal(number)
        return self.wait()

    def close(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            self.child.kill()
        self.child.wait(10)


class Desk:
    """Asks services, listens to them, and can stand in for one of them."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.installation: Installation = load_installation(config)
        self.clock = LiveClock()
        self.loop = SocketWaiter(self.clock)
        self.context: zmq.Context[Any] = zmq.Context()
        self.codec = service_codec()
        self.children: list[Service] = []
        self.closing: list[Any] = []
        self.clients: dict[str, RpcClient] = {}
        self.heard: list[tuple[str, Envelope[Any]]] = []
        self.beats: list[Heartbeat] = []

    # --- processes ------------------------------------------------------------------------------------------

    def start(self, role: str, name: str, *more: str, **env: str) -> Service:
        service = Service(role, self.config, name, *more, **env)
        self.children.append(service)
        return service

    # --- sockets --------------------------------------------------------------------------------------------

    def client(self, service: str) -> RpcClient:
        if service not in self.clients:
            client = RpcClient(
                self.installation.endpoint(service, "rpc"),
                self.codec,
                source="desk",
                epoch=self.clock.now(),
                clock=self.clock,
                context=self.context,
            )
            client.attach(self.loop)
            self.clients[service] = client
            self.closing.append(client)
        return self.clients[service]

    def server(self, service: str, epoch: int = 1) -> RpcServer:
        """Stand in for a service."""
        server = RpcServer(
            self.installation.endpoint(service, "rpc"),
            self.codec,
            source=service,
            epoch=epoch,
            clock=self.clock,
            context=self.context,
        )
        server.attach(self.loop)
        self.closing.append(server)
        return server

    def listen(self, *services: str, topics: tuple[str, ...] = ("",)) -> Subscriber:
        def on_beat(beat: Heartbeat, _now: int) -> None:
            self.beats.append(beat)

        reader = Subscriber(
            self.context,
            self.clock,
            lambda topic, envelope: self.heard.append((topic, envelope)),
            codec=self.codec,
            on_heartbeat=on_beat,
            durable=(),
        )
        for service in services:
            reader.connect(self.installation.endpoint(service, "pub"))
        for topic in topics:
            reader.subscribe(topic)
        self.loop.add(reader.socket, reader.drain)
        self.closing.append(reader)
        return reader

    def topics(self, prefix: str) -> list[Envelope[Any]]:
        return [envelope for topic, envelope in self.heard if topic.startswith(prefix)]

    # --- the loop -------------------------------------------------------------------------------------------

    def pump(self, until: Callable[[], object], seconds: float = 20.0) -> None:
        """Run the loop until a condition holds."""
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                logs = "\n".join(f"{c.name}: {c.log.read_text()[-2_000:]}" for c in self.children)
                raise AssertionError(f"the condition did not come true in time\n{logs}")
            self.step()

    def step(self, seconds: float = 0.02) -> None:
        self.loop.wait(min(seconds, self.clock.wait_ns() / SECOND))
        self.clock.fire_due()

    def run_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step()

    def ask(self, service: str, method: str, body: Any = None, seconds: float = 10.0) -> Outcome:
        outcomes: list[Outcome] = []
        self.client(service).send(
            method, body, on_reply=outcomes.append, timeout=int(seconds * SECOND)
        )
        self.pump(lambda: outcomes, seconds + 5)
        return outcomes[0]

    def status(self, service: str) -> ServiceStatus:
        outcome = self.ask(service, SERVICE_STATUS, seconds=20.0)
        assert isinstance(outcome, Answer), outcome
        assert isinstance(outcome.body, ServiceStatus)
        return outcome.body

    def until_state(self, service: str, state: str, seconds: float = 20.0) -> ServiceStatus:
        end = time.monotonic() + seconds
        while (status := self.status(service)).state != state:
            assert time.monotonic() < end, status
            self.run_for(0.05)
        return status

    def close(self) -> None:
        for child in self.children:
            child.close()
        for one in reversed(self.closing):
            if isinstance(one, Subscriber):
                self.loop.remove(one.socket)
            one.close()
        self.loop.close()
        self.context.destroy(linger=0)


class FakeOms:
    """Takes reports and makes them durable at once, unless ``is_held``."""

    def __init__(self, desk: Desk, epoch: int = 1, state: Any = None) -> None:
        self.desk = desk
        self.server = desk.server("oms", epoch)
        self.reports: list[Any] = []
        self.lost: list[tuple[int, int]] = []
        self.is_held = False
        self.receiver = ReliableReceiver(
            REPORTS,
            self._take,
            lambda _source, first, last: self.lost.append((first, last)),
            state=state,
        )
        self.server.receive_reports(self.receiver)

    def _take(self, _source: str, _number: int, body: Any) -> None:
        self.reports.append(body)

    def commit(self) -> None:
        if not self.is_held:
            self.receiver.commit(self.receiver.uncommitted())

    def of(self, kind: type) -> list[Any]:
        return [report for report in self.reports if isinstance(report, kind)]

    def pump(self, until: Callable[[], object], seconds: float = 20.0) -> None:
        def committed() -> object:
            self.commit()
            return until()

        self.desk.pump(committed, seconds)

    def close(self) -> None:
        self.desk.closing.remove(self.server)
        self.server.close()
