"""Facts and differences as sentences, for an operator who has little time.

Invariant: pure; nothing here reads a file. Times are UTC, numbers as short as they are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from foxtrot.core.objects import (
    AccountData,
    ContractData,
    OrderData,
    PositionData,
    TradeData,
    ns_to_datetime,
)
from foxtrot.server.journal.codec import FACT_TYPES
from foxtrot.server.journal.facts import (
    Archived,
    Blocked,
    Counting,
    DayRolled,
    Halted,
    Note,
    Reconciled,
    Resumed,
    Unblocked,
)
from foxtrot.server.journal.high_water import HighWater, MarkState
from foxtrot.server.rebuild import Difference

__all__ = ["describe", "describe_mark", "explain", "moment_text", "number", "terms"]

_POSITION = (
    "lots",
    "cost",
    "realized",
    "commission",
    "opened",
    "closed",
    "yesterday",
    "ts_event",
    "lot",
    "size",
    "currency",
)
_ACCOUNT = ("balance", "opening", "realized", "fees", "corrected", "digits", "reported")
_ORDER_INDEX = ("vt_orderid", "ts", "strategy", "vt_symbol", "status", "journal_row")
_TRADE_INDEX = ("vt_tradeid", "vt_orderid", "ts", "strategy", "vt_symbol", "journal_row")
_FIELDS = {
    "positions": _POSITION,
    "accounts": _ACCOUNT,
    "order_index": _ORDER_INDEX,
    "trade_index": _TRADE_INDEX,
    "active_orders": ("vt_orderid",),
}
_WHAT = {
    "orders": "order",
    "trades": "fill",
    "positions": "position",
    "accounts": "account",
    "contracts": "contract",
    "control": "decision",
    "order_index": "order index, entry",
    "trade_index": "fill index, entry",
    "active_orders": "list of working orders, entry",
}
_MINOR = frozenset({"balance", "opening", "realized", "fees", "corrected"})


def number(value: float) -> str:
    """A number without a needless ``.0``."""
    return f"{value:.15g}" if float(f"{value:.15g}") == value else repr(value)


def moment_text(ts: int) -> str:
    """A time (ns UTC) to the millisecond; empty for 0."""
    if not ts:
        return ""
    return f"{ns_to_datetime(ts):%Y-%m-%d %H:%M:%S}.{ts // 1_000_000 % 1000:03d}"


# --- facts ------------------------------------------------------------------------------------------------------


def describe(fact: Any) -> str:
    """A fact of the journal as one line."""
    words = _DESCRIBERS.get(type(fact))
    return words(fact) if words else repr(fact)


def terms(order: OrderData) -> str:
    """What was ordered: side, volume, type and prices."""
    parts = [_side(order), number(order.volume or order.requested), order.type.value]
    if order.price:
        parts.append(number(order.price))
    if order.trigger_price:
        parts.append(f"trigger {number(order.trigger_price)}")
    return " ".join(parts)


def _side(record: OrderData | TradeData) -> str:
    offset = record.offset.value
    return (
        f"{record.direction.value} {offset}"
        if offset and offset != "NONE"
        else (record.direction.value)
    )


def _order(order: OrderData) -> str:
    text = f"{order.vt_orderid}: {terms(order)} {order.vt_symbol} → {order.status.value}"
    if order.traded:
        text += f", traded {number(order.traded)} at {number(order.average_price)}"
    if order.reason:
        text += f": {order.reason}"
    return text


def _trade(trade: TradeData) -> str:
    text = (
        f"{trade.vt_tradeid} of {trade.vt_orderid}: {_side(trade)} {number(trade.volume)} "
        f"{trade.vt_symbol} at {number(trade.price)}"
    )
    if trade.commission:
        text += f", commission {number(trade.commission)} {trade.commission_currency}".rstrip()
    return text


def _position(position: PositionData) -> str:
    return (
        f"{position.vt_positionid}: holding {number(position.volume)} at {number(position.price)}, "
        f"as the venue says"
    )


def _account(account: AccountData) -> str:
    return (
        f"{account.vt_accountid}: balance {number(account.balance)} {account.currency}, "
        f"as the venue says"
    )


def _contract(contract: ContractData) -> str:
    return (
        f"{contract.vt_symbol}: {contract.product.value}, size {number(contract.size)}, "
        f"tick {number(contract.pricetick)}, lot {number(contract.min_volume)}, {contract.currency}"
    )


def _scope(fact: Blocked | Unblocked) -> str:
    return " ".join(
        (
            fact.strategy or "anybody",
            "on",
            fact.vt_symbol or "anything",
            "at",
            fact.adapter or "any venue",
        )
    )


def _because(text: str) -> str:
    return f": {text}" if text else ""


_DESCRIBERS: dict[type[Any], Callable[[Any], str]] = {
    OrderData: _order,
    TradeData: _trade,
    PositionData: _position,
    AccountData: _account,
    ContractData: _contract,
    Halted: lambda fact: f"trading of {fact.strategy or 'all'} halted{_because(fact.reason)}",
    Resumed: lambda fact: f"trading of {fact.strategy or 'all'} resumed{_because(fact.reason)}",
    Blocked: lambda fact: f"{_scope(fact)} may not trade{_because(fact.reason)}",
    Unblocked: lambda fact: f"{_scope(fact)} may trade again{_because(fact.reason)}",
    Reconciled: lambda fact: (
        f"reconciled with {fact.adapter}: {fact.missing} facts were missing, "
        f"{fact.unexplained} differences unexplained"
    ),
    DayRolled: lambda fact: f"the trading day {fact.day} began".replace("  ", " "),
    Counting: lambda fact: (
        "money is counted in "
        + (", ".join(f"{code} to {n} places" for code, n in fact.digits.items()) or "8 places")
    ),
    Note: lambda fact: fact.text,
    Archived: lambda fact: f"rows up to {fact.seq} moved to the archive {fact.manifest}".rstrip(),
}


def describe_mark(mark: HighWater) -> str:
    """What the high-water mark says of the journal, and no advice."""
    match mark.state:
        case MarkState.MATCHED:
            return f"agrees, at row {mark.seq:,}"
        case MarkState.FRESH:
            return "none yet; nothing was journaled"
        case MarkState.BEHIND:
            return f"row {mark.seq:,} was committed, and the journal ends at row {mark.head:,}"
        case MarkState.DIFFERENT:
            return f"row {mark.seq:,} is not the one that was committed"
        case _:
            return mark.detail


# --- differences ------------------------------------------------------------------------------------------------


def explain(difference: Difference) -> list[str]:
    """A difference as a heading and indented lines: what is stored, and what the journal makes of it."""
    kind, _, rest = difference.key.partition("/")
    head = f"{_WHAT.get(kind, kind)} {rest}".rstrip()
    stored, rebuilt = difference.stored, difference.rebuilt
    if stored is None and rebuilt is None:
        return [f"{head}: {difference.detail}"]
    if stored is None:
        return [f"{head}: missing; by the journal it is {_brief(kind, rebuilt)}"]
    if rebuilt is None:
        return [f"{head}: stored, but the journal knows nothing of it: {_brief(kind, stored)}"]
    lines = _fields_that_differ(kind, stored, rebuilt)
    if lines:
        return [f"{head}:", *lines]
    return [
        f"{head}: {difference.detail or 'differs'}",
        f"  stored      {_value('', stored)}",
        f"  by journal  {_value('', rebuilt)}",
    ]


def _fields_that_differ(kind: str, stored: Any, rebuilt: Any) -> list[str]:
    if not (_is_row(stored) and _is_row(rebuilt)):
        return []
    names = _names(kind, rebuilt) or _names(kind, stored)
    lines: list[str] = []
    for place, name in enumerate(names):
        pair = [row[place] if place < len(row) else None for row in (stored, rebuilt)]
        if pair[0] != pair[1]:
            lines.append(
                f"  {_label(name)}: stored {_value(name, pair[0])}, "
                f"by the journal {_value(name, pair[1])}"
            )
    return lines


def _names(kind: str, row: Sequence[Any]) -> tuple[str, ...]:
    """The fields of a row: of a message those of its type, of the OMS's own rows those of its books."""
    if kind in _FIELDS:
        return _FIELDS[kind]
    type_ = FACT_TYPES.get(row[0]) if row and isinstance(row[0], str) else None
    return ("kind", *type_.__struct_fields__) if type_ else ()


def _label(name: str) -> str:
    return f"{name} (minor units)" if name in _MINOR else name


def _brief(kind: str, row: Any) -> str:
    names = _names(kind, row) if _is_row(row) else ()
    pairs = [
        f"{name} {_value(name, value)}"
        for name, value in zip(names, row, strict=False)
        if name not in ("kind", "reason") and value not in (0, "", None, "NONE", False)
    ]
    return ", ".join(pairs[:8]) or _value("", row)


def _value(name: str, value: Any) -> str:
    if value is None:
        return "nothing"
    if name.startswith("ts") and isinstance(value, int) and not isinstance(value, bool):
        return moment_text(value) or "no time"
    if isinstance(value, float):
        return number(value)
    return repr(value) if value == "" else str(value)


def _is_row(row: Any) -> bool:
    return isinstance(row, list | tuple)
