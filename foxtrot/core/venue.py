"""What a venue says of an account as a whole, for the comparison with what the OMS holds.

Invariants: frozen, array-like, tagged messages like all others; volumes in units, prices in the contract's currency,
times in ns UTC on the venue's clock.
"""

from __future__ import annotations

import msgspec

from foxtrot.core.objects import AccountData, OrderData, PositionData, TradeData


class CashFlow(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="CashFlow"
):
    """Money that moved without a fill: funding, interest, a deposit (positive) or a withdrawal."""

    currency: str
    amount: float
    what: str = ""
    ts_event: int = 0


class VenueSnapshot(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="VenueSnapshot"
):
    """What a venue says of one adapter's account, and how much of it the venue is able to tell.

    Attributes:
        adapter: name of the adapter; every id in the snapshot begins with it.
        ts: moment (venue's clock) of the question: whatever the venue knew then is in here; later facts may be.
        orders: open orders, and closed ones as far as the history goes.
        fills: fills as far as the venue lists them.
        positions: all holdings (what is not listed is flat); None where the venue has no such list.
        accounts: balances by currency; only those listed are compared.
        open_orders_complete: an order that is not listed is not open.
        history_since: closed orders since then are all listed; None where the venue has no such list.
        fills_since: fills since then are all listed; None where the venue has no such list.
        cash_flows: what moved the balance besides fills since the snapshot before.
    """

    adapter: str
    ts: int
    orders: tuple[OrderData, ...] = ()
    fills: tuple[TradeData, ...] = ()
    positions: tuple[PositionData, ...] | None = None
    accounts: tuple[AccountData, ...] = ()
    open_orders_complete: bool = False
    history_since: int | None = None
    fills_since: int | None = None
    cash_flows: tuple[CashFlow, ...] = ()
