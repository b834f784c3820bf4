"""A thin local line between two processes: frames of length and msgpack on a stream socket.

A frame holds a topic and one message. What was sent before the sender was killed can still be received; a frame that
was cut short cannot.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

import msgspec

from foxtrot.core.objects import (
    AccountData,
    CancelRequest,
    ContractData,
    OrderData,
    OrderRequest,
    PositionData,
    TradeData,
)
from foxtrot.core.venue import VenueSnapshot

Message = (
    OrderData
    | TradeData
    | PositionData
    | AccountData
    | ContractData
    | OrderRequest
    | CancelRequest
    | VenueSnapshot
    | dict[str, Any]
    | str
    | int
    | None
)
Frame = tuple[str, Any]

_HEAD = struct.Struct("<I")
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(tuple[str, Message]).decode


class Link:
    """One end of the line.

    Args:
        sock: a connected stream socket, owned by the link from now on.
        blocking: whether ``send`` waits until all is on its way; where it does not, what could not be sent yet goes
            with a later ``flush``.

    Attributes:
        ended: the other side is gone, and all that it had sent was received.
    """

    def __init__(self, sock: socket.socket, *, blocking: bool) -> None:
        self.sock = sock
        self.ended = False
        self._in = bytearray()
        self._out = bytearray()
        self._blocking = blocking
        sock.setblocking(blocking)

    def fileno(self) -> int:
        return self.sock.fileno()

    @property
    def waiting(self) -> int:
        """Bytes that could not be sent yet."""
        return len(self._out)

    def send(self, topic: str, message: Any = None) -> None:
        """Send a message; one to a process that is gone is lost without a word, as on any network."""
        body = _ENCODE((topic, message))
        frame = _HEAD.pack(len(body)) + body
        if self._blocking:
            self.sock.sendall(frame)
            return
        self._out += frame
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the other side takes it."""
        try:
            while self._out:
                del self._out[: self.sock.send(self._out)]
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            self._out.clear()

    def receive(self) -> list[Frame]:
        """All messages that have arrived whole."""
        try:
            while not self.ended:
                data = self.sock.recv(1 << 18, socket.MSG_DONTWAIT)
                self.ended = not data
                self._in += data
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.ended = True
        frames: list[Frame] = []
        start = 0
        while start + 4 <= len(self._in):
            end = start + 4 + _HEAD.unpack_from(self._in, start)[0]
            if end > len(self._in):
                break
            frames.append(_DECODE(memoryview(self._in)[start + 4 : end]))
            start = end
        del self._in[:start]
        return frames

    def close(self) -> None:
        self.sock.close()
