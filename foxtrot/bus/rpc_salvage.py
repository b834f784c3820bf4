"""What can still be told of a frame that cannot be read, so that its sender gets an answer."""

from __future__ import annotations

import msgspec

from foxtrot.bus.codec import MAX_TOPIC_BYTES
from foxtrot.bus.rpc_messages import ERROR_TOPIC, MAX_ID_CHARS

_DECODE_ANY = msgspec.msgpack.Decoder(strict=True).decode


def topic_of(frame: bytes) -> str:
    """The topic of a frame that cannot be read, where there is one that can be answered on."""
    raw, nul, _ = frame[: MAX_TOPIC_BYTES + 1].partition(b"\0")
    try:
        topic = raw.decode()
    except UnicodeDecodeError:
        return ERROR_TOPIC
    return topic if nul and raw and topic.isprintable() else ERROR_TOPIC


def id_of(frame: bytes, max_frame: int) -> str:
    """The id of a request that cannot be read, or an empty one."""
    if len(frame) > max_frame:
        return ""
    try:
        message = _DECODE_ANY(frame.partition(b"\0")[2])[5]
        kind, id_ = message[0], message[1]
    except (ValueError, TypeError, LookupError, RecursionError, OverflowError, MemoryError):
        return ""
    return id_[:MAX_ID_CHARS] if kind == "Request" and isinstance(id_, str) else ""
