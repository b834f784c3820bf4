"""What a replay says of itself: steps to those who take part in a paced one, and where it stands, to be kept."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import msgspec

from foxtrot.core.objects import BarData, TickData

ReplayListener = Callable[[int, BarData | TickData], None]
"""``listener(number, message)``: called with each message before it is published."""


class Phase(StrEnum):
    """What a step of a paced replay asks for."""

    ADVANCE = "advance"
    """Put the clock forward to the step's time; run the timers that fall due on the way."""
    MATCH = "match"
    """Venues match the message; everybody else puts the clock forward."""
    SHOW = "show"
    """Strategies see the message."""


class PacedStep(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="PacedStep"):
    """One step: its number for the acknowledgement, the time (ns UTC) to put the clock to, the message to show."""

    number: int
    ts: int
    phase: Phase
    message: BarData | TickData | None = None


class ReplayState(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="ReplayState"
):
    """Where a replay stands: the last message's number, the shift of the stamps (ns), and rows of one time round."""

    number: int
    shift: int
    rows: int
