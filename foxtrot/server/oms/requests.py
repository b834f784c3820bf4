"""What becomes of a request before anyone has seen it: is it well formed, and which order does it ask for."""

from __future__ import annotations

from hashlib import blake2b
from math import isfinite

from msgspec import msgpack
from msgspec.structs import replace

from foxtrot.core.constants import Status, VolumeMode
from foxtrot.core.errors import OrderError
from foxtrot.core.objects import OrderData, OrderRequest

SUBMITTING = Status.SUBMITTING
UNITS = VolumeMode.UNITS

_ENCODE = msgpack.Encoder().encode


def check_id(request: OrderRequest) -> str:
    """Return the adapter's name.

    Raises:
        OrderError: the id is not ``ADAPTER.id``, so that the order cannot even be written down.
    """
    adapter, _, rest = request.vt_orderid.partition(".")
    if not (adapter and rest):
        raise OrderError(
            f"order refused, its id {request.vt_orderid!r} is not ADAPTER.id (MainEngine.send_order mints one "
            f"where it is empty): {request}"
        )
    return adapter


def storable(request: OrderRequest) -> OrderRequest:
    """A refused request with 0 for numbers that are not finite; the reason tells what they were."""
    names = ("volume", "price", "trigger_price")
    bad = {name: 0.0 for name in names if not isfinite(getattr(request, name))}
    return replace(request, **bad) if bad else request


def order_of(request: OrderRequest, now: int) -> OrderData:
    """The order that a request asks for, before anyone has seen it."""
    return OrderData(
        request.vt_orderid,
        request.vt_symbol,
        request.direction,
        request.type,
        request.volume if request.volume_mode is UNITS else 0.0,
        request.price,
        request.trigger_price,
        SUBMITTING,
        0.0,
        0.0,
        request.offset,
        request.time_in_force,
        request.expire_ts,
        request.reduce_only,
        request.volume_mode,
        request.volume,
        request.strategy,
        request.reference,
        request.parent_orderid,
        "",
        now,
        now,
        "",
        request.account,
    )


def request_digest(request: OrderRequest) -> str:
    """What tells one request from another under the same id (16 hexadecimal digits)."""
    return blake2b(_ENCODE(request), digest_size=8).hexdigest()
