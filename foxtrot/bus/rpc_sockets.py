"""The two kinds of socket that requests need, with every option that keeps them bounded and unblocked."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol

import zmq

from foxtrot.core.errors import BusError

ROUTER_HIGH_WATER = 64
"""Messages that ZeroMQ keeps for one peer of a ROUTER; what is more waits in a queue bounded in bytes as well."""
ROUTER_RECEIVE_HIGH_WATER = 256
DEALER_HIGH_WATER = 1_000
_HANDSHAKE = 3_000  # ms that a connection may take to say what it is
_RECONNECT_FIRST = 20  # ms
_RECONNECT_LAST = 50  # no longer: a service that was started again is to be in step at once
_ALONE = 8

NOBLOCK = int(zmq.NOBLOCK)  # plain integers: flags of an enumeration cost a microsecond each time
SNDMORE_NOBLOCK = int(zmq.SNDMORE | zmq.NOBLOCK)
RCVMORE = int(zmq.RCVMORE)
_RCVTIMEO = int(zmq.RCVTIMEO)

Context = zmq.Context[zmq.Socket[bytes]]
Send = Callable[[bytes, int], object]


class ReadPace:
    """How many messages to read when a poll tells of one: one after the other comes alone, many in a flood.

    A look in vain costs as much as a request (benchmarks/bus_rpc.py), and the next poll tells of more just as well;
    so one looks again only now and then, until there was more.
    """

    def __init__(self, batch: int) -> None:
        self._batch = batch
        self._alone = 1  # reads of one message between two looks for more
        self._left = 0

    def limit(self) -> int:
        """How many messages to read now."""
        if self._left:
            self._left -= 1
            return 1
        return self._batch

    def taken(self, count: int) -> None:
        """Tell how many there were."""
        if count > 1:
            self._alone = 1
            self._left = 0
        elif not self._left:
            self._left = self._alone = min(2 * self._alone, _ALONE)


class SocketLoop(Protocol):
    """One poll loop for the sockets of a process."""

    def add(self, source: zmq.Socket[bytes], callback: Callable[[], object], /) -> None:
        """Call back whenever the socket can be read."""

    def remove(self, source: zmq.Socket[bytes], /) -> None:
        """Poll the socket no longer."""


def open_router(context: Context, max_frame: int) -> zmq.Socket[bytes]:
    """Make a ROUTER: it tells when a peer is gone, and lets a peer that has reconnected take its identity over.

    A frame of up to twice ``max_frame`` bytes still arrives, to be answered; a longer one costs its peer the
    connection.
    """
    socket = context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
    socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
    socket.setsockopt(zmq.SNDHWM, ROUTER_HIGH_WATER)
    socket.setsockopt(zmq.RCVHWM, ROUTER_RECEIVE_HIGH_WATER)
    _guard(socket, max_frame)
    return socket


def open_dealer(
    context: Context, endpoint: str, max_frame: int, identity: bytes = b""
) -> zmq.Socket[bytes]:
    """Connect a DEALER that hands messages to established connections only: none wait for a server that is away.

    Raises:
        BusError: the endpoint is malformed.
    """
    socket = context.socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.SNDHWM, DEALER_HIGH_WATER)
    socket.setsockopt(zmq.RCVHWM, DEALER_HIGH_WATER)
    socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_FIRST)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, _RECONNECT_LAST)
    _guard(socket, max_frame)
    if identity:
        socket.setsockopt(zmq.IDENTITY, identity)
    try:
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        socket.close(linger=0)
        raise BusError(f"cannot connect to {endpoint!r}: {error}") from error
    return socket


def sender_of(socket: zmq.Socket[bytes]) -> Send:
    """``send(part, flags)`` of a socket, without the detour for kinds of socket that are not used here."""
    return super(zmq.Socket, socket).send


def _last_part(socket: zmq.Socket[bytes]) -> bytes:
    part = socket.recv(NOBLOCK)
    while socket.getsockopt(RCVMORE):
        part = socket.recv(NOBLOCK)
    return part


def _guard(socket: zmq.Socket[bytes], max_frame: int) -> None:
    """Bound what a connection may cost."""
    socket.setsockopt(zmq.MAXMSGSIZE, 2 * max_frame)
    socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE)
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)


class DealerLink:
    """A DEALER that can be replaced by a fresh one; sends and receives without blocking or raising.

    Attributes:
        socket: the present one.
    """

    def __init__(
        self,
        context: Context,
        endpoint: str,
        max_frame: int,
        identity: bytes,
        log: Callable[[str, Exception], None],
    ) -> None:
        self._open = partial(open_dealer, context, endpoint, max_frame, identity)
        self._log = log
        self._loop: SocketLoop | None = None
        self._callback: Callable[[], object] | None = None
        self._use(self._open())

    def _use(self, socket: zmq.Socket[bytes]) -> None:
        self.socket = socket
        self._send = sender_of(socket)
        self._patience = -1  # ms that a receive waits, as the socket knows it

    @property
    def closed(self) -> bool:
        """Whether it is closed for good."""
        return self.socket.closed

    def attach(self, loop: SocketLoop, callback: Callable[[], object]) -> None:
        """Be polled by a loop, over all replacements of the socket."""
        self._loop = loop
        self._callback = callback
        loop.add(self.socket, callback)

    def send(self, frame: bytes) -> bool:
        """Hand a frame to a connection; returns False where there is none, or it is full."""
        try:
            self._send(frame, NOBLOCK)
        except zmq.Again:
            return False
        except zmq.ZMQError as error:
            if not self.socket.closed:
                self._log("send", error)
            return False
        return True

    def wait(self, nanoseconds: int) -> bytes | None:
        """The next message's last part, waited for up to so long (to the next millisecond), or None.

        Raises:
            BusError: the socket was closed.
        """
        socket, patience = self.socket, -(-nanoseconds // 1_000_000)
        try:
            if patience != self._patience:
                socket.setsockopt(_RCVTIMEO, patience)
                self._patience = patience
            part = socket.recv()
            return part if not socket.getsockopt(RCVMORE) else _last_part(socket)
        except zmq.Again:
            return None
        except zmq.ZMQError as error:
            raise BusError(f"no answer can be waited for: {error}") from error

    def receive(self) -> bytes | None:
        """The next message's last part, or None."""
        socket = self.socket
        try:
            part = socket.recv(NOBLOCK)
            return part if not socket.getsockopt(RCVMORE) else _last_part(socket)
        except zmq.Again:
            return None
        except zmq.ZMQError as error:
            if not socket.closed:
                self._log("receive", error)
            return None

    def reopen(self) -> None:
        """Replace the socket; what it still held is lost."""
        self.close()
        self._use(self._open())
        if self._loop is not None and self._callback is not None:
            self._loop.add(self.socket, self._callback)

    def close(self) -> None:
        """Close the socket."""
        if self._loop is not None:
            self._loop.remove(self.socket)
        self.socket.close(linger=0)
