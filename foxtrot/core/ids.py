"""Identifiers that are minted, never guessed: a prefix and a counter that the owner stores and restores."""

from __future__ import annotations


class IdSource:
    """Mints ``<prefix>-<n>``: unique as long as the prefix is, and the counter survives restarts.

    Args:
        prefix: who mints, for example the strategy's name.
        last: the last number already used.
    """

    __slots__ = ("last", "prefix")

    def __init__(self, prefix: str, last: int = 0) -> None:
        self.prefix = prefix
        self.last = last

    def next(self) -> str:
        """Mint the next id."""
        self.last += 1
        return f"{self.prefix}-{self.last}"
