"""Typed parameters of a strategy: annotated class attributes with defaults, set by name.

``fast: int = 10`` in a strategy's body is a parameter; names with a leading underscore, ``ClassVar`` and attributes
without a default are not. A setting is checked against the annotation; unknown names are refused with the nearest
known one.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from copy import deepcopy
from typing import Any, ClassVar, get_origin, get_type_hints

import msgspec

from foxtrot.core.errors import ConfigError


def parameters_of(cls: type) -> dict[str, Any]:
    """Parameter names and defaults of a strategy class, base classes first.

    Raises:
        ConfigError: an annotation cannot be resolved.
    """
    hints = _hints(cls)
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        for name in vars(base).get("__annotations__", {}):
            if name.startswith("_") or get_origin(hints.get(name)) is ClassVar:
                continue
            if hints.get(name) is ClassVar or not hasattr(cls, name):
                continue
            found[name] = getattr(cls, name)
    return found


def _hints(cls: type) -> dict[str, Any]:
    try:
        return get_type_hints(cls)
    except NameError as error:
        raise ConfigError(
            f"{cls.__name__}: the annotation of an attribute cannot be resolved ({error}); import that name in the "
            "strategy's module, outside of TYPE_CHECKING"
        ) from error


def check_setting(cls: type, setting: Mapping[str, Any]) -> dict[str, Any]:
    """All parameters with their values: copies of the defaults, overridden by ``setting``.

    Raises:
        ConfigError: a name is unknown or a value is of the wrong type.
    """
    values = deepcopy(parameters_of(cls))
    hints = _hints(cls)
    for name, value in setting.items():
        if name not in values:
            near = difflib.get_close_matches(name, values, n=1)
            known = ", ".join(sorted(values)) or "none"
            hint = f"; did you mean {near[0]!r}?" if near else f"; it has: {known}"
            raise ConfigError(f"{cls.__name__} has no parameter {name!r}{hint}")
        try:
            values[name] = msgspec.convert(value, hints[name])
        except msgspec.ValidationError as error:
            expected = getattr(hints[name], "__name__", str(hints[name]))
            raise ConfigError(
                f"{cls.__name__} parameter {name!r} must be {expected}, got {value!r} ({error})"
            ) from None
    return values
