"""A backtest's settings as TOML text, and back: the form in which a job travels and is kept.

Invariants:

* ``job_from_text(job_to_text(job), folder)`` is the job, with its paths made absolute; TOML has dates, infinities and
  exact integers, which JSON has not.
* Reading imports no strategy and neither numpy nor pandas.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from foxtrot.app.settings import BacktestJob, resolve_strategy
from foxtrot.core.config import build_config
from foxtrot.core.errors import ConfigError

__all__ = ["job_from_text", "job_to_text", "to_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MOMENTS = (dt.datetime, dt.date, dt.time)


def job_to_text(job: BacktestJob) -> str:
    """The settings as TOML.

    Raises:
        ConfigError: a parameter holds what TOML cannot, such as None.
    """
    values = msgspec.to_builtins(job, builtin_types=_MOMENTS, enc_hook=str)
    try:
        return to_toml(_given(values))
    except (TypeError, UnicodeEncodeError) as error:
        raise ConfigError(f"this backtest cannot be written as settings: {error}") from None


def job_from_text(text: str, folder: Path, name: str = "") -> BacktestJob:
    """The job that a text means, with absolute paths.

    Args:
        text: TOML, as in a settings file.
        folder: absolute; what relative paths, the output's too, are relative to.
        name: of the job where the text has none.

    Raises:
        ConfigError: the text is no TOML, or does not fit.
    """
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the job's settings are not valid TOML: {error}") from None
    if name:
        values.setdefault("name", name)
    job = build_config(values, BacktestJob, source="the job's settings", folder=folder)
    strategies = tuple(
        replace(item, path=resolve_strategy(item.path, folder)) for item in job.strategy
    )
    output = replace(job.output, folder=folder / job.folder)
    return replace(job, strategy=strategies, output=output)


def to_toml(values: Mapping[str, Any]) -> str:
    """Plain values as TOML, one line for each key of the top level; tables below it are written inline.

    Raises:
        TypeError: a value is of a kind that TOML has not.
        UnicodeEncodeError: a text cannot be written as UTF-8.
    """
    text = "".join(f"{_key(key)} = {_value(value)}\n" for key, value in values.items())
    text.encode()
    return text


def _value(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
        case str():
            return _text(value)
        case dt.datetime() | dt.date() | dt.time():
            return value.isoformat()
        case Mapping():
            inner = ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items())
            return f"{{ {inner} }}" if inner else "{}"
        case Iterable():
            return f"[{', '.join(_value(item) for item in value)}]"
        case _:
            raise TypeError(f"TOML has no form for {value!r}")


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _given(value: Any) -> Any:
    """Without the settings that are None, as in a file; parameters stay as they are."""
    if isinstance(value, dict):
        return {
            key: item if key == "setting" else _given(item)
            for key, item in value.items()
            if item is not None
        }
    if isinstance(value, list | tuple):
        return [_given(item) for item in value]
    return value
