"""Open or close: what is held on venues that keep long and short apart, and the orders that fit it.

Such venues want every order to say whether it opens or closes. A ``PositionHolding`` folds orders
and trades into what is held and what working orders have bound; ``convert_offset`` turns one
request into those that the venue takes, or into a refusal with its reason. What a close takes:

* SHFE and INE: ``CLOSETODAY`` what was opened today, ``CLOSEYESTERDAY`` and a bare ``CLOSE`` what
  is older.
* All others: first in, first out. CFFEX too, but it charges its dearer close-today fee while
  anything is of today.

Invariants:

* Volumes are whole lots inside; nothing held, and nothing bound, is ever negative.
* A trade that would close more than is held raises and changes nothing.
* What an order binds falls with its *trades*, not with its reports: whichever of "order traded 3"
  and "trade of 3" comes first, nothing is counted as available twice.
* A close is never sent for more than is available, and nothing opens that the request forbids to
  open.
* Pure: the caller tells of the trading day, and folds each trade once (by ``vt_tradeid``).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from foxtrot.core.constants import Direction, Offset, TimeInForce, VolumeMode
from foxtrot.core.errors import AccountingError, OrderError
from foxtrot.core.objects import OrderData, OrderRequest, PositionData, TradeData
from foxtrot.core.rounding import LotSize

SEPARATE_CLOSE_EXCHANGES = frozenset({"SHFE", "INE"})
"""Exchanges where today's and older holdings are closed by separate orders."""

TODAY_CHARGED_FIRST_EXCHANGES = frozenset({"CFFEX"})
"""Exchanges that charge any close as close-today while something was opened today."""

_LONG, _SHORT = Direction.LONG, Direction.SHORT
_NONE, _OPEN, _CLOSE = Offset.NONE, Offset.OPEN, Offset.CLOSE
_CLOSETODAY, _CLOSEYESTERDAY = Offset.CLOSETODAY, Offset.CLOSEYESTERDAY


_Part = tuple[Offset, int]


class OffsetMode(StrEnum):
    """How a request is fitted to what is held.

    ``NET``: the venue keeps one signed position; every order goes as it is with offset NONE, a
    closing one as reduce-only. The other modes are for venues that keep two: a NONE request closes
    the other side and opens the rest, a CLOSE request closes and never opens. ``HEDGE`` closes the
    oldest first; ``TODAY_FIRST`` today's first, where the order decides; ``LOCK`` avoids the
    close-today fee: it closes only what is older than today and opens the rest against it, for
    CLOSE requests, too.
    """

    NET = "net"
    HEDGE = "hedge"
    TODAY_FIRST = "today_first"
    LOCK = "lock"


class OffsetRefused(msgspec.Struct, frozen=True):
    """Why a request cannot be sent; ``available`` is what could be closed, in units."""

    reason: str
    available: float = 0.0


class SideHolding(msgspec.Struct):
    """Whole lots of one side: opened on the current trading day, and before."""

    today: int = 0
    yesterday: int = 0

    @property
    def total(self) -> int:
        """All lots."""
        return self.today + self.yesterday

    def oldest_first(self, lots: int) -> tuple[int, int]:
        """Divide ``lots`` into (of today, older) as a first-in, first-out close takes them."""
        older = min(lots, self.yesterday)
        return lots - older, older


class _Working(msgspec.Struct):
    """What is known of one order, in lots; ``volume`` is ``None`` while only trades of it have come."""

    direction: Direction
    offset: Offset
    volume: int | None = None
    traded: int = 0
    folded: int = 0
    active: bool = True

    def bound(self) -> int:
        """Lots that are still bound: what may yet trade, and what has traded but is not folded yet."""
        if self.volume is None:
            return 0
        return max((self.volume if self.active else self.traded) - self.folded, 0)


