"""The bench on which one reconciliation is put together: inputs, lookups, and what has been found so far.

Invariant: lives for one call of ``reconcile`` and is never seen outside; nothing in the inputs is changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from foxtrot.accounting.instrument import Instrument
from foxtrot.accounting.ledger import DEFAULT_DIGITS, Currency
from foxtrot.core.errors import AccountingError, OmsError, OrderError
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData
from foxtrot.core.rounding import LotSize, lot_size
from foxtrot.server.oms.reconcile_types import (
    Block,
    Code,
    Discrepancy,
    OwnState,
    ReconcilePolicy,
    Reconciliation,
    VenueSnapshot,
)

UNKNOWN_LOT = 1e-8
"""Lot of an instrument without a contract, as the OMS books it."""


@dataclass(slots=True)
class Work:
    """State of one pass.

    Attributes:
        horizon: newest time that the snapshot speaks of; what is newer on our side is not judged by it.
        listed: the venue's orders by id, one entry an order, set right.
        missing: the venue's fills that we do not have, by order id, oldest first.
        new_fills: the fills to fold, by order id.
        doubtful: orders that are UNKNOWN once all is folded, as they stood before, with the reason.
        aside: orders of which nothing may be folded, because the venue contradicts us or itself.
        deferred: ids of orders and instruments that are newer here than the snapshot.
    """

    venue: VenueSnapshot
    own: OwnState
    policy: ReconcilePolicy
    horizon: int
    listed: dict[str, OrderData] = field(default_factory=dict)
    missing: dict[str, list[TradeData]] = field(default_factory=dict)
    new_fills: dict[str, list[TradeData]] = field(default_factory=dict)
    doubtful: dict[str, tuple[OrderData, str]] = field(default_factory=dict)
    aside: set[str] = field(default_factory=set)
    deferred: set[str] = field(default_factory=set)
    orders: list[OrderData] = field(default_factory=list)
    openings: list[PositionData] = field(default_factory=list)
    fills: list[TradeData] = field(default_factory=list)
    marks: list[OrderData] = field(default_factory=list)
    accounts: list[AccountData] = field(default_factory=list)
    found: list[Discrepancy] = field(default_factory=list)
    resolved: list[str] = field(default_factory=list)

    @property
    def adapter(self) -> str:
        """The adapter whose account is reconciled."""
        return self.venue.adapter

    def contract(self, vt_symbol: str) -> ContractData:
        """The contract, or the one that the OMS books by where there is none."""
        contract = self.own.contract(vt_symbol)
        return contract or ContractData(vt_symbol, min_volume=UNKNOWN_LOT)

    def lot(self, vt_symbol: str) -> LotSize:
        """Lot of an instrument."""
        return lot_size(self.contract(vt_symbol).min_volume)

    def instrument(self, vt_symbol: str) -> Instrument:
        """The instrument as the account books it.

        Raises:
            AccountingError: the contract cannot be booked.
        """
        contract = self.contract(vt_symbol)
        return Instrument(contract, self.currency(contract.currency))

    def currency(self, code: str) -> Currency:
        """How the account counts a currency."""
        return Currency(code, self.policy.digits.get(code, DEFAULT_DIGITS))

    def lots(self, vt_symbol: str, volume: float) -> int | None:
        """Whole lots of a venue's volume; None where it is not finite or not whole lots."""
        try:
            return self.lot(vt_symbol).to_lots(volume)
        except OrderError:
            return None

    def unbookable(self, vt_symbol: str) -> str:
        """Why fills of an instrument cannot be booked; empty where they can."""
        try:
            self.instrument(vt_symbol)
        except AccountingError as error:
            return str(error)
        return ""

    def sum_lots(self, vt_symbol: str, trades: Iterable[TradeData]) -> int:
        """Lots of folded fills."""
        to_lots = self.lot(vt_symbol).to_lots
        return sum(to_lots(trade.volume) for trade in trades)

    def block(self, vt_symbol: str, strategy: str = "") -> Block:
        """A block of an instrument, for one strategy or for all."""
        return Block(self.adapter, vt_symbol, strategy)

    def note(
        self,
        code: Code,
        what: str,
        ours: str,
        theirs: str,
        explanation: str,
        blocks: Block | None = None,
    ) -> None:
        """Write a difference down."""
        self.found.append(Discrepancy(code, what, ours, theirs, explanation, blocks))

    def is_blocked(self, vt_symbol: str) -> bool:
        """Whether anything found so far blocks the instrument for anybody."""
        return any(
            found.blocks is not None and found.blocks.vt_symbol == vt_symbol for found in self.found
        )

    def result(self) -> Reconciliation:
        """What was found; facts in the order in which they must be folded."""
        return Reconciliation(
            (*self.orders, *self.openings, *self.fills, *self.marks, *self.accounts),
            tuple(self.found),
            tuple(self.resolved),
            tuple(sorted(self.deferred)),
        )


def open_work(venue: VenueSnapshot, own: OwnState, policy: ReconcilePolicy) -> Work:
    """Lay the inputs out.

    Raises:
        OmsError: something in the snapshot belongs to another adapter.
    """
    prefix = venue.adapter + "."
    ids = [order.vt_orderid for order in venue.orders]
    ids += [trade.vt_tradeid for trade in venue.fills]
    ids += [trade.vt_orderid for trade in venue.fills]
    ids += [position.vt_positionid for position in venue.positions or ()]
    ids += [account.vt_accountid for account in venue.accounts]
    foreign = [vt_id for vt_id in ids if not vt_id.startswith(prefix)]
    if foreign:
        raise OmsError(
            f"the snapshot of adapter {venue.adapter} holds {foreign[0]!r}; ids of a snapshot begin with "
            f"{prefix!r}: mend the adapter"
        )
    times = [order.ts_event for order in venue.orders]
    times += [trade.ts_event for trade in venue.fills]
    return Work(venue, own, policy, max([venue.ts, *times]))
