"""A simulated exchange at rest, as plain values: what has to be kept so that it can go on as if nothing had happened.

Invariant: an exchange that lists the same contracts and is given a state by ``restore`` makes the same reports, on the
same commands and market data, as the one that the state was taken from. Only orders that still work are in a state
(the others can do nothing any more), and a bar or quote only where an order may still meet it. A state is taken
between two commands or two rows of market data, never in the middle of one.

All are messages: frozen, array-like, tagged; fields are only appended, with defaults.
"""

from __future__ import annotations

import msgspec

from foxtrot.core.constants import OrderType, Status
from foxtrot.core.objects import BarData, OrderRequest, TickData


class SimOrderState(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="SimOrder"
):
    """A working order; ``partner`` and ``children`` are the ids of those that work, too."""

    request: OrderRequest
    lots: int
    filled: int
    average: float
    arrival: int
    type: OrderType
    status: Status
    protects: bool
    rested: bool
    pairs: int
    partner: str = ""
    children: tuple[str, ...] = ()


class SimBookState(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="SimBook"):
    """A book but for its orders.

    Attributes:
        vt_symbol: the instrument.
        on_ticks: whether quotes move it.
        position: lots, cost, realised profit, commission, lots opened, lots closed (lots and minor units).
        held: signed lots per strategy.
        last: newest market data that it knows.
        buy_budget: lots that buys may still take of ``last``; negative where none was counted.
        sell_budget: lots that sells may still take of it.
        budget: what is left on the side that was taken last.
        side: that side, 1 or -1; 0 before the first.
    """

    vt_symbol: str
    on_ticks: bool
    position: tuple[int, int, int, int, int, int]
    held: dict[str, int]
    last: BarData | TickData | None = None
    buy_budget: int = -1
    sell_budget: int = -1
    budget: int = -1
    side: int = 0


class SimAccountState(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="SimAccount"
):
    """The account in minor units; ``margined`` are the instruments whose profit counts towards what is free."""

    balance: int
    used: int
    margined: tuple[str, ...] = ()


class SimVenueState(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="SimVenue"
):
    """What belongs to no single book: fills made so far (their ids count on), whether the data ended, the account."""

    trades: int
    ended: bool
    account: SimAccountState


class SimExchangeState(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="SimExchange"
):
    """A whole exchange; ``orders`` of one book are in order of placement."""

    venue: SimVenueState
    books: tuple[SimBookState, ...] = ()
    orders: tuple[SimOrderState, ...] = ()
