"""The in-process dispatcher: synchronous, deterministic, one thread.

Contract:

* ``put`` may be called from any thread and only queues; handlers run on the engine's thread alone. Registering, too, is
  safe from any thread; it takes effect with the next event, not within the one that is being handled.
* Events are handled one at a time in the order of queueing, each by its handlers in the order of registration, until
  the queue is empty. An event reaches the handlers of its exact topic (``eTick.AAPL.NASDAQ``), of its bare topic
  (``eTick.``), and the general ones; it is queued once.
* A handler that raises is logged, counted and isolated: the other handlers and events go on, and ``EVENT_ERROR``
  tells whoever wants to know. With ``raise_errors`` (a backtest) the error ends the run instead.
* ``EVENT_TIMER`` comes from the clock, and only while somebody has registered for it (general handlers do not count).

Topics are resolved to handler tuples once and again at each registration, so that an event in the queue is a pair
``(topic, message)`` and no string is built for it. ``register`` gives handlers an ``Event``; ``subscribe`` gives
them the message itself, which is what engines on the hot path use.
"""

from __future__ import annotations

import logging
import threading
import traceback
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from foxtrot.core.clock import NEVER, Clock, LiveClock, SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import FoxtrotError
from foxtrot.core.events import EVENT_ERROR, EVENT_TIMER
from foxtrot.core.objects import TimerData
from foxtrot.core.topics import (
    Event,
    Handler,
    HandlerError,
    MessageHandler,
    Registration,
    Topic,
    bare_topic,
    name_of,
    with_event,
)
from foxtrot.core.waiter import ThreadWaiter, Waiter

__all__ = ["Event", "EventEngine", "Handler", "HandlerError", "MessageHandler", "Topic"]

logger = logging.getLogger("foxtrot.event_engine")

TIMER_NAME = "event_engine.timer"

T = TypeVar("T")

_IDLE = Topic("idle")


