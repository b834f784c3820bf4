"""What a paced replay has shown so far, over restarts: the past that a runner may be told, and no more of it.

Invariants: the number of an event is in the file before the event is published, so a runner that has handled it finds
it in the history, whenever either process was killed. A file that is ahead of the replay is of another one and not
believed. It outlives the process, not a loss of power.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from foxtrot.adapter.replay_history import bars_between
from foxtrot.adapter.replay_stream import ReplayStream
from foxtrot.core.objects import BarData, HistoryRequest, TickData

__all__ = ["ShownEvents"]


class ShownEvents:
    """Which events of a stream, played on its own clock, have been shown.

    Args:
        stream: what is played.
        begin: ns UTC at which the replay begins; what lies before is past from the start.
        path: the file that keeps the number of the last one.

    Attributes:
        ts: time of the last one, or where the replay begins (ns UTC).
    """

    def __init__(self, stream: ReplayStream, begin: int, path: Path) -> None:
        self.ts = begin
        self._stream = stream
        self._path = path
        self._fd = -1
        self._last: dict[str, int] = {}

    def open(self, done: int) -> None:
        """Take up what is known.

        Args:
            done: number of the last event that everybody has done with; the one behind it may have been shown.
        """
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        text = os.pread(self._fd, 20, 0)
        shown = int(text) if text.isdigit() else 0
        number = shown if shown == done + 1 else done
        for _, message in self._newest(number):
            self._take(message)

    def note(self, number: int, message: BarData | TickData) -> None:
        """An event is about to be shown."""
        self._take(message)
        os.pwrite(self._fd, b"%020d" % number, 0)

    def bars(self, request: HistoryRequest) -> list[BarData]:
        """Bars of the past, oldest first."""
        found = bars_between(self._stream, request, 0, self.ts)
        if not self._last:
            return found
        last = self._last.get(request.vt_symbol, -1)
        return [bar for bar in found if bar.ts_event < self.ts or bar.ts_event <= last]

    def close(self) -> None:
        """Close the file."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def _newest(self, number: int) -> list[tuple[int, BarData | TickData]]:
        """The last events up to a number that are of the replay: enough for one of each series."""
        count = min(number, len(self._stream.series))
        found = islice(self._stream.messages(0, number - count), count)
        return [(n, message) for n, message in found if message.ts_event > self.ts]

    def _take(self, message: BarData | TickData) -> None:
        self._last[message.vt_symbol] = message.ts_event
        self.ts = max(self.ts, message.ts_event)
