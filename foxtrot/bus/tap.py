"""A frame as one readable line. Pure, total, and safe to print: no control characters, no secrets.

A line reads ``time source/epoch seq topic Kind field=value ...``, fields that hold their default left out.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from foxtrot.bus.codec import SCHEMA, Codec, Envelope
from foxtrot.core.errors import FrameError
from foxtrot.core.keys import ns_to_datetime
from foxtrot.core.secret import redact

MAX_VALUE_CHARS = 400

_SECRET_WORDS = ("password", "passwd", "secret", "token", "api_key", "private")
_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-:/+@#*")


def describe(frame: bytes, codec: Codec) -> str:
    """Return the line of a frame, whatever its bytes."""
    try:
        topic, envelope = codec.decode(frame)
    except FrameError as error:
        return _describe_refused(frame, error)
    return format_message(topic, envelope)


def format_message(topic: str, envelope: Envelope[Any], *, defaults: bool = False) -> str:
    """Return the line of a message.

    Args:
        topic: where it came.
        envelope: the message and its place.
        defaults: whether to show fields that hold their default.
    """
    message = envelope.message
    kind = message.__struct_config__.tag
    fields = " ".join(
        f"{name}={_value(name, value)}" for name, value in _fields(message, defaults=defaults)
    )
    place = f"{_stamp(envelope.ts)} {_text(envelope.source)}/{envelope.epoch} {envelope.seq}"
    return redact(f"{place} {_text(topic)} {kind} {fields}".rstrip())


def _fields(message: msgspec.Struct, *, defaults: bool) -> list[tuple[str, Any]]:
    standard = {f.name: f.default for f in msgspec.structs.fields(message)}
    found = []
    for name in message.__struct_fields__:
        value = getattr(message, name)
        if defaults or value != standard[name]:
            found.append((name, value))
    return found


def _value(name: str, value: Any) -> str:
    if any(word in name.lower() for word in _SECRET_WORDS):
        return "***"
    if isinstance(value, float):
        return f"{value:.12g}"
    if isinstance(value, msgspec.Struct):
        inner = " ".join(f"{n}={_value(n, v)}" for n, v in _fields(value, defaults=False))
        return f"({inner})"
    if isinstance(value, dict):
        inner = " ".join(f"{_text(str(k))}={_value(str(k), v)}" for k, v in value.items())
        return _cut("{" + inner + "}")
    if isinstance(value, list | tuple):
        return _cut("[" + " ".join(_value("", item) for item in value) + "]")
    return _text(str(value))


def _text(text: str) -> str:
    """A text as it stands if it is a word, else quoted with everything odd escaped."""
    return _cut(text if text and _PLAIN.issuperset(text) else json.dumps(text))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE_CHARS else text[:MAX_VALUE_CHARS] + "..."


def _stamp(ts: int) -> str:
    """A stamp (ns UTC) as ISO time to the microsecond."""
    return ns_to_datetime(ts).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _describe_refused(frame: bytes, error: FrameError) -> str:
    """The line of a frame that could not be read: of its envelope and values what there is, else of its bytes."""
    topic, _, payload = frame.partition(b"\0")
    reason = f"[{error.reason}]"
    try:
        values = msgspec.msgpack.decode(payload)
    except (ValueError, RecursionError, OverflowError, MemoryError, TypeError):
        values = None
    if isinstance(values, list) and len(values) > 5 and values[0] == SCHEMA:
        source, epoch, seq, message = values[1], values[2], values[3], values[5]
        place = f"{_text(str(source))}/{_text(str(epoch))} {_text(str(seq))}"
        name = _text(topic.decode(errors="replace"))
        return redact(f"{reason} {place} {name} {_value('', message)}")
    return f"{reason} {len(frame)} bytes {_text(str(error))} {frame[:32].hex()}"
