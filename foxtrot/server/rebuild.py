"""State from the journal alone, and the comparison of the two.

The facts are folded by the very managers that the OMS runs on, in the order of the journal, onto the state that was
kept where the journal begins. An order's state is what its last fact says; fills make positions and accounts.

Invariants: folding reads and never writes; the result does not depend on when, or how often, it is done. A row whose
numbers are all 0 (a position never opened, an account without money) counts as no row.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from foxtrot.core.objects import (
    AccountData,
    ContractData,
    OrderData,
    PositionData,
    TradeData,
    split_vt_id,
)
from foxtrot.server.journal.facts import DayRolled, control_key
from foxtrot.server.journal.journal import Journal, JournalRow, all_facts
from foxtrot.server.oms.books import Books
from foxtrot.server.oms.order_manager import RELATIVE_LOT_ERROR
from foxtrot.server.oms.transitions import TRANSITIONS

FOLDED = ("accounts/", "contracts/", "control/", "orders/", "positions/", "trades/")
"""Beginnings of the keys of rows that follow from facts."""


class Difference(msgspec.Struct, frozen=True):
    """A row that is not what the journal makes of it; None where there is none. ``detail`` is for people."""

    key: str
    stored: Any = None
    rebuilt: Any = None
    detail: str = ""


class Rebuilt(NamedTuple):
    """What a fold came to: rows by key (builtins, as ``load`` returns them), and where facts contradict each other."""

    rows: dict[str, Any]
    faults: list[Difference]
    fold: StateFold


class StateFold(Books):
    """The books of the OMS, fed from a journal.

    Args:
        digits: decimal places per currency code where the journal does not say; 8 by default.
    """

    def __init__(self, digits: dict[str, int] | None = None) -> None:
        super().__init__(digits)
        self.control: dict[str, Any] = {}
        self.rows_of: dict[str, int] = {}
        self.faults: list[Difference] = []

    def restore(self, base: Iterable[tuple[str, str]]) -> None:
        """Take up the state where the journal begins: rows (key, JSON text)."""
        rows = {key: text.encode() for key, text in base}
        for name, text in _under(rows, "control/").items():
            self._take_control("control/" + name, msgspec.json.decode(text))
        for text in _under(rows, "contracts/").values():
            contract = msgspec.json.decode(text, type=ContractData)
            self.contracts[contract.vt_symbol] = contract
        for name, text in _under(rows, "accounts/").items():
            adapter, code = split_vt_id(name)
            self.accounts.restore(adapter, code, msgspec.json.decode(text))
        for name, text in _under(rows, "positions/").items():
            self.restore_position(name, msgspec.json.decode(text))
        for text in _under(rows, "orders/").values():
            self.orders.restore(msgspec.json.decode(text, type=OrderData), None)
        for text in _under(rows, "trades/").values():
            trade = msgspec.json.decode(text, type=TradeData)
            self.trades.restore(trade)
            self.orders.count_fill(trade)

    def fold(self, row: JournalRow) -> None:
        """Fold one fact."""
        fact = row.fact
        match fact:
            case OrderData():
                self._order(fact, row.seq)
            case TradeData():
                self._trade(fact, row.seq)
            case PositionData():
                self.positions.fold_report(fact)
            case AccountData():
                self.accounts.fold_report(fact)
            case ContractData():
                self.take_contract(fact)
            case DayRolled():
                self.positions.roll_day()
            case _:
                key = control_key(fact)
                if key is not None:
                    self._take_control(key, _builtins(fact))

    def rows(self) -> dict[str, Any]:
        """The state as rows, builtins as ``Persistence.load`` returns them."""
        found: dict[str, Any] = {**self.control}
        found |= {f"contracts/{key}": contract for key, contract in self.contracts.items()}
        found |= {f"orders/{key}": order for key, order in self.orders.orders.items()}
        found |= {f"trades/{key}": trade for key, trade in self.trades.trades.items()}
        found |= {f"positions/{key}": leg.state() for key, leg in self.positions.legs.items()}
        for adapter, ledger in self.accounts.ledgers.items():
            for code in ledger.codes():
                found[f"accounts/{adapter}.{code}"] = self.accounts.state(adapter, code)
        return {key: _builtins(data) for key, data in found.items() if not _is_zero(key, data)}

    def overfilled(self) -> list[Difference]:
        """Orders whose fills come to more than they say they traded."""
        return [
            Difference(
                f"orders/{key}", order.traded, filled, "its fills come to more than it traded"
            )
            for key, order in self.orders.orders.items()
            if (filled := self.orders.filled(key)) > order.traded * (1.0 + RELATIVE_LOT_ERROR)
        ]

    def _order(self, order: OrderData, seq: int) -> None:
        key = order.vt_orderid
        known = self.orders.orders.get(key)
        if known is not None:
            legal = order.status is known.status or order.status in TRANSITIONS[known.status]
            if not legal or order.traded < known.traded:
                detail = f"journal row {seq} takes the order back"
                self.faults.append(Difference(f"orders/{key}", str(known), str(order), detail))
        self.orders.restore(order, None)
        self.rows_of[f"orders/{key}"] = seq

    def _trade(self, trade: TradeData, seq: int) -> None:
        key = f"trades/{trade.vt_tradeid}"
        if not self.trades.fold(trade):
            detail = f"journal row {seq} has the fill a second time; it is folded once"
            self.faults.append(Difference(key, detail=detail))
            return
        self.rows_of[key] = seq
        self.orders.count_fill(trade)
        self.book(trade)

    def _take_control(self, key: str, fact: Any) -> None:
        self.control[key] = fact
        if key == "control/counting":
            self.accounts.count_in(fact[1])


def rebuild(
    journal: Journal, digits: dict[str, int] | None = None, *, last: int | None = None
) -> Rebuilt:
    """Fold a journal into state rows.

    Args:
        journal: read in pages; what is appended meanwhile is folded, too.
        digits: decimal places per currency code, as the OMS has them.
        last: the last row to fold; None for all.

    Raises:
        PersistenceError: a row cannot be read.
        AccountingError: a fill cannot be booked.
    """
    fold = StateFold(digits)
    fold.restore(journal.base_rows())
    for row in all_facts(journal):
        if last is not None and row.seq > last:
            break
        fold.fold(row)
    return Rebuilt(fold.rows(), fold.faults + fold.overfilled(), fold)


def compare(
    state: Iterable[tuple[str, Any]], rebuilt: dict[str, Any], *, limit: int = 1_000
) -> list[Difference]:
    """State rows (key, builtins) against those of a fold; up to ``limit`` differences, in order of keys.

    Rows that do not follow from facts are passed over.
    """
    left = dict(rebuilt)
    found: list[Difference] = []
    for key, stored in state:
        if key.startswith(FOLDED):
            expected = left.pop(key, None)
            if expected != stored and not (expected is None and _is_zero(key, stored)):
                what = "the journal makes nothing like it" if expected is None else "they differ"
                found.append(Difference(key, stored, expected, what))
    found += [Difference(key, None, row, "the row is missing") for key, row in left.items()]
    found.sort(key=lambda difference: difference.key)
    return found[:limit]


def _under(rows: dict[str, bytes], prefix: str) -> dict[str, bytes]:
    return {key.removeprefix(prefix): row for key, row in rows.items() if key.startswith(prefix)}


def _builtins(data: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(data))


def _is_zero(key: str, data: Any) -> bool:
    """Whether a position or account row says nothing."""
    if not isinstance(data, Sequence):
        return False
    if key.startswith("accounts/"):
        return not any(data[:5]) and not data[6]  # the digits say nothing
    return key.startswith("positions/") and not any(data[:8])  # nor do the units
