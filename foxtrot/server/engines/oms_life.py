"""The OMS's life: what it listens to in each of its states, its commits, how it halts and how it recovers.

NEW until the stored state is loaded (``load_state``, or by itself before the first message, so that a file is never
written to by an OMS that has not read it); then READY. There are two ways out of READY:

* STALLED, where a commit failed (disk full, I/O error). Memory is then ahead of the disk, so nothing of that step has
  any effect: nothing is acknowledged, sent or published. Cancels still go through; orders and reports are kept. Every
  second the disk is tried; once it takes a write, the books are read from it anew, the kept reports are folded again,
  the kept orders are denied (they are too old to be sent), and venues are asked what was missed.
* HALTED, for good, where the stored state cannot be vouched for (it is damaged), or after ``close``. Commands are
  refused and reports ignored, each with an error in the log. A restart with a mended or restored file goes on.

A message is folded and noted in a step (``OmsStep``); when the queue has run empty, or the step is large, it is
committed and its effects are released. Where persistence keeps nothing (a backtest) there is no step to wait for.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from foxtrot.core import events
from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.engine import BaseEngine, EngineOwner
from foxtrot.core.errors import FoxtrotError, OmsError
from foxtrot.core.event_engine import EventEngine, MessageHandler, Topic
from foxtrot.core.objects import OrderRequest, TimerData
from foxtrot.server.engines.oms_step import MAX_FACTS, OmsStep, Ordered
from foxtrot.server.journal.codec import Fact
from foxtrot.server.persistence import Persistence

Wrap = Callable[[str, MessageHandler], MessageHandler]

RETRY_NS = NS_PER_SECOND
MAX_KEPT = 100_000
"""Messages kept while stalled; what comes beyond is told and left to reconciliation."""

_RETRY = "oms.retry"


class OmsLife(BaseEngine, ABC):
    """NEW, READY, STALLED, HALTED: each state has handlers of its own, so the working ones have nothing to ask.

    Args:
        main_engine: the owner.
        event_engine: the dispatcher.
        persistence: where state is kept.

    Attributes:
        loaded: whether the stored state has been restored.
        halted: why it has halted for good; empty while it works.
        stalled: why it cannot commit for now; empty while it can.
        refused: how many messages were neither folded nor kept.
        commits: how many steps were committed.
        on_commit: called with the facts of each step once they are durable, before its effects are released.
    """

    def __init__(
        self, main_engine: EngineOwner, event_engine: EventEngine, persistence: Persistence
    ) -> None:
        super().__init__(main_engine, event_engine, "oms")
        self.persistence = persistence
        self.loaded = False
        self.halted = ""
        self.stalled = ""
        self.refused = 0
        self.commits = 0
        self.on_commit: Callable[[list[tuple[str, Fact]]], object] | None = None
        self.step = OmsStep()
        self.keeps = persistence.keeps
        self._emit: Callable[[tuple[Topic, Any]], None] = event_engine.queue.append
        self._kept: list[tuple[str, Any]] = []
        self._logger = logging.getLogger("foxtrot.oms")
        self._wired: list[tuple[str, MessageHandler]] = []
        if self.keeps:
            self._emit = self.step.effects.append
            event_engine.add_idle(self.flush)
        self._wire(self._load_first)

    @abstractmethod
    def handlers(self) -> dict[str, MessageHandler]:
        """The working handlers by topic."""

    @abstractmethod
    def read_state(self) -> None:
        """Restore everything from persistence into fresh books."""

    @abstractmethod
    def deny_kept(self, order: OrderRequest | Ordered, reason: str) -> None:
        """Refuse an order that came while nothing could be saved, unless it is known after all."""

    @abstractmethod
    def after_recovery(self) -> None:
        """State is as the disk has it again: find out what was missed."""

    # --- wiring ---------------------------------------------------------------------------------------------

    def _wire(self, wrap: Wrap) -> None:
        """Listen with what a state of life makes of the working handlers."""
        self._wrap = wrap
        for topic, handler in self._wired:
            self.event_engine.unregister(topic, handler)
        self._wired = [(topic, wrap(topic, handler)) for topic, handler in self.handlers().items()]
        for topic, handler in self._wired:
            self.event_engine.subscribe(topic, handler)

    def rewire(self) -> None:
        """Listen anew: there are other handlers."""
        self._wire(self._wrap)

    def _load_first(self, topic: str, _handler: MessageHandler) -> MessageHandler:
        def load_first(message: Any) -> None:
            self.load_state()
            dict(self._wired)[topic](message)

        return load_first

    def _ready(self, topic: str, handler: MessageHandler) -> MessageHandler:
        if not self.keeps:
            return handler
        step, keep = self.step, self.step.messages.append

        def in_step(message: Any) -> None:
            keep((topic, message))
            handler(message)
            if len(step.facts) >= MAX_FACTS:
                self.flush()

        return in_step

    def _keep(self, topic: str, handler: MessageHandler) -> MessageHandler:
        """While stalled: cancels go through, changes are refused, the rest waits."""
        if topic == events.COMMAND_CANCEL:
            return handler
        if topic == events.COMMAND_MODIFY:
            return self._refuse(topic, handler)

        def keep(message: Any) -> None:
            if len(self._kept) < MAX_KEPT:
                self._kept.append((topic, message))
            else:
                self.refused += 1
                self._log(f"{topic} dropped, {MAX_KEPT} messages wait already: {message}", 40)

        return keep

    def _refuse(self, topic: str, _handler: MessageHandler) -> MessageHandler:
        def refuse(message: Any) -> None:
            self.refused += 1
            why = self.halted or self.stalled
            self._log(f"{topic} ignored, the OMS is halted ({why}): {message}", 40)

        return refuse

    def _halt(self, doing: str, error: Exception | str) -> OmsError:
        """Stop for good; returns the error to raise, which the event engine logs, counts and publishes."""
        self.halted = self.halted or f"{doing} failed: {error}"
        self.step.clear()
        self._wire(self._refuse)
        text = (
            f"the OMS is halted: {self.halted}; nothing more is sent or published; mend the cause and restart, "
            f"what was visible is saved"
        )
        self._log(text, logging.CRITICAL)
        return OmsError(text)

    def halt_for_good(self, doing: str, reason: str) -> None:
        """Stop because the stored state is not to be trusted any more: nothing more is saved, sent or published."""
        self._halt(doing, reason)

    def _log(self, msg: str, level: int) -> None:
        self._logger.log(level, "%s", msg)
        self.main_engine.write_log(msg, "oms", level)

    # --- commits --------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Commit the step, then release its effects; called when the queue has run empty.

        Raises:
            OmsError: it could not be committed; the OMS is stalled and nothing of the step has any effect.
        """
        step = self.step
        if step.facts or step.rows:
            try:
                self.persistence.commit(list(step.rows.items()), step.facts)
            except Exception as error:
                raise self._stall(error) from error
            self.commits += 1
            if self.on_commit is not None:
                self.on_commit(step.facts)
        released = step.effects[::-1]
        step.clear()
        if released:
            self.event_engine.queue.extendleft(released)

    def _stall(self, error: Exception) -> OmsError:
        """Nothing can be saved: let no effect out, keep what comes, and try again every second."""
        names = ", ".join(list(self.step.rows)[:5])
        self.stalled = f"saving {names} failed: {error}"
        messages = self.step.messages.copy()
        self.step.clear()
        self._wire(self._keep)
        for topic, message in messages:
            if topic == events.COMMAND_CANCEL:
                self.event_engine.put_topic(self.event_engine.topic(topic), message)
            else:
                self._kept.append((topic, message))
        clock = self.event_engine.clock
        clock.set_interval(_RETRY, RETRY_NS, self._try_to_recover)
        text = (
            f"the OMS is halted: {self.stalled}; nothing is acknowledged, sent or published until the disk takes "
            f"writes again, which is tried every second; cancels go through"
        )
        self._log(text, logging.CRITICAL)
        return OmsError(text)

    def _try_to_recover(self, _timer: TimerData | None = None) -> None:
        """Go on from what is on the disk, if it takes a write."""
        try:
            self.persistence.recover()
            self.read_state()
        except Exception as error:  # noqa: BLE001 - whatever the disk says: it is told and tried again
            self.step.clear()
            self._logger.warning("the OMS is still halted: %s", error)
            return
        self.event_engine.clock.cancel_timer(_RETRY)
        kept, self._kept = self._kept, []
        reason = f"it came while nothing could be saved ({self.stalled})"
        self.stalled = ""
        self._wire(self._ready)
        self._log(
            f"the OMS works again: state was read from the disk, {len(kept)} messages were kept", 30
        )
        for topic, message in kept:
            if isinstance(message, OrderRequest | Ordered):
                self.step.messages.append((topic, message))  # kept again if this step fails, too
                self._deny(message, reason)
            elif topic not in (events.COMMAND_CANCEL, events.COMMAND_MODIFY):
                self.event_engine.put_topic(self.event_engine.topic(topic), message)
        self.after_recovery()

    def _deny(self, order: OrderRequest | Ordered, reason: str) -> None:
        """Deny a kept order; one that cannot even be written down must not keep the others from being heard."""
        try:
            self.deny_kept(order, reason)
        except FoxtrotError as error:
            self._log(f"{error}; {reason}", logging.ERROR)
            if isinstance(order, Ordered):
                order.refuse(str(error))

    # --- state ----------------------------------------------------------------------------------------------

    def load_state(self) -> None:
        """Restore everything from persistence, once; orders that were in flight come back as UNKNOWN.

        It runs by itself before the first message. Call it on the event engine's thread (``MainEngine.start`` does).

        Raises:
            OmsError: the stored state cannot be read or is not to be trusted; the OMS is halted.
        """
        if self.halted:
            raise OmsError(f"the OMS is halted: {self.halted}")
        if self.loaded:
            return
        try:
            self.read_state()
        except Exception as error:
            raise self._halt("loading the saved state", error) from error
        self.loaded = True
        self._wire(self._ready)

    def close(self) -> None:
        """Commit what is left (unless it never loaded, or has halted) and close the persistence."""
        try:
            if self.loaded and not self.halted and not self.stalled:
                self.flush()
        finally:
            self.event_engine.clock.cancel_timer(_RETRY)
            self.event_engine.remove_idle(self.flush)
            self.halted = self.halted or self.stalled or "it was closed"
            self._wire(self._refuse)
            self.persistence.close()
