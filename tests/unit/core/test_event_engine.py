"""The dispatcher: order, topics, isolation, threads, the timer."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from foxtrot.core.clock import LiveClock, SimulatedClock
from foxtrot.core.constants import NS_PER_HOUR, NS_PER_SECOND
from foxtrot.core.errors import FoxtrotError
from foxtrot.core.event_engine import Event, EventEngine, HandlerError
from foxtrot.core.events import EVENT_ERROR, EVENT_TICK, EVENT_TIMER
from foxtrot.core.objects import TimerData


@pytest.fixture
def engine() -> EventEngine:
    return EventEngine(SimulatedClock())


@pytest.fixture
def live() -> Iterator[EventEngine]:
    engine = EventEngine(LiveClock())
    yield engine
    engine.stop()


def wait_until(condition: Callable[[], object], limit: float = 5.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "the condition was not met in time"
        time.sleep(0.001)


# --- topics and order -------------------------------------------------------------------------------------


def test_a_suffixed_topic_reaches_its_own_handlers_the_bare_ones_and_the_general_ones(
    engine: EventEngine,
) -> None:
    seen: list[tuple[str, str, Any]] = []
    engine.register("eTick.AAPL.NASDAQ", lambda e: seen.append(("exact", e.type, e.data)))
    engine.register(EVENT_TICK, lambda e: seen.append(("bare", e.type, e.data)))
    engine.register("eTick.MSFT.NASDAQ", lambda e: seen.append(("other", e.type, e.data)))
    engine.register_general(lambda e: seen.append(("general", e.type, e.data)))

    engine.put(Event("eTick.AAPL.NASDAQ", 1))
    engine.drain()

    assert seen == [(who, "eTick.AAPL.NASDAQ", 1) for who in ("exact", "bare", "general")]


def test_a_bare_event_does_not_reach_suffixed_handlers(engine: EventEngine) -> None:
    seen: list[str] = []
    engine.register("eTick.AAPL.NASDAQ", lambda e: seen.append("exact"))
    engine.register(EVENT_TICK, lambda e: seen.append("bare"))

    engine.put(Event(EVENT_TICK))
    engine.drain()

    assert seen == ["bare"]


def test_handlers_run_in_order_of_registration_whatever_kind_they_are(engine: EventEngine) -> None:
    seen: list[int] = []
    engine.register_general(lambda e: seen.append(1))
    engine.subscribe(EVENT_TICK, lambda m: seen.append(2))
    engine.register("eTick.A.LOCAL", lambda e: seen.append(3))
    engine.register_general(lambda e: seen.append(4))

    engine.put(Event("eTick.A.LOCAL"))
    engine.drain()

    assert seen == [1, 2, 3, 4]


def test_what_a_handler_puts_comes_after_what_was_queued_before(engine: EventEngine) -> None:
    seen: list[str] = []

    def first(event: Event) -> None:
        seen.append(event.data)
        if event.data == "a":
            engine.put(Event("x", "caused by a"))

    engine.register("x", first)
    engine.put(Event("x", "a"))
    engine.put(Event("x", "b"))
    engine.drain()

    assert seen == ["a", "b", "caused by a"]


def test_registering_twice_counts_once_and_unregistering_unknown_handlers_is_harmless(
    engine: EventEngine,
) -> None:
    seen: list[Event] = []
    engine.register("x", seen.append)
    engine.register("x", seen.append)
    engine.register_general(seen.append)
    engine.register_general(seen.append)
    engine.unregister("x", print)
    engine.unregister("never", print)
    engine.unregister_general(print)
    engine.put(Event("x"))
    engine.drain()
    assert len(seen) == 2

    engine.unregister("x", seen.append)
    engine.unregister_general(seen.append)
    engine.put(Event("x"))
    engine.drain()
    assert len(seen) == 2


def test_a_handler_unregistered_by_another_still_sees_the_event_in_hand_and_none_after(
    engine: EventEngine,
) -> None:
    seen: list[str] = []

    def second(event: Event) -> None:
        seen.append(event.data)

    engine.register("x", lambda e: engine.unregister("x", second))
    engine.register("x", second)
    engine.put(Event("x", "one"))
    engine.put(Event("x", "two"))
    engine.drain()

    assert seen == ["one"]


def test_a_handler_registered_while_dispatching_sees_the_next_event(engine: EventEngine) -> None:
    seen: list[str] = []

    def late(event: Event) -> None:
        seen.append(event.data)

    engine.register("x", lambda e: engine.register("x", late))
    engine.put(Event("x", "one"))
    engine.put(Event("x", "two"))
    engine.drain()

    assert seen == ["two"]


def test_a_resolved_topic_follows_later_registrations(engine: EventEngine) -> None:
    topic = engine.topic("eTick.A.LOCAL")
    engine.publish(topic, "nobody listens, so nothing is queued")
    assert not engine.queue
    seen: list[Any] = []

    engine.subscribe("eTick.A.LOCAL", seen.append)
    engine.publish(topic, 1)
    engine.dispatch(topic, 2)

    assert seen == [2, 1]
    assert engine.topic("eTick.A.LOCAL") is topic


# --- isolation --------------------------------------------------------------------------------------------


def broken_handler(event: Event) -> None:
    raise RuntimeError(f"broken on {event.data}")


def test_a_handler_that_raises_is_logged_counted_and_isolated(
    engine: EventEngine, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    errors: list[HandlerError] = []
    engine.register("x", broken_handler)
    engine.register("x", lambda e: seen.append(e.data))
    engine.subscribe(EVENT_ERROR, errors.append)

    with caplog.at_level(logging.ERROR):
        engine.put(Event("x", 1))
        engine.put(Event("x", 2))
        engine.drain()

    assert seen == [1, 2]
    assert engine.errors == 2
    assert [(e.topic, e.handler, e.message, str(e.error)) for e in errors] == [
        ("x", "broken_handler", 1, "broken on 1"),
        ("x", "broken_handler", 2, "broken on 2"),
    ]
    assert "RuntimeError: broken on 1" in errors[0].traceback
    assert "handler broken_handler failed on x" in caplog.text


def test_a_handler_of_errors_that_raises_does_not_go_round_in_circles(engine: EventEngine) -> None:
    engine.register("x", broken_handler)
    engine.register(EVENT_ERROR, broken_handler)

    engine.put(Event("x"))
    engine.drain()

    assert engine.errors == 2


def test_dispatch_isolates_too_and_drains(engine: EventEngine) -> None:
    seen: list[Any] = []
    engine.register("x", broken_handler)
    engine.register("x", lambda e: engine.put(Event("y", e.data)))
    engine.subscribe("y", seen.append)

    engine.dispatch(engine.topic("x"), 7)

    assert (seen, engine.errors) == ([7], 1)


def test_with_raise_errors_the_error_reaches_the_driver(engine: EventEngine) -> None:
    engine.raise_errors = True
    engine.register("x", broken_handler)
    engine.put(Event("x", 1))

    with pytest.raises(RuntimeError, match="broken on 1"):
        engine.drain()


# --- the timer --------------------------------------------------------------------------------------------


def timed(catch_up: bool) -> tuple[EventEngine, SimulatedClock, list[TimerData]]:
    clock = SimulatedClock(0)
    engine = EventEngine(clock, interval=NS_PER_SECOND, timer_catch_up=catch_up)
    timers: list[TimerData] = []
    engine.subscribe(EVENT_TIMER, timers.append)
    return engine, clock, timers


def test_the_timer_comes_from_the_clock_and_a_gap_makes_no_flood() -> None:
    engine, clock, timers = timed(catch_up=False)
    engine.advance(NS_PER_SECOND)
    engine.advance(2 * NS_PER_SECOND)
    engine.advance(100 * NS_PER_SECOND)
    engine.advance(101 * NS_PER_SECOND)

    assert [t.ts_due // NS_PER_SECOND for t in timers] == [1, 2, 100, 101]
    assert clock.now() == 101 * NS_PER_SECOND


def test_with_catch_up_every_missed_timer_comes_at_its_time() -> None:
    engine, clock, timers = timed(catch_up=True)
    times: list[int] = []
    engine.subscribe(EVENT_TIMER, lambda _t: times.append(clock.now() // NS_PER_SECOND))

    engine.advance(5 * NS_PER_SECOND)

    assert [t.ts_due // NS_PER_SECOND for t in timers] == times == [1, 2, 3, 4, 5]


def test_there_is_no_timer_unless_somebody_asks_for_it() -> None:
    clock = SimulatedClock()
    engine = EventEngine(clock)
    engine.register_general(print)
    assert clock.timer_names() == ()

    engine.register(EVENT_TIMER, print)
    engine.register(EVENT_TIMER, repr)
    assert len(clock.timer_names()) == 1

    engine.unregister(EVENT_TIMER, print)
    assert len(clock.timer_names()) == 1
    engine.unregister(EVENT_TIMER, repr)
    assert clock.timer_names() == ()


def test_what_a_timer_causes_is_handled_at_its_time_before_the_next_one(
    engine: EventEngine,
) -> None:
    seen: list[tuple[str, int]] = []
    engine.subscribe("x", lambda m: seen.append((m, engine.clock.now())))
    for name, due in (("b", 20), ("a", 10)):
        engine.clock.set_timer(name, due, lambda t: engine.put(Event("x", t.name)))

    engine.advance(1_000)

    assert seen == [("a", 10), ("b", 20)]
    assert engine.clock.now() == 1_000


def test_a_timer_callback_that_raises_is_isolated_like_a_handler(engine: EventEngine) -> None:
    fired: list[TimerData] = []
    engine.clock.set_timer("bad", 5, lambda t: broken_handler(Event("timer", t.name)))
    engine.clock.set_timer("good", 6, fired.append)

    engine.advance(10)

    assert (engine.errors, len(fired)) == (1, 1)


def test_advance_needs_a_simulated_clock_and_the_interval_must_be_positive() -> None:
    with pytest.raises(TypeError, match="SimulatedClock"):
        EventEngine(LiveClock()).advance(1)
    with pytest.raises(ValueError, match="interval must be positive"):
        EventEngine(interval=0)


# --- the live loop ----------------------------------------------------------------------------------------


def test_handlers_run_on_the_engines_thread_alone_and_no_put_is_lost(live: EventEngine) -> None:
    seen: list[tuple[int, int]] = []
    threads: set[int] = set()

    def handler(event: Event) -> None:
        threads.add(threading.get_ident())
        seen.append(event.data)

    live.register("x", handler)
    live.start()
    live.start()  # without effect
    putters = [
        threading.Thread(target=lambda n=n: [live.put(Event("x", (n, i))) for i in range(500)])
        for n in range(4)
    ]
    for thread in putters:
        thread.start()
    for thread in putters:
        thread.join()
    live.stop()

    assert len(seen) == 2_000
    for n in range(4):
        assert [i for m, i in seen if m == n] == list(range(500))
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_put_wakes_the_sleeping_loop_at_once(live: EventEngine) -> None:
    arrived = threading.Event()
    live.register("x", lambda e: arrived.set())
    live.start()

    for _ in range(20):  # without a wake-up each would take a second
        arrived.clear()
        live.put(Event("x"))
        assert arrived.wait(0.9)


def test_stopping_right_after_starting_ends_the_loop_and_drains(live: EventEngine) -> None:
    seen: list[Any] = []
    live.subscribe("x", seen.append)
    for number in range(20):
        live.put(Event("x", number))
        live.start()
        live.stop()
    assert seen == list(range(20))


def test_stop_without_a_loop_drains_here(engine: EventEngine) -> None:
    seen: list[Any] = []
    engine.subscribe("x", seen.append)
    engine.put(Event("x", 1))
    engine.stop()
    assert seen == [1]


def test_a_handler_may_stop_the_loop(live: EventEngine) -> None:
    live.register("x", lambda e: live.stop())
    live.start()
    thread = live._thread
    live.put(Event("x"))
    assert thread is not None
    thread.join(5.0)
    assert not thread.is_alive()


def test_run_serves_on_the_calling_thread_until_stop(live: EventEngine) -> None:
    seen: list[int] = []

    def handler(event: Event) -> None:
        seen.append(threading.get_ident())
        live.stop()

    live.register("x", handler)
    live.put(Event("x"))
    live.run()
    assert seen == [threading.get_ident()]


def test_live_timers_fire_and_one_that_raises_does_not_stop_the_others(live: EventEngine) -> None:
    ticks: list[TimerData] = []
    live.clock.set_timer("bad", 0, lambda t: broken_handler(Event("timer")))
    live.interval = 2_000_000
    live.start()
    live.subscribe(EVENT_TIMER, ticks.append)  # from another thread than the loop's

    wait_until(lambda: len(ticks) >= 3 and live.errors == 1)


def test_topics_and_handlers_may_be_made_by_many_threads_at_once(live: EventEngine) -> None:
    live.start()
    counts: dict[str, int] = {}

    def count(event: Event) -> None:
        counts[event.type] = counts.get(event.type, 0) + 1

    live.register("t.", count)

    def work(n: int) -> None:
        for i in range(100):
            live.register(f"u.{n}.{i}", count)
            live.put(Event(f"t.{i}", n))

    workers = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    live.stop()

    assert counts == {f"t.{i}": 4 for i in range(100)}
    assert live.errors == 0


def test_call_runs_on_the_loops_thread_and_hands_back_results_and_errors(live: EventEngine) -> None:
    assert live.call(threading.get_ident) == threading.get_ident()  # no loop: here
    live.start()
    there = live.call(threading.get_ident)
    assert there != threading.get_ident()
    assert live.call(lambda: live.call(threading.get_ident)) == there
    with pytest.raises(ZeroDivisionError):
        live.call(lambda: 1 // 0)
    assert live.errors == 0


def test_call_gives_up_on_a_loop_that_does_not_get_to_it(live: EventEngine) -> None:
    release = threading.Event()
    live.register("x", lambda e: release.wait(5.0))
    live.start()
    live.put(Event("x"))

    with pytest.raises(FoxtrotError, match=r"has not ended the call of .* within 0.05 s"):
        live.call(lambda: None, timeout=0.05)
    release.set()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_loop_that_dies_says_so(live: EventEngine, caplog: pytest.LogCaptureFixture) -> None:
    def leave(event: Event) -> None:
        raise SystemExit(3)

    live.register("x", leave)
    live.start()
    live.put(Event("x"))
    thread = live._thread
    assert thread is not None
    thread.join(5.0)

    assert "the event engine's loop has ended by SystemExit(3)" in caplog.text


def test_a_handler_that_never_returns_is_left_behind_with_an_error(
    live: EventEngine, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    live.register("x", lambda e: release.wait(5.0))
    live.start()
    live.put(Event("x"))
    thread = live._thread
    assert thread is not None
    join = thread.join
    monkeypatch.setattr(thread, "join", lambda timeout: join(0.05))

    live.stop()

    assert "the event engine is left behind" in caplog.text
    release.set()
    join(5.0)


def test_a_clock_that_jumped_over_hours_gives_one_timer() -> None:
    engine, _, timers = timed(catch_up=False)
    engine.advance(9 * NS_PER_HOUR)
    assert len(timers) == 1
