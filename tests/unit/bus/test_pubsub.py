"""Publisher and subscriber over real sockets."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Any

import pytest
import zmq

from foxtrot.bus.codec import Codec, Envelope, FrameReason
from foxtrot.bus.cursor import Stream
from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.bus.publisher import Publisher
from foxtrot.bus.quarantine import RING_SIZE
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import LiveClock, SimulatedClock
from foxtrot.core.errors import BusError, FrameError
from foxtrot.core.objects import CancelRequest, LogData, TickData

from .conftest import Until

TICKS = "eTick.A.SIM"
ORDERS = "eOrder.alpha"
NOW = 1_700_000_000_000_000_000


def tick(number: float, vt_symbol: str = "A.SIM") -> TickData:
    return TickData(vt_symbol, NOW, number, number + 1.0)


class Reader:
    """A subscriber, and everything that it said."""

    def __init__(self, context: zmq.Context[Any], clock: SimulatedClock, **options: Any) -> None:
        self.got: list[tuple[str, Envelope[Any]]] = []
        self.gaps: list[tuple[str, int, int, int]] = []
        self.epochs: list[tuple[str, int, int]] = []
        self.beats: list[Heartbeat] = []
        self.subscriber = Subscriber(
            context,
            clock,
            lambda topic, e: self.got.append((topic, e)),
            on_gap=lambda stream, *gap: self.gaps.append((stream.name, *gap)),
            on_epoch=lambda *epochs: self.epochs.append(epochs),
            on_heartbeat=lambda beat, now: self.beats.append(beat),
            **options,
        )

    def seqs(self, topic: str) -> list[int]:
        return [e.seq for name, e in self.got if name == topic]


class Bus:
    """Publishers and readers of one test, joined before anything is published."""

    def __init__(self, context: zmq.Context[Any], endpoint: str, until: Until) -> None:
        self.context = context
        self.endpoint = endpoint
        self.until = until
        self.clock = SimulatedClock(NOW)
        self.stack = ExitStack()

    def publisher(self, source: str = "md", epoch: int = 1, **options: Any) -> Publisher:
        made = Publisher(self.context, self.endpoint, source, epoch, self.clock, **options)
        self.stack.enter_context(closing(made))
        return made

    def reader(self, *topics: str, **options: Any) -> Reader:
        made = Reader(self.context, self.clock, **options)
        self.stack.enter_context(closing(made.subscriber))
        for topic in topics:
            made.subscriber.subscribe(topic)
        made.subscriber.connect(self.endpoint)
        return made

    def join(self, publisher: Publisher, reader: Reader) -> None:
        """Wait until the reader's subscriptions have reached the publisher."""
        known = len(reader.beats)

        def heard() -> bool:
            publisher.heartbeat()
            reader.subscriber.drain()
            return len(reader.beats) > known

        self.until(heard)

    def settle(self, publisher: Publisher, reader: Reader) -> None:
        """Let everything that was published arrive: a last heartbeat comes behind it."""
        beat = publisher.heartbeat("SETTLED")

        def arrived() -> bool:
            reader.subscriber.drain()
            return beat in reader.beats

        self.until(arrived)


@pytest.fixture(params=["inproc", "ipc"])
def bus(
    request: pytest.FixtureRequest, context: zmq.Context[Any], endpoint: str, until: Until
) -> Iterator[Bus]:
    made = Bus(context, "inproc://bus" if request.param == "inproc" else endpoint, until)
    with made.stack:
        yield made


def test_messages_arrive_typed_numbered_and_stamped(bus: Bus) -> None:
    publisher, reader = bus.publisher(), bus.reader(TICKS)
    bus.join(publisher, reader)
    for number in (1.0, 2.0):
        publisher.publish(TICKS, tick(number))
    bus.settle(publisher, reader)
    assert [e.message for _, e in reader.got] == [tick(1.0), tick(2.0)]
    assert reader.seqs(TICKS) == [1, 2]
    assert {(e.source, e.epoch, e.ts) for _, e in reader.got} == {("md", 1, NOW)}
    assert reader.subscriber.delivered == 2


def test_a_topic_is_exact_and_one_with_a_dot_at_its_end_is_a_prefix(bus: Bus) -> None:
    publisher = bus.publisher()
    exact, prefix = bus.reader(TICKS), bus.reader("eTick.")
    for reader in (exact, prefix):
        bus.join(publisher, reader)
    for topic in (TICKS, TICKS + "X", "eTick.B.SIM", "eTickle"):
        publisher.publish(topic, tick(1.0))
    for reader in (exact, prefix):
        bus.settle(publisher, reader)
    assert [topic for topic, _ in exact.got] == [TICKS]
    assert [topic for topic, _ in prefix.got] == [TICKS, TICKS + "X", "eTick.B.SIM"]


