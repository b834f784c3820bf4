"""Python numbers out of numpy columns, a few at a time. Loads no numpy itself."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROWS_AT_A_TIME = 64
"""So few that the numbers of all columns of many instruments fit into the processor's cache together."""


def values_of(column: NDArray[Any]) -> Iterator[Any]:
    """The values of a column as Python numbers, in order.

    Args:
        column: of shape (n,); must not change while the iterator lives.
    """
    rows = ROWS_AT_A_TIME
    return chain.from_iterable(
        column[start : start + rows].tolist() for start in range(0, len(column), rows)
    )
