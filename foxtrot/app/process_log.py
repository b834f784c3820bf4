"""What a service logs, told to whoever listens on the bus, too: never more than a few lines a second, never blocking.

Invariants: only lines of the loop's own thread go out, since the socket is its own; lines at INFO and above; what
exceeds the rate is counted and told once in a line of its own.
"""

from __future__ import annotations

import logging
import threading

from foxtrot.bus.publisher import Publisher
from foxtrot.core.clock import Clock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import FrameError
from foxtrot.core.events import EVENT_LOG
from foxtrot.core.objects import LogData

_PER_SECOND = 50
_MAX_CHARS = 2_000


class BusLog(logging.Handler):
    """Publishes log lines as ``eLog.<service>``.

    Args:
        publisher: of the process.
        clock: stamps the lines.
    """

    def __init__(self, publisher: Publisher, clock: Clock) -> None:
        super().__init__(logging.INFO)
        self._publisher = publisher
        self._clock = clock
        self._thread = threading.get_ident()
        self._topic = f"{EVENT_LOG}.{publisher.source}"
        self._second = 0
        self._sent = 0
        self._passed_over = 0
        self._inside = False
        logging.getLogger("foxtrot").addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Publish a line, if it is one of this thread and within the rate."""
        if self._inside or threading.get_ident() != self._thread:
            return
        self._inside = True
        try:
            if self._admitted():
                self._publish(record.getMessage()[:_MAX_CHARS], record.levelno, record.name)
        except FrameError:
            self.handleError(record)
        finally:
            self._inside = False

    def close(self) -> None:
        """Listen no longer."""
        logging.getLogger("foxtrot").removeHandler(self)
        super().close()

    def _admitted(self) -> bool:
        second = self._clock.monotonic() // NS_PER_SECOND
        if second != self._second:
            passed_over, self._passed_over = self._passed_over, 0
            self._second, self._sent = second, 0
            if passed_over:
                text = f"{passed_over} log lines were not published; the process's own log has them"
                self._publish(text, logging.WARNING, "foxtrot.log")
        self._sent += 1
        if self._sent > _PER_SECOND:
            self._passed_over += 1
            return False
        return True

    def _publish(self, text: str, level: int, source: str) -> None:
        self._publisher.publish(self._topic, LogData(text, level, source, self._clock.now()))
