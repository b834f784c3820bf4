"""The messages of the platform: state records and requests here, market data from ``market_data``.

Invariants:

* Frozen, flat ``msgspec`` Structs, encoded as arrays that begin with their kind. Fields are only ever appended, with
  defaults; ``tests/golden`` holds the bytes of each message.
* Time is int nanoseconds UTC: ``ts_event`` when it became known, ``ts_init`` when the message was made.
* Keys are stored, not computed: ``vt_symbol`` = ``SYMBOL.EXCHANGE`` (split at the last dot), ``vt_orderid``,
  ``vt_tradeid``, ``vt_positionid`` and ``vt_accountid`` = ``ADAPTER.id`` (split at the first dot).
* Constructors do not validate; decoding and ``foxtrot.testing`` builders do. Numbers are floats.

Import every message from here, those of market data and the helpers of ``keys``, too.
"""

from __future__ import annotations

import datetime as dt

import msgspec

from foxtrot.core.constants import (
    Direction,
    Exchange,
    Interval,
    Liquidity,
    Offset,
    OptionType,
    OrderType,
    Product,
    Status,
    TimeInForce,
    VolumeMode,
)
from foxtrot.core.keys import ns_to_datetime, split_vt_id, split_vt_symbol
from foxtrot.core.market_data import (
    BarData,
    BookDelta,
    BookSnapshot,
    Depth,
    SessionData,
    TickData,
    TradeTick,
)

__all__ = [
    "ACTIVE_STATUSES",
    "AccountData",
    "BarData",
    "BookDelta",
    "BookSnapshot",
    "CancelRequest",
    "ContractData",
    "Depth",
    "HistoryRequest",
    "LogData",
    "ModifyRequest",
    "OrderData",
    "OrderRequest",
    "PositionData",
    "SessionData",
    "SubscribeRequest",
    "TickData",
    "TimerData",
    "TradeData",
    "TradeTick",
    "ns_to_datetime",
    "split_vt_id",
    "split_vt_symbol",
]

ACTIVE_STATUSES = frozenset(
    {
        Status.SUBMITTING,
        Status.NOTTRADED,
        Status.PARTTRADED,
        Status.TRIGGERED,
        Status.UNKNOWN,
    }
)


class OrderData(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Order"
):
    """State of an order after its last event.

    ``volume`` is in units, 0 until a request in cash or in equity has been sized; ``traded`` never falls;
    ``average_price`` is the volume-weighted price of what has traded. ``reason`` says why an order was
    rejected, denied, cancelled or expired.
    """

    vt_orderid: str
    vt_symbol: str
    direction: Direction
    type: OrderType
    volume: float
    price: float = 0.0
    trigger_price: float = 0.0
    status: Status = Status.SUBMITTING
    traded: float = 0.0
    average_price: float = 0.0
    offset: Offset = Offset.NONE
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_ts: int = 0
    reduce_only: bool = False
    volume_mode: VolumeMode = VolumeMode.UNITS
    requested: float = 0.0
    strategy: str = ""
    reference: str = ""
    parent_orderid: str = ""
    reason: str = ""
    ts_event: int = 0
    ts_init: int = 0
    venue_orderid: str = ""
    account: str = ""

    @property
    def symbol(self) -> str:
        """The venue's own symbol, without the exchange."""
        return self.vt_symbol.rpartition(".")[0]

    @property
    def exchange(self) -> Exchange:
        """The exchange, the part after the last dot."""
        return Exchange(self.vt_symbol.rpartition(".")[2])

    @property
    def adapter_name(self) -> str:
        """The adapter that works the order, the part of ``vt_orderid`` before the first dot."""
        return self.vt_orderid.partition(".")[0]

    @property
    def orderid(self) -> str:
        """The client's own id, the part of ``vt_orderid`` after the first dot."""
        return self.vt_orderid.partition(".")[2]

    @property
    def datetime(self) -> dt.datetime:
        """``ts_event`` as an aware UTC datetime."""
        return ns_to_datetime(self.ts_event)

    @property
    def remaining(self) -> float:
        """Units that have not traded."""
        return self.volume - self.traded

    def is_active(self) -> bool:
        """Whether the order can still trade."""
        return self.status in ACTIVE_STATUSES


class TradeData(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Trade"
):
    """One fill. ``commission`` is in ``commission_currency``, positive when paid."""

    vt_tradeid: str
    vt_orderid: str
    vt_symbol: str
    direction: Direction
    price: float
    volume: float
    ts_event: int
    offset: Offset = Offset.NONE
    commission: float = 0.0
    commission_currency: str = ""
    slippage: float = 0.0
    liquidity: Liquidity = Liquidity.NONE
    strategy: str = ""
    reference: str = ""
    ts_init: int = 0
    venue_orderid: str = ""
    account: str = ""

    @property
    def symbol(self) -> str:
        """The venue's own symbol, without the exchange."""
        return self.vt_symbol.rpartition(".")[0]

    @property
    def exchange(self) -> Exchange:
        """The exchange, the part after the last dot."""
        return Exchange(self.vt_symbol.rpartition(".")[2])

    @property
    def adapter_name(self) -> str:
        """The adapter that reported the fill."""
        return self.vt_tradeid.partition(".")[0]

    @property
    def datetime(self) -> dt.datetime:
        """``ts_event`` as an aware UTC datetime."""
        return ns_to_datetime(self.ts_event)