def test_a_filtered_subscription_sees_no_false_gaps(bus: Bus) -> None:
    publisher, reader = bus.publisher(), bus.reader(TICKS)
    bus.join(publisher, reader)
    for number in range(10):
        publisher.publish(TICKS, tick(number))
        publisher.publish("eTick.B.SIM", tick(number))
    bus.settle(publisher, reader)
    assert reader.seqs(TICKS) == list(range(1, 11))
    assert not reader.gaps


def test_an_unsubscribed_topic_is_no_longer_read(bus: Bus) -> None:
    publisher, reader = bus.publisher(), bus.reader(TICKS, "eLog", "eOrder.")
    bus.join(publisher, reader)
    publisher.publish(TICKS, tick(1.0))
    bus.settle(publisher, reader)
    for topic in (TICKS, "eOrder.", "eOrder.", "never"):
        reader.subscriber.unsubscribe(topic)
    assert not reader.subscriber.wants(TICKS)
    assert reader.subscriber.wants("eLog")
    publisher.publish(TICKS, tick(2.0))
    bus.settle(publisher, reader)
    assert reader.seqs(TICKS) == [1]
    assert not reader.gaps


def test_a_caller_may_number_a_durable_stream_and_only_upwards(bus: Bus) -> None:
    publisher, reader = bus.publisher("oms"), bus.reader(ORDERS)
    publisher.seed(ORDERS, 40)
    bus.join(publisher, reader)
    assert publisher.publish(ORDERS, CancelRequest("SIM.1"), seq=41) == 41
    assert publisher.publish(ORDERS, CancelRequest("SIM.1")) == 42
    with pytest.raises(BusError, match="stands at 42 and cannot go on with 42"):
        publisher.publish(ORDERS, CancelRequest("SIM.1"), seq=42)
    bus.settle(publisher, reader)
    assert reader.seqs(ORDERS) == [41, 42]
    assert not reader.gaps


def test_a_message_that_cannot_travel_uses_no_number(bus: Bus) -> None:
    publisher = bus.publisher()
    with pytest.raises(FrameError):
        publisher.publish("bad\ntopic", tick(1.0))
    with pytest.raises(FrameError):
        publisher.publish(TICKS, LogData("x" * (1 << 20)))
    assert publisher.publish(TICKS, tick(1.0)) == 1


