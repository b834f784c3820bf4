"""Keys and stamps of the messages: how they are taken apart.

``vt_symbol`` is ``SYMBOL.EXCHANGE``, split at the last dot; ``vt_orderid``, ``vt_tradeid``, ``vt_positionid`` and
``vt_accountid`` are ``ADAPTER.id``, split at the first. Stamps are int nanoseconds UTC.
"""

from __future__ import annotations

import datetime as dt

from foxtrot.core.constants import Exchange


def ns_to_datetime(ts: int, tz: dt.tzinfo = dt.UTC) -> dt.datetime:
    """Turn nanoseconds UTC into an aware ``datetime`` (microseconds; the rest is cut)."""
    seconds, ns = divmod(ts, 1_000_000_000)
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC).replace(microsecond=ns // 1000)
    return moment if tz is dt.UTC else moment.astimezone(tz)


def split_vt_symbol(vt_symbol: str) -> tuple[str, Exchange]:
    """Split ``BTCUSDT.BINANCE`` at its last dot.

    Raises:
        ValueError: there is no dot, or the exchange is not a member of ``Exchange``.
    """
    symbol, dot, exchange = vt_symbol.rpartition(".")
    if not dot or not symbol:
        raise ValueError(f"vt_symbol {vt_symbol!r} is not SYMBOL.EXCHANGE, for example AAPL.NASDAQ")
    try:
        return symbol, Exchange(exchange)
    except ValueError:
        raise ValueError(
            f"vt_symbol {vt_symbol!r}: {exchange!r} is no known exchange; use one of foxtrot.Exchange, "
            f"LOCAL for data of your own"
        ) from None


def split_vt_id(vt_id: str) -> tuple[str, str]:
    """Split ``ADAPTER.id`` at its first dot into adapter name and the rest.

    Raises:
        ValueError: there is no dot.
    """
    adapter, dot, rest = vt_id.partition(".")
    if not dot or not adapter:
        raise ValueError(f"id {vt_id!r} is not ADAPTER.id")
    return adapter, rest
