"""What the process of one backtest tells the service that started it: lines of JSON through a pipe.

Invariants: a line is bounded; what cannot be read is counted and passed over, never raised. Whoever writes keeps to a
rate, so that the service's loop has time for others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import msgspec

__all__ = [
    "MOST_POINTS",
    "Done",
    "Failed",
    "JobMessage",
    "LineReader",
    "LogLine",
    "Progress",
    "Stage",
    "send",
]

MOST_POINTS = 4_000
"""Points of an equity curve that are handed on."""

_MOST_LINE = 8 << 20  # bytes
_READ = 1 << 16

Figure = str | int | float | bool | None


class Stage(msgspec.Struct, frozen=True, tag="stage"):
    """What is being done now, in words."""

    text: str


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Rows handled, rows in all, the clock's time (ns UTC)."""

    done: int
    total: int
    ts: int


class LogLine(msgspec.Struct, frozen=True, tag="log"):
    """What a strategy has logged; ``ts`` is the time of the simulation, ns UTC, 0 where there is none."""

    text: str
    level: int
    source: str
    ts: int = 0


class Done(msgspec.Struct, frozen=True, tag="done"):
    """All files are written; ``document`` is the text of ``statistics.json``, ``ts`` and ``equity`` are the curve."""

    log_sha256: str
    figures: dict[str, Figure]
    files: tuple[str, ...]
    document: str
    ts: tuple[int, ...]
    equity: tuple[float, ...]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Why it came to nothing: one line, the traceback for whoever wrote the strategy, the exit code."""

    error: str
    trace: str
    exit_code: int


JobMessage = Stage | Progress | LogLine | Done | Failed

_decode = msgspec.json.Decoder(JobMessage).decode
_encode = msgspec.json.Encoder().encode


def send(descriptor: int, message: JobMessage) -> None:
    """Write one line, waiting where the pipe is full.

    Raises:
        OSError: nobody reads any more.
    """
    rest = memoryview(_encode(message) + b"\n")
    while rest:
        rest = rest[os.write(descriptor, rest) :]


class LineReader:
    """Takes messages from the reading end of a pipe, which does not block.

    Attributes:
        ended: the other end is closed.
        dry: the last read found nothing.
        refused: lines that were none of ours, or too long.
    """

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._rest = b""
        self.ended = False
        self.dry = False
        self.refused = 0

    def read(self) -> Iterator[JobMessage]:
        """The messages that one bounded read completes."""
        try:
            piece = os.read(self._descriptor, _READ)
        except BlockingIOError:
            self.dry = True
            return
        self.dry = False
        self.ended = not piece
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _MOST_LINE:
            self._rest = b""
            self.refused += 1
        for line in lines:
            try:
                message = _decode(line)
            except (msgspec.DecodeError, RecursionError):
                self.refused += 1
            else:
                yield message

    def close(self) -> None:
        """Close the pipe; again without effect."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