class EventEngine:
    """Queues events and calls their handlers.

    Args:
        clock: source of timers; a ``LiveClock`` by default.
        interval: nanoseconds between two ``EVENT_TIMER``.
        timer_catch_up: whether a gap yields one timer (False) or every missed one (True).
        waiter: how the live loop waits for something to do; for ``put`` and timers alone by default.

    Raises:
        ValueError: ``interval`` is not positive.
    """

    def __init__(
        self,
        clock: Clock | None = None,
        interval: int = NS_PER_SECOND,
        timer_catch_up: bool = False,
        waiter: Waiter | None = None,
    ) -> None:
        if interval <= 0:
            raise ValueError(f"interval must be positive nanoseconds, got {interval}")
        self.clock: Clock = clock if clock is not None else LiveClock()
        self.interval = interval
        self.timer_catch_up = timer_catch_up
        self.raise_errors = False
        self.errors = 0
        self.queue: deque[tuple[Topic, Any]] = deque()
        self._topics: dict[str, Topic] = {}
        self._exact: dict[str, list[Registration]] = {}
        self._general: list[Registration] = []
        self._order = 0
        self._lock = threading.RLock()
        self.waiter: Waiter = waiter if waiter is not None else ThreadWaiter()
        self._wake = self.waiter.wake
        self._idle: tuple[Callable[[], object], ...] = ()
        self._thread: threading.Thread | None = None
        self._loop_thread: threading.Thread | None = None
        self._running = False

    # --- putting events -------------------------------------------------------------------------------------

    def put(self, event: Event) -> None:
        """Queue an event; safe from any thread."""
        self.put_topic(self.topic(event.type), event.data)

    def put_topic(self, topic: Topic, message: Any) -> None:
        """Queue a message on a resolved topic and wake the loop; safe from any thread."""
        self.queue.append((topic, message))
        self._wake()

    def publish(self, topic: Topic, message: Any) -> None:
        """Queue a message on a resolved topic; from the engine's own thread (the hot path's ``put``)."""
        if topic.handlers:
            self.queue.append((topic, message))

    def topic(self, name: str) -> Topic:
        """Resolve a topic once; the handle follows later registrations."""
        topic = self._topics.get(name)
        if topic is None:
            with self._lock:
                topic = self._topics.get(name)
                if topic is None:
                    topic = Topic(name)
                    self._resolve(topic)
                    self._topics[name] = topic
        return topic

    # --- registration ---------------------------------------------------------------------------------------

    def register(self, type: str, handler: Handler) -> None:
        """Call ``handler(event)`` for each event of a topic, bare or suffixed; registering twice counts once."""
        with self._lock:
            self._register(self._exact.setdefault(type, []), handler, with_event(handler))

    def subscribe(self, type: str, handler: MessageHandler) -> None:
        """Call ``handler(message)`` for each event of a topic: ``register`` without the ``Event`` around it."""
        with self._lock:
            self._register(self._exact.setdefault(type, []), handler, lambda _name: handler)

    def unregister(self, type: str, handler: Callable[..., object]) -> None:
        """Undo ``register`` or ``subscribe``; unknown handlers are ignored."""
        with self._lock:
            registrations = self._exact.get(type, [])
            registrations[:] = [r for r in registrations if r.handler != handler]
            if not registrations:
                self._exact.pop(type, None)
            self._resolve_all()

    def register_general(self, handler: Handler) -> None:
        """Call ``handler(event)`` for every event of every topic."""
        with self._lock:
            self._register(self._general, handler, with_event(handler))

    def unregister_general(self, handler: Handler) -> None:
        """Undo ``register_general``; unknown handlers are ignored."""
        with self._lock:
            self._general[:] = [r for r in self._general if r.handler != handler]
            self._resolve_all()

    def add_idle(self, callback: Callable[[], object]) -> None:
        """Call ``callback()`` each time the queue has run empty; what it puts is handled at once."""
        with self._lock:
            if callback not in self._idle:
                self._idle = (*self._idle, callback)

    def remove_idle(self, callback: Callable[[], object]) -> None:
        """Undo ``add_idle``; unknown callbacks are ignored."""
        with self._lock:
            self._idle = tuple(known for known in self._idle if known != callback)

    def _register(
        self,
        registrations: list[Registration],
        handler: Callable[..., object],
        call: Callable[[str], MessageHandler],
    ) -> None:
        if all(r.handler != handler for r in registrations):
            self._order += 1
            registrations.append(Registration(self._order, handler, call))
            self._resolve_all()

    def _resolve_all(self) -> None:
        for topic in self._topics.values():
            self._resolve(topic)
        self._update_timer()

    def _resolve(self, topic: Topic) -> None:
        found = list(self._general)
        for key in {topic.name, bare_topic(topic.name)}:
            found += self._exact.get(key, [])
        topic.handlers = tuple(r.call(topic.name) for r in sorted(found, key=lambda r: r.order))

    # --- the timer ------------------------------------------------------------------------------------------

    def _update_timer(self) -> None:
        wanted = bool(self._exact.get(EVENT_TIMER))
        present = TIMER_NAME in self.clock.timer_names()
        if wanted and not present:
            self.clock.set_interval(
                TIMER_NAME, self.interval, self._on_timer, catch_up=self.timer_catch_up
            )
            self._wake()
        elif present and not wanted:
            self.clock.cancel_timer(TIMER_NAME)

    def _on_timer(self, timer: TimerData) -> None:
        self.publish(self.topic(EVENT_TIMER), timer)

    # --- dispatch -------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Handle events until the queue is empty, those included that handlers put meanwhile."""
        queue = self.queue
        popleft = queue.popleft
        while True:
            while queue:
                topic, message = popleft()
                for handler in topic.handlers:
                    try:
                        handler(message)
                    except Exception as error:  # noqa: BLE001 - isolation is the contract
                        self._failed(topic, handler, message, error)
            if not self._idle:
                return
            self._run_idle()
            if not queue:
                return

    def dispatch(self, topic: Topic, message: Any) -> None:
        """Handle one message now, then everything it caused: one step of a backtest."""
        for handler in topic.handlers:
            try:
                handler(message)
            except Exception as error:  # noqa: BLE001 - isolation is the contract
                self._failed(topic, handler, message, error)
        if self.queue or self._idle:
            self.drain()

    def _run_idle(self) -> None:
        """Tell those who wait for it that the queue has run empty; they may put more."""
        for callback in self._idle:
            try:
                callback()
            except Exception as error:  # noqa: BLE001 - isolation is the contract
                self._failed(_IDLE, callback, None, error)

    def advance(self, to: int) -> None:
        """Put a simulated clock forward to ``to`` (ns), handling what each timer causes, at its time, before the next.

        Raises:
            TypeError: the clock is not a ``SimulatedClock``.
        """
        clock = self.clock
        if not isinstance(clock, SimulatedClock):
            raise TypeError("advance() needs a SimulatedClock; a live clock goes by itself")
        while clock.next_due <= to:
            try:
                clock.fire_next(to)
            except Exception as error:  # noqa: BLE001 - a timer's callback is a handler too
                self._failed(self.topic(EVENT_TIMER), self._on_timer, None, error)
            self.drain()
        clock.ns = max(clock.ns, to)

    def _failed(
        self, topic: Topic, handler: Callable[..., object], message: Any, error: Exception
    ) -> None:
        if self.raise_errors:
            raise error
        self.errors += 1
        name = name_of(handler)
        logger.error("handler %s failed on %s: %s", name, topic.name, error, exc_info=error)
        if topic.name != EVENT_ERROR:
            trace = "".join(traceback.format_exception(error))
            report = HandlerError(topic.name, name, message, error, trace)
            self.publish(self.topic(EVENT_ERROR), report)

    # --- the live loop --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run the loop on a thread of its own; without effect while it runs."""
        if self._thread is not None:
            return
        self._running = True
        self._thread = threading.Thread(target=self._run_thread, name="EventEngine", daemon=True)
        self._loop_thread = self._thread
        self._thread.start()

    def run(self) -> None:
        """Handle events and timers on the calling thread until ``stop``; then drain what is queued."""
        self._running = True
        self._loop_thread = threading.current_thread()
        try:
            self._loop()
        finally:
            self._loop_thread = None

    def _run_thread(self) -> None:
        try:
            self._loop()
        except BaseException as error:
            logger.critical("the event engine's loop has ended by %r", error, exc_info=error)
            raise

    def _loop(self) -> None:
        while self._running:
            self._serve_timers()
            self.drain()
            if self._running:
                self.waiter.wait(0.0 if self.queue else self._pause())
        self.drain()

    def call(self, function: Callable[[], T], timeout: float = 30.0) -> T:
        """Run a function between two events on the thread of the loop, and return what it returns.

        Where no loop runs on another thread it runs at once, here. It is for starting and stopping parts of a process,
        never for the path of an order.

        Args:
            function: takes nothing.
            timeout: seconds to wait for its end.

        Raises:
            FoxtrotError: the loop did not get to the end of it in time.
            Exception: whatever the function raises.
        """
        thread = self._loop_thread
        if thread is None or thread is threading.current_thread() or not thread.is_alive():
            return function()
        done = threading.Event()
        results: list[T] = []
        errors: list[Exception] = []

        def run(_message: Any) -> None:
            try:
                results.append(function())
            except Exception as error:  # noqa: BLE001 - raised again where it was called from
                errors.append(error)
            done.set()

        once = Topic(f"call of {name_of(function)}")
        once.handlers = (run,)
        self.put_topic(once, None)
        if not done.wait(timeout):
            raise FoxtrotError(
                f"the event engine has not ended the {once.name} within {timeout:g} s"
            )
        if errors:
            raise errors[0]
        return results[0]

    def _serve_timers(self) -> None:
        if isinstance(self.clock, LiveClock):
            try:
                self.clock.fire_due()
            except Exception as error:  # noqa: BLE001 - a timer's callback is a handler too
                self._failed(self.topic(EVENT_TIMER), self._on_timer, None, error)

    def _pause(self) -> float:
        wait = self.clock.wait_ns() if isinstance(self.clock, LiveClock) else NEVER
        return min(wait / NS_PER_SECOND, 1.0)

    def end(self) -> None:
        """End the loop after the queue is drained, without waiting; any thread or signal handler may call."""
        self._running = False
        self._wake()

    def stop(self) -> None:
        """End the loop after the queue is drained, and wait for its thread; without a loop, drain here."""
        self.end()
        thread, self._thread = self._thread, None
        if thread is None:
            if self._loop_thread in (None, threading.current_thread()):
                self.drain()
        elif thread is not threading.current_thread():
            thread.join(timeout=10.0)
            if thread.is_alive():
                logger.error("a handler has not returned for 10 s; the event engine is left behind")
