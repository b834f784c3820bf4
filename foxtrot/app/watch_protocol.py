r"""What supervisor tells its event listeners, and what they answer. Pure: bytes in, events and bytes out.

Each event is a line of ``key:value`` words, one of them ``len``, and so many bytes of the same form behind it. It is
answered by ``RESULT 2\nOK`` and asked for by ``READY\n``; nothing else may ever be written to standard output.
"""

from __future__ import annotations

from typing import NamedTuple

from foxtrot.core.errors import BusError

__all__ = ["READY_LINE", "RESULT_LINE", "EventReader", "SupervisorEvent"]

READY_LINE = b"READY\n"
RESULT_LINE = b"RESULT 2\nOK"

_MAX = 1_000_000


class SupervisorEvent(NamedTuple):
    """Something happened.

    Attributes:
        name: such as ``PROCESS_STATE_EXITED``.
        fields: such as ``processname``, ``from_state``, ``pid``, ``expected``.
    """

    name: str
    fields: dict[str, str]

    @property
    def process(self) -> str:
        """Whom it is about; empty where it is the supervisor itself."""
        return self.fields.get("processname", "")

    @property
    def pid(self) -> int:
        """Its process number; 0 where none is told."""
        text = self.fields.get("pid", "")
        return int(text) if text.isascii() and text.isdigit() else 0


class EventReader:
    """Cuts the stream of bytes into events, however it arrives."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[SupervisorEvent]:
        """Take bytes; returns the events that are whole now.

        Raises:
            BusError: this is not what a supervisor says; nothing that follows can be understood.
        """
        self._held += data
        events = []
        while True:
            head, newline, rest = self._held.partition(b"\n")
            if not newline:
                break
            header = _words(head)
            length = header.get("len", "")
            if "eventname" not in header or not length.isdigit() or int(length) > _MAX:
                raise BusError(f"this is no event of a supervisor: {head[:200]!r}")
            size = int(length)
            if len(rest) < size:
                break
            self._held = rest[size:]
            payload = rest[:size].partition(b"\n")[0]  # what may follow is a process's own output
            events.append(SupervisorEvent(header["eventname"], _words(payload)))
        if len(self._held) > 2 * _MAX:
            raise BusError(f"{len(self._held)} bytes without an event; is this a supervisor?")
        return events


def _words(line: bytes) -> dict[str, str]:
    words = (word.partition(":") for word in line.decode("utf-8", "replace").split())
    return {key: value for key, colon, value in words if colon}
