"""Sockets of the bus's tests: a context that must close, short private addresses, waiting with a limit."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from foxtrot.bus.address import random_ipc_endpoint

Until = Callable[[Callable[[], object]], None]


@pytest.fixture
def context() -> Iterator[zmq.Context[Any]]:
    context: zmq.Context[Any] = zmq.Context()
    yield context
    context.destroy(linger=0)


@pytest.fixture
def endpoint() -> Iterator[str]:
    """An ipc address in a folder whose path is short enough."""
    endpoint = random_ipc_endpoint()
    yield endpoint
    shutil.rmtree(Path(endpoint.removeprefix("ipc://")).parent)


@pytest.fixture
def until() -> Until:
    """Call something until it returns a true value, for at most five seconds."""

    def wait(condition: Callable[[], object]) -> None:
        end = time.monotonic() + 5.0
        while not condition():
            assert time.monotonic() < end, "waited five seconds in vain"
            time.sleep(0.002)

    return wait
