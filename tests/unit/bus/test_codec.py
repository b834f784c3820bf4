"""Frames: what goes in comes out, and whatever else comes in is refused with a reason."""

from __future__ import annotations

from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.bus.codec import CORE_TYPES, MAX_TOPIC_BYTES, SCHEMA, Codec, FrameReason
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.core.constants import Direction, OrderType
from foxtrot.core.errors import BusError, FrameError
from foxtrot.core.objects import CancelRequest, OrderData, TickData

CODEC = Codec()
TICK = TickData("BTCUSDT.BINANCE", 1_700_000_000_000_000_000, 100.25, 100.5)
FRAME = CODEC.encode("eTick.BTCUSDT.BINANCE", "md", 3, 7, 1_700_000_000_000_000_001, TICK)


def frame_of(values: Any, topic: bytes = b"eTick.X.Y") -> bytes:
    return topic + b"\0" + msgpack.packb(values)


def reason_of(frame: bytes, codec: Codec = CODEC) -> str:
    with pytest.raises(FrameError) as caught:
        codec.decode(frame)
    assert str(caught.value)
    return caught.value.reason


def test_a_message_comes_back_as_it_was_with_its_place() -> None:
    topic, envelope = CODEC.decode(FRAME)
    assert topic == "eTick.BTCUSDT.BINANCE"
    assert (envelope.schema, envelope.source, envelope.epoch, envelope.seq) == (SCHEMA, "md", 3, 7)
    assert envelope.ts == 1_700_000_000_000_000_001
    assert envelope.message == TICK
    assert type(envelope.message) is TickData


@pytest.mark.parametrize("type_", CORE_TYPES, ids=lambda type_: type_.__name__)
def test_every_core_message_travels(type_: type[msgspec.Struct]) -> None:
    example = _example(type_)
    _, envelope = CODEC.decode(CODEC.encode("x", "s", 1, 1, 0, example))
    assert envelope.message == example


def _example(type_: type[msgspec.Struct]) -> msgspec.Struct:
    """A message with the simplest value of each field that must be given."""
    values: list[Any] = [type_.__struct_config__.tag]
    for field in msgspec.structs.fields(type_):
        if not field.required:
            break
        members = getattr(field.type, "__members__", None)
        values.append(next(iter(members.values())) if members else field.type(1))
    return msgspec.msgpack.decode(msgpack.packb(values), type=type_)


def test_a_frame_is_what_the_plain_package_would_write() -> None:
    values = [1, "md", 3, 7, 9, ["CancelRequest", "SIM.1"]]
    expected = b"cCancel\0" + msgpack.packb(values)
    assert CODEC.encode("cCancel", "md", 3, 7, 9, CancelRequest("SIM.1")) == expected


def test_fields_that_a_newer_sender_appended_are_skipped() -> None:
    frame = frame_of([1, "md", 1, 1, 0, ["CancelRequest", "SIM.1", "new", {"k": 1}], "more"])
    assert CODEC.decode(frame)[1].message == CancelRequest("SIM.1")


def test_memoryviews_and_bytearrays_are_read_too() -> None:
    assert CODEC.decode(memoryview(FRAME)) == CODEC.decode(bytearray(FRAME)) == CODEC.decode(FRAME)


MESSAGE = ["CancelRequest", "SIM.1"]
ORDER = ["Order", "SIM.1", "A.SIM", "LONG", "LIMIT", 1.0]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (b"", FrameReason.TOPIC),
        (b"\0", FrameReason.TOPIC),
        (b"no end", FrameReason.TOPIC),
        (b"x" * (MAX_TOPIC_BYTES + 1) + b"\0", FrameReason.TOPIC),
        (frame_of([1], topic=b"\xff"), FrameReason.TOPIC),
        (frame_of([1], topic=b"a\nb"), FrameReason.TOPIC),
        (b"t\0", FrameReason.MALFORMED),
        (b"t\0\xc1", FrameReason.MALFORMED),
        (b"t\0\xdd\xff\xff\xff\xff", FrameReason.MALFORMED),
        (b"t\0" + b"\x91" * 100_000, FrameReason.MALFORMED),
        (FRAME[:-1], FrameReason.MALFORMED),
        (FRAME + b"\0", FrameReason.MALFORMED),
        (frame_of({}), FrameReason.MALFORMED),
        (frame_of([]), FrameReason.MALFORMED),
        (frame_of([1, "md", 1, 1, 0]), FrameReason.MALFORMED),
        (frame_of([1, "md", 1, 1, 0, None]), FrameReason.MALFORMED),
        (frame_of([2, "md", 1, 1, 0, MESSAGE]), FrameReason.SCHEMA),
        (frame_of([2, "another layout"]), FrameReason.SCHEMA),
        (frame_of([1, "md", 1, 1, 0, ["Nonsense", 1]]), FrameReason.UNKNOWN_KIND),
        (frame_of([1, "md", 1, 1, 0, ["Depth", [], [], [], []]]), FrameReason.UNKNOWN_KIND),
        (frame_of([1, "md", 1, 1, 0, [*ORDER, 0, 0, "BROKEN"]]), FrameReason.UNKNOWN_VALUE),
        (frame_of([1, "md", 1, 1, 0, ORDER[:4]]), FrameReason.INVALID),
        (frame_of([1, "md", 1, 1, 0, ["CancelRequest", 5]]), FrameReason.INVALID),
        (frame_of([1, "", 1, 1, 0, MESSAGE]), FrameReason.INVALID),
        (frame_of([1, "s" * 65, 1, 1, 0, MESSAGE]), FrameReason.INVALID),
        (frame_of([1, "md", -1, 1, 0, MESSAGE]), FrameReason.INVALID),
        (frame_of([1, "md", 1, 2**63, 0, MESSAGE]), FrameReason.INVALID),
        (frame_of([1, "md", 1, "1", 0, MESSAGE]), FrameReason.INVALID),
        (b"x\0" + b"\0" * (1 << 20), FrameReason.OVERSIZED),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(frame: bytes, reason: FrameReason) -> None:
    assert reason_of(frame) == reason


