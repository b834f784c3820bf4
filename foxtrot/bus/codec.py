"""Messages as frames: ``topic NUL payload``, where the payload is the msgpack of an envelope around one message.

Invariants:

* An envelope is the array ``[schema, source, epoch, seq, ts, message]``, a message the array that begins with its kind.
  Whatever reads msgpack reads it; fields are only ever appended, and what is appended is skipped by older readers.
* ``decode`` is total: whatever the bytes, it returns a typed envelope or raises ``FrameError`` with its ``reason``.
* A topic is printable text of 1 to 200 bytes (UTF-8) without NUL, so that a subscription to ``topic NUL`` is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Generic, TypeVar, Union

import msgspec

from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.core import objects
from foxtrot.core.errors import BusError, FrameError

SCHEMA = 1
"""Version of the envelope; a reader refuses every other."""

MAX_FRAME_BYTES = 1 << 20
MAX_TOPIC_BYTES = 200
MAX_SOURCE_CHARS = 64
MAX_INTEGER = 2**63 - 1

CORE_TYPES: tuple[type[msgspec.Struct], ...] = (
    objects.TickData,
    objects.BarData,
    objects.TradeTick,
    objects.BookDelta,
    objects.BookSnapshot,
    objects.OrderData,
    objects.TradeData,
    objects.PositionData,
    objects.AccountData,
    objects.ContractData,
    objects.LogData,
    objects.TimerData,
    objects.SubscribeRequest,
    objects.OrderRequest,
    objects.ModifyRequest,
    objects.CancelRequest,
    objects.HistoryRequest,
    Heartbeat,
)
"""Messages that every codec knows."""

_TOPIC_CACHE = 8_192  # topics; a flood of made-up ones empties it, and costs no memory
_CACHED_BYTES = 64  # longer topics are nobody's in earnest; they are checked each time
_MAX_DETAIL = 200  # characters of what a decoder has to say

M = TypeVar("M")
_Schema = Annotated[int, msgspec.Meta(ge=SCHEMA, le=SCHEMA)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_SOURCE_CHARS)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]


class FrameReason(StrEnum):
    """Why a frame was refused."""

    OVERSIZED = "oversized"
    """Longer than the limit."""
    TOPIC = "topic"
    """No NUL within the first 201 bytes, or a topic that breaks the rules."""
    MALFORMED = "malformed"
    """The payload is not msgpack, or no envelope."""
    SCHEMA = "schema"
    """The envelope is of another version."""
    UNKNOWN_KIND = "unknown_kind"
    """The message's kind is not registered here."""
    UNKNOWN_VALUE = "unknown_value"
    """A field holds a member that its enumeration does not have."""
    INVALID = "invalid"
    """A field is missing, of the wrong type or out of range."""


class Envelope(msgspec.Struct, Generic[M], frozen=True, array_like=True, gc=False):
    """A message and where it stands.

    ``source`` is the service that published it (1 to 64 characters), ``epoch`` that service's boot counter, ``seq`` the
    message's number in the stream of its source and topic, ``ts`` when it was published (ns UTC).
    """

    schema: _Schema
    source: _Name
    epoch: _Count
    seq: _Count
    ts: _Count
    message: M


def check_topic(topic: str) -> bytes:
    """Return the bytes of a topic that keeps the rules.

    Raises:
        FrameError: it does not (``FrameReason.TOPIC``).
    """
    try:
        raw = topic.encode()
    except UnicodeEncodeError as error:
        raise FrameError(FrameReason.TOPIC, f"topic {topic!a} is not valid text: {error}") from None
    if not raw or len(raw) > MAX_TOPIC_BYTES or not topic.isprintable():
        raise FrameError(
            FrameReason.TOPIC,
            f"topic {topic[:MAX_TOPIC_BYTES]!a} must be 1 to {MAX_TOPIC_BYTES} bytes of printable text",
        )
    return raw


def kind_of(type_: type[Any]) -> str:
    """The kind under which a Struct travels.

    Raises:
        BusError: it is no array-like Struct tagged by ``_kind``.
    """
    config = getattr(type_, "__struct_config__", None)
    if config is None or not config.array_like or config.tag_field != "_kind":
        raise BusError(
            f"{type_.__name__} cannot travel: declare it as msgspec.Struct with array_like=True, "
            f'tag_field="_kind" and a tag'
        )
    return str(config.tag)


