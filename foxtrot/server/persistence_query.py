"""Pages of history: how they are asked for, and how they come out of rows in memory.

Invariants: a page has at most ``limit`` items, in order of time and then id; its cursor, handed in again with the same
filters, continues after it; an empty cursor says that nothing follows. With more than one filter a page may be shorter
than ``limit``, or empty, although more follows: the work for one page is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

from foxtrot.core.errors import PersistenceError

T = TypeVar("T")

MAX_LIMIT = 1_000
_FOREVER = 2**63 - 1


class Page(NamedTuple, Generic[T]):
    """Items in order, and the cursor of the page after them (empty: none)."""

    items: list[T]
    cursor: str = ""


class PageQuery(NamedTuple):
    """What a page shall hold.

    Attributes:
        strategy: owner, empty for all.
        vt_symbol: instrument, empty for all.
        start: first moment (ns UTC).
        end: first moment after (ns UTC); 0 for open.
        limit: most items, 1 to 1,000.
        cursor: of the page before; empty for the first page.
        newest_first: the other way round.
    """

    strategy: str = ""
    vt_symbol: str = ""
    start: int = 0
    end: int = 0
    limit: int = 100
    cursor: str = ""
    newest_first: bool = False

    def bounds(self) -> tuple[tuple[int, str], tuple[int, str]]:
        """Places (time, id) between which the page lies, both excluded.

        Raises:
            PersistenceError: limit or cursor are malformed.
        """
        if not 1 <= self.limit <= MAX_LIMIT:
            raise PersistenceError(f"a page has 1 to {MAX_LIMIT} items, not {self.limit}")
        low, high = (self.start, ""), (self.end or _FOREVER, "")
        if self.cursor:
            place = _place(self.cursor)
            if self.newest_first:
                high = min(high, place)
            else:
                low = max(low, place)
        return low, high


class Entry(NamedTuple, Generic[T]):
    """What pages are sorted and filtered by, with the item itself."""

    ts: int
    id: str
    strategy: str
    vt_symbol: str
    item: T


def cursor_at(ts: int, vt_id: str) -> str:
    """The cursor of the page that begins after an item."""
    return f"{ts}:{vt_id}"


def _place(cursor: str) -> tuple[int, str]:
    ts, colon, vt_id = cursor.partition(":")
    if not colon or not ts.removeprefix("-").isdigit():
        raise PersistenceError(
            f"{cursor!r} is no cursor; hand in the one that the page before came with"
        )
    return int(ts), vt_id


def each(fetch: Callable[[PageQuery], Page[T]], query: PageQuery) -> Iterator[T]:
    """Every item of all pages from ``query`` on; ``fetch`` is, for example, ``OmsEngine.orders_page``."""
    while True:
        page = fetch(query)
        yield from page.items
        if not page.cursor:
            return
        query = query._replace(cursor=page.cursor)


def page_of(entries: Iterable[Entry[T]], query: PageQuery) -> Page[T]:
    """The page of a query out of unsorted rows in memory."""
    low, high = query.bounds()
    found = sorted(
        (
            entry
            for entry in entries
            if low < (entry.ts, entry.id) < high
            and query.strategy in ("", entry.strategy)
            and query.vt_symbol in ("", entry.vt_symbol)
        ),
        key=lambda entry: (entry.ts, entry.id),
        reverse=query.newest_first,
    )
    page = found[: query.limit]
    more = len(found) > query.limit
    cursor = cursor_at(page[-1].ts, page[-1].id) if more else ""
    return Page([entry.item for entry in page], cursor)
