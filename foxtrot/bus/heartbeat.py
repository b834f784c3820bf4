"""What a service says of itself each second, from its work loop: a loop that stands still falls silent."""

from __future__ import annotations

import msgspec

HEARTBEAT_TOPIC = "eHeartbeat."
"""Heartbeats go out on ``eHeartbeat.<source>``."""

HEARTBEAT_NS = 1_000_000_000
"""Time between two heartbeats."""

MAX_LISTED = 8_000
"""Streams that a heartbeat lists at most, durable ones apart."""


class Heartbeat(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Heartbeat"
):
    """A sign of life, with the last sequence number of each stream of its source.

    ``service`` is the source of the streams, ``epoch`` its boot counter, ``status`` a word (``READY``), ``streams`` the
    last sequence number by topic, ``ts`` ns UTC, ``pid`` the process, ``counters`` whatever it counts by name;
    ``complete`` says that a stream that is not listed has no message yet.
    """

    service: str
    epoch: int
    status: str = ""
    streams: dict[str, int] = {}
    ts: int = 0
    pid: int = 0
    counters: dict[str, int] = {}
    complete: bool = True
