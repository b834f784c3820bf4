"""Python numbers out of numpy columns, a few rows at a time. Loads no numpy itself.

Few, so that the numbers are still in the processor's cache when they are used; not too few, for each piece is a call.
``benchmarks/run.py`` shows what the two sizes buy: a quarter of the time of a bar against whole columns at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_ALONE = 256
"""Rows at a time where one series is read."""

ROWS_TOGETHER = 32
"""Rows at a time where many series are read in turn."""


def values_of(column: NDArray[Any], rows: int = ROWS_ALONE) -> Iterator[Any]:
    """The values of a column as Python numbers, in order.

    Args:
        column: of shape (n,); must not change while the iterator lives.
        rows: how many are turned into numbers at a time.
    """
    return chain.from_iterable(
        column[start : start + rows].tolist() for start in range(0, len(column), rows)
    )
