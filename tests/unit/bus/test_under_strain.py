"""What the bus does when its surroundings misbehave: slow handlers, floods of junk, a wall clock that steps."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import zmq

from foxtrot.bus.codec import Codec, FrameReason
from foxtrot.bus.loop import SocketWaiter
from foxtrot.bus.publisher import Publisher
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Unknown
from foxtrot.bus.rpc_outbox import ReliableSender
from foxtrot.bus.subscriber import Subscriber
from foxtrot.core.clock import LiveClock, SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import FrameError
from foxtrot.core.objects import TickData

from .conftest import Until
from .rpc_desk import Ping, codec

MS = 1_000_000
A, B = "eTick.A.SIM", "eTick.B.SIM"


def tick(number: float) -> TickData:
    return TickData("A.SIM", 1, number, number + 1.0)


def test_a_callback_that_has_more_to_do_is_called_again_though_nothing_can_be_read() -> None:
    waiter = SocketWaiter()
    reading, writing = os.pipe()
    answers: list[bool | None] = [True, True, None]
    os.write(writing, b"x")

    def callback() -> bool | None:
        if len(answers) == 3:
            assert os.read(reading, 9) == b"x"
        return answers.pop(0)

    waiter.add(reading, callback)
    for _ in range(3):
        waiter.wait(30.0)
    assert answers == []
    waiter.wait(0.0)  # and then no more
    waiter.close()
    os.close(reading)
    os.close(writing)


def test_a_slow_handler_is_given_what_came_meanwhile(
    context: zmq.Context[Any], until: Until
) -> None:
    clock = SimulatedClock(1)
    publisher = Publisher(context, "inproc://slow", "md", 1, clock)
    got: list[tuple[str, int]] = []

    def handle(topic: str, envelope: Any) -> None:
        got.append((topic, envelope.seq))
        if len(got) == 1:  # while it works on A's first, newer ones of both arrive
            publisher.publish(A, tick(3))
            publisher.publish(B, tick(4))
            assert reader.socket.poll(5_000)
            clock.advance(clock.now() + 10 * MS)

    reader = Subscriber(context, clock, handle, conflate=("eTick.",))
    with closing(publisher), closing(reader):
        reader.connect("inproc://slow")
        reader.subscribe("eTick.")
        beats: list[Any] = []
        reader._on_heartbeat = lambda beat, _now: beats.append(beat)
        until(lambda: publisher.heartbeat() and (reader.drain() or beats))
        publisher.publish(A, tick(1))
        publisher.publish(B, tick(2))
        assert reader.socket.poll(5_000)
        until(lambda: reader._read(1) and len(reader._latest) == 2)
        assert (
            reader.drain()
        )  # B's second took the place of its first; A's second waits for its turn
        assert got == [(A, 1), (B, 2)]
        assert not reader.drain()
        assert got == [(A, 1), (B, 2), (A, 2)]


def test_a_flood_of_junk_is_taken_in_bounded_pieces(
    context: zmq.Context[Any], until: Until
) -> None:
    reader = Subscriber(context, LiveClock(), lambda *_: None)
    with closing(reader), context.socket(zmq.PUB) as junk:
        junk.bind("inproc://flood")
        reader.connect("inproc://flood")
        reader.subscribe("")
        until(lambda: junk.send(b"?") or reader.drain() or reader.quarantine.total)
        before = reader.quarantine.total
        for _ in range(1_200):
            junk.send(b"?")
        assert reader.drain()
        assert 0 < reader.quarantine.total - before <= 500
        until(lambda: not reader.drain() and reader.quarantine.total >= before + 1_200)


def test_topics_that_are_made_up_and_long_are_not_kept() -> None:
    made = Codec()
    for number in range(100):
        topic = f"t{number}" + "x" * 100
        assert made.decode(made.encode(topic, "s", 1, 1, 1, tick(1.0)))[0] == topic
    assert len(made._heads) == len(made._topics) == 0


def test_a_report_that_is_too_long_to_travel_is_refused_and_holds_nobody_up() -> None:
    outbox = ReliableSender("q.reports", codec(max_frame=4_096), LiveClock(), on_halt=pytest.fail)
    with pytest.raises(FrameError, match="too long") as refused:
        outbox.put(Ping(1, "x" * 4_000))
    assert refused.value.reason is FrameReason.OVERSIZED
    assert (outbox.last, outbox.waiting) == (0, 0)
    outbox.put(Ping(1, "x" * 1_000))
    assert (outbox.last, outbox.waiting) == (1, 1)


class SteppingClock(LiveClock):
    """Its wall clock goes back by an hour each time that it is read."""

    lost = 0

    def now(self) -> int:
        self.lost += 3_600 * NS_PER_SECOND
        return super().now() - self.lost


def test_time_outs_come_in_time_though_the_wall_clock_steps(
    context: zmq.Context[Any], tmp_path: Path
) -> None:
    clock = SteppingClock()
    client = RpcClient(
        f"ipc://{tmp_path}/nobody", codec(), source="a", epoch=1, clock=clock, context=context
    )
    outcomes: list[Any] = []
    with closing(client):
        client.send("q.ping", on_reply=outcomes.append, timeout=50 * MS)
        waiter = SocketWaiter(clock)
        end = clock.monotonic() + 5 * NS_PER_SECOND
        while not outcomes and clock.monotonic() < end:
            waiter.wait(min(0.05, clock.wait_ns() / NS_PER_SECOND))
            clock.fire_due()
        waiter.close()
    assert isinstance(outcomes[0], Unknown)
    assert 50 * MS <= outcomes[0].waited < NS_PER_SECOND
