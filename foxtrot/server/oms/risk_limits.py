"""What may be sent: the limits of an account and of each strategy, and the codes of what exceeds them.

Invariants: frozen; a limit that is not given does not limit; a strategy has to keep its own limits and the global ones,
so its own can only be tighter. In a settings file the global limits are ``[risk]``, those of a strategy
``[risk.strategies.<name>]``, read by ``foxtrot.core.config`` like every other setting. All durations are seconds.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from foxtrot.core.constants import Direction

__all__ = ["Limit", "OrderRate", "RiskCode", "RiskLimits", "RiskSettings", "limit_of"]

Amount = Annotated[float, Meta(ge=0)]
Seconds = Annotated[float, Meta(gt=0)]
Ratio = Annotated[float, Meta(gt=0)]

Limit = Amount | dict[str, Amount]
"""One number for all, or a table by name; see ``limit_of``."""


class RiskCode(StrEnum):
    """Why an order was denied; the first word of the reason that the order carries."""

    SYMBOL = "SYMBOL"
    SIDE = "SIDE"
    MAX_VOLUME = "MAX_VOLUME"
    MAX_OPEN_ORDERS = "MAX_OPEN_ORDERS"
    ORDER_RATE = "ORDER_RATE"
    DUPLICATE = "DUPLICATE"
    NO_PRICE = "NO_PRICE"
    STALE_PRICE = "STALE_PRICE"
    PRICE_COLLAR = "PRICE_COLLAR"
    MAX_NOTIONAL = "MAX_NOTIONAL"
    MAX_POSITION = "MAX_POSITION"
    UNSIZED = "UNSIZED"
    NO_LIMIT = "NO_LIMIT"
    HALTED = "HALTED"
    BLOCKED = "BLOCKED"


class OrderRate(Struct, frozen=True, kw_only=True):
    """At most ``orders`` new orders in any ``seconds``; the window slides."""

    orders: Annotated[int, Meta(ge=1, le=100_000)]
    seconds: Annotated[float, Meta(gt=0, le=86_400)] = 1.0


class RiskLimits(Struct, frozen=True, kw_only=True):
    """Limits of an account, or of one strategy.

    Attributes:
        symbols: instruments that may be traded, by ``vt_symbol`` or ``*.EXCHANGE``; empty for all.
        sides: sides on which a position may be opened; the other side may still close one.
        max_volume: units of one order; a table is by ``vt_symbol``, ``*.EXCHANGE`` or ``*``.
        max_notional: value of one order in its contract's currency; a table is by currency code or ``*``.
        price_collar: how far a limit price may pay more than the last price (buy above it, sell below it), as a
            fraction of it; of an order with a trigger and a limit, than the trigger.
        passive_collar: how far a limit price may lie on the other side, where it pays less.
        max_price_age: seconds after which a last price is stale; an order that needs it is then denied.
        max_position: units of an instrument after the fill of all that works on the order's side; a table as of
            ``max_volume``.
        max_open_orders: orders that may work at once.
        order_rate: new orders in a sliding window.
        duplicate_window: seconds in which the same order of a strategy is taken for a repetition.
    """

    symbols: tuple[str, ...] = ()
    sides: tuple[Direction, ...] = (Direction.LONG, Direction.SHORT)
    max_volume: Limit | None = None
    max_notional: Limit | None = None
    price_collar: Ratio | None = None
    passive_collar: Ratio | None = None
    max_price_age: Seconds = 60.0
    max_position: Limit | None = None
    max_open_orders: Annotated[int, Meta(ge=0)] | None = None
    order_rate: OrderRate | None = None
    duplicate_window: Annotated[float, Meta(gt=0, le=86_400)] | None = None

    def __post_init__(self) -> None:
        if Direction.NET in self.sides:
            raise ValueError("sides may be LONG and SHORT, not NET")
        for symbol in self.symbols:
            if "." not in symbol.strip("."):
                raise ValueError(f"symbols: {symbol!r} is neither SYMBOL.EXCHANGE nor *.EXCHANGE")
        for name in ("max_volume", "max_notional", "max_position"):
            for key, value in _numbers(getattr(self, name)):
                if value != value or value < 0.0:
                    raise ValueError(f"{name}{key} must not be negative, got {value}")

    @property
    def sided(self) -> bool:
        """Whether a side is not allowed."""
        return len(set(self.sides)) < 2

    @property
    def needs_held(self) -> bool:
        """Whether what is held matters."""
        return self.max_position is not None or self.sided


class RiskSettings(RiskLimits, frozen=True, kw_only=True):
    """The table ``[risk]``: the global limits, and the limits of strategies by name.

    Attributes:
        strategies: limits that a strategy has to keep besides the global ones.
    """

    strategies: dict[str, RiskLimits] = {}


def limit_of(limit: Limit, name: str) -> float | None:
    """What a limit says of ``name``: its own entry, that of its exchange (``*.NASDAQ``), or that of all (``*``).

    None where a table has no such entry: what nobody gave a limit may not be traded.
    """
    if not isinstance(limit, dict):
        return limit
    for key in (name, f"*.{name.rpartition('.')[2]}", "*"):
        if key in limit:
            return limit[key]
    return None


def _numbers(limit: Limit | None) -> list[tuple[str, float]]:
    if limit is None:
        return []
    if isinstance(limit, dict):
        return [(f".{key}", value) for key, value in limit.items()]
    return [("", limit)]
