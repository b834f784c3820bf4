"""State from the journal alone, and the comparison of the two.

The facts are folded by the very managers that the OMS runs on, in the order of the journal, onto the state that was
kept where the journal begins. An order's state is what its last fact says; fills make positions and accounts.

Invariants: folding reads and never writes; the result does not depend on when, or how often, it is done. A row whose
numbers are all 0 (a position never opened, an account without money) counts as no row.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from foxtrot.accounting.instrument import Instrument
from foxtrot.core.constants import Direction
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
from foxtrot.server.oms.account_manager import AccountManager
from foxtrot.server.oms.order_manager import RELATIVE_LOT_ERROR, TRANSITIONS, OrderManager
from foxtrot.server.oms.position_manager import PositionManager
from foxtrot.server.oms.trade_manager import TradeManager

FOLDED = ("accounts/", "contracts/", "control/", "orders/", "positions/", "trades/")
"""Beginnings of the keys of rows that follow from facts."""

COUNTER = "counters/oms"
_LOT = 1e-8  # of an instrument whose contract nobody told us
_MINTED = re.compile(r"\.oms-(\d+)$")


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


class StateFold:
    """The managers of the OMS, fed from a journal.

    Args:
        digits: decimal places per currency code, as the OMS was given them; 8 by default.
    """

    def __init__(self, digits: dict[str, int] | None = None) -> None:
        self.contracts: dict[str, ContractData] = {}
        self.orders = OrderManager(self._lot_of)
        self.trades = TradeManager()
        self.accounts = AccountManager(digits)
        self.positions = PositionManager(self._instrument)
        self.control: dict[str, Any] = {}
        self.rows_of: dict[str, int] = {}
        self.last_id = 0
        self.faults: list[Difference] = []
        self._instruments: dict[tuple[str, str], Instrument] = {}
        self._booked: set[tuple[str, str]] = set()

    def restore(self, base: Iterable[tuple[str, str]]) -> None:
        """Take up the state where the journal begins: rows (key, JSON text)."""
        rows = {key: text.encode() for key, text in base}
        self.last_id = int(msgspec.json.decode(rows.get(COUNTER, b"0")))
        for text in _under(rows, "contracts/").values():
            self._contract(msgspec.json.decode(text, type=ContractData))
        for name, text in _under(rows, "accounts/").items():
            adapter, code = split_vt_id(name)
            self.accounts.restore(adapter, code, msgspec.json.decode(text))
        for name, text in _under(rows, "positions/").items():
            adapter, rest = split_vt_id(name)
            vt_symbol, _, direction = rest.rpartition(".")
            leg = self.positions.leg(adapter, vt_symbol, Direction(direction))
            leg.restore(msgspec.json.decode(text))
            self._booked.add((adapter, vt_symbol))
        for name, text in _under(rows, "control/").items():
            self.control["control/" + name] = msgspec.json.decode(text)
        for text in _under(rows, "orders/").values():
            order = msgspec.json.decode(text, type=OrderData)
            self.orders.restore(order, 0.0)
        for text in _under(rows, "trades/").values():
            trade = msgspec.json.decode(text, type=TradeData)
            self.trades.restore(trade)
            self._add_fill(trade)

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
                self._booked.add((fact.vt_positionid.partition(".")[0], fact.vt_symbol))
            case AccountData():
                self.accounts.fold_report(fact)
            case ContractData():
                self._contract(fact)
            case DayRolled():
                self.positions.roll_day()
            case _:
                key = control_key(fact)
                if key is not None:
                    self.control[key] = fact

    def rows(self) -> dict[str, Any]:
        """The state as rows, builtins as ``Persistence.load`` returns them."""
        found: dict[str, Any] = {COUNTER: self.last_id, **self.control}
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
        self.orders.restore(order, self.orders.filled(key))
        self.rows_of[f"orders/{key}"] = seq
        minted = _MINTED.search(key)
        if minted:
            self.last_id = max(self.last_id, int(minted[1]))

    def _trade(self, trade: TradeData, seq: int) -> None:
        key = f"trades/{trade.vt_tradeid}"
        if not self.trades.fold(trade):
            detail = f"journal row {seq} has the fill a second time; it is folded once"
            self.faults.append(Difference(key, detail=detail))
            return
        self.rows_of[key] = seq
        self._add_fill(trade)
        leg, realized = self.positions.fold(trade)
        currency = leg.instrument.currency
        fee = currency.to_minor(trade.commission) if trade.commission else 0
        leg.book.commission += fee
        self.accounts.book(leg.adapter, currency.code, realized, fee)
        self._booked.add((leg.adapter, trade.vt_symbol))

    def _add_fill(self, trade: TradeData) -> None:
        """Count a fill; what it made of its order, the order's own fact says."""
        known = self.orders.orders.get(trade.vt_orderid)
        self.orders.fold_trade(trade)
        if known is not None:
            self.orders.restore(known, self.orders.filled(trade.vt_orderid))

    def _contract(self, contract: ContractData) -> None:
        self.contracts[contract.vt_symbol] = contract
        key = (contract.adapter_name, contract.vt_symbol)
        if key not in self._booked:
            self._instruments.pop(key, None)

    def _instrument(self, adapter: str, vt_symbol: str) -> Instrument:
        key = (adapter, vt_symbol)
        instrument = self._instruments.get(key)
        if instrument is None:
            contract = self.contracts.get(vt_symbol)
            if contract is None:
                contract = ContractData(vt_symbol, min_volume=_LOT, adapter_name=adapter)
            currency = self.accounts.currency(adapter, contract.currency)
            instrument = self._instruments[key] = Instrument(contract, currency)
        return instrument

    def _lot_of(self, vt_symbol: str) -> float:
        contract = self.contracts.get(vt_symbol)
        return contract.min_volume if contract is not None else _LOT


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

    Rows that do not follow from facts are passed over. The id counter may be ahead of the ids that were used.
    """
    left = dict(rebuilt)
    found: list[Difference] = []
    counter = left.pop(COUNTER, 0)
    for key, stored in state:
        if key == COUNTER:
            if stored < counter:
                found.append(Difference(key, stored, counter, "ids beyond the counter were used"))
        elif key.startswith(FOLDED):
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
    return (
        key.startswith(("positions/", "accounts/")) and isinstance(data, Sequence) and not any(data)
    )
