"""What a strategy says to trade: ``buy``, ``sell``, ``short``, ``cover`` ...; the half of ``Strategy`` that sends.

Each verb returns the order's id at once; what became of the order arrives as events.
"""

from __future__ import annotations

from foxtrot.core.constants import Direction, Offset, TimeInForce
from foxtrot.core.objects import ModifyRequest
from foxtrot.strategy.context import StrategyContext

LONG, SHORT = Direction.LONG, Direction.SHORT
OPEN, CLOSE, NO_OFFSET = Offset.OPEN, Offset.CLOSE, Offset.NONE
GTC = TimeInForce.GTC


class OrderVerbs:
    """Orders of one strategy."""

    _context: StrategyContext

    def buy(
        self,
        volume: float | None = None,
        price: float | None = None,
        *,
        vt_symbol: str | None = None,
        stop: float | None = None,
        cash: float | None = None,
        equity: float | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        time_in_force: TimeInForce = GTC,
        expire_ts: int = 0,
        reference: str = "",
    ) -> str:
        """Buy to open: a market order, or with ``price`` a limit, with ``stop`` a stop, with both a stop-limit.

        Args:
            volume: units; or instead ``cash`` (currency) or ``equity`` (fraction of the account, 1.0 is all of it),
                sized at the fill.
            price: limit price.
            vt_symbol: the instrument; may be left out where the strategy trades only one.
            stop: trigger price.
            cash: notional in currency.
            equity: fraction of the account's equity.
            stop_loss: price of a stop that closes the position, live from the fill on.
            take_profit: price of a limit that closes it, live from the fill on.
            time_in_force: how long the order works.
            expire_ts: when a GTD order ends, ns UTC.
            reference: a label of yours, kept on order and trades.

        Returns:
            The ``vt_orderid``; what became of the order arrives in ``on_order`` and ``on_trade``.

        Raises:
            OrderError: the order is malformed; names the field and the nearest good value.
        """
        return self._context.send(
            LONG,
            OPEN,
            False,
            vt_symbol,
            volume,
            cash,
            equity,
            price,
            stop,
            stop_loss,
            take_profit,
            time_in_force,
            expire_ts,
            reference,
        )

    def short(
        self,
        volume: float | None = None,
        price: float | None = None,
        *,
        vt_symbol: str | None = None,
        stop: float | None = None,
        cash: float | None = None,
        equity: float | None = None,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        time_in_force: TimeInForce = GTC,
        expire_ts: int = 0,
        reference: str = "",
    ) -> str:
        """Sell to open; arguments as in ``buy``."""
        return self._context.send(
            SHORT,
            OPEN,
            False,
            vt_symbol,
            volume,
            cash,
            equity,
            price,
            stop,
            stop_loss,
            take_profit,
            time_in_force,
            expire_ts,
            reference,
        )

    def sell(
        self,
        volume: float,
        price: float | None = None,
        *,
        vt_symbol: str | None = None,
        stop: float | None = None,
        time_in_force: TimeInForce = GTC,
        expire_ts: int = 0,
        reference: str = "",
    ) -> str:
        """Sell to close a long position; never opens or flips one (cut at the fill to what is held)."""
        return self._close(
            SHORT, volume, price, vt_symbol, stop, time_in_force, expire_ts, reference
        )

    def cover(
        self,
        volume: float,
        price: float | None = None,
        *,
        vt_symbol: str | None = None,
        stop: float | None = None,
        time_in_force: TimeInForce = GTC,
        expire_ts: int = 0,
        reference: str = "",
    ) -> str:
        """Buy to close a short position; never opens or flips one (cut at the fill to what is held)."""
        return self._close(
            LONG, volume, price, vt_symbol, stop, time_in_force, expire_ts, reference
        )

    def close(self, vt_symbol: str | None = None, reference: str = "") -> str:
        """Close the whole position at market; an empty string where there is none."""
        volume = self._context.leg(vt_symbol).position.volume
        if volume == 0.0:
            return ""
        direction = SHORT if volume > 0.0 else LONG
        return self._close(direction, abs(volume), None, vt_symbol, None, GTC, 0, reference)

    def _close(
        self,
        direction: Direction,
        volume: float,
        price: float | None,
        vt_symbol: str | None,
        stop: float | None,
        time_in_force: TimeInForce,
        expire_ts: int,
        reference: str,
    ) -> str:
        return self._context.send(
            direction,
            CLOSE,
            True,
            vt_symbol,
            volume,
            None,
            None,
            price,
            stop,
            None,
            None,
            time_in_force,
            expire_ts,
            reference,
        )

    def order_target(
        self,
        target: float,
        price: float | None = None,
        *,
        vt_symbol: str | None = None,
        reference: str = "",
    ) -> str:
        """Send what is missing to a position of ``target`` signed units, working orders counted in.

        Returns:
            The ``vt_orderid``, or an empty string where nothing is missing.
        """
        leg = self._context.leg(vt_symbol)
        lot = leg.instrument.lot
        working = self._context.working_volume(leg.vt_symbol)
        missing = lot.to_lots(target) - lot.to_lots(leg.position.volume) - lot.to_lots(working)
        if missing == 0:
            return ""
        return self._context.send(
            LONG if missing > 0 else SHORT,
            NO_OFFSET,
            False,
            vt_symbol,
            lot.from_lots(abs(missing)),
            price=price,
            reference=reference,
        )

    def modify_order(
        self,
        vt_orderid: str,
        *,
        price: float | None = None,
        volume: float | None = None,
        stop: float | None = None,
    ) -> None:
        """Ask for a change of a working order; what is left out stays. ``volume`` is the new total."""
        self._context.modify(ModifyRequest(vt_orderid, price, volume, stop))

    def cancel_order(self, vt_orderid: str) -> None:
        """Ask for a cancellation; ``on_order`` tells what became of it."""
        self._context.cancel(vt_orderid)

    def cancel_all(self, vt_symbol: str | None = None) -> None:
        """Ask for the cancellation of all our working orders, of one instrument or all."""
        for vt_orderid in self._context.working_ids(vt_symbol):
            self._context.cancel(vt_orderid)
