"""Talking to Foxtrot with nothing but pyzmq and msgpack, by the wire reference's own words."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgpack
import pytest
import zmq

from foxtrot.bus.codec import CORE_TYPES, Codec, FrameReason, kind_of
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.publisher import Publisher
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.objects import TickData
from tests.docs.snippets import python_snippets

from .conftest import Until

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "wire.md"
TEXT = PAGE.read_text(encoding="utf-8")
NOW = 1_700_000_000_000_000_001
TOPIC = "eTick.BTCUSDT.BINANCE"
TICK = TickData("BTCUSDT.BINANCE", NOW - 1, 100.25, 100.5, 3.0, 4.0)
FIELDS = ["Tick", "BTCUSDT.BINANCE", NOW - 1, 100.25, 100.5, 3.0, 4.0, 0.0, 0.0, 0.0]
MESSAGE = [*FIELDS, None, None, 0, ""]


@pytest.fixture(scope="module")
def client() -> dict[str, Callable[..., Any]]:
    """The functions of the page's client."""
    code = next(s.code for s in python_snippets(TEXT) if "def follow(" in s.code)
    namespace: dict[str, Any] = {}
    exec(compile(code, str(PAGE), "exec"), namespace)  # noqa: S102 - our own page
    return namespace


def test_the_pages_example_is_byte_for_byte_what_is_sent(client: dict[str, Any]) -> None:
    block = TEXT.split("### Byte by byte")[1].split("```text\n")[1].split("```")[0]
    lines = (re.match(r"((?:[0-9a-f]{2} )*[0-9a-f]{2})  ", line) for line in block.splitlines())
    example = b"".join(bytes.fromhex(line[1]) for line in lines if line)
    assert example == Codec().encode(TOPIC, "md", 3, 7, NOW, TICK)
    assert example == client["write_frame"](TOPIC, "md", 3, 7, NOW, MESSAGE)
    assert client["read_frame"](example) == (TOPIC, "md", 3, 7, NOW, MESSAGE)


def test_the_page_names_every_kind_and_reason_and_the_fields_of_a_heartbeat() -> None:
    kinds = TEXT.split("The kinds are")[1].split(";")[0]
    assert re.findall(r"`(\w+)`", kinds) == [kind_of(type_) for type_ in CORE_TYPES]
    refused = TEXT.split("## What is refused")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)`", refused, re.MULTILINE) == list(FrameReason)
    heartbeats = TEXT.split("## Heartbeats")[1].split("## ")[0]
    fields = tuple(re.findall(r"^\| \d+ \| `(\w+)`", heartbeats, re.MULTILINE))
    assert fields == Heartbeat.__struct_fields__


def test_a_heartbeats_bytes_never_change() -> None:
    beat = Heartbeat("md", 3, "READY", {"eTick.A.SIM": 9}, 5, 42, {"sent": 11})
    values = ["Heartbeat", "md", 3, "READY", {"eTick.A.SIM": 9}, 5, 42, {"sent": 11}, True]
    payload = msgpack.packb([1, "md", 3, 1, 5, values])
    assert Codec().encode("eHeartbeat.md", "md", 3, 1, 5, beat) == b"eHeartbeat.md\0" + payload


def test_the_pages_client_follows_a_publisher_and_sees_its_gaps(
    client: dict[str, Any], context: zmq.Context[Any], endpoint: str
) -> None:
    # given a publisher that goes on until the client has joined it
    context.setsockopt(zmq.RCVTIMEO, 5_000)
    publisher = Publisher(context, endpoint, "md", 3, SimulatedClock(NOW))
    joined = threading.Event()

    def publish_until_joined() -> None:
        while not joined.wait(0.005):
            publisher.publish(TOPIC, TICK)

    with closing(publisher), closing(client["follow"](context, endpoint, TOPIC)) as seen:
        thread = threading.Thread(target=publish_until_joined)
        thread.start()
        try:
            assert next(seen) == ("message", TOPIC, MESSAGE)
        finally:
            joined.set()
            thread.join()
        # when two of five messages are lost on their way, the last among them
        start = publisher.streams[TOPIC]
        for lost in (False, True, False, False, True):
            if lost:
                publisher.seed(TOPIC, publisher.streams[TOPIC] + 1)
            else:
                publisher.publish(TOPIC, TICK)
        publisher.heartbeat()
        # then the client sees both gaps
        end = ("gap", TOPIC, start + 5, start + 5)
        items = [*iter(lambda: next(seen), end), end]
        message = ("message", TOPIC, MESSAGE)
        gap = ("gap", TOPIC, start + 2, start + 2)
        assert items[-5:] == [message, gap, message, message, end]
        assert [item for item in items if item[0] == "gap"] == [gap, end]


def test_foxtrot_reads_what_a_plain_client_publishes(
    client: dict[str, Any], context: zmq.Context[Any], endpoint: str, until: Until
) -> None:
    got: list[Any] = []
    gaps: list[Any] = []
    reader = Subscriber(
        context,
        SimulatedClock(NOW),
        lambda topic, envelope: got.append((topic, envelope.message)),
        on_gap=lambda stream, *gap: gaps.append((stream.source, stream.name, *gap)),
    )
    reader.subscribe(TOPIC)
    write = client["write_frame"]
    with closing(reader), context.socket(zmq.PUB) as plain:
        plain.bind(endpoint)
        reader.connect(endpoint)
        heartbeat = ["Heartbeat", "plain", 1]
        until(
            lambda: (
                plain.send(write("eHeartbeat.plain", "plain", 1, 1, NOW, heartbeat))
                or reader.drain()
                or reader.received
            )
        )
        for seq in (1, 2, 4):
            plain.send(write(TOPIC, "plain", 1, seq, NOW, FIELDS[:5]))
        until(lambda: reader.drain() or len(got) == 3)
    assert got == [(TOPIC, TickData("BTCUSDT.BINANCE", NOW - 1, 100.25, 100.5))] * 3
    assert gaps == [("plain", TOPIC, 3, 3, 1)]
