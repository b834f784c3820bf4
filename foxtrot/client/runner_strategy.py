"""One strategy of a runner and its life: warm-up, catching up, trading, pause, failure, a new class.

The order of a start: what was stored is restored into a host that only folds; a strategy that has never run takes a
snapshot of its order stream; bars of the past are asked for; then, in one go, the user's class is loaded, ``on_start``
is called, indicators are fed, ``on_load`` is called; then the events that were missed are replayed, with their hooks;
then market data that came meanwhile, and what is live.

Invariants: the user's code sees no market data before its order stream is caught up, and no order event twice. A class
that cannot be loaded, or raises, puts its strategy into ERROR, which survives restarts until it is resumed or reloaded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from foxtrot.bus.codec import Envelope
from foxtrot.bus.messages import StrategyInfo
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.client.runner_books import Mode, StrategyBooks
from foxtrot.client.runner_history import BarHistory, HistoryLoader
from foxtrot.client.runner_plan import StrategyPlan
from foxtrot.client.runner_store import RunnerStore
from foxtrot.core.clock import NEVER, Clock, LiveClock
from foxtrot.core.errors import PersistenceError, StrategyError
from foxtrot.core.events import EVENT_BAR, EVENT_TICK
from foxtrot.core.objects import BarData, ContractData, TickData
from foxtrot.strategy.host import StrategyHost, StrategyState
from foxtrot.strategy.loader import load_strategy_class
from foxtrot.strategy.strategy import Strategy

__all__ = ["ManagedStrategy"]

BUFFERED = 10_000
"""Market data that are kept while a strategy starts; of more, the newest count."""

WAITING, WARMING, CATCHING_UP = "WAITING", "WARMING", "CATCHING_UP"


class ManagedStrategy(StrategyBooks):
    """A strategy of a runner.

    Args:
        plan: what it is.
        clock: the strategies' time.
        io_clock: the time of sockets.
        store: its file.
        oms: to the OMS.
        adapter: to its adapter's service.
        follow: called with it and its cursor when its order stream is to be read.
        on_fatal: called where its file cannot be written.
        on_change: called when where it stands has changed.
        paced: whether market data are released one by one: each is handled once, over restarts too.

    Attributes:
        is_live: whether market data reach the strategy.
    """

    def __init__(
        self,
        plan: StrategyPlan,
        clock: Clock,
        io_clock: LiveClock,
        store: RunnerStore,
        oms: RpcClient,
        adapter: RpcClient,
        *,
        follow: Callable[[ManagedStrategy, int], object],
        on_fatal: Callable[[PersistenceError], object],
        on_change: Callable[[], object],
        paced: bool = False,
    ) -> None:
        super().__init__(plan, clock, io_clock, store, oms, on_fatal, on_change, paced=paced)
        self.is_live = False
        self._io_clock = io_clock
        self._adapter = adapter
        self._follow = follow
        self._following = False
        self._booting = False
        self._class: type[Strategy] | None = None
        self._loader: HistoryLoader | None = None
        self._history = BarHistory(plan.warmup_bars)
        self._buffer: deque[tuple[str, Envelope[Any]]] = deque(maxlen=BUFFERED)
        self._topics = {p + s for p in (EVENT_TICK, EVENT_BAR) for s in plan.vt_symbols}
        self._ending = False

    # --- where it stands ------------------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """Where it is in its life, in one word."""
        if self.stored.mode in (Mode.ERROR, Mode.STOPPED):
            return str(self.stored.mode)
        if self.host is None:
            return WAITING
        if not self.is_active:
            return WARMING
        return str(self.stored.mode) if self.is_live else CATCHING_UP

    @property
    def is_settled(self) -> bool:
        """Whether it is as it should be: trading, or standing still because it was told to, or failed."""
        return self.is_caught_up and self.is_live and not self._booting

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way."""
        return self.is_settled and self.outbox.is_quiet and not self._dirty and not self._buffer

    def info(self, now: int) -> StrategyInfo:
        """What is told of it.

        Args:
            now: ns UTC.
        """
        variables: dict[str, str] = {}
        if self.host is not None:
            parameters = self.host.strategy.parameters
            variables = {name: str(value) for name, value in parameters.items()}
            for vt_symbol, leg in self.host.context.legs.items():
                variables[f"position {vt_symbol}"] = f"{leg.position.volume:g}"
            variables["working orders"] = str(len(self.host.context.working_ids()))
        return StrategyInfo(
            self.name,
            self.state,
            self.plan.path,
            self.plan.vt_symbols,
            self.stored.error,
            now,
            max(0, self.stored.cursor),
            len(self.outbox.rows),
            variables,
        )

    # --- starting -------------------------------------------------------------------------------------------

    def begin(self, contracts: Sequence[ContractData]) -> None:
        """Contracts are known: take up what was stored, and go on from there."""
        self.contracts = list(contracts)
        self.host = self.fold_only()
        if self.stored.mode in (Mode.ERROR, Mode.STOPPED) or self.stored.cursor < 0:
            self._begin_following()
        else:
            self._boot()
        self._on_change()

    def _begin_following(self) -> None:
        self._following = True
        self._follow(self, self.stored.cursor)

    def on_caught_up(self) -> None:
        """The order stream was read to its end: a strategy that is wanted goes live."""
        self.is_caught_up = True
        if self._ending:
            return
        wanted = self.stored.mode in (Mode.RUNNING, Mode.PAUSED)
        if wanted and not self.is_active and not self._booting:
            self._boot()
        self._go_live()

    def begin_view(self) -> None:  # noqa: D102 - inherits
        self.is_live = False
        super().begin_view()

    def _boot(self, loaded: type[Strategy] | None = None) -> None:
        """Load the class, and ask for the bars of its warm-up."""
        self._booting, self.is_live = True, False
        self._class = loaded
        if loaded is None:
            try:
                self._class = load_strategy_class(self.plan.path)
            except Exception as error:  # noqa: BLE001 - whatever a user's module raises
                self._booting = False
                self.fail(error)
                self._end_boot()
                return
        if self._loader is not None:
            self._loader.close()
        self._loader = HistoryLoader(
            self._adapter,
            self._io_clock,
            self.name,
            self.clock.now(),
            self.plan.warmup_bars,
            self._activate,
        )
        self._loader.load(self.plan.vt_symbols)

    def _activate(self, bars: list[BarData]) -> None:
        """Run the user's class from what is known now; synchronous, so that no event falls in between."""
        self._loader, self._booting = None, False
        self.save_user()  # of the class that ran until now; it may fail
        if self._ending or self.stored.mode in (Mode.ERROR, Mode.STOPPED):
            self._end_boot()
            return
        old = self.running
        self.stored.view = old.view()
        old.unwire()
        self.is_active = False
        self._history = BarHistory(self.plan.warmup_bars)
        past = self._past_of(bars)
        try:
            self.host = self._start(past)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            self.running.unwire()
            self.host = self.fold_only()
            self.fail(error)
        self._dirty = True
        self._end_boot()

    def _start(self, past: list[BarData]) -> StrategyHost:
        """Make a host of the user's class, and bring it to where it trades."""
        if self._class is None:
            raise StrategyError(f"strategy {self.name}: no class was loaded")
        host = StrategyHost(
            self._class,
            self.name,
            self.plan.setting,
            self.engine,
            self.contracts,
            self._history,
            self.on_error,
        )
        self.host = host
        if self.stored.view:
            host.restore(self.stored.view)
        self.is_active = True
        host.start(warming=self.stored.started or bool(past))
        self.stored.started = True
        if self._paced and self.stored.timers:
            host.move_timers(self.stored.timers)
        elif self._paced and past:
            host.skip_timers()  # their time was in the warm-up
        for bar in past:
            self._history.add(bar)
            self.engine.dispatch(self.engine.topic(_topic(bar)), bar)
        if host.state is not StrategyState.ERROR:
            self.load_user()
        host.begin_trading()
        if self.stored.mode == Mode.PAUSED:
            host.pause()
        self.engine.drain()
        self.tell_missed()
        return host

    def _past_of(self, bars: list[BarData]) -> list[BarData]:
        """The bars that are no news: neither came live meanwhile, nor are still to be shown by a paced replay."""
        news: dict[str, int] = {}
        for topic, envelope in self._buffer:
            if isinstance(envelope.message, BarData):
                news.setdefault(topic, envelope.message.ts_event)
        if not self._paced:
            return [bar for bar in bars if bar.ts_event < news.get(_topic(bar), NEVER)]
        marks = self.marks
        past = [bar for bar in bars if bar.ts_event <= marks.get(_topic(bar), NEVER)]
        for bar in past:
            marks[_topic(bar)] = max(bar.ts_event, marks.get(_topic(bar), 0))
        return past

    def _end_boot(self) -> None:
        if self._ending:
            return
        if not self._following:
            self._begin_following()
        else:
            self._go_live()
        self._on_change()

    def _go_live(self) -> None:
        """Hand on what came meanwhile, and from here on what comes."""
        if self._booting or not self.is_caught_up or self.is_live or self._ending:
            return
        self.is_live = True
        while self._buffer and self.is_live:
            topic, envelope = self._buffer.popleft()
            self._deal(topic, envelope)
        self._on_change()

    # --- market data ----------------------------------------------------------------------------------------

    def on_market(self, topic: str, envelope: Envelope[Any]) -> None:
        """A bar or quote; kept while the strategy starts."""
        if self.is_live:
            self._deal(topic, envelope)
        elif not self._ending:
            self._buffer.append((topic, envelope))

    def _deal(self, topic: str, envelope: Envelope[Any]) -> None:
        message: BarData | TickData = envelope.message
        if isinstance(message, BarData):
            self._history.add(message)
        before = len(self._commands)
        self.engine.dispatch(self.engine.topic(topic), message)
        if len(self._commands) > before:
            self._count_step()

    def on_paced(self, topic: str, message: BarData | TickData, number: int) -> None:
        """An event of a paced replay: handled once, over restarts, too.

        Args:
            topic: where it was published.
            message: what was.
            number: of the event.
        """
        if not self.is_live or number <= self.stored.handled:
            return  # it is shown again to those who have not handled it
        if topic in self._topics:
            self.stored.handled = number
            self.marks[topic] = message.ts_event
            self._dirty = True
            self._deal(topic, Envelope(1, self.plan.service, 0, 0, 0, message))
        else:
            self.stored.handled = number  # told when there is something else to commit

    @property
    def marks(self) -> dict[str, int]:
        """Of a paced replay: times of the last messages that were handled, by topic."""
        if self.stored.marks is None:
            self.stored.marks = {}
        return self.stored.marks

    def _set_mode(self, mode: Mode) -> None:
        self.stored.mode = mode
        self._dirty = True
        self._on_change()

    # --- the end --------------------------------------------------------------------------------------------

    def halt(self) -> None:
        """Call ``on_stop`` and keep what ``on_save`` returns; events are folded on."""
        if self.is_active:
            self.running.stop()
            self.engine.drain()
            self.save_user()
            self.is_active = False
            self._dirty = True

    def end(self) -> None:
        """The process ends: ``on_stop`` is called, and the strategy starts again with the next process."""
        self._ending = True
        self.halt()

    def close(self) -> None:
        """Save, and let the file go.

        Raises:
            PersistenceError: the last state could not be written.
        """
        self._ending = True
        if self._loader is not None:
            self._loader.close()
        self.outbox.close()
        try:
            if self.host is not None:
                self.host.unwire()
            if self._dirty or self.outbox.acknowledged:
                self.commit()
        finally:
            self.store.close()


def _topic(bar: BarData) -> str:
    return EVENT_BAR + bar.vt_symbol