class PositionHolding:
    """Long and short holdings of one instrument, today's and older, and what working orders bind.

    ``long`` and ``short`` are the lots held.

    Args:
        vt_symbol: the instrument; its exchange decides how closes are taken.
        min_volume: units a lot.
    """

    def __init__(self, vt_symbol: str, min_volume: float = 1.0) -> None:
        exchange = vt_symbol.rpartition(".")[2]
        self.vt_symbol = vt_symbol
        self.lot = LotSize(min_volume)
        self.separate_close = exchange in SEPARATE_CLOSE_EXCHANGES
        self.today_charged_first = exchange in TODAY_CHARGED_FIRST_EXCHANGES
        self.long = SideHolding()
        self.short = SideHolding()
        self.trading_day: dt.date | None = None
        self._working: dict[str, _Working] = {}

    def side(self, direction: Direction) -> SideHolding:
        """Return the LONG or the SHORT holding; ``AccountingError`` for NET."""
        if direction is _LONG:
            return self.long
        if direction is _SHORT:
            return self.short
        raise AccountingError(f"{self.vt_symbol}: a holding is LONG or SHORT, not {direction}")

    def frozen(self, direction: Direction) -> int:
        """Count the lots of the LONG or SHORT holding that working closing orders bind."""
        return self.side(direction).total - self.available(direction).total

    def available(self, direction: Direction) -> SideHolding:
        """Return the lots of the LONG or SHORT holding that can still be closed."""
        side = self.side(direction)
        bound = dict.fromkeys(Offset, 0)
        for order in self._working.values():
            if order.direction is not direction:  # a LONG holding is closed by SHORT orders
                bound[order.offset] += order.bound()
        today, yesterday = bound[_CLOSETODAY], bound[_CLOSEYESTERDAY] + bound[_CLOSE]
        if (
            not self.separate_close
        ):  # the venue takes the oldest first, whatever the order is called
            today, yesterday = side.oldest_first(today + yesterday)
        return SideHolding(max(side.today - today, 0), max(side.yesterday - yesterday, 0))

    def apply_order(self, order: OrderData, *, restored: bool = False) -> None:
        """Fold an order's report; closing orders bind holdings until they have traded or ended.

        ``restored`` tells that its trades so far are in the holdings already (after a restart).

        Raises:
            AccountingError: another instrument, or volumes off the lot.
        """
        volume = self._lots(order.vt_symbol, order.volume, order.vt_orderid)
        traded = self._lots(order.vt_symbol, order.traded, order.vt_orderid)
        if order.vt_orderid not in self._working and not order.is_active():
            return  # a repeated last word of an order that is done
        known = self._order(order)
        known.volume, known.traded = volume, max(traded, known.traded)
        known.active = order.is_active()
        if restored:
            known.folded = traded
        self._forget_if_done(order.vt_orderid, known)

    def apply_trade(self, trade: TradeData) -> None:
        """Fold a fill: OPEN adds to today's holding of its side, the others reduce the opposite one.

        Offset NONE closes the opposite side, oldest first, and opens what is left over.

        Raises:
            AccountingError: another instrument, a volume off the lot or not positive, or a close of
                more than is held; then nothing has changed.
        """
        lots = self._lots(trade.vt_symbol, trade.volume, trade.vt_tradeid)
        if lots <= 0:
            raise AccountingError(f"trade {trade.vt_tradeid}: no volume: {trade.volume!r}")
        opening, opposite = self.side(trade.direction), self.side(_opposite(trade.direction))
        today, yesterday = self._closes(trade.offset, opposite, lots)
        if today > opposite.today or yesterday > opposite.yesterday:
            raise AccountingError(
                f"trade {trade.vt_tradeid}: {trade.direction} {trade.offset} of {lots} lots of "
                f"{self.vt_symbol} closes more than is held ({opposite.today} of today, "
                f"{opposite.yesterday} older); ask the venue for the position and apply that"
            )
        opposite.today -= today
        opposite.yesterday -= yesterday
        opening.today += lots - today - yesterday
        known = self._order(trade)
        known.folded += lots
        self._forget_if_done(trade.vt_orderid, known)

    def apply_position(self, position: PositionData) -> None:
        """Take over what the venue reports to be held on one side, in place of what was folded.

        A NET position sets both sides; ``yd_volume`` is what is older than today, of the same side.

        Raises:
            AccountingError: another instrument, volumes off the lot, negative, or more of yesterday
                than in all.
        """
        where = position.vt_positionid
        total = self._lots(position.vt_symbol, position.volume, where)
        yesterday = abs(self._lots(position.vt_symbol, position.yd_volume, where))
        net = position.direction is Direction.NET
        if yesterday > abs(total) or (total < 0 and not net):
            raise AccountingError(
                f"position {where}: volume {position.volume!r} and yd_volume "
                f"{position.yd_volume!r} do not fit together"
            )
        if net:
            self.long, self.short = SideHolding(), SideHolding()
        side = self.side(position.direction if not net else _LONG if total > 0 else _SHORT)
        side.today, side.yesterday = abs(total) - yesterday, yesterday

    def roll(self, trading_day: dt.date) -> bool:
        """Begin a trading day: today's holdings become yesterday's; return whether a new day began.

        The first call only notes the day; the same day again changes nothing.

        Raises:
            AccountingError: the day lies before the current one.
        """
        before = self.trading_day or trading_day
        if trading_day < before:
            raise AccountingError(
                f"{self.vt_symbol}: trading day {trading_day} lies before {before}, the current one"
            )
        self.trading_day = trading_day
        if trading_day == before:
            return False
        for side in (self.long, self.short):
            side.yesterday += side.today
            side.today = 0
        self._working = {  # without trades of orders that were never reported
            name: order for name, order in self._working.items() if order.volume is not None
        }
        return True

    def _closes(self, offset: Offset, side: SideHolding, lots: int) -> tuple[int, int]:
        """Return how many lots of ``side`` (of today, older) a trade of ``lots`` closes."""
        if offset is _OPEN:
            return 0, 0
        if offset is _NONE or not self.separate_close:
            return side.oldest_first(min(lots, side.total) if offset is _NONE else lots)
        return (lots, 0) if offset is _CLOSETODAY else (0, lots)

    def _order(self, record: OrderData | TradeData) -> _Working:
        fresh = _Working(record.direction, record.offset)
        return self._working.setdefault(record.vt_orderid, fresh)

    def _forget_if_done(self, vt_orderid: str, order: _Working) -> None:
        if order.volume is not None and not order.active and order.folded >= order.traded:
            del self._working[vt_orderid]

    def _lots(self, vt_symbol: str, volume: float, where: str) -> int:
        if vt_symbol != self.vt_symbol:
            raise AccountingError(f"{where} is of {vt_symbol}, this holding is of {self.vt_symbol}")
        try:
            return self.lot.to_lots(volume)
        except OrderError as error:
            raise AccountingError(f"{where}: {error}") from error