class PositionData(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Position"
):
    """Holding of one instrument at one adapter.

    ``volume`` is signed for ``Direction.NET`` and never negative for LONG and SHORT; ``price`` is the average
    entry price; ``pnl`` the unrealised and ``realized_pnl`` the realised profit (both before commissions) in the
    contract's currency; ``frozen`` are units bound by closing orders, ``yd_volume`` those held since yesterday.
    """

    vt_positionid: str
    vt_symbol: str
    direction: Direction
    volume: float = 0.0
    frozen: float = 0.0
    price: float = 0.0
    pnl: float = 0.0
    yd_volume: float = 0.0
    realized_pnl: float = 0.0
    commission: float = 0.0
    ts_event: int = 0
    ts_init: int = 0
    account: str = ""


class AccountData(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Account"
):
    """Money of one account in one currency.

    ``balance`` is cash plus realised profit, ``frozen`` what orders bind, ``margin`` what positions bind.
    """

    vt_accountid: str
    balance: float = 0.0
    frozen: float = 0.0
    margin: float = 0.0
    currency: str = ""
    ts_event: int = 0
    ts_init: int = 0

    @property
    def available(self) -> float:
        """What new orders may use."""
        return self.balance - self.frozen - self.margin

    @property
    def adapter_name(self) -> str:
        """The adapter whose account this is."""
        return self.vt_accountid.partition(".")[0]


class ContractData(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Contract"
):
    """What an instrument is and how it trades.

    ``size`` is the multiplier (currency per point and unit); ``pricetick`` the price step, 0 for unchecked
    prices (adjusted data); ``min_volume`` the lot in units; margin rates are fractions of the notional,
    0 for "pay in full".
    """

    vt_symbol: str
    name: str = ""
    product: Product = Product.EQUITY
    size: float = 1.0
    pricetick: float = 0.0
    min_volume: float = 1.0
    max_volume: float = 0.0
    currency: str = "USD"
    base_currency: str = ""
    margin_rate_long: float = 0.0
    margin_rate_short: float = 0.0
    stop_supported: bool = True
    net_position: bool = True
    history_data: bool = False
    option_strike: float = 0.0
    option_underlying: str = ""
    option_type: OptionType | None = None
    option_listed: int = 0
    option_expiry: int = 0
    option_portfolio: str = ""
    option_index: str = ""
    expiry: int = 0
    inverse: bool = False
    adapter_name: str = ""
    ts_init: int = 0

    @property
    def symbol(self) -> str:
        """The venue's own symbol, without the exchange."""
        return self.vt_symbol.rpartition(".")[0]

    @property
    def exchange(self) -> Exchange:
        """The exchange, the part after the last dot."""
        return Exchange(self.vt_symbol.rpartition(".")[2])


class LogData(msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Log"):
    """One line for the log; ``level`` is a ``logging`` level number."""

    msg: str
    level: int = 20
    source: str = ""
    ts_event: int = 0


class TimerData(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Timer"
):
    """A timer fell due: ``ts_due`` when it was set for, ``ts_event`` when it was served."""

    name: str
    ts_due: int
    ts_event: int


class SubscribeRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="Subscribe"
):
    """Ask an adapter for an instrument's market data."""

    vt_symbol: str
    interval: Interval = Interval.TICK


class OrderRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="OrderRequest"
):
    """Ask for a new order.

    ``volume`` is counted as ``volume_mode`` says. ``stop_loss`` and ``take_profit`` (prices, 0 for none) attach
    closing orders that live from the first fill on. ``reduce_only`` never opens or flips a position: at the fill
    the volume is cut to what is held. ``vt_orderid`` (``ADAPTER.id``) is minted by the client, so that a repeated
    request is recognised; ``MainEngine.send_order`` mints one where it is empty.
    """

    vt_symbol: str
    direction: Direction
    type: OrderType
    volume: float
    price: float = 0.0
    trigger_price: float = 0.0
    offset: Offset = Offset.NONE
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_ts: int = 0
    reduce_only: bool = False
    volume_mode: VolumeMode = VolumeMode.UNITS
    stop_loss: float = 0.0
    take_profit: float = 0.0
    strategy: str = ""
    reference: str = ""
    vt_orderid: str = ""
    parent_orderid: str = ""
    post_only: bool = False
    display_volume: float = 0.0
    trailing_offset: float = 0.0
    account: str = ""


class ModifyRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="ModifyRequest"
):
    """Change a working order; a field left at ``None`` stays as it is. ``volume`` is the new total."""

    vt_orderid: str
    price: float | None = None
    volume: float | None = None
    trigger_price: float | None = None


class CancelRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="CancelRequest"
):
    """Cancel a working order."""

    vt_orderid: str


class HistoryRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="HistoryRequest"
):
    """Ask for bars or ticks from ``start`` to before ``end`` (ns UTC; 0 for open)."""

    vt_symbol: str
    start: int = 0
    end: int = 0
    interval: Interval = Interval.MINUTE
