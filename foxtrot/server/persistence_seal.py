"""A seal over the rows that trading relies on, so that start-up sees any change to them without reading history.

Orders are proven by their last fact, but a position or a balance is the sum of all fills ever booked: only a fold of
the whole journal could prove it. So every transaction that changes such a row also writes one digest over all of them:
the sum (modulo 2^128) of the BLAKE2b-128 of each row, which is kept up to date from the change alone.

Sealed is every row but history: all keys outside ``orders/``, ``requests/`` and ``trades/`` (positions, accounts,
contracts, control, counters ...), the working orders, and their fills. Of ``requests/`` there is a row for every order
ever; one that was changed makes the OMS refuse a request that comes again, and nothing else.

Invariants:

* The digest changes in the transaction of the rows. It goes on from the digest in the file, never from what the rows
  look like: damage stays visible however much is saved after it, until ``renew`` takes the rows for the truth.
* Memory grows with what is sealed: a key and a number each. A transaction that fails makes it be read again.
* The rows are read in order of keys and must come so: a tree whose rows are whole and in order finds each of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Any

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import ACTIVE_STATUSES, OrderData, TradeData
from foxtrot.server.journal.codec import Fact
from foxtrot.server.journal.journal import Execute

HISTORY = ("orders/", "requests/", "trades/")
"""Beginnings of the keys that grow with history: sealed while the order works (requests: never)."""

_BYTES = 16
_MASK = (1 << 8 * _BYTES) - 1
_PAGE_ROWS = 1_000
_RANGES = (
    ("", "orders/"),
    ("orders0", "requests/"),
    ("requests0", "trades/"),
    ("trades0", "\U0010ffff"),
)
_ROWS = "SELECT key, value FROM oms_state WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
_ACTIVE = (
    "SELECT a.vt_orderid, s.value FROM (SELECT vt_orderid FROM active_orders WHERE vt_orderid > ? "
    "ORDER BY vt_orderid LIMIT ?) a LEFT JOIN oms_state s ON s.key = 'orders/' || a.vt_orderid "
    "ORDER BY a.vt_orderid"
)
_FILLS = (
    "SELECT a.vt_orderid, t.vt_tradeid, s.value FROM (SELECT vt_orderid FROM active_orders WHERE vt_orderid > ? "
    "ORDER BY vt_orderid LIMIT ?) a CROSS JOIN trade_index t INDEXED BY trade_by_order "
    "ON t.vt_orderid = a.vt_orderid LEFT JOIN oms_state s ON s.key = 'trades/' || t.vt_tradeid"
)
_FILLS_OF = "SELECT vt_tradeid FROM trade_index INDEXED BY trade_by_order WHERE vt_orderid = ?"
_VALUE = "SELECT value FROM oms_state WHERE key = ?"
_STORED = "SELECT digest FROM state_seal WHERE id = 1"
_WRITE = "UPDATE state_seal SET digest = ? WHERE id = 1"

FIRST = "INSERT INTO state_seal VALUES (1, ?)"
"""The statement that begins a seal; its parameter is ``StateSeal.digest``."""


class StateSeal:
    """The seal of one file.

    Args:
        execute: runs one statement; raises ``PersistenceError``.
    """

    def __init__(self, execute: Execute) -> None:
        self._execute = execute
        self._sums: dict[str, int] = {}
        self._active: dict[str, set[str]] = {}
        self._total = 0
        self._ready = self._dirty = False
        self._problem = ""

    @property
    def digest(self) -> bytes:
        """The digest to be written (16 bytes)."""
        return self._total.to_bytes(_BYTES, "little")

    def forget(self) -> None:
        """Whatever was read may not be what is in the file."""
        self._ready = self._dirty = False

    def ready(self) -> None:
        """Read the rows and the digest, unless they are known; call it before the first change of a transaction.

        Raises:
            PersistenceError: they cannot be read.
        """
        if not self._ready:
            self.read()
            rows = self._execute(_STORED, (), "reading of the seal")
            stored = rows[0][0] if rows else None
            if not isinstance(stored, bytes) or len(stored) != _BYTES:
                self._problem = "the seal over the rows that trading relies on is missing"
            else:
                self._total = int.from_bytes(stored, "little")
                right = self._total == sum(self._sums.values()) & _MASK
                wrong = "the rows that trading relies on are not as they were written"
                self._problem = "" if right else wrong
            self._ready = True

    def check(self) -> str:
        """Compare the file as it is now with its seal; a sentence for people, empty where all is well.

        Raises:
            PersistenceError: the file cannot be read.
        """
        self.forget()
        self.ready()
        return self._problem

    def renew(self) -> None:
        """Take the rows as they are for the truth; call it inside a transaction.

        Raises:
            PersistenceError: they cannot be read.
        """
        self.read()
        self._total = sum(self._sums.values()) & _MASK
        self._problem = ""
        self._ready = self._dirty = True

    def changed(
        self, rows: Iterable[tuple[str, bytes | None]], facts: Sequence[tuple[str, Fact]] = ()
    ) -> None:
        """Take up rows (key, JSON text; None: removed) and facts that were just written and indexed.

        Raises:
            PersistenceError: something cannot be read; the transaction must fail then.
        """
        texts = dict(rows)
        if facts:
            self._follow(texts, facts)
        sums = self._sums
        for key, text in texts.items():
            if key in sums or not key.startswith(HISTORY):
                self._set(key, 0 if text is None else _digest(key, text))

    def write(self) -> None:
        """Write the digest, if it changed, inside the owner's transaction.

        Raises:
            PersistenceError: it cannot be written.
        """
        if self._dirty:
            self._execute(_WRITE, (self.digest,), "sealing of the state")

    def committed(self) -> None:
        """The owner's transaction is durable."""
        self._dirty = False

    def undo(self) -> None:
        """The owner's transaction failed."""
        if self._dirty:
            self.forget()

    def read(self) -> None:
        """Read the rows.

        Raises:
            PersistenceError: they cannot be read, or do not come in order.
        """
        self._sums, self._active = {}, {}
        for low, high in _RANGES:
            for key, value in self._pages(_ROWS, low, high):
                self._sums[key] = _digest(key, _bytes(value))
        for vt_orderid, value in self._pages(_ACTIVE, ""):
            self._active[vt_orderid] = set()
            key = f"orders/{vt_orderid}"
            self._sums[key] = 0 if value is None else _digest(key, _bytes(value))
        self._read_fills()

    def _read_fills(self) -> None:
        names = sorted(self._active)
        for start in range(0, len(names), _PAGE_ROWS):
            after = names[start - 1] if start else ""
            for vt_orderid, vt_tradeid, value in self._execute(
                _FILLS, (after, _PAGE_ROWS), "reading of the fills of working orders"
            ):
                key = f"trades/{vt_tradeid}"
                self._active.setdefault(vt_orderid, set()).add(key)
                self._sums[key] = 0 if value is None else _digest(key, _bytes(value))

    def _pages(self, sql: str, low: str, *rest: str) -> Iterator[tuple[Any, ...]]:
        after = low
        while rows := self._execute(sql, (after, *rest, _PAGE_ROWS), "reading of sealed rows"):
            for row in rows:
                if not isinstance(row[0], str) or row[0] <= after:
                    raise PersistenceError(f"the rows after {after!r} are out of order")
                after = row[0]
            yield from rows

    def _follow(self, texts: dict[str, bytes | None], facts: Sequence[tuple[str, Fact]]) -> None:
        """Which orders work now, and what they were filled with."""
        orders: dict[str, OrderData] = {}
        fills: dict[str, list[str]] = {}
        for _, fact in facts:
            if type(fact) is OrderData:
                orders[fact.vt_orderid] = fact
            elif type(fact) is TradeData:
                fills.setdefault(fact.vt_orderid, []).append(f"trades/{fact.vt_tradeid}")
        for vt_orderid, order in orders.items():
            if order.status in ACTIVE_STATUSES:
                self._open(order, texts)
            else:
                self._close(vt_orderid)
        for vt_orderid, keys in fills.items():
            if vt_orderid in self._active:
                self._active[vt_orderid].update(keys)
                self._take(keys, texts)

    def _open(self, order: OrderData, texts: dict[str, bytes | None]) -> None:
        vt_orderid = order.vt_orderid
        if vt_orderid in self._active:
            return
        self._active[vt_orderid] = set()
        self._take([f"orders/{vt_orderid}"], texts)
        if order.traded:  # it may have been filled before it was known to work
            rows = self._execute(_FILLS_OF, (vt_orderid,), f"reading of fills of {vt_orderid!r}")
            keys = [f"trades/{vt_tradeid}" for (vt_tradeid,) in rows]
            self._active[vt_orderid].update(keys)
            self._take(keys, texts)

    def _take(self, keys: list[str], texts: dict[str, bytes | None]) -> None:
        """Seal rows from now on; those that are not being written as they are in the file."""
        for key in keys:
            if key not in self._sums and key not in texts:
                rows = self._execute(_VALUE, (key,), f"reading of {key!r}")
                self._set(key, _digest(key, _bytes(rows[0][0])) if rows else 0)
            self._sums.setdefault(key, 0)

    def _close(self, vt_orderid: str) -> None:
        keys = self._active.pop(vt_orderid, None)
        if keys is not None:
            for key in (f"orders/{vt_orderid}", *keys):
                self._set(key, 0)
                del self._sums[key]

    def _set(self, key: str, value: int) -> None:
        sums = self._sums
        self._total = (self._total + value - sums.get(key, 0)) & _MASK
        sums[key] = value
        self._dirty = True


def _digest(key: str, text: bytes) -> int:
    name = key.encode("utf-8", "surrogatepass")
    content = len(name).to_bytes(4, "little") + name + text
    return int.from_bytes(blake2b(content, digest_size=_BYTES).digest(), "little")


def _bytes(value: Any) -> bytes:
    """A column as bytes; one of another type than was written comes to something else."""
    return (
        value.encode("utf-8", "surrogatepass") if isinstance(value, str) else repr(value).encode()
    )
