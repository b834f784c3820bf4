"""How processes talk: the wire between one MainEngine and the others.

Names are loaded when they are first used: importing this package does not load ZeroMQ.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foxtrot.bus.address import bind, check_bind, ipc_endpoint, random_ipc_endpoint, run_folder
    from foxtrot.bus.codec import Codec, Envelope, FrameReason
    from foxtrot.bus.cursor import Stream, StreamCounts
    from foxtrot.bus.health import Health, HealthBoard, HealthChange
    from foxtrot.bus.heartbeat import HEARTBEAT_NS, HEARTBEAT_TOPIC, Heartbeat
    from foxtrot.bus.loop import SocketWaiter
    from foxtrot.bus.publisher import Publisher
    from foxtrot.bus.quarantine import Quarantine, Refused
    from foxtrot.bus.streams import DURABLE_PREFIXES, StreamTracker
    from foxtrot.bus.subscriber import Subscriber
    from foxtrot.bus.tap import describe, format_message

_EXPORTS = {
    "address": ("bind", "check_bind", "ipc_endpoint", "random_ipc_endpoint", "run_folder"),
    "codec": ("Codec", "Envelope", "FrameReason"),
    "cursor": ("Stream", "StreamCounts"),
    "health": ("Health", "HealthBoard", "HealthChange"),
    "heartbeat": ("HEARTBEAT_NS", "HEARTBEAT_TOPIC", "Heartbeat"),
    "loop": ("SocketWaiter",),
    "publisher": ("Publisher",),
    "quarantine": ("Quarantine", "Refused"),
    "streams": ("DURABLE_PREFIXES", "StreamTracker"),
    "subscriber": ("Subscriber",),
    "tap": ("describe", "format_message"),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "DURABLE_PREFIXES",
    "HEARTBEAT_NS",
    "HEARTBEAT_TOPIC",
    "Codec",
    "Envelope",
    "FrameReason",
    "Health",
    "HealthBoard",
    "HealthChange",
    "Heartbeat",
    "Publisher",
    "Quarantine",
    "Refused",
    "SocketWaiter",
    "Stream",
    "StreamCounts",
    "StreamTracker",
    "Subscriber",
    "bind",
    "check_bind",
    "describe",
    "format_message",
    "ipc_endpoint",
    "random_ipc_endpoint",
    "run_folder",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted(__all__)
