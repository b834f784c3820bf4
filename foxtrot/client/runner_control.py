"""What an operator may have a strategy do: start, stop, pause, resume, reload; each durable, and told in words.

Invariants: what is wanted of a strategy survives restarts; none of the verbs loses or repeats an event of its order
stream. Events that come while no hook is called are folded, and told to the hooks later.
"""

from __future__ import annotations

import sys

from foxtrot.client.runner_books import Mode
from foxtrot.client.runner_strategy import ManagedStrategy
from foxtrot.strategy.loader import load_strategy_class
from foxtrot.strategy.strategy import Strategy

__all__ = ["ControlledStrategy"]


class ControlledStrategy(ManagedStrategy):
    """A strategy of a runner that can be told what to do."""

    def pause(self) -> str:
        """Call no hook until ``resume``; returns what was done, in words."""
        if self.stored.mode != Mode.RUNNING:
            return f"{self.name} is {self.state}: nothing to pause"
        self._set_mode(Mode.PAUSED)
        if self.is_active:
            self.running.pause()
        return f"{self.name} is paused"

    def resume(self) -> str:
        """End a pause, or try again after an error; returns what was done, in words."""
        if self.stored.mode == Mode.ERROR:
            return self._restart(None, f"{self.name} starts again after its error")
        if self.stored.mode != Mode.PAUSED:
            return f"{self.name} is {self.state}: nothing to resume"
        self._set_mode(Mode.RUNNING)
        if self.is_active:
            self.running.unpause()
            self.tell_missed()
        return f"{self.name} goes on"

    def start(self) -> str:
        """Start a stopped strategy; returns what was done, in words."""
        if self.stored.mode != Mode.STOPPED:
            return f"{self.name} is {self.state}: nothing to start"
        return self._restart(None, f"{self.name} starts")

    def stop(self) -> str:
        """Call ``on_stop`` and stand still until ``start``; returns what was done, in words."""
        if self.stored.mode == Mode.STOPPED:
            return f"{self.name} is stopped already"
        self.halt()
        self.stored.error = ""
        self._set_mode(Mode.STOPPED)
        return f"{self.name} is stopped"

    def reload(self) -> str:
        """Take the class anew from its file, and go on with the state that is; returns what was done, in words.

        Raises:
            ConfigError: the class cannot be loaded; nothing was changed.
        """
        location = self.plan.path.rpartition(":")[0] or self.plan.path
        sys.modules.pop(location, None)  # a file is read anew at each load, a module only so
        loaded = load_strategy_class(self.plan.path)
        if self.stored.mode == Mode.STOPPED:
            return f"{self.name} is stopped; its new class is taken when it starts"
        return self._restart(loaded, f"{self.name} goes on with its class from {self.plan.path}")

    def _restart(self, loaded: type[Strategy] | None, text: str) -> str:
        if self.stored.mode != Mode.PAUSED:
            self.stored.error = ""
            self._policy_due = False
            self._set_mode(Mode.RUNNING)
        if self.host is not None:
            self._boot(loaded)
        return text
