"""Facts as bytes, and the chain of checksums over them.

Invariants: a payload is the msgpack of one Struct that begins with its kind; a kind that is not listed in
``FACT_TYPES`` is an error, never skipped. ``checksum_n = blake2b-128(checksum_{n-1} | head_n | payload_n)``, where the
head has every other column with its length, so that no two different rows hash the same bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import AccountData, ContractData, OrderData, PositionData, TradeData
from foxtrot.server.journal.facts import (
    Archived,
    Blocked,
    Counting,
    DayRolled,
    Halted,
    Note,
    Reconciled,
    Resumed,
    Unblocked,
)

Fact = (
    OrderData
    | TradeData
    | PositionData
    | AccountData
    | ContractData
    | Halted
    | Resumed
    | Blocked
    | Unblocked
    | Reconciled
    | DayRolled
    | Counting
    | Note
    | Archived
)

FACT_TYPES: dict[str, type[Any]] = {
    str(type_.__struct_config__.tag): type_ for type_ in Fact.__args__
}
"""Struct by kind: everything that a journal may hold."""

CHECKSUM_BYTES = 16
GENESIS = blake2b(b"foxtrot journal 1", digest_size=CHECKSUM_BYTES).digest()
"""What the first row's checksum is chained to."""

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Fact).decode
_HEAD = struct.Struct("<16sqqqII").pack


def _stamp(type_: type[Any]) -> Callable[[Any], int]:
    """How to read a fact's time: ``ts_event``, or ``ts_init`` where there is no other."""
    getter: Callable[[Any], int]
    getter = attrgetter("ts_event" if "ts_event" in type_.__struct_fields__ else "ts_init")
    return getter


_ABOUT: dict[type[Any], tuple[str, Callable[[Any], int]]] = {
    type_: (kind, _stamp(type_)) for kind, type_ in FACT_TYPES.items()
}


def encode_fact(fact: Any) -> tuple[int, str, bytes]:
    """Time (ns UTC), kind and msgpack of a fact.

    Raises:
        PersistenceError: it is no fact, or holds something that msgpack cannot carry.
    """
    about = _ABOUT.get(type(fact))
    if about is None:
        raise PersistenceError(
            f"{type(fact).__name__} is no fact that the journal knows; use one of {', '.join(FACT_TYPES)}"
        )
    try:
        return about[1](fact), about[0], _ENCODE(fact)
    except (TypeError, ValueError, OverflowError) as error:
        raise PersistenceError(f"fact {fact!r} cannot be encoded: {error}") from error


def decode_fact(seq: int, kind: str, payload: bytes) -> Fact:
    """The fact of a journal row.

    Raises:
        PersistenceError: its kind is unknown, or the payload is damaged; names the row.
    """
    if kind not in FACT_TYPES:
        raise PersistenceError(
            f"journal row {seq} is of the unknown kind {kind!r}: it was written by a newer Foxtrot, or damaged; "
            f"use that version, or restore a backup"
        )
    try:
        fact: Fact = _DECODE(payload)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise PersistenceError(
            f"journal row {seq} is not a valid {kind}: {error}; restore a backup"
        ) from error
    if type(fact) is not FACT_TYPES[kind]:
        raise PersistenceError(
            f"journal row {seq} says {kind} and holds {type(fact).__name__}; restore a backup"
        )
    return fact


def chain(
    before: bytes, seq: int, stream: str, stream_seq: int, ts: int, kind: str, payload: bytes
) -> bytes:
    """Checksum of a row (16 bytes), chained to that of the row before."""
    stream_bytes, kind_bytes = stream.encode(), kind.encode()
    head = _HEAD(before, seq, stream_seq, ts, len(stream_bytes), len(kind_bytes))
    return blake2b(head + stream_bytes + kind_bytes + payload, digest_size=CHECKSUM_BYTES).digest()


def base_digest(rows: Iterable[tuple[str, str]]) -> bytes:
    """Digest (16 bytes) of state rows (key, JSON text) in order of keys; empty for no rows."""
    digest, count = blake2b(b"foxtrot base 1", digest_size=CHECKSUM_BYTES), 0
    for key, value in rows:
        for part in (key.encode(), value.encode()):
            digest.update(len(part).to_bytes(8, "little") + part)
        count += 1
    return digest.digest() if count else b""
