"""Waiting for sockets, descriptors and other threads at once."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import chain
from typing import Any

import pytest
import zmq

from foxtrot.bus.loop import SocketWaiter
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import BusError
from foxtrot.core.event_engine import Event, EventEngine

LONG = 10.0  # seconds; a wait that is not ended by what it should be fails the test by its length


@pytest.fixture
def waiter() -> Iterator[SocketWaiter]:
    with closing(SocketWaiter()) as waiter:
        yield waiter


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def elapsed(waiter: SocketWaiter, seconds: float) -> float:
    begun = time.monotonic()
    waiter.wait(seconds)
    return time.monotonic() - begun


def test_a_wake_before_the_wait_ends_it_and_many_count_as_one(waiter: SocketWaiter) -> None:
    for _ in range(1_000):
        waiter.wake()
    assert elapsed(waiter, LONG) < LONG / 2
    assert elapsed(waiter, 0.02) >= 0.019


def test_a_wake_from_another_thread_ends_the_wait(waiter: SocketWaiter) -> None:
    timer = threading.Timer(0.02, waiter.wake)
    timer.start()
    assert elapsed(waiter, LONG) < LONG / 2
    timer.join()


def test_no_wake_of_many_threads_is_lost(waiter: SocketWaiter) -> None:
    queue: list[int] = []
    seen = 0

    def put() -> None:
        for number in range(500):
            queue.append(number)
            waiter.wake()

    threads = [threading.Thread(target=put) for _ in range(4)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + LONG
    while seen < 2_000 and time.monotonic() < end:
        waiter.wait(LONG)
        seen = len(queue)
    for thread in threads:
        thread.join()
    assert seen == 2_000


def test_a_readable_socket_and_a_descriptor_call_back(
    waiter: SocketWaiter, context: zmq.Context[Any], pipe: tuple[int, int]
) -> None:
    got: list[bytes] = []
    with context.socket(zmq.PULL) as pull, context.socket(zmq.PUSH) as push:
        pull.bind("inproc://x")
        push.connect("inproc://x")
        waiter.add(pull, lambda: got.append(pull.recv()))
        waiter.add(pipe[0], lambda: got.append(os.read(pipe[0], 10)))
        push.send(b"socket")
        os.write(pipe[1], b"pipe")
        waiter.wait(LONG)
        waiter.wait(0.0)
        assert sorted(got) == [b"pipe", b"socket"]
        waiter.remove(pull)
        waiter.remove(pipe[0])
        waiter.remove(pull)
        push.send(b"socket")
        assert elapsed(waiter, 0.0) < 1.0
        assert len(got) == 2


def test_who_comes_first_goes_round(waiter: SocketWaiter) -> None:
    order: list[int] = []
    pipes = [os.pipe() for _ in range(3)]
    for number, (reading, writing) in enumerate(pipes):
        os.write(writing, b"x")  # stays readable: the callback reads nothing
        waiter.add(reading, lambda number=number: order.append(number))
    while len(order) < 9:
        waiter.wait(LONG)
    for end in chain(*pipes):
        os.close(end)
    assert {order[i] for i in (0, 3, 6)} == {0, 1, 2}
    assert sorted(order) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_a_callback_that_raises_is_left_out_for_a_while(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    clock = SimulatedClock(0)
    calls: list[int] = []

    def fail() -> None:
        calls.append(clock.ns)
        raise ValueError("broken")

    with closing(SocketWaiter(clock)) as waiter, caplog.at_level(logging.ERROR):
        waiter.add(pipe[0], fail)
        os.write(pipe[1], b"x")
        waiter.wait(LONG)
        waiter.wait(0.0)
        assert (calls, waiter.errors) == ([0], 1)
        clock.advance(100_000_000)
        waiter.wait(0.0)
        assert calls == [0, 100_000_000]
        assert elapsed(waiter, LONG) < LONG / 2  # until it is due again, not for ever
    assert "reading by" in caplog.text
    assert "broken" in caplog.text


def test_a_callback_may_remove_another(
    waiter: SocketWaiter, context: zmq.Context[Any], pipe: tuple[int, int]
) -> None:
    other = os.pipe()
    calls: list[str] = []
    try:
        waiter.add(pipe[0], lambda: (calls.append("first"), waiter.remove(other[0])))
        waiter.add(other[0], lambda: (calls.append("second"), waiter.remove(pipe[0])))
        for end in (pipe[1], other[1]):
            os.write(end, b"x")
        waiter.wait(LONG)
        assert len(calls) == 1
    finally:
        for end in other:
            os.close(end)


def test_a_socket_that_was_closed_without_a_word_is_dropped(
    waiter: SocketWaiter, context: zmq.Context[Any]
) -> None:
    calls: list[int] = []
    socket = context.socket(zmq.PULL)
    waiter.add(socket, lambda: calls.append(1))
    socket.close()
    waiter.wait(0.0)
    assert not calls
    assert elapsed(waiter, 0.02) >= 0.019
    with pytest.raises(BusError, match="closed socket"):
        waiter.add(socket, lambda: None)


def test_a_wake_after_the_end_does_no_harm() -> None:
    waiter = SocketWaiter()
    waiter.close()
    waiter.close()
    waiter.wake()


def test_without_an_eventfd_a_pair_of_sockets_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "eventfd", raising=False)
    with closing(SocketWaiter()) as waiter:
        waiter.wake()
        waiter.wake()
        assert elapsed(waiter, LONG) < LONG / 2
        assert elapsed(waiter, 0.02) >= 0.019


def test_an_event_engine_handles_sockets_timers_and_other_threads_in_one_loop(
    context: zmq.Context[Any],
) -> None:
    waiter = SocketWaiter()
    engine = EventEngine(waiter=waiter)
    got: list[Any] = []
    done = threading.Event()

    def on_event(event: Event) -> None:
        got.append((event.data, threading.current_thread().name))
        if len(got) == 3:
            done.set()

    engine.register("eLog", on_event)
    with (
        closing(waiter),
        context.socket(zmq.PULL) as pull,
        context.socket(zmq.PUSH) as push,
    ):
        pull.bind("inproc://x")
        push.connect("inproc://x")
        waiter.add(pull, lambda: engine.put(Event("eLog", pull.recv())))
        due = engine.clock.now() + 10_000_000
        engine.clock.set_timer("t", due, lambda _: engine.put(Event("eLog", b"timer")))
        engine.start()
        push.send(b"socket")
        engine.put(Event("eLog", b"thread"))
        assert done.wait(LONG)
        engine.stop()
    assert {data for data, _ in got} == {b"socket", b"timer", b"thread"}
    assert len({name for _, name in got}) == 1
