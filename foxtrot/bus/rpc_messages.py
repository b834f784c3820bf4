"""What travels between one who asks and one who answers, and what an answer can be.

Invariants:

* A request is one frame like every other; its topic is its method. A body travels as msgpack within the message and
  is decoded by itself, so that one that cannot be read is still answered under its request's id.
* ``Reply.ok`` false means that the other side decided so and says why; nobody ever invents a failure for a request
  that was sent. What is not known is ``Unknown``.
* Numbered reports count from 1 per sender; acknowledgements are cumulative.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Union

import msgspec

from foxtrot.bus.codec import MAX_INTEGER, MAX_TOPIC_BYTES, Codec, FrameReason
from foxtrot.core.errors import BusError, FrameError

MAX_ID_CHARS = 128
ERROR_TOPIC = "rpc.error"
"""Topic of the error reply to a frame whose own topic cannot be read."""

NIL = msgspec.Raw(b"\xc0")
_MAX_TEXT = 500  # characters of an error's text on the wire

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_ID_CHARS)]
_Method = Annotated[str, msgspec.Meta(min_length=1, max_length=MAX_TOPIC_BYTES)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_INTEGER)]
_Number = Annotated[int, msgspec.Meta(ge=1, le=MAX_INTEGER)]


class Request(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Request"
):
    """A question. ``id`` is minted by the asker and unique for its source; ``method`` is the frame's topic."""

    id: _Id
    method: _Method
    body: msgspec.Raw = NIL


class Reply(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Reply"):
    """The answer to the request of that ``id`` (empty where the id could not be read); codes in ``RpcCode``."""

    id: str
    ok: bool
    body: msgspec.Raw = NIL
    error_code: str = ""
    error_text: str = ""


class Ack(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Ack"):
    """The request of that ``id`` has arrived and is being worked on; its reply comes later."""

    id: str


class Report(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Report"
):
    """A numbered message. ``first`` is the lowest number that its sender still holds: what is below will not come."""

    number: _Number
    first: _Number
    body: msgspec.Raw = NIL


class ReportHello(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="ReportHello"
):
    """A sender begins; ``last`` is the last number it has given out. Answered with ``ReportAck``."""

    last: _Count = 0


class ReportAck(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="ReportAck"
):
    """Where a receiver stands with a sender.

    ``epoch`` is the sender's boot counter as the receiver knows it; all reports up to ``committed`` are durable,
    those up to ``received`` have arrived in order.
    """

    epoch: _Count
    committed: _Count
    received: _Count


RPC_TYPES: tuple[type[msgspec.Struct], ...] = (Request, Reply, Ack, Report, ReportHello, ReportAck)
"""What a codec must know besides the bodies: ``Codec(types=(*RPC_TYPES, ...))``."""


class RpcCode(StrEnum):
    """Error codes of replies made by the server itself; a ``FrameReason`` in capitals is one, too."""

    UNKNOWN_METHOD = "UNKNOWN_METHOD"
    """Nobody answers to this method here."""
    WRONG_BODY = "WRONG_BODY"
    """The body cannot be read, or is of a type that the method does not take."""
    WRONG_TOPIC = "WRONG_TOPIC"
    """Topic and method differ."""
    WRONG_KIND = "WRONG_KIND"
    """The message is no request."""
    ID_REUSED = "ID_REUSED"
    """The id stands for another request of the same source."""
    BUSY = "BUSY"
    """Too many requests wait for their answers: nothing was done, ask again."""
    HANDLER_ERROR = "HANDLER_ERROR"
    """The handler raised; whether it did something first is in its own records."""


class RpcError(BusError):
    """A request is refused; a handler raises it to answer with a code of its own.

    Attributes:
        code: one word for programs.
        text: what was wrong and how to mend it, for people.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class Answer(msgspec.Struct, frozen=True):
    """What the other side said: ``body`` (a Struct or None) where ``ok``, else a code and a text.

    ``source`` and ``epoch`` tell which boot of which service answered.
    """

    id: str
    method: str
    ok: bool
    body: Any = None
    error_code: str = ""
    error_text: str = ""
    source: str = ""
    epoch: int = 0


class Unknown(msgspec.Struct, frozen=True):
    """No answer in time: the request may have been carried out or not, now or later. Ask; never take it for failed.

    ``attempts`` counts how often it was sent, ``acknowledged`` whether its arrival was confirmed, ``waited`` is in ns.
    """

    id: str
    method: str
    reason: str
    attempts: int = 0
    acknowledged: bool = False
    waited: int = 0


Outcome = Answer | Unknown


class Bodies:
    """Writes and reads the bodies within messages, of the types that a codec knows."""

    def __init__(self, codec: Codec) -> None:
        types = [type_ for type_ in codec.kinds.values() if type_ not in RPC_TYPES]
        missing = [type_.__name__ for type_ in RPC_TYPES if type_ not in codec.kinds.values()]
        if missing:
            raise BusError(
                f"the codec does not know {', '.join(missing)}; make it with "
                f"Codec(types=(*RPC_TYPES, ...))"
            )
        self._types = frozenset(types)
        self._encode = msgspec.msgpack.Encoder().encode
        union: Any = Union[tuple([*types, None])]  # noqa: UP007 - built at run time
        self._decode = msgspec.msgpack.Decoder(union).decode

    def check(self, body: msgspec.Struct | None) -> Any:
        """Return a body that may stand in a message as it is, to be encoded with the message, in one go.

        Raises:
            FrameError: the type is not registered with the codec.
        """
        if type(body) in self._types:
            return body
        if body is None:
            return NIL
        raise FrameError(
            FrameReason.UNKNOWN_KIND,
            f"{type(body).__name__} cannot be a body; give it to Codec(types=...)",
        )

    def encode(self, body: msgspec.Struct | None) -> msgspec.Raw:
        """Return a body as it travels.

        Raises:
            FrameError: the type is not registered with the codec, or a value cannot be carried by msgpack.
        """
        if body is None:
            return NIL
        self.check(body)
        try:
            return msgspec.Raw(self._encode(body))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise FrameError(
                FrameReason.INVALID, f"{type(body).__name__} cannot be encoded: {error}"
            ) from error

    def decode(self, raw: msgspec.Raw) -> Any:
        """Return the Struct, or None, that a message holds.

        Raises:
            FrameError: it is of no registered type, or breaks its type's rules.
        """
        try:
            return self._decode(raw)
        except (ValueError, RecursionError, OverflowError, MemoryError) as error:
            raise FrameError(FrameReason.INVALID, f"body: {shorten(str(error))}") from None


def shorten(text: str) -> str:
    """Bring a text to the length and form that may travel as ``error_text``."""
    return text[:_MAX_TEXT].encode("utf-8", "replace").decode()


def refusal(id: str, code: str, text: str) -> Reply:
    """Return an error reply."""
    return Reply(id, False, NIL, shorten(code), shorten(text))
