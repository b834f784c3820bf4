"""The tree of errors. Each says what was wrong, where (file, key, field, order id) and how to mend it."""

from __future__ import annotations


class FoxtrotError(Exception):
    """Base of every error that Foxtrot raises on purpose; the CLI prints it as one line."""


class ConfigError(FoxtrotError):
    """A setting is missing, unknown or out of range; names the file and key."""


class DataError(FoxtrotError):
    """Market data cannot be used as it is; names file, row and column."""


class OrderError(FoxtrotError):
    """A request is malformed (field, value, nearest good value); nothing was sent."""


class StrategyError(FoxtrotError):
    """A strategy raised, or was called wrongly."""


class OmsError(FoxtrotError):
    """The order management system cannot go on as asked."""


class InvalidTransitionError(OmsError):
    """A report would move an order against the transition table; tells the order's whole story."""


class PersistenceError(OmsError):
    """State could not be read or written; names the file."""


class AccountingError(FoxtrotError):
    """An amount cannot be booked exactly (NaN, off-lot volume, unknown currency)."""


class MissingExtraError(FoxtrotError, ImportError):
    """An optional dependency is not installed; names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed; "
            f"install it with: pip install 'foxtrot-trading[{extra}]'"
        )


class BusError(FoxtrotError):
    """Something between processes is wrong: an endpoint, a topic, a message; says which and how to mend it."""


class FrameError(BusError):
    """A frame is not one that this process can send or read.

    Attributes:
        reason: why, as one word for counters; a member of ``foxtrot.bus.codec.FrameReason``.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
