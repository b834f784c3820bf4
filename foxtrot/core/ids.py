"""Identifiers that are minted, never guessed: a prefix and a counter that the owner stores and restores."""

from __future__ import annotations

import threading


class IdSource:
    """Mints ``<prefix>-<n>``: unique as long as the prefix is; any thread may ask.

    Whoever owns it stores ``last`` and hands it in again after a restart.

    Args:
        prefix: who mints, for example the strategy's name.
        last: the last number already used.
    """

    __slots__ = ("_lock", "last", "prefix")

    def __init__(self, prefix: str, last: int = 0) -> None:
        self.prefix = prefix
        self.last = last
        self._lock = threading.Lock()

    def next(self) -> str:
        """Mint the next id."""
        with self._lock:
            self.last += 1
            return f"{self.prefix}-{self.last}"
