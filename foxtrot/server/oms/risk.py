"""The first layer of risk: whether a new order keeps the limits, asked before it is written down.

Invariants: pure; nothing is read but the view that is handed in, time included. What is remembered (order rates,
duplicates) is bounded and follows from the orders themselves, so ``restore`` brings it back after a restart. Cancels
are never limited. An order is counted when it passes, not when it is denied. Where no limit is set, a check costs one
truth test.

The checks are in ``risk_checks``, in the order in which they run: each for the global limits and then for the
strategy's own. The first that fails is the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from foxtrot.core.constants import OrderType, Status
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import ModifyRequest, OrderData, OrderRequest
from foxtrot.server.oms.order_manager import EXTERNAL
from foxtrot.server.oms.risk_checks import (
    EARLY_CHECKS,
    LATE_CHECKS,
    Denial,
    Scope,
    identity,
    order_in_words,
)
from foxtrot.server.oms.risk_limits import RiskSettings
from foxtrot.server.oms.risk_proposal import (
    NotKnownError,
    Proposal,
    RiskView,
    StrategyPositions,
)

__all__ = ["Denial", "RiskManager", "StrategyPositions"]

NO_SETTINGS = RiskSettings()
DENIED = Status.DENIED


class RiskManager:
    """Checks requests against the limits; as a callable it is the OMS's risk check.

    Args:
        settings: the limits; none by default.
        held: what each strategy holds, fed with every fill by the caller.

    Attributes:
        active: whether any limit is set.

    Raises:
        ConfigError: a strategy limits its position or sides, and ``held`` is not given.
    """

    def __init__(
        self, settings: RiskSettings = NO_SETTINGS, held: StrategyPositions | None = None
    ) -> None:
        self.settings = settings
        self.held = held
        self._global = Scope(settings, "", None)
        self._strategies = {
            name: Scope(limits, name, held) for name, limits in settings.strategies.items()
        }
        self.active = settings != NO_SETTINGS
        for name, limits in settings.strategies.items():
            if limits.needs_held and held is None:
                raise ConfigError(
                    f"risk.strategies.{name}: limits on a strategy's own position or sides need what it holds; give "
                    f"the RiskManager a StrategyPositions that is fed with every fill"
                )

    def __call__(self, request: OrderRequest, view: RiskView) -> str:
        """Check a request and count it where it passes; returns why it is denied, or an empty string."""
        if not self.active:
            return ""
        now = view.clock.now()
        denial = self.check(request, view, now)
        if denial is not None:
            return str(denial)
        self.count(request, now)
        return ""

    def check(self, request: OrderRequest, view: RiskView, now: int) -> Denial | None:
        """Why a new order is denied; None where it passes. It is not counted.

        Args:
            request: well-formed, its ``vt_orderid`` set.
            view: the OMS; the order is not in it yet.
            now: ns UTC.
        """
        scopes = self._scopes(request.strategy)
        for early in EARLY_CHECKS:
            for scope in scopes:
                denial = early(scope, request, view, now)
                if denial is not None:
                    return denial
        return _run(LATE_CHECKS, scopes, Proposal(request, view, now))

    def check_modify(
        self, order: OrderData, change: ModifyRequest, view: RiskView, now: int
    ) -> Denial | None:
        """Why a change of a working order is denied; None where it passes.

        A change that only makes the order smaller always passes. Rate, duplicates, number of orders and symbols are
        those of new orders and are not checked.
        """
        volume = order.volume if change.volume is None else change.volume
        price = order.price if change.price is None else change.price
        trigger = order.trigger_price if change.trigger_price is None else change.trigger_price
        same_prices = (price, trigger) == (order.price, order.trigger_price)
        if not self.active or (same_prices and volume <= order.volume):
            return None
        request = _as_request(order, volume, price, trigger)
        scopes = self._scopes(order.strategy)
        return _run(LATE_CHECKS, scopes, Proposal(request, view, now, order.traded))

    def count(self, request: OrderRequest | OrderData, now: int) -> None:
        """Count an order that was accepted at ``now`` (ns UTC) for order rates and duplicates."""
        key = identity(request)
        for scope in self._scopes(request.strategy):
            scope.count(key, now)

    def restore(self, orders: Iterable[OrderData]) -> None:
        """Start anew from the orders of the longest window, or more; those that were never sent do not count.

        Denied orders, orders of others (EXTERNAL) and those that a venue made itself (with a parent) are left out.
        """
        for scope in (self._global, *self._strategies.values()):
            scope.clear()
        own = [
            order
            for order in orders
            if order.status is not DENIED
            and order.strategy != EXTERNAL
            and not order.parent_orderid
        ]
        for order in sorted(own, key=lambda order: order.ts_init):
            self.count(order, order.ts_init)

    @property
    def window(self) -> int:
        """Nanoseconds that the longest window reaches back: what ``restore`` needs the orders of."""
        windows = [
            part.window
            for scope in (self._global, *self._strategies.values())
            for part in (scope.rate, scope.memory)
            if part is not None
        ]
        return max(windows, default=0)

    def _scopes(self, strategy: str) -> tuple[Scope, ...]:
        own = self._strategies.get(strategy)
        return (self._global,) if own is None else (self._global, own)


def _run(
    checks: Iterable[Callable[[Scope, Proposal], Denial | None]],
    scopes: tuple[Scope, ...],
    proposal: Proposal,
) -> Denial | None:
    for check in checks:
        for scope in scopes:
            try:
                denial = check(scope, proposal)
            except NotKnownError as error:
                return Denial(error.code, f"{error} ({order_in_words(proposal)})")
            if denial is not None:
                return denial
    return None


def _as_request(order: OrderData, volume: float, price: float, trigger: float) -> OrderRequest:
    """A changed order as a request of its own."""
    return OrderRequest(
        order.vt_symbol,
        order.direction,
        OrderType(order.type),
        volume,
        price,
        trigger,
        order.offset,
        order.time_in_force,
        reduce_only=order.reduce_only,
        strategy=order.strategy,
        vt_orderid=order.vt_orderid,
    )
