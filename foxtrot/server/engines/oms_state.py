"""How rows become the OMS's state again: what is active by index, never all history.

Contracts, accounts, positions and control rows are one per instrument, currency or strategy, so they are few however
old the file is. Of orders only those are read that can still trade or are UNKNOWN, with their fills; others are
recalled when a message names them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import ValidationError, convert
from msgspec.structs import replace

from foxtrot.core.clock import LiveClock
from foxtrot.core.constants import NS_PER_SECOND, Status
from foxtrot.core.errors import OmsError, PersistenceError
from foxtrot.core.objects import ContractData, split_vt_id
from foxtrot.server.journal.codec import Fact
from foxtrot.server.journal.facts import (
    Blocked,
    Counting,
    Halted,
    Resumed,
    Unblocked,
    control_key,
)
from foxtrot.server.oms.order_manager import add_fill
from foxtrot.server.oms.reconcile_types import Block
from foxtrot.server.oms.risk_gate import TradingGate

if TYPE_CHECKING:
    from foxtrot.server.engines.oms_engine import OmsEngine

BOOT = "counters/boot"
COUNTING = "control/counting"

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def load_state(oms: OmsEngine) -> None:
    """Restore what is active into fresh books; what was in flight at the end is UNKNOWN until the venue says more.

    Raises:
        OmsError: the store is damaged, or behind what it was.
        PersistenceError: a row cannot be read, or the store takes no writes.
    """
    store = oms.persistence
    problems = store.problems()
    if problems:
        raise OmsError("; ".join(problems))
    oms._renew()
    _count_boots(oms)
    _load_control(oms)
    for _, contract in store.load_prefix_as("contracts/", ContractData):
        oms.contracts[contract.vt_symbol] = contract
    for key, row in store.load_prefix("accounts/"):
        adapter, code = split_vt_id(key.removeprefix("accounts/"))
        oms.accounts.restore(adapter, code, row)
    for key, row in store.load_prefix("positions/"):
        oms.books.restore_position(key.removeprefix("positions/"), row)
    held = ((key.split("/"), units) for key, units in store.load_prefix("held/"))
    oms.held.restore((key[1], key[2], key[3], float(units)) for key, units in held)
    _load_orders(oms)
    oms.follow_hedged()
    step = oms.step
    if step.facts or step.rows:
        store.commit(list(step.rows.items()), step.facts)
        step.clear()


def _count_boots(oms: OmsEngine) -> None:
    """Ids of a later boot have its number in their prefix, so none that was minted and lost is minted again.

    The number follows the wall clock where there is one: a file that was restored from a backup must not mint again
    what was minted after the backup was taken.
    """
    stored = int(oms.persistence.load(BOOT) or 0)
    boot = stored + 1
    if isinstance(oms.clock, LiveClock):
        boot = max(boot, oms.clock.now() // NS_PER_SECOND)
    oms.persistence.save(BOOT, boot)
    oms.ids.last = 0
    oms.ids.prefix = "oms" if boot == 1 else f"oms{_in_base_36(boot)}"


def _in_base_36(number: int) -> str:
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text


def _load_control(oms: OmsEngine) -> None:
    """Halts and blocks in force, and how accounts are counted.

    In a recovery blocks are as the disk has them (what would have changed them is folded again), and halts that could
    not be saved stay in force and are saved now.
    """
    gate = TradingGate()
    counting = Counting(dict(sorted(oms.digits.items())), oms.clock.now())
    stored: Counting | None = None
    for key, row in oms.persistence.load_prefix("control/"):
        try:
            fact: Fact = convert(row, Fact)
        except ValidationError as error:
            raise PersistenceError(f"{oms.persistence}: row {key!r} is damaged: {error}") from error
        match fact:
            case Halted(reason, ts, strategy, closing):
                gate.halt(reason, ts, strategy, closing=closing)
            case Resumed(_, _, strategy):
                gate.resume(strategy)
            case Blocked(adapter, vt_symbol, strategy, reason):
                gate.block(Block(adapter, vt_symbol, strategy), reason)
            case Unblocked(adapter, vt_symbol, strategy):
                gate.unblock(Block(adapter, vt_symbol, strategy))
            case Counting():
                stored = fact
    _keep_halts(oms, gate)
    if oms.keeps and (stored.digits if stored else {}) != counting.digits:
        oms.step.note(COUNTING, counting, "control", counting)


def _keep_halts(oms: OmsEngine, gate: TradingGate) -> None:
    """Put a gate as the disk has it in place of the old one, with the halts that the disk does not know."""
    for strategy, halt in oms.gate.halts.items():
        if gate.halts.get(strategy) != halt:
            gate.halt(halt.reason, halt.ts, strategy, closing=halt.closing)
            halted = Halted(halt.reason, halt.ts, strategy, halt.closing)
            oms.step.note(str(control_key(halted)), halted, "control", halted)
    oms.gate = gate


def _load_orders(oms: OmsEngine) -> None:
    """Orders in order of submission; those in flight become UNKNOWN, durably."""
    filled = oms.persistence.load_active_fills()
    for order in oms.persistence.load_active_orders():
        fills = None
        for trade in filled.get(order.vt_orderid, ()):
            oms.trades.restore(trade)
            fills = add_fill(fills, trade)
        waits = oms.held_commands is not None and oms.held_commands.holds_order(order.vt_orderid)
        if order.status is Status.SUBMITTING and not waits:
            order = replace(order, status=Status.UNKNOWN, reason="in flight when the OMS ended")  # noqa: PLW2901
            oms.step.note_order(order)
        oms.orders.restore(order, fills)
        if order.status is Status.UNKNOWN:
            oms.doubtful[order.vt_orderid] = order
