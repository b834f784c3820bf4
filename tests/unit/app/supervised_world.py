"""An installation in a folder with a short path, and services that answer in threads of the test's own process."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import zmq

from foxtrot.app.installation import Installation, load_installation
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.messages import service_codec
from foxtrot.bus.rpc_server import RpcServer
from foxtrot.core.clock import LiveClock

CONFIG = """
name = "test"
run = "run"

[[adapters]]
name = "PAPER"

[[adapters.data]]
sample = "GOOG"

[[runners]]
name = "strategies"

[[runners.strategies]]
name = "sma"
path = "foxtrot.strategy:Strategy"
vt_symbols = ["GOOG.NASDAQ"]
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


def installation(folder: Path, more: str = "") -> Installation:
    """Write and load an installation."""
    path = folder / "test.toml"
    path.write_text(CONFIG.format(more=more))
    return load_installation(path)


Answers = dict[str, tuple[type[msgspec.Struct] | None, Callable[[Any], Any]]]


class FakeService:
    """Answers requests at a service's endpoint until ``close``; ``asked`` holds the bodies in order."""

    def __init__(self, installation: Installation, service: str, answers: Answers) -> None:
        self.asked: list[tuple[str, Any]] = []
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._arguments = (installation.endpoint(service, "rpc"), service, answers)
        self._thread = threading.Thread(target=self._serve, name=f"fake-{service}")
        self._thread.start()
        assert self._ready.wait(5)

    def close(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def __enter__(self) -> FakeService:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self) -> None:
        endpoint, service, answers = self._arguments
        clock = LiveClock()
        waiter = SocketWaiter(clock)
        context: zmq.Context[Any] = zmq.Context()
        server = RpcServer(
            endpoint, service_codec(), source=service, epoch=1, clock=clock, context=context
        )
        for method, (kind, answer) in answers.items():
            server.register(method, self._answering(method, answer), kind, keep=False)
        server.attach(waiter)
        self._ready.set()
        while not self._stop.is_set():
            waiter.wait(0.02)
            clock.fire_due()
        server.close()
        waiter.close()
        context.destroy(linger=0)

    def _answering(self, method: str, answer: Callable[[Any], Any]) -> Callable[..., Any]:
        def handle(asked: Any, _later: Any) -> Any:
            self.asked.append((method, asked.body))
            return answer(asked.body)

        return handle
