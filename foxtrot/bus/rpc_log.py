"""Errors that can come as often as a peer likes are logged once per kind; counters tell the rest."""

from __future__ import annotations

import logging

_MAX_KINDS = 1_000


class LogOnce:
    """Logs an error with its traceback the first time that it comes from a place."""

    def __init__(self, logger: logging.Logger, name: str) -> None:
        self._logger = logger
        self._name = name
        self._seen: set[tuple[str, str]] = set()

    def __call__(self, where: str, error: Exception) -> None:
        """Log the error, unless one of its type has come from ``where`` before."""
        kind = (where, type(error).__name__)
        if kind not in self._seen and len(self._seen) < _MAX_KINDS:
            self._seen.add(kind)
            self._logger.error("%s: %s failed", self._name, where, exc_info=error)
