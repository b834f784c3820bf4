"""Rows in memory: for tests and processes that need not outlive themselves; and a backtest's store, which keeps none.

Invariant: nothing here opens a file, nor loads what could.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, TypeVar

from foxtrot.core.errors import PersistenceError
from foxtrot.server.persistence import Persistence
from foxtrot.server.persistence_codec import decode, decode_as, encode

if TYPE_CHECKING:
    from foxtrot.server.journal.codec import Fact

T = TypeVar("T")

_DELETED: Any = object()
"""Marks, in the overlay of an open transaction, a row to be removed at the commit."""


class _ClosedRows(dict[str, Any]):
    """Takes the place of the rows after ``close``, so that ``save`` needs no check of its own."""

    def __setitem__(self, key: str, data: Any) -> NoReturn:
        raise PersistenceError(f"save of {key!r}: this MemoryPersistence is closed")


class MemoryPersistence(Persistence):
    """Rows in a dict, for backtests and tests; it never opens a file.

    ``save`` is in the hot path of a backtest, so it keeps a reference and looks at nothing: no
    copy, no encoding. Hence three liberties beside the contract: a mutable object that is changed
    after its save is changed in the store, too; NaN and unfit types are refused by ``load`` rather
    than by ``save``; the key is not checked.

    Args:
        rows: dict to keep the rows in, for instance one that outlives this object to play a
            restart.
    """

    def __init__(self, rows: dict[str, Any] | None = None) -> None:
        super().__init__()
        self._base: dict[str, Any] = {} if rows is None else rows
        self._rows = self._base  # inside a transaction: an overlay of what is new
        self._closed = False

    def __str__(self) -> str:
        return "MemoryPersistence"

    def save(self, key: str, data: Any) -> None:  # noqa: D102 - inherits
        self._rows[key] = data

    def save_many(self, items: Iterable[tuple[str, Any]]) -> None:  # noqa: D102
        rows = list(items)  # all of them, or the error of the iterable, before the first is stored
        self._check_open()
        self._rows.update(rows)

    def commit(  # noqa: D102
        self,
        rows: Sequence[tuple[str, Any]],
        facts: Sequence[tuple[str, Fact]] = (),  # noqa: ARG002 - nobody reads a backtest's
    ) -> None:
        if self._closed:
            self._check_open()
        self._rows.update(rows)

    def load(self, key: str) -> Any | None:  # noqa: D102
        data = self._find(key)
        return None if data is _DELETED else decode(str(self), key, encode(key, data))

    def load_as(self, key: str, type_: type[T]) -> T | None:  # noqa: D102
        data = self._find(key)
        return None if data is _DELETED else decode_as(str(self), key, encode(key, data), type_)

    def delete(self, key: str) -> None:  # noqa: D102
        self._check_open()
        if self._depth:
            self._rows[key] = _DELETED
        else:
            self._rows.pop(key, None)

    def keys(self, prefix: str = "") -> Iterator[str]:  # noqa: D102
        self._check_open()
        names = self._base.keys() | self._rows.keys()
        for key in sorted(name for name in names if name.startswith(prefix)):
            if self._find(key) is not _DELETED:
                yield key

    def close(self) -> None:  # noqa: D102
        self._refuse_open_transaction()
        self._closed = True
        self._rows = self._base = _ClosedRows()

    def _find(self, key: str) -> Any:
        self._check_open()
        if key in self._rows:
            return self._rows[key]
        return self._base.get(key, _DELETED)

    def _check_open(self) -> None:
        if self._closed:
            raise PersistenceError("this MemoryPersistence is closed")

    def _begin(self) -> None:
        self._check_open()
        self._rows = {}

    def _commit(self) -> None:
        overlay, self._rows = self._rows, self._base
        for key, data in overlay.items():
            if data is _DELETED:
                self._base.pop(key, None)
            else:
                self._base[key] = data

    def _rollback(self) -> None:
        self._rows = self._base


class NullPersistence(MemoryPersistence):
    """Keeps nothing: for a backtest, whose managers are all the memory that its one run needs."""

    keeps: ClassVar[bool] = False

    def __str__(self) -> str:
        return "NullPersistence"

    def save(self, key: str, data: Any) -> None:
        """Forget the row at once."""

    def save_many(self, items: Iterable[tuple[str, Any]]) -> None:
        """Forget the rows at once."""

    def commit(
        self, rows: Sequence[tuple[str, Any]], facts: Sequence[tuple[str, Fact]] = ()
    ) -> None:
        """Forget the step at once."""
