"""Who has to be done with a step before the next one is released: the state machine behind a paced replay.

Pure: no clock, no I/O. Steps are numbered from 1. Step n + 1 is released when every participant has acknowledged n, and
nothing that one of them has sent to another is still under way. Participants are known by name. One that joins while a
step is out owes nothing for it, unless it says how far it had come before (it was restarted): then it owes what it has
not acknowledged, and is to be given that step again. One that leaves is waited for no longer.

What is under way: a participant may tell with its acknowledgement how many messages it has ever sent to and received
from each other one. The step is settled only when the two counts of every pair agree. As a count covers a single
channel, an old word of one participant cannot make up for a new word of another, so one look is enough (channel
counting, F. Mattern, Algorithms for distributed termination detection, 1987). It acknowledges again, with new counts,
when it has handled more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from foxtrot.core.constants import NS_PER_SECOND


@dataclass(slots=True)
class _Participant:
    """How far one has come, and since when it has been waited for."""

    acknowledged: int
    since: int
    sent: Mapping[str, int] = field(default_factory=dict)
    received: Mapping[str, int] = field(default_factory=dict)


class Pacer:
    """Releases numbered steps, each when everybody is done with the one before.

    Args:
        release: called with the number of the step that may go; it may acknowledge at once.
        expected: names that must have joined before the first step.
        timeout: ns after which one that has not acknowledged is reported by ``missing``.

    Attributes:
        number: the step that is out; 0 before the first.
        is_running: whether steps are released.

    Raises:
        ValueError: the timeout is not positive.
    """

    def __init__(
        self,
        release: Callable[[int], None],
        expected: Iterable[str] = (),
        timeout: int = 30 * NS_PER_SECOND,
    ) -> None:
        if timeout <= 0:
            raise ValueError(f"the timeout must be positive nanoseconds, got {timeout}")
        self.number = 0
        self.is_running = False
        self._release = release
        self._timeout = timeout
        self._expected = set(expected)
        self._started_at = 0
        self._participants: dict[str, _Participant] = {}
        self._releasing = False

    @property
    def participants(self) -> tuple[str, ...]:
        """Who is waited for, in order of joining."""
        return tuple(self._participants)

    def start(self, now: int, number: int = 0) -> None:
        """Begin to release steps, as soon as everybody expected is there.

        Args:
            now: ns, on the time line of all other calls.
            number: the last step that everybody is done with (after a restart).
        """
        self.number = number
        self.is_running = True
        self._started_at = now
        for participant in self._participants.values():
            participant.acknowledged, participant.since = max(participant.acknowledged, number), now
        self._go_on(now)

    def stop(self) -> None:
        """Release nothing more; who has joined stays."""
        self.is_running = False

    def join(self, name: str, now: int, acknowledged: int | None = None) -> bool:
        """Take part from the next step on.

        Args:
            name: who; one that is there already begins anew.
            now: ns.
            acknowledged: the last step that it was done with before a restart; None for a newcomer.

        Returns:
            Whether it owes the step that is out, and so must be given it again.
        """
        done = self.number if acknowledged is None else min(acknowledged, self.number)
        self._participants[name] = _Participant(done, now)
        self._expected.discard(name)
        owes = done < self.number
        self._go_on(now)
        return owes

    def leave(self, name: str, now: int) -> None:
        """Take part no more; unknown names are ignored."""
        self._participants.pop(name, None)
        self._go_on(now)

    def acknowledge(
        self,
        name: str,
        number: int,
        now: int,
        *,
        sent: Mapping[str, int] | None = None,
        received: Mapping[str, int] | None = None,
    ) -> bool:
        """Take an acknowledgement; it also stands for all steps before.

        Args:
            name: who.
            number: the step that it is done with.
            now: ns.
            sent: messages ever sent, by the name of who they went to; None leaves what was told before.
            received: messages ever received, by the name of who sent them; None leaves what was told before.

        Returns:
            False where the name is unknown or no such step is out yet: it was ignored.
        """
        participant = self._participants.get(name)
        if participant is None or number > self.number:
            return False
        participant.acknowledged = max(participant.acknowledged, number)
        if sent is not None:
            participant.sent = dict(sent)
        if received is not None:
            participant.received = dict(received)
        self._go_on(now)
        return True

    def waiting_for(self) -> tuple[str, ...]:
        """Who is not done with the step that is out, or has not come yet; then pairs with messages under way."""
        late = [n for n, p in self._participants.items() if p.acknowledged < self.number]
        return (*sorted(self._expected), *late, *self._under_way())

    def missing(self, now: int) -> tuple[str, ...]:
        """Like ``waiting_for``, once the step has been out (or the start has been waited for) for the time-out."""
        if not self.is_running:
            return ()
        since = max([self._started_at, *(p.since for p in self._participants.values())])
        return self.waiting_for() if now - since >= self._timeout else ()

    def _under_way(self) -> list[str]:
        """``A->B`` for each pair of participants whose counts do not agree."""
        found = []
        for name, sender in self._participants.items():
            for other, receiver in self._participants.items():
                if sender.sent.get(other, 0) != receiver.received.get(name, 0):
                    found.append(f"{name}->{other}")
        return found

    def _go_on(self, now: int) -> None:
        """Release steps for as long as nobody is waited for; a ``release`` that acknowledges does not recurse."""
        if self._releasing:
            return
        self._releasing = True
        try:
            while self.is_running and self._participants and not self.waiting_for():
                self.number += 1
                for participant in self._participants.values():
                    participant.since = now
                self._release(self.number)
        finally:
            self._releasing = False