class Codec:
    """Writes and reads frames; one per thread, reused for every message.

    Args:
        types: Structs that travel besides ``CORE_TYPES``.
        max_frame: longest frame in bytes.

    Raises:
        BusError: a type cannot travel, or two have the same kind.
    """

    def __init__(
        self, types: Sequence[type[msgspec.Struct]] = (), *, max_frame: int = MAX_FRAME_BYTES
    ) -> None:
        self.max_frame = max_frame
        self.kinds: dict[str, type[msgspec.Struct]] = {}
        for type_ in (*CORE_TYPES, *types):
            known = self.kinds.setdefault(kind_of(type_), type_)
            if known is not type_:
                raise BusError(
                    f"{type_.__name__} and {known.__name__} are both of the kind {kind_of(type_)!r}; rename one"
                )
        self._types = frozenset(self.kinds.values())
        union: Any = Union[tuple(self.kinds.values())]  # noqa: UP007 - built at run time
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Envelope[union]).decode
        self._heads: dict[str, bytes] = {}
        self._topics: dict[bytes, str] = {}

    def encode(
        self, topic: str, source: str, epoch: int, seq: int, ts: int, message: msgspec.Struct
    ) -> bytes:
        """Return the frame of a message.

        Raises:
            FrameError: the topic breaks the rules, the message is of no registered type, holds what msgpack cannot
                carry, or is too long.
        """
        head = self._heads.get(topic) or self._head(topic)
        if type(message) not in self._types:
            raise FrameError(
                FrameReason.UNKNOWN_KIND,
                f"{type(message).__name__} is not registered; give it to Codec(types=...)",
            )
        try:
            frame = head + self._encode((SCHEMA, source, epoch, seq, ts, message))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise FrameError(
                FrameReason.INVALID, f"{type(message).__name__} cannot be encoded: {error}"
            ) from error
        if len(frame) > self.max_frame:
            raise self._oversized(len(frame))
        return frame

    def decode(self, frame: bytes | bytearray | memoryview) -> tuple[str, Envelope[Any]]:
        """Return topic and envelope of a frame.

        Raises:
            FrameError: nothing else, whatever the bytes; ``reason`` says why.
        """
        if type(frame) is not bytes:
            frame = bytes(frame)
        if len(frame) > self.max_frame:
            raise self._oversized(len(frame))
        raw, nul, payload = frame.partition(b"\0")
        topic = self._topics.get(raw) or self._topic(raw, nul)
        try:
            return topic, self._decode(payload)
        except (ValueError, RecursionError, OverflowError, MemoryError) as error:
            raise self._explain(payload, error) from None

    def _head(self, topic: str) -> bytes:
        head = check_topic(topic) + b"\0"
        if len(head) <= _CACHED_BYTES:
            if len(self._heads) >= _TOPIC_CACHE:
                self._heads.clear()
            self._heads[topic] = head
        return head

    def _topic(self, raw: bytes, nul: bytes) -> str:
        if not nul or len(raw) > MAX_TOPIC_BYTES:
            raise FrameError(
                FrameReason.TOPIC, f"no NUL ends a topic within {MAX_TOPIC_BYTES + 1} bytes"
            )
        try:
            topic = raw.decode()
        except UnicodeDecodeError as error:
            raise FrameError(FrameReason.TOPIC, f"topic is not UTF-8: {error}") from None
        check_topic(topic)
        if len(raw) <= _CACHED_BYTES:
            if len(self._topics) >= _TOPIC_CACHE:
                self._topics.clear()
            self._topics[raw] = topic
        return topic

    def _oversized(self, length: int) -> FrameError:
        return FrameError(
            FrameReason.OVERSIZED, f"a frame of {length} bytes; the limit is {self.max_frame}"
        )

    def _other_schema(self, schema: object) -> FrameError:
        text = str(schema)[:_MAX_DETAIL]
        return FrameError(
            FrameReason.SCHEMA, f"envelope of schema {text}; this process reads {SCHEMA}"
        )

    def _explain(self, payload: bytes, error: BaseException) -> FrameError:
        """Find out, untyped, what the typed decoder could not read."""
        detail = str(error)[:_MAX_DETAIL]
        try:
            values = _DECODE_ANY(payload)
        except (ValueError, RecursionError, OverflowError, MemoryError, TypeError) as untyped:
            return FrameError(
                FrameReason.MALFORMED, f"payload is not msgpack: {str(untyped)[:_MAX_DETAIL]}"
            )
        if not isinstance(values, list) or not values or type(values[0]) is not int:
            return FrameError(FrameReason.MALFORMED, f"payload is no envelope: {detail}")
        if values[0] != SCHEMA:
            return self._other_schema(values[0])
        message = values[5] if len(values) > 5 else None
        if not isinstance(message, list) or not message or not isinstance(message[0], str):
            return FrameError(FrameReason.MALFORMED, f"envelope without a message: {detail}")
        if message[0] not in self.kinds:
            return FrameError(
                FrameReason.UNKNOWN_KIND, f"unknown kind {message[0][:_MAX_DETAIL]!a}"
            )
        known = FrameReason.UNKNOWN_VALUE if "enum value" in detail else FrameReason.INVALID
        return FrameError(known, f"{message[0]}: {detail}")


_DECODE_ANY = msgspec.msgpack.Decoder(strict=True).decode
