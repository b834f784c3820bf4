"""What all the chains share: the go, the pace of the ticks, and what is told; by the standard library alone.

The venue's process is told over a datagram socket how many ticks to send at what rate; the strategy's process tells
over another, four times a second, how long each fill took. Both are the same in every chain, ours and the bare ones.
"""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

GO, FACTS = "go.mail", "facts.mail"
FLUSH_S = 0.25
PRICE = 100.0
SYMBOL = "BTCUSDT.BINANCE"
_BUFFER = 1 << 22


class Mailbox:
    """A datagram socket that is read without waiting."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self.socket.bind(str(path))
        self.socket.setblocking(False)

    def fileno(self) -> int:
        """For a poll."""
        return self.socket.fileno()

    def read(self) -> dict[str, Any] | None:
        """The next message, None where there is none."""
        try:
            told: dict[str, Any] = json.loads(self.socket.recv(1 << 20))
        except BlockingIOError:
            return None
        return told

    def close(self) -> None:
        """Read no more."""
        self.socket.close()


def post(path: Path, told: dict[str, Any]) -> None:
    """Put a message into a mailbox."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        end.sendto(json.dumps(told).encode(), str(path))


class Pacer:
    """When ticks are due; those that are late are sent at once, so the load does not depend on who bears it."""

    def __init__(self, folder: Path) -> None:
        self.mailbox = Mailbox(folder / GO)
        self._left = 0
        self._next = self._pause = 0

    def look(self) -> None:
        """Take the go, if there is one."""
        told = self.mailbox.read()
        if told is not None:
            self._left, self._pause = int(told["ticks"]), int(1e9 / told["rate"])
            self._next = time.monotonic_ns()

    def due(self) -> int:
        """How many ticks are due now; they count as sent."""
        if not self._left:
            return 0
        number = min(self._left, max(0, (time.monotonic_ns() - self._next) // self._pause + 1))
        self._left -= number
        self._next += number * self._pause
        return number

    def wait_ns(self) -> int | None:
        """Until the next tick, None where no more are due."""
        return max(0, self._next - time.monotonic_ns()) if self._left else None


class Report:
    """What the strategy's process tells of its work."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FACTS
        self._taken: list[int] = []
        self._flushed = time.monotonic()
        self.ticks = self.commits = 0

    def fill(self, sent: int) -> None:
        """A fill has come of the order for the tick that was sent at ``sent`` (ns UTC)."""
        self._taken.append(time.time_ns() - sent)

    def flush(self) -> None:
        """Tell what is new."""
        self._flushed = time.monotonic()
        told = {"ticks": self.ticks, "commits": self.commits, "taken": self._taken}
        self._taken = []
        post(self._path, told)

    def flush_if_due(self) -> None:
        """The same, four times a second."""
        if time.monotonic() - self._flushed >= FLUSH_S:
            self.flush()
