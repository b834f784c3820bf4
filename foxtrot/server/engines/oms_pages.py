"""Pages of history a slice at a time, so that an order never waits for a whole page.

Invariants: the slices of a page hold what the page would hold, in the same order; a slice reads about 50 rows, and the
slices of a page together no more than the page itself would.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sized
from typing import Any, Generic, TypeVar

from foxtrot.core.clock import Clock
from foxtrot.core.errors import FoxtrotError
from foxtrot.core.objects import TimerData
from foxtrot.server.persistence_query import Page, PageQuery

T = TypeVar("T")

Answer = Callable[[Page[T] | FoxtrotError], object]
"""Takes the page, or why it cannot be read."""

_TIMER = "oms.pages"
_PATIENCE = 4

SLICE_ROWS = 50
"""Rows that are read at a time: about half a millisecond."""

_SLICE_OF_TWO_FILTERS = 5
"""Items that are asked for at a time where several rows are read for one."""


class SlicedPage(Generic[T]):
    """A page that is being read.

    Args:
        fetch: ``orders_page`` or ``trades_page`` of the persistence.
        query: the page.

    Attributes:
        page: what was read so far; complete when ``step`` returned False.

    Raises:
        PersistenceError: the query is malformed.
    """

    def __init__(self, fetch: Callable[[PageQuery], Page[T]], query: PageQuery) -> None:
        query.bounds()
        self._fetch = fetch
        self._query = query
        both = bool(query.strategy and query.vt_symbol)
        self._slice = _SLICE_OF_TWO_FILTERS if both else SLICE_ROWS
        self._left = -(-query.limit // self._slice)
        self.page: Page[T] = Page([])

    def step(self) -> bool:
        """Read one more slice; False when the page is complete.

        Raises:
            PersistenceError: a row cannot be read.
        """
        items, cursor = self.page
        wanted = min(self._slice, self._query.limit - len(items))
        part = self._query._replace(limit=wanted, cursor=cursor or self._query.cursor)
        more = self._fetch(part)
        items += more.items
        self.page = Page(items, more.cursor)
        self._left -= 1
        return bool(more.cursor and self._left and len(items) < self._query.limit)


class PageServer:
    """Reads pages on the thread of the loop: one slice a round, the pages in turn.

    What waits in the queue goes first, up to four rounds in a row.

    Args:
        clock: whose timers the loop fires once a round.
        queue: what the loop has to do.
    """

    def __init__(self, clock: Clock, queue: Sized) -> None:
        self._clock = clock
        self._queue = queue
        self._skipped = 0
        self._waiting: deque[tuple[SlicedPage[Any], Answer[Any]]] = deque()

    def add(self, page: SlicedPage[T], answer: Answer[T]) -> None:
        """Read a page and hand it to ``answer``."""
        self._waiting.append((page, answer))
        if len(self._waiting) == 1:
            self._again()

    def _again(self) -> None:
        self._clock.set_delay(_TIMER, 0, self._step)

    def _step(self, _timer: TimerData) -> None:
        if len(self._queue) and self._skipped < _PATIENCE:
            self._skipped += 1
            self._again()
            return
        self._skipped = 0
        page, answer = self._waiting.popleft()
        try:
            if page.step():
                self._waiting.append((page, answer))
            else:
                answer(page.page)
        except FoxtrotError as error:
            answer(error)
        finally:
            if self._waiting:
                self._again()
