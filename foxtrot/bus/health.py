"""Who is alive, by the heartbeats that came in. Pure: times are handed in, in ns of the monotonic clock.

A service is ALIVE while its last heartbeat is younger than 3 s, STALE up to 5 s, DEAD beyond that, and STOPPED once it
has said so itself. A service that is expected and was never heard of is WAITED for, and DEAD after the same 5 s.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from foxtrot.bus.heartbeat import Heartbeat
from foxtrot.core.constants import NS_PER_SECOND

STALE_NS = 3 * NS_PER_SECOND
DEAD_NS = 5 * NS_PER_SECOND

STATUS_STOPPED = "STOPPED"
"""What a service says in its last heartbeat when it is stopped on purpose."""


class Health(StrEnum):
    """How a service is."""

    WAITED = "WAITED"
    ALIVE = "ALIVE"
    STALE = "STALE"
    DEAD = "DEAD"
    STOPPED = "STOPPED"


class HealthChange(NamedTuple):
    """A service changed: its health, or (``restarted``) its epoch."""

    service: str
    before: Health
    now: Health
    epoch: int
    restarted: bool = False


@dataclass(slots=True)
class ServiceHealth:
    """What is known of a service.

    Attributes:
        service: its name.
        health: as of the last look.
        seen: when its last heartbeat came, or waiting began (ns, monotonic).
        beat: that heartbeat; None before the first.
        restarts: epochs after the first one seen.
    """

    service: str
    health: Health
    seen: int
    beat: Heartbeat | None = None
    restarts: int = 0

    @property
    def epoch(self) -> int:
        """Its boot counter; 0 before the first heartbeat."""
        return self.beat.epoch if self.beat is not None else 0


class HealthBoard:
    """Health of all services that were heard of or are expected.

    Args:
        stale: ns without a heartbeat after which a service is STALE.
        dead: ns after which it is DEAD.

    Attributes:
        services: what is known, by name.
        ignored: heartbeats of epochs that were over.

    Raises:
        ValueError: ``stale`` is not positive or not below ``dead``.
    """

    def __init__(self, stale: int = STALE_NS, dead: int = DEAD_NS) -> None:
        if not 0 < stale < dead:
            raise ValueError(f"stale ({stale} ns) must be positive and below dead ({dead} ns)")
        self.stale = stale
        self.dead = dead
        self.services: dict[str, ServiceHealth] = {}
        self.ignored = 0

    def expect(self, service: str, now: int) -> None:
        """Wait for a service's first heartbeat from ``now`` (ns, monotonic) on."""
        self.services.setdefault(service, ServiceHealth(service, Health.WAITED, now))

    def beat(self, beat: Heartbeat, now: int) -> HealthChange | None:
        """Take up a heartbeat that came at ``now`` (ns, monotonic); returns what it changed."""
        known = self.services.get(beat.service)
        if known is None:
            known = self.services[beat.service] = ServiceHealth(beat.service, Health.WAITED, now)
        if beat.epoch < known.epoch:
            self.ignored += 1
            return None
        restarted = known.beat is not None and beat.epoch > known.epoch
        known.restarts += restarted
        known.seen, known.beat = now, beat
        before = known.health
        known.health = Health.STOPPED if beat.status == STATUS_STOPPED else Health.ALIVE
        if known.health is before and not restarted:
            return None
        return HealthChange(beat.service, before, known.health, beat.epoch, restarted)

    def check(self, now: int) -> list[HealthChange]:
        """Look who has fallen silent by ``now`` (ns, monotonic); returns what changed since the last look."""
        changes = []
        for known in self.services.values():
            health = self._health(known, now)
            if health is not known.health:
                changes.append(HealthChange(known.service, known.health, health, known.epoch))
                known.health = health
        return changes

    def forget(self, service: str) -> None:
        """Expect a service no longer; unknown ones are ignored."""
        self.services.pop(service, None)

    def all_alive(self) -> bool:
        """Whether every service is ALIVE, as of the last look."""
        return all(known.health is Health.ALIVE for known in self.services.values())

    def _health(self, known: ServiceHealth, now: int) -> Health:
        silence = now - known.seen
        if known.health in (Health.STOPPED, Health.DEAD):
            return known.health  # until the next heartbeat
        if silence >= self.dead:
            return Health.DEAD
        if silence >= self.stale and known.beat is not None:
            return Health.STALE
        return known.health
