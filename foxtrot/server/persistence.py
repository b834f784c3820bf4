"""State of the order management system, by key: the contract and the in-memory form.

Invariants, of every ``Persistence``:

* A row is one entity under a path-like key (``orders/SIM.17``); a save replaces the whole row.
* When ``save`` returns outside a transaction, or ``transaction()`` is left without an error, the
  rows are as durable as the form offers (SQLite: they survive SIGKILL and a loss of power). A
  transaction is all or nothing.
* ``load`` returns plain builtins, as JSON would: lists for tuples and Structs, strings for enum
  members; what is loaded is never the saved object itself. ``load_as`` returns the type that was
  saved.
* ``commit`` saves rows together with the facts that they follow from. The SQLite form journals the facts; the
  in-memory form keeps the rows alone.
* One owner: one process, one thread at a time.

``SqlitePersistence`` lives in ``persistence_sqlite`` and is loaded on first use, so that a
backtest, which is given a ``MemoryPersistence``, loads nothing that could open a file.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from foxtrot.core.errors import PersistenceError
from foxtrot.core.objects import OrderData, TradeData
from foxtrot.server.persistence_query import Entry, Page, PageQuery, page_of

if TYPE_CHECKING:
    from foxtrot.server.journal.codec import Fact
    from foxtrot.server.persistence_memory import MemoryPersistence, NullPersistence
    from foxtrot.server.persistence_sqlite import SqlitePersistence

__all__ = ["MemoryPersistence", "NullPersistence", "Persistence", "SqlitePersistence"]

T = TypeVar("T")


def __getattr__(name: str) -> Any:
    if name == "SqlitePersistence":
        from foxtrot.server.persistence_sqlite import SqlitePersistence

        return SqlitePersistence
    if name in ("MemoryPersistence", "NullPersistence"):
        from foxtrot.server import persistence_memory

        return getattr(persistence_memory, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Transaction:
    """What ``Persistence.transaction`` returns: counts nesting, so that only the outermost commits."""

    __slots__ = ("_owner",)

    def __init__(self, owner: Persistence) -> None:
        self._owner = owner

    def __enter__(self) -> None:
        owner = self._owner
        owner._acquire()
        try:
            if owner._depth == 0:
                owner._begin()
                owner._broken = False
            owner._depth += 1
        except BaseException:
            owner._release()
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        owner = self._owner
        try:
            owner._depth -= 1
            self._leave(owner, kind)
        finally:
            owner._release()

    def _leave(self, owner: Persistence, kind: type[BaseException] | None) -> None:
        if owner._depth:
            owner._broken = owner._broken or kind is not None
        elif kind is not None:
            owner._rollback()
        elif owner._broken:
            owner._rollback()
            raise PersistenceError(
                f"{owner}: nothing of this transaction was saved, because a part of it failed and the error "
                f"was caught inside; let the error leave the outermost transaction"
            )
        else:
            owner._commit()


class Persistence(ABC):
    """Rows by key, saved in durable transactions.

    Used by one thread at a time. As a context manager it closes itself.
    """

    keeps: ClassVar[bool] = True
    """Whether what is saved can be loaded again; where not, a caller may spare itself the rows."""

    def __init__(self) -> None:
        self._depth = 0
        self._broken = False
        self._transaction = _Transaction(self)

    @abstractmethod
    def save(self, key: str, data: Any) -> None:
        """Store ``data`` under ``key``, replacing what was there.

        Args:
            key: non-empty path-like text, such as ``orders/SIM.17``.
            data: builtins, Structs, enum members; ints are exact at any size.

        Raises:
            PersistenceError: the data has NaN, an infinity or a type that JSON cannot carry (names
                the key), or
                the store cannot be written.
        """

    @abstractmethod
    def load(self, key: str) -> Any | None:
        """Return the row as builtins, or ``None`` if there is none.

        Raises:
            PersistenceError: the row cannot be read.
        """

    @abstractmethod
    def load_as(self, key: str, type_: type[T]) -> T | None:
        """Return the row decoded as ``type_`` (a Struct, say), or ``None`` if there is none.

        Raises:
            PersistenceError: the row is of another kind or damaged; names the key.
        """

    @abstractmethod
    def delete(self, key: str) -> None:
        """Remove a row; nothing happens where there is none."""

    @abstractmethod
    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield the keys that begin with ``prefix``, in order of code points.

        Rows may be saved and deleted meanwhile; keys not yet reached may or may not show that.
        """

    def load_prefix(self, prefix: str) -> Iterator[tuple[str, Any]]:
        """Yield key and row (as builtins) of every key that begins with ``prefix``, in order of keys."""
        for key in self.keys(prefix):
            yield key, self.load(key)

    def load_prefix_as(self, prefix: str, type_: type[T]) -> Iterator[tuple[str, T]]:
        """Yield key and row, decoded as ``type_``, of every key that begins with ``prefix``.

        Raises:
            PersistenceError: a row is of another kind or damaged; names the key.
        """
        for key in self.keys(prefix):
            row = self.load_as(key, type_)
            if row is not None:
                yield key, row

    def save_many(self, items: Iterable[tuple[str, Any]]) -> None:
        """Save all items (key, data) in one transaction.

        Raises:
            PersistenceError: as ``save``; then none of them is saved.
        """
        with self.transaction():
            for key, data in items:
                self.save(key, data)

    @abstractmethod
    def commit(
        self, rows: Sequence[tuple[str, Any]], facts: Sequence[tuple[str, Fact]] = ()
    ) -> None:
        """Save one step in one transaction: rows (key, data) and the facts (stream, Struct) behind them.

        Of several rows of one key the last counts.

        Raises:
            PersistenceError: as ``save``, or something is no fact; then nothing of it is saved.
        """

    def load_active_orders(self) -> list[OrderData]:
        """Orders that can still trade or are UNKNOWN, in order of submission.

        Raises:
            PersistenceError: a row cannot be read.
        """
        orders = (order for _, order in self.load_prefix_as("orders/", OrderData))
        active = [order for order in orders if order.is_active()]
        return sorted(active, key=lambda order: (order.ts_init, order.vt_orderid))

    def load_fills(self, vt_orderid: str) -> list[TradeData]:
        """The fills of one order, in order of time.

        Raises:
            PersistenceError: a row cannot be read.
        """
        trades = (trade for _, trade in self.load_prefix_as("trades/", TradeData))
        found = [trade for trade in trades if trade.vt_orderid == vt_orderid]
        return sorted(found, key=lambda trade: (trade.ts_event, trade.vt_tradeid))

    def load_active_fills(self) -> dict[str, list[TradeData]]:
        """The fills of the orders of ``load_active_orders`` by order, each list in order of time; none: no entry.

        Raises:
            PersistenceError: a row cannot be read.
        """
        found = {o.vt_orderid: self.load_fills(o.vt_orderid) for o in self.load_active_orders()}
        return {vt_orderid: fills for vt_orderid, fills in found.items() if fills}

    def find_order(self, vt_orderid: str) -> OrderData | None:
        """An order by its id; None where it is unknown, or was archived (``is_archived``)."""
        return self.load_as(f"orders/{vt_orderid}", OrderData)

    def find_trade(self, vt_tradeid: str) -> TradeData | None:
        """A fill by its id; None where it is unknown, or was archived (``is_archived``)."""
        return self.load_as(f"trades/{vt_tradeid}", TradeData)

    def knows_order(self, vt_orderid: str) -> bool:
        """Whether an order id was ever used, archived ones included."""
        return self.load(f"orders/{vt_orderid}") is not None or self.is_archived(
            f"orders/{vt_orderid}"
        )

    def knows_trade(self, vt_tradeid: str) -> bool:
        """Whether a fill was ever folded, archived ones included."""
        return self.load(f"trades/{vt_tradeid}") is not None or self.is_archived(
            f"trades/{vt_tradeid}"
        )

    def problems(self) -> list[str]:
        """Why what is stored is not to be traded on, with the remedy; empty where it is."""
        return []

    def recover(self) -> None:  # noqa: B027 - nothing to do where nothing can be lost
        """After an error: take up what is stored again, without letting go of the ownership.

        Raises:
            PersistenceError: it cannot be read.
        """

    def is_archived(self, key: str) -> bool:  # noqa: ARG002 - for those that archive
        """Whether the row ``orders/<id>`` or ``trades/<id>`` was moved to an archive; its id stays used."""
        return False

    def orders_page(self, query: PageQuery) -> Page[OrderData]:
        """A page of orders by time of submission (``ts_init``).

        Raises:
            PersistenceError: the query is malformed, or a row cannot be read.
        """
        rows = self.load_prefix_as("orders/", OrderData)
        return page_of(
            (Entry(o.ts_init, o.vt_orderid, o.strategy, o.vt_symbol, o) for _, o in rows), query
        )

    def trades_page(self, query: PageQuery) -> Page[TradeData]:
        """A page of fills by time of the fill (``ts_event``).

        Raises:
            PersistenceError: the query is malformed, or a row cannot be read.
        """
        rows = self.load_prefix_as("trades/", TradeData)
        return page_of(
            (Entry(t.ts_event, t.vt_tradeid, t.strategy, t.vt_symbol, t) for _, t in rows), query
        )

    def transaction(self) -> AbstractContextManager[None]:
        """Group what is saved inside into one atomic, durable commit; nested ones join the outermost.

        An error that leaves the block undoes all of it. An error that is caught between a nested
        transaction and the outermost one does so too: the outermost then raises
        ``PersistenceError`` instead of saving half.
        """
        return self._transaction

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._depth > 0

    @abstractmethod
    def close(self) -> None:
        """Release everything; closing twice is harmless, using it afterwards raises ``PersistenceError``."""

    def _acquire(self) -> None:  # noqa: B027 - nothing to do where threads do not matter
        """Keep other threads out until ``_release``, or refuse where one is in; may be nested."""

    def _release(self) -> None:  # noqa: B027
        """Let other threads in again."""

    @abstractmethod
    def _begin(self) -> None: ...

    @abstractmethod
    def _commit(self) -> None: ...

    @abstractmethod
    def _rollback(self) -> None: ...

    def _refuse_open_transaction(self) -> None:
        if self._depth:
            raise PersistenceError(f"{self}: close was called inside a transaction; leave it first")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
