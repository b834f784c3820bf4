"""The log of a run: every order and trade record in order of delivery, and its SHA-256.

The digest goes over the msgpack of each record without ``ts_init``, so it is the same on every run, in one process or
in many, and under any hash seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import msgspec

from foxtrot.core import events
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import OrderData, TradeData


class RunLog:
    """Collects orders and trades as they are delivered, in ``records``.

    Args:
        event_engine: the dispatcher of the run.
    """

    def __init__(self, event_engine: EventEngine) -> None:
        self.records: list[OrderData | TradeData] = []
        event_engine.subscribe(events.EVENT_ORDER, self.records.append)
        event_engine.subscribe(events.EVENT_TRADE, self.records.append)

    def sha256(self) -> str:
        """Digest of all records, as hexadecimal digits."""
        return digest_of(self.records)


def digest_of(records: Iterable[OrderData | TradeData]) -> str:
    """SHA-256 of orders and fills, as hexadecimal digits.

    Each record is taken as a reader of the wire finds it: a volume that a strategy gave as a whole number is the same
    as that number with a fraction of 0.

    Args:
        records: every state of every order and every fill, in order; of a backtest as delivered, of an OMS as the
            stream of a strategy has them.
    """
    digest = hashlib.sha256()
    encode = msgspec.msgpack.Encoder().encode
    decode = msgspec.msgpack.Decoder(OrderData | TradeData).decode
    replace = msgspec.structs.replace
    for record in records:
        digest.update(encode(decode(encode(replace(record, ts_init=0)))))
    return digest.hexdigest()