def test_a_message_with_text_that_is_no_utf8_is_malformed() -> None:
    payload = msgpack.packb([1, "md", 1, 1, 0, ["CancelRequest", b"\xff\xfe"]], use_bin_type=False)
    assert reason_of(b"t\0" + payload) == FrameReason.MALFORMED


@given(st.binary(max_size=400))
def test_no_bytes_raise_anything_else(data: bytes) -> None:
    for frame in (data, b"t\0" + data):
        try:
            CODEC.decode(frame)
        except FrameError as error:
            assert error.reason in FrameReason.__members__.values()


PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.sampled_from(sorted(CODEC.kinds)),
    lambda inner: (
        st.lists(inner, max_size=8)
        | st.dictionaries(st.text(max_size=4) | st.integers(0, 9), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(
    st.lists(PLAIN, max_size=8)
    | st.tuples(
        st.just(1),
        st.just("md"),
        st.just(1),
        st.just(1),
        st.just(0),
        st.tuples(st.sampled_from(sorted(CODEC.kinds)), PLAIN, PLAIN, PLAIN, PLAIN, PLAIN),
    )
)
def test_no_values_raise_anything_else(values: Any) -> None:
    frame = frame_of(values)
    try:
        CODEC.decode(frame)
    except FrameError as error:
        assert error.reason in FrameReason.__members__.values()


@given(st.integers(0, len(FRAME) - 1), st.integers(0, 255))
def test_no_flipped_byte_raises_anything_else(index: int, value: int) -> None:
    frame = bytearray(FRAME)
    frame[index] = value
    try:
        CODEC.decode(frame)
    except FrameError as error:
        assert error.reason in FrameReason.__members__.values()


def test_a_flood_of_topics_does_not_fill_the_cache() -> None:
    codec = Codec()
    payload = FRAME.partition(b"\0")[2]
    for number in range(20_000):
        codec.decode(b"eTick.%d\0" % number + payload)
        codec.encode(f"eTick.{number}", "md", 1, 1, 0, TICK)
    assert len(codec._topics) <= 8_192
    assert len(codec._heads) <= 8_192


@pytest.mark.parametrize("topic", ["", "a\0b", "tab\t", "x" * 201, "é" * 101, "\ud800", "a\x1b[0m"])
def test_a_topic_that_breaks_the_rules_is_not_sent(topic: str) -> None:
    with pytest.raises(FrameError) as caught:
        CODEC.encode(topic, "md", 1, 1, 0, TICK)
    assert caught.value.reason == FrameReason.TOPIC


def test_the_longest_topics_travel() -> None:
    for topic in ("x" * 200, "é" * 100):
        assert CODEC.decode(CODEC.encode(topic, "md", 1, 1, 0, TICK))[0] == topic


def test_what_is_not_registered_or_cannot_be_written_is_not_sent() -> None:
    class Own(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="Own"):
        value: int

    with pytest.raises(FrameError, match="Own is not registered") as caught:
        CODEC.encode("t", "md", 1, 1, 0, Own(1))
    assert caught.value.reason == FrameReason.UNKNOWN_KIND
    codec = Codec([Own])
    assert codec.decode(codec.encode("t", "md", 1, 1, 0, Own(1)))[1].message == Own(1)
    for value in (2**70, object(), "\ud800"):
        with pytest.raises(FrameError) as caught:
            codec.encode("t", "md", 1, 1, 0, Own(value))  # type: ignore[arg-type]
        assert caught.value.reason == FrameReason.INVALID


def test_a_frame_over_the_limit_is_not_sent() -> None:
    order = OrderData("A.1", "B.C", Direction.LONG, OrderType.LIMIT, 1.0, reason="x" * 2_000)
    codec = Codec(max_frame=1_000)
    with pytest.raises(FrameError, match="limit is 1000") as caught:
        codec.encode("t", "md", 1, 1, 0, order)
    assert caught.value.reason == FrameReason.OVERSIZED
    assert reason_of(CODEC.encode("t", "md", 1, 1, 0, order), codec) == FrameReason.OVERSIZED


def test_types_that_cannot_travel_are_named() -> None:
    class Untagged(msgspec.Struct):
        value: int

    class Heart(msgspec.Struct, array_like=True, tag_field="_kind", tag="Heartbeat"):
        value: int

    with pytest.raises(BusError, match="Untagged cannot travel"):
        Codec([Untagged])
    with pytest.raises(BusError, match="Heart and Heartbeat are both of the kind 'Heartbeat'"):
        Codec([Heart])
    assert Codec([Heartbeat, TickData]).kinds == CODEC.kinds