def convert_offset(
    request: OrderRequest, holding: PositionHolding, mode: OffsetMode | str = OffsetMode.HEDGE
) -> tuple[OrderRequest, ...] | OffsetRefused:
    """Turn a request into the requests that the venue takes, closing parts first.

    The parts sum to the request's volume (a reduce-only one is cut to what is available). The first
    keeps ``vt_orderid``, the next get ``-2``, ``-3`` after it. Of a request with offset NONE only
    an opening part keeps ``stop_loss`` and ``take_profit``.

    Args:
        request: offset NONE, OPEN, CLOSE, CLOSETODAY or CLOSEYESTERDAY; direction LONG or SHORT.
        holding: not changed; apply the new orders to it before the next request.
        mode: an ``OffsetMode`` or its value.

    Raises:
        OrderError: the volume is not positive whole lots, or the direction is NET.
        ValueError: ``mode`` is no ``OffsetMode``.
    """
    mode = OffsetMode(mode)
    if request.direction is Direction.NET:
        raise OrderError("direction is NET; an order is LONG or SHORT")
    if request.vt_symbol != holding.vt_symbol:
        raise OrderError(
            f"vt_symbol {request.vt_symbol!r} is not {holding.vt_symbol!r}, the holding's"
        )
    closing_only = request.reduce_only or request.offset not in {_NONE, _OPEN}
    if mode is OffsetMode.NET:
        return (replace(request, offset=_NONE, reduce_only=closing_only),)
    if request.offset is _OPEN:
        if request.reduce_only:
            return OffsetRefused("an order with offset OPEN cannot be reduce_only")
        return (request,)
    if request.volume_mode is not VolumeMode.UNITS:
        return OffsetRefused(f"volume in {request.volume_mode} cannot be split; give it in units")
    lots = holding.lot.to_lots(request.volume)
    if lots <= 0:
        raise OrderError(f"volume is {request.volume!r}; it must be positive")
    parts = _plan(request, holding, mode, lots)
    return parts if isinstance(parts, OffsetRefused) else _requests(request, holding, parts)


