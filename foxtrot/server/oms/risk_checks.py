"""The checks of the first layer of risk, one function a limit.

Invariants: pure; a check returns why it denies, or None. Those in ``EARLY_CHECKS`` read the request and what is
remembered, those in ``LATE_CHECKS`` a ``Proposal``: prices, sizes and what is held.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from foxtrot.core.constants import NS_PER_SECOND, Direction, VolumeMode
from foxtrot.core.objects import OrderData, OrderRequest
from foxtrot.server.oms.risk_limits import Limit, RiskCode, RiskLimits, limit_of
from foxtrot.server.oms.risk_proposal import Proposal, RiskView, StrategyPositions, number
from foxtrot.server.oms.risk_window import DuplicateMemory, RateWindow

LONG = Direction.LONG


class Denial(NamedTuple):
    """Why an order is not sent; as text, the code and the figures."""

    code: RiskCode
    text: str

    def __str__(self) -> str:
        return f"{self.code.value}: {self.text}"


class Scope:
    """One set of limits, and what is remembered for it.

    Args:
        limits: the limits.
        name: the strategy's; empty for the global ones.
        held: what strategies hold; None where it is the account's positions that count.
    """

    __slots__ = ("held", "limits", "memory", "name", "of", "rate")

    def __init__(self, limits: RiskLimits, name: str, held: StrategyPositions | None) -> None:
        self.limits = limits
        self.name = name
        self.of = f" of strategy {name}" if name else ""
        self.held = held
        rate, window = limits.order_rate, limits.duplicate_window
        self.rate = RateWindow(rate.orders, _ns(rate.seconds)) if rate is not None else None
        self.memory = DuplicateMemory(_ns(window)) if window is not None else None

    def count(self, key: Hashable, now: int) -> None:
        """Remember an order that has passed."""
        if self.rate is not None:
            self.rate.add(now)
        if self.memory is not None:
            self.memory.add(key, now)

    def clear(self) -> None:
        """Forget all orders."""
        if self.rate is not None:
            self.rate.clear()
        if self.memory is not None:
            self.memory.clear()


# --- checks of the request alone ------------------------------------------------------------------------------


def _check_symbol(scope: Scope, request: OrderRequest, _view: RiskView, _now: int) -> Denial | None:
    allowed = scope.limits.symbols
    symbol = request.vt_symbol
    if not allowed or symbol in allowed or f"*.{symbol.rpartition('.')[2]}" in allowed:
        return None
    listed = ", ".join(allowed[:10]) + (" ..." if len(allowed) > 10 else "")
    return Denial(RiskCode.SYMBOL, f"{symbol} is not among the symbols{scope.of}: {listed}")


def _check_open_orders(
    scope: Scope, request: OrderRequest, view: RiskView, _now: int
) -> Denial | None:
    most = scope.limits.max_open_orders
    if most is None:
        return None
    active = view.orders.active
    working = len(active)
    if scope.name:
        working = sum(order.strategy == request.strategy for order in active.values())
    if working < most:
        return None
    return Denial(
        RiskCode.MAX_OPEN_ORDERS,
        f"{working + 1:,} orders would work, more than {most:,}{scope.of}",
    )


def _check_rate(scope: Scope, _request: OrderRequest, _view: RiskView, now: int) -> Denial | None:
    window, limit = scope.rate, scope.limits.order_rate
    wait = window.wait(now) if window is not None else 0
    if not wait or limit is None:
        return None
    return Denial(
        RiskCode.ORDER_RATE,
        f"{limit.orders + 1:,} orders in {number(limit.seconds)} s are more than {limit.orders:,}{scope.of}; "
        f"the next may go in {number(wait / NS_PER_SECOND)} s",
    )


def _check_duplicate(
    scope: Scope, request: OrderRequest, _view: RiskView, now: int
) -> Denial | None:
    age = scope.memory.age(identity(request), now) if scope.memory is not None else None
    if age is None:
        return None
    return Denial(
        RiskCode.DUPLICATE,
        f"the same order ({request.direction} {number(request.volume)} {request.vt_symbol} at "
        f"{number(request.price)}) was sent {number(age / 1e6)} ms ago, less than "
        f"{number((scope.limits.duplicate_window or 0.0) * 1e3)} ms{scope.of}",
    )


EARLY_CHECKS = (_check_symbol, _check_open_orders, _check_rate, _check_duplicate)


# --- checks that need the instrument, its price or what is held -------------------------------------------------


def _check_volume(scope: Scope, proposal: Proposal) -> Denial | None:
    return _exceeds(
        scope,
        proposal,
        RiskCode.MAX_VOLUME,
        scope.limits.max_volume,
        proposal.request.vt_symbol,
        lambda: proposal.units(scope.limits.max_price_age),
    )


def _check_collar(scope: Scope, proposal: Proposal) -> Denial | None:
    limits, request = scope.limits, proposal.request
    if limits.price_collar is None and limits.passive_collar is None:
        return None
    price, against = request.price, request.trigger_price
    name = "trigger"
    if not price and (against or proposal.closing):
        return None  # a stop fills where the market is then; a closing market order must get out whatever is known
    if not against:
        against, name = proposal.fresh_last(limits.max_price_age), "last price"
    if not price:
        return None
    above = (price - against) / abs(against)
    worse = above if request.direction == LONG else -above
    most, words = (
        (limits.price_collar, "worse") if worse > 0.0 else (limits.passive_collar, "better")
    )
    if most is None or abs(worse) <= most:
        return None
    return Denial(
        RiskCode.PRICE_COLLAR,
        f"{number(price)} is {abs(worse):.4%} {words} than the {name} {number(against)}, more than "
        f"{most:.4%}{scope.of} ({order_in_words(proposal)})",
    )


def _check_notional(scope: Scope, proposal: Proposal) -> Denial | None:
    return _exceeds(
        scope,
        proposal,
        RiskCode.MAX_NOTIONAL,
        scope.limits.max_notional,
        proposal.currency,
        lambda: proposal.notional(scope.limits.max_price_age),
        f" {proposal.currency}",
    )


def _check_side(scope: Scope, proposal: Proposal) -> Denial | None:
    limits, direction = scope.limits, proposal.request.direction
    if not limits.sided or direction in limits.sides or proposal.closing:
        return None
    after = proposal.exposure(scope.held, limits.max_price_age)
    if after <= 0.0:
        return None
    return Denial(
        RiskCode.SIDE,
        f"{number(after)} units would be held {direction}, which is not among the sides{scope.of} "
        f"({order_in_words(proposal)})",
    )


def _check_position(scope: Scope, proposal: Proposal) -> Denial | None:
    if proposal.closing:
        return None
    return _exceeds(
        scope,
        proposal,
        RiskCode.MAX_POSITION,
        scope.limits.max_position,
        proposal.request.vt_symbol,
        lambda: proposal.exposure(scope.held, scope.limits.max_price_age),
        f" units {proposal.request.direction} after all fills",
        closes=True,
    )


LATE_CHECKS = (_check_volume, _check_collar, _check_notional, _check_side, _check_position)


def _exceeds(
    scope: Scope,
    proposal: Proposal,
    code: RiskCode,
    limit: Limit | None,
    name: str,
    figure: Callable[[], float],
    unit: str = "",
    closes: bool = False,
) -> Denial | None:
    """Compare a figure with its limit; it is worked out only where there is one."""
    if limit is None:
        return None
    value = figure()
    if closes and value <= 0.0:  # it only closes
        return None
    most = limit_of(limit, name)
    if most is None:
        key = code.value.lower()
        return Denial(
            RiskCode.NO_LIMIT,
            f'{key}{scope.of} says nothing of {name}; add it, or "*" for all others ({order_in_words(proposal)})',
        )
    if value <= most * (1.0 + 1e-12):  # figures are products of floats
        return None
    worded = unit if code is RiskCode.MAX_NOTIONAL else ""
    return Denial(
        code,
        f"{number(value)}{unit} is more than {number(most)}{worded}{scope.of} ({order_in_words(proposal)})",
    )


def order_in_words(proposal: Proposal) -> str:
    """The order in words."""
    request = proposal.request
    price = request.price or request.trigger_price or proposal.last
    words = {VolumeMode.CASH: f" {proposal.currency} of", VolumeMode.EQUITY: " of the equity in"}
    mode = words.get(VolumeMode(request.volume_mode), "")
    where = f" at {number(price)}" if price else ""
    return f"order of {number(request.volume)}{mode} {request.vt_symbol}{where}"


def identity(request: OrderRequest | OrderData) -> Hashable:
    """What makes two orders of a strategy the same."""
    volume = request.volume
    if isinstance(request, OrderData):
        volume = request.requested or volume
    return (
        request.strategy,
        request.vt_orderid.partition(".")[0],
        request.account,
        request.vt_symbol,
        request.direction,
        request.type,
        request.offset,
        request.reduce_only,
        request.volume_mode,
        volume,
        request.price,
        request.trigger_price,
    )


def _ns(seconds: float) -> int:
    return round(seconds * NS_PER_SECOND)
