"""The adapter that plays recorded or historical data: market data only, it takes no orders.

Two ways to play:

* by the clock: each message when its time has come, at ``speed`` times the pace of the data, or as fast as it goes
  (``speed`` 0). Timers of the event engine's clock do it, at most ``batch`` messages or ``SLICE_NS`` in a turn, so that
  everything else has its turn, too. After each message the event engine is drained, so that within one process nobody
  is behind;
* paced: each message when everybody is done with the one before (``pace``, ``replay_pacer``). The data's own clock is
  used: every step carries its time, and those who take part put their ``SimulatedClock`` there.

Whoever listens (``add_listener``: a simulated venue) gets each message before all others do, as the backtest's loop has
it: the exchange matches, its reports are folded, then strategies see the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import msgspec
from msgspec.structs import replace

from foxtrot.adapter.replay_base import MarketDataAdapter
from foxtrot.adapter.replay_history import bars_between
from foxtrot.adapter.replay_messages import PacedStep, Phase, ReplayListener, ReplayState
from foxtrot.adapter.replay_pacer import Pacer
from foxtrot.adapter.replay_settings import ReplaySettings, read_settings
from foxtrot.adapter.replay_stream import ReplayStream
from foxtrot.core.clock import Clock, SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.errors import ConfigError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import (
    BarData,
    ContractData,
    HistoryRequest,
    SubscribeRequest,
    TickData,
    TimerData,
)
from foxtrot.data.series import Series

__all__ = ["PacedStep", "Phase", "ReplayAdapter", "ReplayListener", "ReplayState"]

SLICE_NS = 20_000_000
"""Longest time that one turn takes before it lets others have theirs (ns)."""

TURN_GAP_NS = 1_000
"""Between two turns that have more to play at once (ns)."""

WATCH_NS = NS_PER_SECOND
"""How often a paced replay looks for who is late (ns)."""


class ReplayAdapter(MarketDataAdapter):
    """Plays series as a source of market data.

    Args:
        event_engine: the dispatcher; its clock sets the pace.
        adapter_name: the name on the messages.
        series: bars and quotes, one instrument (and kind) each, as loaded by ``foxtrot.data``.
        contracts: what is announced on ``connect``.
        watch: time line of the pacer's time-outs; the event engine's clock by default.

    Raises:
        DataError: there are no rows.
    """

    default_name: ClassVar[str] = "REPLAY"
    default_setting: ClassVar[Mapping[str, Any]] = msgspec.to_builtins(ReplaySettings())

    def __init__(
        self,
        event_engine: EventEngine,
        adapter_name: str = default_name,
        *,
        series: Sequence[Series],
        contracts: Sequence[ContractData] = (),
        watch: Clock | None = None,
    ) -> None:
        super().__init__(event_engine, adapter_name)
        self.contracts = tuple(contracts)
        self.stream = ReplayStream(series)
        self.pacer: Pacer | None = None
        self.is_playing = False
        self._watch = watch if watch is not None else event_engine.clock
        self._settings = ReplaySettings()
        self._listeners: dict[str, ReplayListener] = {}
        self._state: ReplayState | None = None
        self._shift = 0
        self._number = 0
        self._known_ts = -1
        self._messages: Iterator[tuple[int, BarData | TickData]] = iter(())
        self._upcoming: tuple[int, BarData | TickData] | None = None
        self._began = 0
        self._origin = 0
        self._phases: tuple[Phase, ...] = ()
        self._on_step: Callable[[PacedStep], None] = self.show
        self._leads = False
        self._told: tuple[str, ...] = ()
        self._timer = f"{adapter_name}.replay"
        self._step_topic = event_engine.topic(f"rReplay.{adapter_name}")
        event_engine.subscribe(self._step_topic.name, self._run_step)

    @property
    def quoted(self) -> frozenset[str]:
        """Instruments of which there are quotes."""
        return frozenset(s.vt_symbol for s in self.stream.series if not s.is_bars)

    # --- who takes part -------------------------------------------------------------------------------------

    def add_listener(self, name: str, listener: ReplayListener) -> None:
        """Give each message to ``listener`` before it is published; paced, it says ``listened`` when done."""
        self._listeners[name] = listener
        if self.pacer is not None:
            self.pacer.join(name, self._watch.monotonic())

    def remove_listener(self, name: str) -> None:
        """Give it no more messages, and wait for it no longer."""
        self._listeners.pop(name, None)
        if self.pacer is not None:
            self.pacer.leave(name, self._watch.monotonic())

    def listened(self, name: str, number: int) -> None:
        """A listener is done with the message of that number: it is saved, and its reports are on the way."""
        if self.pacer is not None and number == self._number:
            self.pacer.acknowledge(name, self.pacer.number, self._watch.monotonic())

    def pace(
        self,
        expected: Iterable[str] = (),
        *,
        timeout: int = 30 * NS_PER_SECOND,
        phases: Iterable[Phase] = (Phase.MATCH, Phase.SHOW),
        on_step: Callable[[PacedStep], None] | None = None,
        leads: bool = False,
    ) -> Pacer:
        """Play in steps that wait for those who take part. Call it before ``connect``.

        Args:
            expected: who must have joined before the first step.
            timeout: ns until those who are late are told to the log.
            phases: the steps that each message is played in.
            on_step: called for each step, also again for the one that is out after a restart; by default messages
                are published in this process when they are to be shown.
            leads: whether ``on_step`` puts the event engine's clock forward itself in ``Phase.ADVANCE``.

        Returns:
            The pacer, to join, leave and acknowledge at.

        Raises:
            ConfigError: it plays already, or there is no phase that shows the data.
        """
        self._phases = tuple(phases)
        if self.is_playing or Phase.SHOW not in self._phases:
            raise ConfigError(
                f"{self.adapter_name}: pace a replay before it plays, with a phase that shows the data"
            )
        self._on_step = on_step if on_step is not None else self.show
        self._leads = leads
        self.pacer = Pacer(self._released, expected, timeout)
        for name in self._listeners:
            self.pacer.join(name, self._watch.monotonic())
        return self.pacer

    # --- the connection -------------------------------------------------------------------------------------

    def state(self, number: int) -> ReplayState:
        """Where the replay stood after the message of that number: what ``resume`` goes on from."""
        return ReplayState(number, self._shift, self.stream.rows)

    def resume(self, state: ReplayState | None) -> bool:
        """Go on behind the message that ``state`` names when it connects; False where that was other data.

        A paced replay gives the message itself once more, as nobody knows who has seen it; its number tells.

        Raises:
            ConfigError: it plays already.
        """
        if self.is_playing:
            raise ConfigError(f"{self.adapter_name} plays already; connect its venue first")
        fits = state is None or state.rows == self.stream.rows
        self._state = state if fits else None
        return fits

    def connect(self, setting: Mapping[str, Any]) -> None:
        """Announce the contracts, unless a venue that listens does, and begin to play.

        Raises:
            ConfigError: an unknown setting, or one out of range.
        """
        settings = read_settings(self.adapter_name, setting)
        self.event_engine.call(partial(self._connect, settings))

    def _connect(self, settings: ReplaySettings) -> None:
        self._close()
        self._settings = settings
        self.stream.loop = self._settings.loop
        for contract in () if self._listeners else self.contracts:
            self.on_contract(contract)
        first = self._place()
        if first:
            _, last = next(self.stream.messages(self._shift, first - 1))
            self._known_ts = max(self._known_ts, last.ts_event)
        self._messages = self.stream.messages(self._shift, first)
        self.is_playing = True
        self._number = first
        if self.pacer is not None:
            steps = len(self._phases) * first
            self.pacer.start(self._watch.monotonic(), steps)
            clock = self.event_engine.clock
            clock.set_interval(self._timer, WATCH_NS, self._on_watch)
            return
        self._began = self.event_engine.clock.monotonic()
        self._fetch()
        if self._upcoming is not None:
            self._origin = self._upcoming[1].ts_event
        self._set_turn(0)

    def _place(self) -> int:
        """Find shift and start; returns the number of the last message that is not played."""
        state, settings = self._state, self._settings
        begin = settings.begin
        if state is not None:
            self._shift = state.shift
            return max(0, state.number - 1) if self.pacer is not None else state.number
        first = sum(len(s.split(begin)[0]) for s in self.stream.series) if begin else 0
        start = max(begin, self.stream.first_ts)
        wanted = settings.shift
        if wanted == "now":
            self._shift = self.event_engine.clock.now() - start
        else:
            self._shift = 0 if wanted == "none" else int(wanted)
        self._known_ts = max(self._known_ts, start + self._shift)
        return first

    def close(self) -> None:
        """Stop playing; connecting again goes on behind the last message."""
        self.event_engine.call(self._close)

    def _close(self) -> None:
        if not self.is_playing:
            return
        self._state = self.state(self._number)
        self.is_playing = False
        self._upcoming = None
        if self.pacer is not None:
            self.pacer.stop()
        self.event_engine.clock.cancel_timer(self._timer)

    # --- by the clock ---------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        self._upcoming = next(self._messages, None)
        if self._upcoming is None:
            self.is_playing = False
            self.event_engine.clock.cancel_timer(self._timer)
            self._state = self.state(self._number)
            self.on_log(f"the replay is at its end, after {self._number} messages")

    def _set_turn(self, wait: int) -> None:
        if self.is_playing:
            clock = self.event_engine.clock
            clock.set_delay(self._timer, wait, self._turn)

    def _turn(self, _timer: TimerData) -> None:
        """Play what is due, a bounded part of it, and set the next turn."""
        monotonic = self.event_engine.clock.monotonic
        stop = monotonic() + SLICE_NS
        for _ in range(self._settings.batch):
            upcoming = self._upcoming
            if upcoming is None:
                return
            wait = self._wait(upcoming[1].ts_event, monotonic())
            if wait > 0:
                self._set_turn(wait)
                return
            self._play(*upcoming)
            if not self.is_playing:  # somebody closed it
                return
            self._fetch()
            if monotonic() > stop:
                break
        self._set_turn(TURN_GAP_NS)

    def _wait(self, ts: int, now: int) -> int:
        """Nanoseconds until a message of that stamp is due; a longer pause than ``max_wait`` is cut short."""
        settings = self._settings
        if not settings.speed:
            return 0
        wait = self._began + int((ts - self._origin) / settings.speed) - now
        longest = int(settings.max_wait * NS_PER_SECOND)
        if longest and wait > longest:
            self._began -= wait - longest
            return longest
        return wait

    def _play(self, number: int, message: BarData | TickData) -> None:
        drain = self.event_engine.drain
        for listener in tuple(self._listeners.values()):
            listener(number, message)
        if self._listeners:
            drain()
        self._note(number, message)
        self._publish(message)
        drain()

    def _note(self, number: int, message: BarData | TickData) -> None:
        self._number = number
        self._known_ts = max(self._known_ts, message.ts_event)

    def _publish(self, message: BarData | TickData) -> None:
        now = self.event_engine.clock.now()
        if isinstance(message, BarData):
            self.on_bar(replace(message, ts_init=now, adapter_name=self.adapter_name))
        else:
            self.on_tick(replace(message, ts_init=now, adapter_name=self.adapter_name))

    # --- paced ----------------------------------------------------------------------------------------------

    def _released(self, number: int) -> None:
        """The pacer lets a step go: it takes its turn in the queue."""
        self.event_engine.put_topic(self._step_topic, number)

    def _run_step(self, number: int) -> None:
        if not self.is_playing or self.pacer is None:
            return
        phase = self._phases[(number - 1) % len(self._phases)]
        if phase is self._phases[0]:
            self._fetch()
            if self._upcoming is not None:
                self._note(*self._upcoming)
        if self._upcoming is None:
            self.pacer.stop()
            return
        event, message = self._upcoming
        clock = self.event_engine.clock
        is_led = self._leads and phase is Phase.ADVANCE
        if isinstance(clock, SimulatedClock) and message.ts_event > clock.ns and not is_led:
            clock.advance(message.ts_event)
        shown = message if phase is Phase.SHOW else None
        self._on_step(PacedStep(number, message.ts_event, phase, shown))
        for name, listener in tuple(self._listeners.items()):
            if phase is Phase.MATCH:
                listener(event, message)
            else:
                self.listened(name, event)

    def show(self, step: PacedStep) -> None:
        """Publish a step's message, if it has one, in this process."""
        if step.message is not None:
            self._publish(step.message)

    def _on_watch(self, _timer: TimerData) -> None:
        self.look_for_missing()

    def look_for_missing(self) -> tuple[str, ...]:
        """Who is late, told to the log once; call it where the event engine's clock stands still meanwhile."""
        pacer = self.pacer
        late = pacer.missing(self._watch.monotonic()) if pacer is not None else ()
        if late and late != self._told and pacer is not None:
            self.on_log(f"step {pacer.number} waits for {', '.join(late)}", 30)
        self._told = late
        return late

    # --- the rest of the contract ---------------------------------------------------------------------------

    def subscribe(self, request: SubscribeRequest) -> None:
        """Everything that was loaded is played; an instrument that was not is told to the log."""
        if all(s.vt_symbol != request.vt_symbol for s in self.stream.series):
            self.on_log(f"there is no data of {request.vt_symbol} to replay", 30)

    def query_history(self, request: HistoryRequest) -> list[BarData]:
        """Bars that have been played, or lie before ``begin``; nothing that is still to come."""
        return bars_between(self.stream, request, self._shift, self._known_ts)
