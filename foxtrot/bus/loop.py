"""How a process with sockets waits: one poll over all of them, ended by whoever has something to do.

``SocketWaiter`` is a ``foxtrot.core.waiter.Waiter`` for the event engine. Invariants:

* A ``wake`` from any thread, or from a signal handler, ends the wait that runs or the next one; many count as one.
* Each callback does a bounded piece of work; what is left is seen at the next wait. Who comes first goes round, so that
  a busy socket does not starve the others.
* A callback that raises is logged, counted and left out for a tenth of a second; the loop and the others go on.
* A callback that returns True has more to do, whether or not there is something to read: the next wait does not block
  and calls it again.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket as sockets
import threading
from collections.abc import Callable
from typing import Any

import zmq

from foxtrot.core.clock import Clock, LiveClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import BusError

logger = logging.getLogger("foxtrot.bus")

_PAUSE_NS = NS_PER_SECOND // 10
_NS_PER_MS = 1_000_000

Source = zmq.Socket[Any] | int
Callback = Callable[[], object]


class _Wakeup:
    """A descriptor that other threads make readable: an eventfd, or a pair of sockets where there is none."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal handler may call while its own thread does
        self._set = False
        self._closed = False
        self._pair: tuple[sockets.socket, sockets.socket] | None = None
        if hasattr(os, "eventfd"):
            self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        else:
            self._pair = sockets.socketpair()
            for end in self._pair:
                end.setblocking(False)
            self.fd = self._pair[0].fileno()

    def set(self) -> None:
        if self._set:
            return
        with self._lock:
            if self._closed:
                return
            self._set = True
            with contextlib.suppress(BlockingIOError):  # full: it is readable already
                if self._pair is None:
                    os.eventfd_write(self.fd, 1)
                else:
                    self._pair[1].send(b"\0")

    def clear(self) -> None:
        with self._lock, contextlib.suppress(BlockingIOError):
            self._set = False
            if self._pair is None:
                os.eventfd_read(self.fd)
            else:
                self._pair[0].recv(4_096)

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if self._pair is None:
                os.close(self.fd)
            else:
                for end in self._pair:
                    end.close()


class SocketWaiter:
    """Waits for sockets, descriptors and other threads; ``wait``, ``add`` and ``remove`` belong to the loop's thread.

    Args:
        clock: tells when a callback that failed is tried again.

    Attributes:
        errors: callbacks that raised.
    """

    def __init__(self, clock: Clock | None = None) -> None:
        self.errors = 0
        self._clock: Clock = clock if clock is not None else LiveClock()
        self._poller = zmq.Poller()
        self._callbacks: dict[Source, Callback] = {}
        self._paused: dict[Source, int] = {}
        self._more: list[Source] = []
        self._turn = 0
        self._wakeup = _Wakeup()
        self._poller.register(self._wakeup.fd, zmq.POLLIN)
        self.wake = self._wakeup.set

    def add(self, source: Source, callback: Callback) -> None:
        """Call ``callback()`` when a socket or descriptor can be read; a second call replaces the first.

        The callback does a bounded piece of work and does not block; it returns True where it is to be called again.

        Raises:
            BusError: the socket is closed.
        """
        if isinstance(source, zmq.Socket) and source.closed:
            raise BusError("a closed socket cannot be waited for")
        self._callbacks[source] = callback
        self._paused.pop(source, None)
        self._poller.register(source, zmq.POLLIN)

    def remove(self, source: Source) -> None:
        """Wait for a source no longer; call it before closing. Without effect where it is not known."""
        self._callbacks.pop(source, None)
        self._paused.pop(source, None)
        with contextlib.suppress(KeyError):
            self._poller.unregister(source)

    def wait(self, seconds: float) -> None:
        """Wait up to so long (0 to only look) for something to read or a wake-up, and call who can read."""
        timeout = max(
            0, -int(-seconds * 1_000 // 1)
        )  # up, or the loop would spin through the last millisecond
        if self._paused:
            timeout = min(timeout, self._unpause())
        polled = self._poller.poll(0 if self._more else timeout)
        if len(polled) == 1 and not self._more:
            self._serve(polled[0][0])
            return
        ready = list(dict.fromkeys([source for source, _ in polled] + self._more))
        self._more.clear()
        if len(ready) > 1:
            self._turn = (self._turn + 1) % len(ready)
            ready = ready[self._turn :] + ready[: self._turn]
        for source in ready:
            self._serve(source)

    def close(self) -> None:
        """Forget all sources, which stay open, and close the wake-up; ``wake`` has no effect from here on."""
        for source in list(self._callbacks):
            self.remove(source)
        self._wakeup.close()

    def _serve(self, source: Source) -> None:
        callback = self._callbacks.get(source)
        if callback is None:
            if source == self._wakeup.fd:
                self._wakeup.clear()
            else:
                self._drop_closed()
            return
        try:
            if callback() is True:
                self._more.append(source)
        except Exception as error:  # noqa: BLE001 - whatever a callback raises
            self._pause(source, callback, error)

    def _pause(self, source: Source, callback: Callback, error: Exception) -> None:
        self.errors += 1
        name = getattr(callback, "__qualname__", repr(callback))
        logger.error("reading by %s failed: %s", name, error, exc_info=error)
        if source in self._callbacks:
            self._paused[source] = self._clock.monotonic() + _PAUSE_NS
            self._poller.unregister(source)

    def _unpause(self) -> int:
        """Take up again who has been left out for long enough; returns milliseconds until the next is due."""
        now = self._clock.monotonic()
        for source in [source for source, until in self._paused.items() if until <= now]:
            del self._paused[source]
            self._poller.register(source, zmq.POLLIN)
        left = min(self._paused.values(), default=now) - now
        return left // _NS_PER_MS + 1 if self._paused else 1_000

    def _drop_closed(self) -> None:
        """Remove sockets that were closed without ``remove``: zmq takes them for descriptor 0 and ends every wait."""
        for source in [s for s in self._callbacks if isinstance(s, zmq.Socket) and s.closed]:
            self.remove(source)
            self.errors += 1
            logger.error("a socket was closed while it was waited for; it was removed")
