"""Frames as lines for people."""

from __future__ import annotations

import msgpack
import msgspec
from hypothesis import given
from hypothesis import strategies as st

from foxtrot.bus.codec import Codec
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.tap import describe, format_message
from foxtrot.core.constants import Direction, OrderType
from foxtrot.core.objects import Depth, LogData, OrderData, TickData
from foxtrot.core.secret import Secret

CODEC = Codec()
TS = 1_700_000_000_123_456_789


def line(message: msgspec.Struct, topic: str = "eX", codec: Codec = CODEC) -> str:
    return describe(codec.encode(topic, "md", 3, 17, TS, message), codec)


def test_a_line_tells_time_place_and_fields_by_name() -> None:
    order = OrderData("SIM.a-1", "BTC.SIM", Direction.LONG, OrderType.LIMIT, 2.0, 100.5)
    assert line(order, "eOrder.alpha") == (
        "2023-11-14T22:13:20.123456Z md/3 17 eOrder.alpha Order "
        "vt_orderid=SIM.a-1 vt_symbol=BTC.SIM direction=LONG type=LIMIT volume=2 price=100.5"
    )


def test_nested_values_are_readable_too() -> None:
    tick = TickData("A.SIM", 5, 1.0, 2.0, depth=Depth(bid_prices=(1.0, 0.5)))
    assert line(tick).endswith("ask_price_1=2 depth=(bid_prices=[1 0.5])")
    beat = Heartbeat("md", 1, "READY", {"eTick.A.SIM": 4})
    assert "status=READY streams={eTick.A.SIM=4}" in line(beat)


def test_defaults_are_shown_on_request() -> None:
    _, envelope = CODEC.decode(CODEC.encode("eLog", "md", 1, 1, 0, LogData("hi")))
    assert format_message("eLog", envelope).endswith("eLog Log msg=hi")
    full = format_message("eLog", envelope, defaults=True)
    assert full.endswith('msg=hi level=20 source="" ts_event=0')


def test_nothing_that_would_move_a_terminals_cursor_gets_through() -> None:
    text = line(LogData("a\x1b[2J\nb\u202e"))
    assert text.isprintable()
    assert r"a\u001b[2J\nb\u202e" in text


def test_secrets_stay_secret() -> None:
    class Login(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="Login"):
        user: str
        api_key: str
        extra: dict[str, str]

    Secret("hunter2hunter2")
    codec = Codec([Login])
    text = line(Login("me", "abc", {"password": "xyz"}), codec=codec)
    assert text.endswith("Login user=me api_key=*** extra={password=***}")
    assert "hunter2" not in line(LogData("it is hunter2hunter2, is it not"))


def test_a_frame_that_cannot_be_read_is_shown_as_far_as_it_goes() -> None:
    frame = b"eNew\0" + msgpack.packb([1, "md", 3, 17, TS, ["Newest", "A", 1.5, {"k": b"\xff"}]])
    assert describe(frame, CODEC).startswith("[unknown_kind] md/3 17 eNew [Newest A 1.5 {k=")
    assert describe(b"\xff\xfe", CODEC).startswith("[topic] 2 bytes")
    assert describe(b"", CODEC).startswith("[topic] 0 bytes")
    assert len(line(LogData("x" * 5_000))) < 600


def test_the_latest_stamp_there_is_can_be_shown() -> None:
    frame = CODEC.encode("eLog", "md", 1, 1, 2**63 - 1, LogData("hi"))
    assert describe(frame, CODEC).startswith("2262-04-11T23:47:16.854775Z md/1")


@given(st.binary(max_size=200))
def test_any_bytes_make_one_printable_line(data: bytes) -> None:
    for frame in (data, b"t\0" + data, b"t\0\x96\x01\xa1s\x01\x01\x01" + data):
        assert describe(frame, CODEC).isprintable()
