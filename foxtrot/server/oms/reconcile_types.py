"""What reconciliation reads and what it returns: values only, frozen.

Invariants: prices are in the contract's currency per unit, volumes in units, times in ns UTC on the venue's
clock. ``VenueSnapshot``, ``Block`` and ``Discrepancy`` are messages: they may be journaled and sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from foxtrot.core.constants import NS_PER_SECOND
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData
from foxtrot.core.venue import CashFlow, VenueSnapshot

__all__ = [
    "Block",
    "CashFlow",
    "Code",
    "Discrepancy",
    "OwnState",
    "ReconcilePolicy",
    "Reconciliation",
    "Report",
    "VenueSnapshot",
]

Report = OrderData | TradeData | PositionData | AccountData
"""A fact that is missing on our side, folded by the same path as a live report."""


class Code(StrEnum):
    """Kinds of discrepancy; which of them block is told in ``docs/concepts/reconciliation.md``."""

    ORDER_UNKNOWN = "ORDER_UNKNOWN"
    ORDER_MISSING = "ORDER_MISSING"
    ORDER_UNLISTED = "ORDER_UNLISTED"
    ORDER_NEVER_ARRIVED = "ORDER_NEVER_ARRIVED"
    ORDER_EXTERNAL = "ORDER_EXTERNAL"
    ORDER_MISMATCH = "ORDER_MISMATCH"
    ORDER_INCONSISTENT = "ORDER_INCONSISTENT"
    ORDER_STILL_WORKING = "ORDER_STILL_WORKING"
    ORDER_FINAL_STATE = "ORDER_FINAL_STATE"
    ORDER_TWO_IDS = "ORDER_TWO_IDS"
    TRADED_FELL = "TRADED_FELL"
    AVERAGE_PRICE = "AVERAGE_PRICE"
    FILL_CHANGED = "FILL_CHANGED"
    FILL_MALFORMED = "FILL_MALFORMED"
    FILL_MISMATCH = "FILL_MISMATCH"
    FILLS_EXCEED_ORDER = "FILLS_EXCEED_ORDER"
    FILL_SYNTHETIC = "FILL_SYNTHETIC"
    FILL_ABSORBED = "FILL_ABSORBED"
    FILL_UNPRICED = "FILL_UNPRICED"
    POSITION = "POSITION"
    POSITION_OPENED = "POSITION_OPENED"
    BALANCE = "BALANCE"
    BALANCE_LIMIT = "BALANCE_LIMIT"


@dataclass(frozen=True, slots=True)
class OwnState:
    """What we hold, as values and as lookups into stored rows (so that old history need not be in memory).

    Attributes:
        active: orders that can still trade or are UNKNOWN, by id.
        order: any order by id, closed ones too.
        trade: any fill by id.
        trades_of: the fills of an order, synthetic and absorbed ones too.
        contract: the contract of a ``vt_symbol``; None is read as size 1, lot 1e-8, netting, in USD, as the OMS does.
        last_fill_ts: newest ``ts_event`` of the adapter's fills in a ``vt_symbol``; 0 where there never was one.
        positions: our legs; flat ones may be left out.
        accounts: our balances; a ledger on which nothing was ever booked or reported is left out.
        now: moment of the comparison on our clock, so that a venue whose clock is ahead does not end our patience;
            0 where the venue's clock alone counts.
        settled: since when (ns, our clock) an order cannot reach the venue any more by a command of ours that is still
            on its way; by default since its submit.
    """

    active: Mapping[str, OrderData]
    order: Callable[[str], OrderData | None]
    trade: Callable[[str], TradeData | None]
    trades_of: Callable[[str], Sequence[TradeData]]
    contract: Callable[[str], ContractData | None]
    last_fill_ts: Callable[[str], int]
    positions: Sequence[PositionData] = ()
    accounts: Sequence[AccountData] = ()
    now: int = 0
    settled: Callable[[str], int] = lambda _vt_orderid: 0


@dataclass(frozen=True, slots=True)
class ReconcilePolicy:
    """How patient and how strict to be.

    Attributes:
        grace: ns by which a snapshot must be later than a submit before "not listed" may mean "never arrived".
        price_tolerance: relative difference of average prices that is put down to rounding.
        balance_tolerance: difference of a balance, in minor units, that is put down to rounding.
        balance_limits: unexplained difference by currency (currency units) above which the account is blocked and
            the venue's figure is not taken over; a currency that is not named has no limit.
        digits: decimal places per currency code; 8 where none is given.
    """

    grace: int = 10 * NS_PER_SECOND
    price_tolerance: float = 1e-6
    balance_tolerance: int = 1
    balance_limits: Mapping[str, float] = field(default_factory=dict)
    digits: Mapping[str, int] = field(default_factory=dict)


class Block(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Block"):
    """Who may not send new orders at an adapter: a strategy in an instrument; empty fields mean all of them."""

    adapter: str
    vt_symbol: str = ""
    strategy: str = ""


class Discrepancy(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Discrepancy"
):
    """One difference between the venue and us.

    ``what`` is the id of what differs; ``explanation`` says in words what was found and what was done, or why it
    blocks; ``blocks`` is None where trading may go on.
    """

    code: Code
    what: str
    ours: str
    theirs: str
    explanation: str
    blocks: Block | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The outcome of one pass.

    Attributes:
        reports: facts to fold, in this order.
        discrepancies: every difference, also those that the reports mend.
        resolved: ids of orders that were UNKNOWN and are clear once the reports are folded.
        deferred: orders and instruments that are newer on our side than the snapshot; the next one will tell.
    """

    reports: tuple[Report, ...] = ()
    discrepancies: tuple[Discrepancy, ...] = ()
    resolved: tuple[str, ...] = ()
    deferred: tuple[str, ...] = ()

    @property
    def blocks(self) -> frozenset[Block]:
        """What must not be traded until a later pass finds it clear."""
        return frozenset(found.blocks for found in self.discrepancies if found.blocks is not None)
