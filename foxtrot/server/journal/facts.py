"""Control facts: what the OMS decided about itself, beside orders, trades, positions, accounts and contracts.

Invariants: frozen, flat, array-like Structs with their ``_kind`` first, like all messages; fields are only appended,
with defaults. The state of control is the last fact of each ``control_key``.
"""

from __future__ import annotations

import msgspec


class Halted(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Halted"
):
    """Trading stopped, of one strategy or (empty) of all; ``reason`` says why. ``ts_event`` (ns UTC) is when.

    ``closing`` says whether orders that only reduce a position still pass.
    """

    reason: str
    ts_event: int = 0
    strategy: str = ""
    closing: bool = False


class Resumed(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Resumed"
):
    """Trading goes on after a halt of the same strategy, or of all; ``reason`` says who allowed it and why."""

    reason: str = ""
    ts_event: int = 0
    strategy: str = ""


class Blocked(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Blocked"
):
    """A strategy may not trade an instrument at an adapter for now; empty fields mean any."""

    adapter: str
    vt_symbol: str
    strategy: str
    reason: str
    ts_event: int = 0


class Unblocked(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Unblocked"
):
    """A block of the same adapter, instrument and strategy is over."""

    adapter: str
    vt_symbol: str
    strategy: str
    reason: str = ""
    ts_event: int = 0


class Reconciled(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Reconciled"
):
    """State was compared with a venue's: how many facts were missing here, how much could not be explained."""

    adapter: str
    missing: int = 0
    unexplained: int = 0
    ts_event: int = 0


class DayRolled(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="DayRolled"
):
    """A new trading day began: what was held then is now yesterday's. ``day`` is ``YYYY-MM-DD``."""

    day: str = ""
    ts_event: int = 0


class Counting(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Counting"
):
    """Decimal places by currency code that accounts opened from here on are counted in (8 where none is given)."""

    digits: dict[str, int]
    ts_event: int = 0


class Note(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Note"):
    """A remark for whoever reads the journal; changes nothing."""

    text: str
    ts_event: int = 0


class Archived(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Archived"
):
    """The rows up to ``seq`` moved to files; ``checksum`` is the chain there, ``base`` the digest of the state then.

    Both are lower-case hexadecimal; ``manifest`` is the name of the file that lists the others.
    """

    seq: int
    checksum: str
    base: str
    manifest: str = ""
    ts_event: int = 0


ControlFact = (
    Halted | Resumed | Blocked | Unblocked | Reconciled | DayRolled | Counting | Note | Archived
)


def control_key(fact: object) -> str | None:
    """Key of the state row that holds the last such fact; None for a fact that is no state.

    The row's value is the fact itself: ``control/halt/<strategy>`` (Halted or Resumed),
    ``control/block/<adapter>/<vt_symbol>/<strategy>`` (Blocked or Unblocked), ``control/reconciled/<adapter>``,
    ``control/counting``.
    """
    if isinstance(fact, Halted | Resumed):
        return f"control/halt/{fact.strategy}"
    if isinstance(fact, Blocked | Unblocked):
        return f"control/block/{fact.adapter}/{fact.vt_symbol}/{fact.strategy}"
    if isinstance(fact, Counting):
        return "control/counting"
    if isinstance(fact, Reconciled):
        return f"control/reconciled/{fact.adapter}"
    return None