def test_what_the_socket_will_not_take_is_counted_and_uses_its_number(
    bus: Bus, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = bus.publisher()

    def full(frame: bytes, flags: int) -> None:
        raise zmq.Again

    monkeypatch.setattr(publisher, "_send_frame", full)
    assert publisher.publish(TICKS, tick(1.0)) == 1
    assert (publisher.sent, publisher.dropped) == (0, 1)
    assert publisher.publish(TICKS, tick(1.0)) == 2


def test_a_heartbeat_tells_where_every_stream_stands(bus: Bus) -> None:
    publisher, reader = bus.publisher(), bus.reader(TICKS)
    bus.join(publisher, reader)
    publisher.publish(TICKS, tick(1.0))
    publisher.publish("eOrder.alpha", CancelRequest("A.1"), seq=9)
    beat = publisher.heartbeat("READY", {"orders": 3})
    bus.settle(publisher, reader)
    assert beat in reader.beats
    assert (beat.service, beat.epoch, beat.status, beat.pid) == ("md", 1, "READY", os.getpid())
    assert beat.streams == {TICKS: 1, "eOrder.alpha": 9}
    assert beat.counters["orders"] == 3
    assert beat.counters["sent"] >= 2
    assert beat.complete


def test_a_heartbeat_of_very_many_streams_lists_the_durable_ones(bus: Bus) -> None:
    publisher = bus.publisher()
    publisher.streams.update({f"eTick.{n}": 1 for n in range(9_000)})
    publisher.seed("eOrder.alpha", 5)
    beat = publisher.heartbeat()
    assert beat.streams == {"eOrder.alpha": 5}
    assert not beat.complete


def test_a_lost_order_is_replayed_also_at_the_very_end(bus: Bus) -> None:
    # given a publisher that loses the third and the last message on their way
    publisher, reader = bus.publisher("oms"), bus.reader(ORDERS)
    bus.join(publisher, reader)
    journal = {seq: CancelRequest(f"SIM.{seq}") for seq in range(1, 7)}
    for seq, message in journal.items():
        if seq in (3, 6):
            publisher.seed(ORDERS, seq)
        else:
            publisher.publish(ORDERS, message, seq=seq)
    # when it comes to light
    bus.settle(publisher, reader)
    assert reader.gaps[0] == (ORDERS, 3, 3, 1)
    # then the replay brings all of it, in order
    stream = Stream("oms", ORDERS)
    while gaps := reader.subscriber.tracker.open_gaps():
        first = gaps[0][1]
        page = [(ORDERS, Envelope(1, "oms", 1, first, NOW, journal[first]))]
        reader.subscriber.replay(stream, page)
    assert reader.seqs(ORDERS) == [1, 2, 3, 4, 5, 6]


def test_a_late_joiner_misses_nothing_and_gets_nothing_twice(bus: Bus) -> None:
    # given a publisher in full flow
    publisher = bus.publisher("oms")
    journal: list[CancelRequest] = []

    def publish() -> None:
        journal.append(CancelRequest(f"SIM.{len(journal)}"))
        publisher.publish(ORDERS, journal[-1], seq=len(journal))

    for _ in range(20):
        publish()
    # when somebody joins, holds back what arrives, and takes a snapshot while more arrives
    reader = bus.reader(ORDERS)
    stream = Stream("oms", ORDERS)
    reader.subscriber.hold(stream)
    bus.join(publisher, reader)
    publish()
    snapshot = list(journal)
    publish()
    bus.settle(publisher, reader)
    assert not reader.got
    assert reader.subscriber.resume(stream, 1, len(snapshot))
    publish()
    bus.settle(publisher, reader)
    # then snapshot and messages make up the journal
    assert snapshot + [e.message for _, e in reader.got] == journal
    assert not reader.gaps


def test_a_restarted_publisher_is_read_on(context: zmq.Context[Any], until: Until) -> None:
    bus = Bus(context, "tcp://127.0.0.1:0", until)
    with bus.stack:
        first = bus.publisher(epoch=1)
        bus.endpoint = first.endpoint
        reader = bus.reader(TICKS)
        bus.join(first, reader)
        first.publish(TICKS, tick(1.0))
        bus.settle(first, reader)
        first.close()

        second: list[Publisher] = []

        def bound() -> bool:
            try:
                second.append(bus.publisher(epoch=2))
            except BusError:
                return False  # the port is not free yet
            return True

        until(bound)
        bus.join(second[0], reader)
        second[0].publish(TICKS, tick(2.0))
        bus.settle(second[0], reader)
    assert [(e.epoch, e.seq) for _, e in reader.got] == [(1, 1), (2, 1)]
    assert reader.epochs == [("md", 1, 2)]
    assert not reader.gaps


def test_conflation_hands_on_the_latest_of_each_symbol_and_its_age(bus: Bus) -> None:
    publisher, reader = bus.publisher(), bus.reader("eTick.", "eOrder.", conflate=("eTick.",))
    bus.join(publisher, reader)
    for number in range(50):
        publisher.publish(TICKS, tick(number))
        publisher.publish("eTick.B.SIM", tick(number, "B.SIM"))
        publisher.publish(ORDERS, CancelRequest(f"SIM.{number}"), seq=number + 1)
    bus.until(lambda: reader.subscriber.socket.poll(0))
    bus.settle(publisher, reader)
    seen = reader.subscriber
    assert reader.seqs(TICKS)[-1] == reader.seqs("eTick.B.SIM")[-1] == 50
    assert seen.delivered + seen.conflated == 150
    assert len(reader.seqs(TICKS)) < 50
    assert reader.seqs(ORDERS) == list(range(1, 51))
    assert not reader.gaps
    bus.clock.advance(NOW + 250)
    assert seen.age(Stream("md", TICKS)) == 250
    assert seen.age(Stream("md", "eTick.C.SIM")) is None


def test_a_drain_is_bounded_and_tells_that_there_is_more(bus: Bus) -> None:
    publisher, reader = bus.publisher(), bus.reader(TICKS)
    bus.join(publisher, reader)
    for number in range(20):
        publisher.publish(TICKS, tick(number))
    bus.until(lambda: not reader.subscriber.drain(5) or len(reader.got) == 20)
    bus.settle(publisher, reader)
    assert reader.seqs(TICKS) == list(range(1, 21))


def test_a_reader_that_stalls_finds_the_gap_and_the_publisher_never_waits(
    context: zmq.Context[Any], until: Until, endpoint: str
) -> None:
    bus = Bus(context, endpoint, until)
    with bus.stack:
        publisher = bus.publisher("oms", high_water=100)
        reader = bus.reader(ORDERS, high_water=100)
        bus.join(publisher, reader)
        message = LogData("x" * 10_000)
        for seq in range(1, 1_001):
            publisher.publish(ORDERS, message, seq=seq)
        # the heartbeat itself may be dropped while queues are full
        until(lambda: publisher.heartbeat() and (reader.subscriber.drain() or reader.gaps))
        assert publisher.sent >= 1_000
        stream, first, *_ = reader.subscriber.tracker.open_gaps()[0]
        assert reader.seqs(ORDERS) == list(range(1, first))
        page = [(ORDERS, Envelope(1, "oms", 1, seq, NOW, message)) for seq in range(first, 1_001)]
        assert reader.subscriber.replay(stream, page)
        assert reader.seqs(ORDERS) == list(range(1, 1_001))


# --- what cannot be read ------------------------------------------------------------------------------------


def test_junk_is_counted_and_kept_to_be_looked_at_and_never_raised(
    context: zmq.Context[Any], until: Until
) -> None:
    refused: list[str] = []
    bus = Bus(context, "inproc://junk", until)
    with bus.stack, context.socket(zmq.PUB) as junk:
        junk.bind("inproc://junk")
        reader = bus.reader("", on_refused=lambda one: refused.append(one.reason))
        small = Codec(max_frame=2_000)
        reader.subscriber.codec = small
        good = small.encode(TICKS, "md", 1, 1, NOW, tick(1.0))
        until(lambda: junk.send(b"\xff\0") or reader.subscriber.drain() or refused)
        refused.clear()
        reader.subscriber.quarantine.counts.clear()
        frames = [b"no nul", b"t\0\xc1", good[:-1], b"t\0" + b"x" * 3_000, good]
        for frame in frames:
            junk.send(frame)
        until(lambda: reader.subscriber.drain() or reader.got)
        quarantine = reader.subscriber.quarantine
        assert quarantine.counts == {
            FrameReason.TOPIC: 1,
            FrameReason.MALFORMED: 2,
            FrameReason.OVERSIZED: 1,
        }
        assert quarantine.total == 4
        assert [one.size for one in quarantine.ring][-1] == 3_002
        assert len(quarantine.ring[-1].head) == 64
        assert refused == [str(one.reason) for one in list(quarantine.ring)[-4:]]
        for _ in range(100):
            junk.send(b"junk")
        until(lambda: reader.subscriber.drain() or quarantine.total == 104)
        assert len(quarantine.ring) == RING_SIZE
        assert [e.message for _, e in reader.got] == [tick(1.0)]


def test_a_heartbeat_in_anothers_name_is_not_believed(
    context: zmq.Context[Any], until: Until
) -> None:
    bus = Bus(context, "inproc://forged", until)
    with bus.stack, context.socket(zmq.PUB) as forger:
        forger.bind("inproc://forged")
        reader = bus.reader()
        forged = Codec().encode("eHeartbeat.md", "md", 9, 1, NOW, Heartbeat("oms", 9))
        honest = Codec().encode("eHeartbeat.md", "md", 1, 1, NOW, Heartbeat("md", 1))

        def heard() -> bool:
            forger.send(forged)
            forger.send(honest)
            reader.subscriber.drain()
            return bool(reader.beats)

        until(heard)
        assert {beat.service for beat in reader.beats} == {"md"}


def test_frames_can_be_recorded_as_they_came(bus: Bus) -> None:
    frames: list[bytes] = []
    publisher, reader = bus.publisher(), bus.reader(TICKS, on_frame=frames.append)
    bus.join(publisher, reader)
    publisher.publish(TICKS, tick(1.0))
    bus.settle(publisher, reader)
    assert Codec().encode(TICKS, "md", 1, 1, NOW, tick(1.0)) in frames


# --- addresses ----------------------------------------------------------------------------------------------


def test_a_publisher_refuses_what_it_may_not_bind_and_leaves_nothing(
    context: zmq.Context[Any],
) -> None:
    with pytest.raises(BusError, match="other machines"):
        Publisher(context, "tcp://*:0", "md", 1, LiveClock())
    for source in ("", "x" * 65, "a\nb"):
        with pytest.raises(BusError, match="source"):
            Publisher(context, "inproc://x", source, 1, LiveClock())


def test_a_malformed_endpoint_is_not_connected_to(context: zmq.Context[Any]) -> None:
    with closing(Subscriber(context, LiveClock(), lambda *_: None)) as subscriber:
        with pytest.raises(BusError, match="cannot read from"):
            subscriber.connect("nonsense")
        subscriber.disconnect("tcp://127.0.0.1:9")
