"""Drives a paced replay over all processes: the next event is released when nothing is under way any more.

Each event is played in three steps: everybody's clock is put forward (timers run on the way, each at its time), the
venue matches, the event is published. What follows goes in rounds, as in a backtest's queue: first the OMS sends what
it holds for venues, then one runner at a time sends what its strategies have decided, then a timer runs; each when all
else is at rest. So nothing depends on which process is quicker. A step is over when nobody has anything to do; a round
is, when two looks in a row find the same, and everybody at rest:

* every participant (the OMS, runners, other adapters) is idle: it has nothing queued and nothing unanswered;
* every runner that trades the event's instrument has handled it: ``PaceReply.handled`` is the number of the last event
  that all its strategies have behind them, durably, in this life or the one before;
* every runner has read its strategies' streams as far as the OMS has written them;
* the venue's reports are durable at the OMS, and no command has come in between the looks.

So whatever is on its way is seen by its sender, who is not idle, or by the count of a stream. A participant that is
away is waited for; a runner that has missed the event (it was restarted) is shown it again.

The time and number of an event are told (``PaceRequest``) before it is published; whoever has handled that number
passes over what is shown again. It is published under that number (``seq`` of the envelope), too, and heartbeats do
not list its stream: so nobody takes an event for read that it has not got.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from foxtrot.adapter.replay import PacedStep, Phase
from foxtrot.app.adapter_build import Source
from foxtrot.app.adapter_looks import Look, interested_runners
from foxtrot.app.adapter_past import ShownEvents
from foxtrot.app.adapter_reports import ReportDesk
from foxtrot.app.installation import OMS, AdapterSettings
from foxtrot.app.process import READY, ServiceProcess
from foxtrot.bus.messages import PACE, PaceReply, PaceRequest
from foxtrot.bus.rpc_client import RpcClient
from foxtrot.bus.rpc_messages import Answer, Outcome
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.objects import BarData, HistoryRequest, TimerData

__all__ = ["Look", "PaceDriver", "interested_runners"]

ALL = "installation"
"""Under this name the driver takes part in the replay's steps for everybody outside this process."""

PHASES = (Phase.ADVANCE, Phase.MATCH, Phase.SHOW)
_TIMEOUT = NS_PER_SECOND
_FIRST_PAUSE, _LAST_PAUSE = (
    1_000_000,
    20_000_000,
)  # ns between two looks of which the first found somebody at work
_SHOW_AGAIN = NS_PER_SECOND // 5  # ns until a runner that has not read the event is shown it again
_TELL_AFTER = 10 * NS_PER_SECOND

logger = logging.getLogger("foxtrot.service.adapter")


