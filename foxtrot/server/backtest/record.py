"""The log of a run: every order and trade record in order of delivery, and its SHA-256.

The digest goes over the msgpack of each record without ``ts_init``, so it is the same on every run, in one process or
in many, and under any hash seed.
"""

from __future__ import annotations

import hashlib

import msgspec

from foxtrot.core import events
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.objects import OrderData, TradeData

BUFFER_BYTES = 1 << 16


class RunLog:
    """Collects orders and trades as they are delivered, in ``records``.

    Args:
        event_engine: the dispatcher of the run.
    """

    def __init__(self, event_engine: EventEngine) -> None:
        self.records: list[OrderData | TradeData] = []
        event_engine.subscribe(events.EVENT_ORDER, self.records.append)
        event_engine.subscribe(events.EVENT_TRADE, self.records.append)

    def trades(self) -> tuple[TradeData, ...]:
        """The fills among the records."""
        return tuple(record for record in self.records if isinstance(record, TradeData))

    def sha256(self) -> str:
        """Digest of all records, as hexadecimal digits."""
        digest = hashlib.sha256()
        encode_into = msgspec.msgpack.Encoder().encode_into
        replace = msgspec.structs.replace
        buffer = bytearray()
        for record in self.records:
            encode_into(replace(record, ts_init=0), buffer, -1)
            if len(buffer) > BUFFER_BYTES:
                digest.update(buffer)
                buffer.clear()
        digest.update(buffer)
        return digest.hexdigest()
