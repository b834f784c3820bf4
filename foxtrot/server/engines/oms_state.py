"""How the OMS's state becomes rows, and rows its state again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from foxtrot.core.constants import Direction, Status
from foxtrot.core.objects import ContractData, OrderData, TradeData, split_vt_id
from foxtrot.server.oms.order_manager import Fills, add_fill
from foxtrot.server.oms.position_leg import units_of

if TYPE_CHECKING:
    from foxtrot.server.engines.oms_engine import OmsEngine

COUNTER = "counters/oms"
BOOT = "counters/boot"


def save_state(oms: OmsEngine) -> None:
    """Write every entity in one transaction."""
    rows: list[tuple[str, Any]] = [(COUNTER, oms.ids.last)]
    rows += [("contracts/" + key, contract) for key, contract in oms.contracts.items()]
    rows += [("orders/" + key, order) for key, order in oms.orders.orders.items()]
    rows += [("trades/" + key, trade) for key, trade in oms.trades.trades.items()]
    rows += [("positions/" + key, leg.state()) for key, leg in oms.positions.legs.items()]
    for adapter, ledger in oms.accounts.ledgers.items():
        for code in ledger.codes():
            rows.append((f"accounts/{adapter}.{code}", oms.accounts.state(adapter, code)))
    oms.persistence.save_many(rows)


def load_state(oms: OmsEngine) -> None:
    """Restore every entity; what was being submitted at the end is UNKNOWN until the venue says more.

    Raises:
        PersistenceError: a row cannot be read.
    """
    store = oms.persistence
    _load_counters(oms)
    for _, contract in store.load_prefix_as("contracts/", ContractData):
        oms.contracts[contract.vt_symbol] = contract
    for key, row in store.load_prefix("accounts/"):
        adapter, code = split_vt_id(key.removeprefix("accounts/"))
        oms.accounts.restore(adapter, code, row)
    for key, row in store.load_prefix("positions/"):
        adapter, rest = split_vt_id(key.removeprefix("positions/"))
        vt_symbol, _, direction = rest.rpartition(".")
        oms.instruments.restore(adapter, vt_symbol, units_of(row))
        oms.positions.leg(adapter, vt_symbol, Direction(direction)).restore(row)
    fills: dict[str, Fills] = {}
    for _, trade in sorted(
        store.load_prefix_as("trades/", TradeData), key=lambda row: (row[1].ts_event, row[0])
    ):
        oms.trades.restore(trade)
        fills[trade.vt_orderid] = add_fill(fills.get(trade.vt_orderid), trade)
    _load_orders(oms, fills)
    oms.follow_hedged()


def _load_counters(oms: OmsEngine) -> None:
    """Ids of a later boot have its number in their prefix, so none that was minted and lost is minted again."""
    boot = int(oms.persistence.load(BOOT) or 0) + 1
    oms.persistence.save(BOOT, boot)
    oms.ids.last = max(oms.ids.last, int(oms.persistence.load(COUNTER) or 0))
    if boot > 1:
        oms.ids.prefix = f"oms{boot}"


def _load_orders(oms: OmsEngine, fills: dict[str, Fills]) -> None:
    """Orders in order of submission; those in flight become UNKNOWN, durably."""
    unknown: list[tuple[str, OrderData]] = []
    for key, order in sorted(
        oms.persistence.load_prefix_as("orders/", OrderData),
        key=lambda row: (row[1].ts_init, row[0]),
    ):
        restored = order
        if order.status is Status.SUBMITTING:
            restored = replace(order, status=Status.UNKNOWN, reason="in flight when the OMS ended")
            unknown.append((key, restored))
        oms.orders.restore(restored, fills.get(order.vt_orderid))
    if unknown:
        oms.persistence.save_many(unknown)
