"""What a look at all participants of a paced replay shows: who is still at work, and who may go a step on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from foxtrot.app.installation import OMS, Installation
from foxtrot.bus.messages import PaceReply

__all__ = ["Look", "interested_runners"]


@dataclass(slots=True)
class Look:
    """One look at everybody.

    Attributes:
        replies: what each participant said, with its epoch; None for one that did not answer.
        expected: how many there will be.
        mine: reports made and commands taken so far, when it began.
    """

    expected: int
    mine: tuple[int, int]
    replies: dict[str, tuple[int, PaceReply] | None] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether everybody has answered, or not."""
        return len(self.replies) == self.expected

    def busy(self, runners: dict[str, frozenset[str]], number: int, readers: set[str]) -> str:
        """Who is not done, in words; empty where all are at rest.

        Args:
            runners: names of each runner's streams.
            number: of the event that is shown.
            readers: runners that must have handled it.
        """
        oms = self.replies.get(OMS)
        for name, found in self.replies.items():
            if found is None:
                return f"{name} does not answer"
            reply = found[1]
            if not reply.idle:
                return f"{name} is at work"
            if name in readers and reply.handled < number:
                return f"{name} has handled events to {reply.handled}"
            heads = oms[1].streams if oms is not None else {}
            for stream in runners.get(name, frozenset()):
                if reply.streams.get(stream, 0) != heads.get(stream, 0):
                    return f"{name} has read {stream} to {reply.streams.get(stream, 0)}"
        return ""

    def next_round(self, runners: Iterable[str], ts: int) -> tuple[str, int] | None:
        """Who goes a step on, once all are at rest: its name and epoch; None where nobody has anything to do.

        The OMS's commands for venues go first, then those of the runners in order, then timers that are due.

        Args:
            runners: names, in order.
            ts: the time that has been told, ns UTC.
        """
        found = self.replies.get(OMS)
        if found is not None and found[1].held:
            return OMS, found[0]
        known = [(name, *answer) for name in runners if (answer := self.replies.get(name))]
        holding = [(name, epoch) for name, epoch, reply in known if reply.held]
        timed = [(name, epoch) for name, epoch, reply in known if 0 < reply.due <= ts]
        return next(iter(holding + timed), None)

    @property
    def ts(self) -> int:
        """The latest time that anybody has been told, ns UTC: by this replay, or before it was restarted."""
        return max((found[1].ts for found in self.replies.values() if found), default=0)

    def due(self, runners: Iterable[str]) -> int:
        """When the first timer of a runner is due (ns UTC); 0 where there is none."""
        dues = [found[1].due for name in runners if (found := self.replies.get(name))]
        return min(filter(None, dues), default=0)


def interested_runners(
    installation: Installation, adapter: str
) -> dict[str, tuple[frozenset[str], frozenset[str]]]:
    """By runner: the instruments that it is shown by an adapter, and the streams of all its strategies."""
    return {
        runner.name: (
            frozenset(
                s for one in runner.strategies if one.adapter == adapter for s in one.vt_symbols
            ),
            frozenset(f"s/{one.name}" for one in runner.strategies),
        )
        for runner in installation.runners
    }
