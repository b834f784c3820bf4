"""Fills that the venue owes us: made up once, and given way to the real ones when these arrive.

A venue may say that an order has traded 5 and list fills of only 3. The position has moved all the same, so the
rest is booked as one synthetic fill. Its id is a hash of the order's id and the cumulated volume that it brings
the order to, so the same gap always gives the same fill, and the ``TradeManager`` folds it once.

When a real fill of that order arrives later, it may be one that the synthetic fill stands for. ``absorb``
decides:

* A synthetic fill stands for all that had traded when the venue was asked (its ``ts_event``), so a real fill
  with a later ``ts_event`` is new and is folded whole.
* An older one is matched against what is left of the synthetic volume. The matched part is taken off its
  volume; the rest (0 or more) is folded under its real id, which is thereby known for ever. Its commission
  stays whole, since the synthetic fill had none.
* How much was matched is written at the end of ``reference`` (``[absorbed 2.0]``), so what is left of the
  synthetic volume follows from the order's stored fills alone.

So the order's fills add up to what the venue says, in whatever order they arrive. The synthetic price stays (a
folded fill is never changed); by how much it was off is returned, and the balance is set right by the venue's
next figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from math import isfinite
from typing import NamedTuple

from msgspec.structs import replace

from foxtrot.core.constants import Direction, OrderType
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.core.rounding import LotSize

SYNTHETIC = "SYN-"
_ABSORBED = re.compile(r" ?\[absorbed ([0-9.e+-]+)\]$")
_LIMITS = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED})


class Absorption(NamedTuple):
    """What is left to fold of a real fill.

    Attributes:
        trade: the fill to fold; its volume is 0 where all of it was known already.
        absorbed: units that a synthetic fill had booked before.
        price_difference: real price less the synthetic one (volume-weighted), 0 where nothing was absorbed.
    """

    trade: TradeData
    absorbed: float
    price_difference: float


def is_synthetic(trade: TradeData) -> bool:
    """Whether a fill was made up by reconciliation."""
    return trade.vt_tradeid.partition(".")[2].startswith(SYNTHETIC)


def absorbed_volume(trade: TradeData) -> float:
    """Units of a real fill that a synthetic one had booked before it came."""
    match = _ABSORBED.search(trade.reference)
    return float(match.group(1)) if match else 0.0


def absorb(real: TradeData, trades: Iterable[TradeData], lot: LotSize) -> Absorption:
    """Match a real fill that is new to us against the synthetic fills of its order.

    Args:
        real: the fill as the venue reports it.
        trades: all fills of that order folded so far (synthetic, real and partly absorbed ones).
        lot: the instrument's lot.
    """
    left, covered = 0, 0
    synthetic: list[TradeData] = []
    for trade in trades:
        if is_synthetic(trade):
            synthetic.append(trade)
            left += lot.to_lots(trade.volume)
            covered += lot.to_lots(trade.volume) if real.ts_event <= trade.ts_event else 0
        else:
            left -= lot.to_lots(absorbed_volume(trade))
    lots = lot.to_lots(real.volume)
    matched = max(0, min(lots, left, covered))
    if not matched:
        return Absorption(real, 0.0, 0.0)
    volume = lot.from_lots(matched)
    note = f"{real.reference} [absorbed {volume!r}]".lstrip()
    rest = replace(real, volume=lot.from_lots(lots - matched), reference=note)
    return Absorption(rest, volume, real.price - average_price(synthetic))


def average_price(trades: Sequence[TradeData]) -> float:
    """Volume-weighted price of fills; 0 where they have no volume."""
    volume = sum(trade.volume for trade in trades)
    return sum(trade.price * trade.volume for trade in trades) / volume if volume else 0.0


def synthetic_id(adapter: str, vt_orderid: str, lots: int) -> str:
    """Id of the fill that brings an order to so many lots traded."""
    digest = blake2b(f"{vt_orderid}|{lots}".encode(), digest_size=12).hexdigest()
    return f"{adapter}.{SYNTHETIC}{digest}"


def implied_price(order: OrderData, known: Sequence[TradeData], gap: float) -> tuple[float, str]:
    """Price of the ``gap`` units that the venue's fills do not tell of, and where it comes from.

    From the venue's average price (so that all fills together have that average), unless this gives a price that
    the order could not have had; else the limit price; else the average itself.

    Returns:
        The price in currency per unit, and its source in words; the source is empty where no price can be told.
    """
    average = order.average_price
    if isfinite(average) and average != 0.0:
        told = sum(trade.price * trade.volume for trade in known)
        price = (average * order.traded - told) / gap
        if _possible(order, price):
            return price, "implied by the venue's average price"
    if order.type in _LIMITS and order.price:
        return order.price, "the order's limit, since the venue's average price implies none"
    if isfinite(average) and average != 0.0:
        return average, "the venue's average price, which does not fit the fills that it lists"
    return 0.0, ""


def _possible(order: OrderData, price: float) -> bool:
    """Whether the order could have traded at a price."""
    if not isfinite(price) or (price <= 0.0 < order.average_price):
        return False
    if order.type not in _LIMITS or not order.price:
        return True
    slack = abs(order.price) * 1e-6
    if order.direction is Direction.LONG:
        return price <= order.price + slack
    return price >= order.price - slack


def synthetic_fill(
    order: OrderData, adapter: str, lots: int, volume: float, price: float, ts: int
) -> TradeData:
    """The made-up fill that brings ``order`` to ``lots`` lots traded; it has no commission."""
    return TradeData(
        synthetic_id(adapter, order.vt_orderid, lots),
        order.vt_orderid,
        order.vt_symbol,
        order.direction,
        price,
        volume,
        ts,
        offset=order.offset,
        strategy=order.strategy,
        reference=order.reference,
        ts_init=ts,
        venue_orderid=order.venue_orderid,
        account=order.account,
    )
