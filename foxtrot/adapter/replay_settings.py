"""What a replay may be told."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import msgspec

from foxtrot.core.errors import ConfigError


class ReplaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Settings of ``ReplayAdapter.connect``.

    Attributes:
        speed: how many times as fast as the data's own time; 0 for as fast as it goes.
        loop: begin again at the end, with stamps that go on.
        shift: ``"none"`` for the data's own stamps, ``"now"`` to move them so that the first is now, or ns to add.
        begin: play from here on (ns UTC of the data's own stamps); what lies before is history. 0 for all.
        max_wait: longest pause between two messages in seconds, so that nights need not be sat through; 0 for any.
        batch: messages in one turn at most.
    """

    speed: float = 1.0
    loop: bool = False
    shift: str | int = "none"
    begin: int = 0
    max_wait: float = 0.0
    batch: int = 256


def read_settings(name: str, setting: Mapping[str, Any]) -> ReplaySettings:
    """Settings out of a mapping.

    Raises:
        ConfigError: a key is unknown, or a value of the wrong type or out of range.
    """
    try:
        settings = msgspec.convert(dict(setting), ReplaySettings)
    except msgspec.ValidationError as error:
        known = ", ".join(ReplaySettings.__struct_fields__)
        raise ConfigError(f"{name}: {error}; a replay's settings are {known}") from None
    if not 0.0 <= settings.speed < inf:
        raise ConfigError(
            f"{name}: speed must be 0 (as fast as it goes) or more, got {settings.speed}"
        )
    if not 0.0 <= settings.max_wait < inf:
        raise ConfigError(
            f"{name}: max_wait must be 0 (any) or more seconds, got {settings.max_wait}"
        )
    if settings.batch < 1:
        raise ConfigError(f"{name}: batch must be at least 1, got {settings.batch}")
    if isinstance(settings.shift, str) and settings.shift not in {"none", "now"}:
        raise ConfigError(
            f"{name}: shift must be 'none', 'now' or nanoseconds, got {settings.shift!r}"
        )
    return settings