class PaceDriver:
    """Releases the events of a replay one by one.

    Args:
        process: of the adapter's service.
        settings: of the adapter.
        source: what is played.
        reports: the venue's reports.
        oms: the connection to the OMS.
        commands: tells how many commands have come in so far.
    """

    def __init__(
        self,
        process: ServiceProcess,
        settings: AdapterSettings,
        source: Source,
        reports: ReportDesk,
        oms: RpcClient,
        commands: Callable[[], int],
    ) -> None:
        self._process = process
        self._replay = source.replay
        self._begin = source.begin
        self._reports = reports
        self._commands = commands
        installation = process.installation
        self._past = ShownEvents(
            source.replay.stream,
            source.begin,
            installation.folder("state") / f"{process.service}.shown",
        )
        self._runners = interested_runners(installation, settings.name)
        self._streams = {name: streams for name, (_, streams) in self._runners.items()}
        others = [a.service for a in installation.adapters if a.service != process.service]
        self._clients: dict[str, RpcClient] = {OMS: oms}
        for name in (*self._runners, *others):
            self._clients[name] = process.client(name)
        self._step = PacedStep(0, source.begin, Phase.ADVANCE)
        self._is_open = False
        self._has_joined = False
        self._is_fresh = False
        self._began = 0
        self._shown = 0
        self._told = ""
        self._busy = ""
        self._ts = source.begin
        self._round = 0
        self._next: tuple[str, int] = ("", 0)
        self._has_timers = True
        self._look: Look | None = None
        self._last: Look | None = None
        self._pause = _FIRST_PAUSE
        self._reported = 0
        self._looks = 0

    @property
    def event(self) -> int:
        """Number of the event that is being played; 0 before the first."""
        return (self._step.number + len(PHASES) - 1) // len(PHASES)

    def prepare(self) -> None:
        """Have the replay wait for this driver; before venue and replay are connected."""
        clock = self._process.event_engine.clock
        if isinstance(clock, SimulatedClock):
            clock.ns = max(clock.ns, self._begin)
        self._replay.pace((ALL,), phases=PHASES, on_step=self._on_step, leads=True)

    def start(self) -> None:
        """Begin, once everybody is there and at rest."""
        self._is_open = True
        pacer = self._replay.pacer
        self._past.open(pacer.number // len(PHASES) if pacer is not None else 0)
        self._put_forward(self._past.ts)
        self._take(self._step)

    def close(self) -> None:
        """Release nothing more."""
        self._is_open = False
        self._process.io_clock.cancel_timer("adapter.pace")
        self._past.close()

    def publish(self, topic: str, message: msgspec.Struct) -> None:
        """Publish the event under its number.

        Raises:
            FrameError: it cannot travel.
        """
        publisher = self._process.publisher
        publisher.streams[topic] = self.event - 1
        try:
            publisher.publish(topic, message)
        finally:
            del publisher.streams[topic]

    def history(self, request: HistoryRequest) -> list[BarData]:
        """Bars that lie before the replay or were shown, in this process or the one before; oldest first."""
        return self._past.bars(request)

    def tell(self) -> dict[str, str]:
        """Where it stands, in words."""
        told = {"event": str(self.event), "looks": str(self._looks)}
        if self._busy:
            told["waits"] = self._busy
        return told

    # --- steps ----------------------------------------------------------------------------------------------

    def _on_step(self, step: PacedStep) -> None:
        """A step is out. The venue's own part of it is done when the event engine has run empty."""
        self._take(step)
        if step.message is not None:
            self._past.note(self.event, step.message)  # before it can be seen
            self._replay.show(step)

    def _take(self, step: PacedStep) -> None:
        self._step = step
        if step.phase is not Phase.ADVANCE or not self._has_timers:
            self._put_forward(step.ts)
        self._is_fresh = True
        self._reported = self._reports.reported
        self._last = None
        self._pause = _FIRST_PAUSE
        self._began = self._shown = self._process.io_clock.monotonic()

    def _put_forward(self, ts: int) -> None:
        """It is that time now, here and, with the next look, everywhere."""
        self._ts = max(self._ts, ts)
        clock = self._process.event_engine.clock
        if isinstance(clock, SimulatedClock) and self._ts > clock.ns:
            clock.advance(self._ts)

    def look(self) -> None:
        """Go on where something has begun; called when the event engine has run empty."""
        if not self._is_open:
            return
        if not self._is_fresh:
            if self._has_joined and not self._replay.is_playing:
                self._finish()
            return
        self._is_fresh = False
        if self._step.phase is Phase.MATCH and self._reports.reported == self._reported:
            self._settle()  # nothing was matched: nobody has anything to do
        else:
            self._ask()

    def _finish(self) -> None:
        if self._process.state == READY:
            self._process.ready(f"the replay is at its end, after {self.event} events")

    def _settle(self) -> None:
        self._busy = ""
        pacer, now = self._replay.pacer, self._process.io_clock.monotonic()
        if pacer is None:
            return
        if not self._has_joined:
            self._has_joined = True
            logger.info("everybody is there: the replay begins")
            pacer.join(ALL, now)
        else:
            pacer.acknowledge(ALL, self._step.number, now)

    # --- looks ----------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        self._looks += 1
        look = self._look = Look(len(self._clients), self._mine())
        asked = PaceRequest(self.event, self._ts, self._step.ts)
        chosen, self._next = self._next, ("", 0)
        for name, client in self._clients.items():
            request = asked
            if name == chosen[0]:
                self._round += 1
                request = replace(asked, epoch=chosen[1], round=self._round)
            client.send(PACE, request, on_reply=self._taker(look, name), timeout=_TIMEOUT)

    def _mine(self) -> tuple[int, int]:
        return self._reports.reported, self._commands()

    def _taker(self, look: Look, name: str) -> Callable[[Outcome], None]:
        def take(outcome: Outcome) -> None:
            reply = outcome.body if isinstance(outcome, Answer) and outcome.ok else None
            answered = isinstance(outcome, Answer) and isinstance(reply, PaceReply)
            epoch = outcome.epoch if isinstance(outcome, Answer) else 0
            look.replies[name] = (epoch, reply) if answered and reply is not None else None
            if look.complete and look is self._look and self._is_open:
                self._judge(look)

        return take

    def _judge(self, look: Look) -> None:
        """Everybody has answered: settle the step, or look again."""
        self._busy = self._find_busy(look)
        last = self._last
        same = last is not None and (last.replies, last.mine) == (look.replies, look.mine)
        self._last = None if self._busy else look
        if not self._busy and same and look.mine == self._mine():
            self._go_on(look)
        elif not self._busy:
            self._ask()
        else:
            self._show_again(look)
            self._wait()

    def _go_on(self, look: Look) -> None:
        """All are at rest: the next round, the time of the next timer, or the end of the step."""
        chosen = look.next_round(self._runners, self._ts)
        due = look.due(self._runners)
        self._has_timers = due > 0
        if look.ts > self._ts:  # told in this process's former life
            self._put_forward(look.ts)
        elif chosen is not None:
            self._next = chosen
        elif self._ts < self._step.ts:
            self._put_forward(due if 0 < due < self._step.ts else self._step.ts)
        else:
            self._settle()
            return
        self._last = None
        self._ask()

    def _find_busy(self, look: Look) -> str:
        busy = look.busy(self._streams, self.event, self._readers())
        if busy:
            return busy
        if self._reports.waiting or self._process.event_engine.queue:
            return f"{self._reports.waiting} reports are not durable at the OMS"
        return ""

    def _show_again(self, look: Look) -> None:
        """Publish the event once more where a runner has missed it; those who have handled it pass over it."""
        now = self._process.io_clock.monotonic()
        if now - self._shown < _SHOW_AGAIN:
            return
        for name in self._readers():
            found = look.replies.get(name)
            if found is not None and found[1].idle and found[1].handled < self.event:
                self._shown = now
                self._replay.show(self._step)
                return

    def _readers(self) -> set[str]:
        """Runners that the event is shown to; none while it is not shown."""
        message = self._step.message
        if message is None:
            return set()
        return {
            name for name, (symbols, _) in self._runners.items() if message.vt_symbol in symbols
        }

    def _wait(self) -> None:
        clock = self._process.io_clock
        now = clock.monotonic()
        if now - self._began >= _TELL_AFTER and self._told != self._busy:
            self._told = self._busy
            logger.warning("event %d waits: %s", self.event, self._busy)
        clock.set_delay("adapter.pace", self._pause, self._on_timer)
        self._pause = min(2 * self._pause, _LAST_PAUSE)

    def _on_timer(self, _timer: TimerData) -> None:
        if self._is_open and not self._is_fresh:
            self._ask()