def _plan(
    request: OrderRequest, holding: PositionHolding, mode: OffsetMode, lots: int
) -> list[_Part] | OffsetRefused:
    """Return offset and lots of each part, or why there is none."""
    free = holding.available(_opposite(request.direction))
    may_open = not request.reduce_only and (request.offset is _NONE or mode is OffsetMode.LOCK)
    if request.offset in {_CLOSETODAY, _CLOSEYESTERDAY}:
        return _close_named(request, holding, free, lots)
    if mode is OffsetMode.LOCK:  # leave alone what would cost the close-today fee
        charged = holding.today_charged_first and holding.side(_opposite(request.direction)).today
        free = SideHolding(0, 0 if charged else free.yesterday)
    closing = min(lots, free.total)
    if not may_open and (closing == 0 or (closing < lots and not request.reduce_only)):
        return _too_much(request, holding, free.total)
    parts = _close_parts(holding, free, closing, today_first=mode is OffsetMode.TODAY_FIRST)
    if may_open and lots > closing:
        parts.append((_OPEN, lots - closing))
    return parts


def _close_named(
    request: OrderRequest, holding: PositionHolding, free: SideHolding, lots: int
) -> list[_Part] | OffsetRefused:
    """Serve CLOSETODAY and CLOSEYESTERDAY, which name what they close."""
    today = request.offset is _CLOSETODAY
    available = free.today if today else free.yesterday
    if request.reduce_only:
        lots = min(lots, available)
    if lots > available or lots == 0:
        return _too_much(request, holding, available)
    if holding.separate_close:
        return [(request.offset, lots)]
    if today and free.yesterday:
        return OffsetRefused(
            f"{holding.vt_symbol}: the venue closes the oldest first, and {free.yesterday} older lots "
            f"are held; close those before today's",
            holding.lot.from_lots(free.total),
        )
    return [(_CLOSE, lots)]


def _close_parts(
    holding: PositionHolding, free: SideHolding, lots: int, *, today_first: bool
) -> list[_Part]:
    if not holding.separate_close:
        return [(_CLOSE, lots)] if lots else []
    today = min(lots, free.today) if today_first else lots - min(lots, free.yesterday)
    parts = [(_CLOSEYESTERDAY, lots - today), (_CLOSETODAY, today)]
    if today_first:
        parts.reverse()
    return [part for part in parts if part[1]]


def _requests(
    request: OrderRequest, holding: PositionHolding, parts: Sequence[_Part]
) -> tuple[OrderRequest, ...] | OffsetRefused:
    if len(parts) > 1 and request.time_in_force is TimeInForce.FOK:
        wanted = " and ".join(f"{offset} {lots}" for offset, lots in parts)
        return OffsetRefused(f"fill-or-kill cannot be split into {wanted} lots; send these apart")
    made = []
    for number, (offset, lots) in enumerate(parts, start=1):
        volume = holding.lot.from_lots(lots)
        shown = min(request.display_volume, volume)
        part = replace(request, offset=offset, volume=volume, display_volume=shown)
        if number > 1 and request.vt_orderid:
            part = replace(part, vt_orderid=f"{request.vt_orderid}-{number}")
        if request.offset is _NONE and offset is not _OPEN:
            part = replace(part, stop_loss=0.0, take_profit=0.0)
        made.append(part)
    return tuple(made)


def _too_much(request: OrderRequest, holding: PositionHolding, available: int) -> OffsetRefused:
    side = _opposite(request.direction)
    held, units = holding.side(side), holding.lot.from_lots(available)
    return OffsetRefused(
        f"{request.direction} {request.offset} of {request.volume!r} {holding.vt_symbol}: only {units!r} "
        f"of the {side} position can be closed so (in lots: {held.today} of today, {held.yesterday} "
        f"older, {holding.frozen(side)} of these bound by working orders)",
        units,
    )


def _opposite(direction: Direction) -> Direction:
    return _SHORT if direction is _LONG else _LONG
