"""What a paper venue may be told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from foxtrot.core.errors import ConfigError


class PaperSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of ``PaperAdapter.connect``.

    Attributes:
        path: the file that the venue keeps its orders, fills, positions and account in; empty for memory.
        stamps: which time reports carry: the process's ``clock``, or the ``market`` data's own, as in a backtest; by
            default the clock where that is live, else the market.
        durable: whether a report waits until the disk has it; if not, it outlives the process but not a power cut.
        history: closed orders and fills that an answer to a query holds at most, each.
    """

    path: str = ""
    stamps: Literal["", "clock", "market"] = ""
    durable: bool = True
    history: int = 2_000


def read_settings(name: str, setting: Mapping[str, Any]) -> PaperSettings:
    """Settings out of a mapping.

    Raises:
        ConfigError: a key is unknown, or a value of the wrong type or out of range.
    """
    try:
        settings = msgspec.convert({k: _plain(v) for k, v in setting.items()}, PaperSettings)
    except msgspec.ValidationError as error:
        known = ", ".join(PaperSettings.__struct_fields__)
        raise ConfigError(f"{name}: {error}; a paper venue's settings are {known}") from None
    if settings.history < 1:
        raise ConfigError(f"{name}: history must be at least 1, got {settings.history}")
    return settings


def _plain(value: Any) -> Any:
    """A path as text."""
    return str(value) if hasattr(value, "__fspath__") else value
