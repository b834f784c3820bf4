"""The OMS's life: what it listens to in each of its states, its saves, and how it halts.

NEW until the stored state is loaded (``load_state``, or by itself before the first message, so that a file is never
written to by an OMS that has not read it); READY; HALTED for good once it can no longer vouch for its state: a save
failed, so that memory is ahead of the disk, or a fill cannot be booked.

A halted OMS sends and publishes nothing: commands are refused and reports ignored, each with an error in the log;
``submit`` raises; ``EVENT_ERROR`` has told why; ``close`` does not save. What is on the disk is whole, and a restart
goes on from there. The step that failed has had no effect.
"""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from foxtrot.core.engine import BaseEngine, EngineOwner
from foxtrot.core.errors import OmsError
from foxtrot.core.event_engine import EventEngine, MessageHandler
from foxtrot.server.persistence import Persistence

Wrap = Callable[[str, MessageHandler], MessageHandler]


class OmsLife(BaseEngine, ABC):
    """NEW, READY, HALTED: each state has handlers of its own, so the working ones have nothing to ask.

    Args:
        main_engine: the owner.
        event_engine: the dispatcher.
        persistence: where state is kept.

    Attributes:
        loaded: whether the stored state has been restored.
        halted: why it has halted; empty while it works.
        refused: how many messages came after it had halted.
    """

    def __init__(
        self, main_engine: EngineOwner, event_engine: EventEngine, persistence: Persistence
    ) -> None:
        super().__init__(main_engine, event_engine, "oms")
        self.persistence = persistence
        self.loaded = False
        self.halted = ""
        self.refused = 0
        self._logger = logging.getLogger("foxtrot.oms")
        self._wired: list[tuple[str, MessageHandler]] = []
        self._wire(self._load_first)

    @abstractmethod
    def handlers(self) -> dict[str, MessageHandler]:
        """The working handlers by topic."""

    @abstractmethod
    def read_state(self) -> None:
        """Restore everything from persistence."""

    @abstractmethod
    def write_state(self) -> None:
        """Save everything in one transaction."""

    # --- wiring ---------------------------------------------------------------------------------------------

    def _wire(self, wrap: Wrap) -> None:
        """Listen with what a state of life makes of the working handlers."""
        for topic, handler in self._wired:
            self.event_engine.unregister(topic, handler)
        self._wired = [(topic, wrap(topic, handler)) for topic, handler in self.handlers().items()]
        for topic, handler in self._wired:
            self.event_engine.subscribe(topic, handler)

    def _load_first(self, _topic: str, handler: MessageHandler) -> MessageHandler:
        def load_first(message: Any) -> None:
            self.load_state()
            handler(message)

        return load_first

    def _as_it_is(self, _topic: str, handler: MessageHandler) -> MessageHandler:
        return handler

    def _refuse(self, topic: str, _handler: MessageHandler) -> MessageHandler:
        def refuse(message: Any) -> None:
            self.refused += 1
            self._log(f"{topic} ignored, the OMS is halted ({self.halted}): {message}", 40)

        return refuse

    def _halt(self, doing: str, error: Exception) -> OmsError:
        """Stop for good; returns the error to raise, which the event engine logs, counts and publishes."""
        self.halted = self.halted or f"{doing} failed: {error}"
        self._wire(self._refuse)
        text = (
            f"the OMS is halted: {self.halted}; nothing more is sent or published; mend the cause and restart, "
            f"the saved state is whole"
        )
        self._log(text, logging.CRITICAL)
        return OmsError(text)

    def _log(self, msg: str, level: int) -> None:
        self._logger.log(level, "%s", msg)
        self.main_engine.write_log(msg, "oms", level)

    # --- state ----------------------------------------------------------------------------------------------

    def _save(self, rows: Sequence[tuple[str, Any]]) -> None:
        """Save the rows of one step.

        Raises:
            OmsError: they could not be saved; the OMS is halted.
        """
        try:
            self.persistence.save_many(rows)
        except Exception as error:
            names = ", ".join(key for key, _ in rows)
            raise self._halt(f"saving {names}", error) from error

    def load_state(self) -> None:
        """Restore everything from persistence, once; orders that were in flight come back as UNKNOWN.

        It runs by itself before the first message. Call it on the event engine's thread (``MainEngine.start`` does).

        Raises:
            OmsError: a row cannot be read; the OMS is halted.
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
        self._wire(self._as_it_is)

    def save_state(self) -> None:
        """Write everything in one transaction (each step has done so already; this is the last look).

        Raises:
            OmsError: the OMS is halted, so that memory may be ahead of what was ever visible; or the save failed.
        """
        if self.halted:
            raise OmsError(f"nothing is saved, the OMS is halted: {self.halted}")
        try:
            self.write_state()
        except Exception as error:
            raise self._halt("the last save", error) from error

    def close(self) -> None:
        """Save for the last time (unless it never loaded, or has halted) and close the persistence."""
        try:
            if self.loaded and not self.halted:
                self.save_state()
        finally:
            self.halted = self.halted or "it was closed"
            self._wire(self._refuse)
            self.persistence.close()
