"""Typed settings from TOML files: a file either fits its type wholly or is refused, saying how to mend it.

Invariants:

* A setting is a ``msgspec.Struct`` or a dataclass. Keys that it does not have, values of another type and missing
  keys raise ``ConfigError`` naming file, line (where it can be told), dotted key and the nearest known name.
* Secrets come from the environment: a ``Secret`` field that says ``${NAME}`` or ``env:NAME`` takes that variable;
  no other field looks at the environment.
* A relative ``pathlib.Path`` is relative to the folder of its file, not to where the process was started.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import tomllib
import typing
from collections.abc import Iterable, Mapping
from enum import Enum
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Never, TypeVar, Union, get_args, get_origin

import msgspec

from foxtrot.core.errors import ConfigError
from foxtrot.core.secret import Secret
from foxtrot.core.toml_keys import Key, apply_overrides, find_line, join_key, parse_override

__all__ = [
    "Secret",
    "apply_overrides",
    "build_config",
    "load_config",
    "nearest",
    "resolve_path",
]

T = TypeVar("T")

_REFERENCE = re.compile(r"\$\{(\w+)\}|env:(\w+)")


def load_config(
    path: str | Path,
    into: type[T],
    overrides: Iterable[str] = (),
    env: Mapping[str, str] | None = None,
) -> T:
    """Read a TOML file into an instance of ``into``.

    Args:
        path: The file.
        into: A ``msgspec.Struct`` class or dataclass.
        overrides: ``key=value`` texts of the command line, see ``apply_overrides``.
        env: Where secrets are looked up; the process's environment by default.

    Raises:
        ConfigError: The file cannot be read, is no TOML, or does not fit ``into``.
    """
    path = Path(path)
    text = _read(path)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    given = list(overrides)
    reader = _Reader(str(path), path.parent, os.environ if env is None else env, text, given)
    return reader.build(apply_overrides(values, given), into)


def build_config(
    values: Mapping[str, Any],
    into: type[T],
    *,
    source: str = "settings",
    folder: str | Path = ".",
    env: Mapping[str, str] | None = None,
) -> T:
    """Make an instance of ``into`` from a mapping, with the checks of ``load_config``.

    Args:
        values: Plain values, as TOML would give them.
        into: A ``msgspec.Struct`` class or dataclass.
        source: What an error names as the place.
        folder: What relative paths are relative to.
        env: Where secrets are looked up; the process's environment by default.

    Raises:
        ConfigError: The values do not fit ``into``.
    """
    reader = _Reader(source, Path(folder), os.environ if env is None else env)
    return reader.build(dict(values), into)


def resolve_path(path: str | Path, folder: str | Path) -> Path:
    """Return ``path`` with ``~`` expanded, relative to ``folder`` unless it is absolute."""
    return Path(folder) / Path(path).expanduser()


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most like ``word``, regardless of case, or None where none is alike."""
    by_fold = {name.casefold(): name for name in known}
    found = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.5)
    return by_fold[found[0]] if found else None


class _Field(NamedTuple):
    type: Any
    required: bool


class _Reader:
    """Checks plain values against a type, key by key, then builds the instance."""

    def __init__(
        self,
        source: str,
        folder: Path,
        env: Mapping[str, str],
        text: str = "",
        overrides: Iterable[str] = (),
    ) -> None:
        self._source = source
        self._folder = folder
        self._env = env
        self._text = text
        self._overridden = {tuple(parse_override(given)[0]): given for given in overrides}

    def build(self, values: dict[str, Any], into: type[T]) -> T:
        if _fields(into) is None:
            raise TypeError(f"{into!r} is neither a msgspec.Struct nor a dataclass")
        return typing.cast(T, self._read(values, into, ()))

    def _read(self, value: Any, into: Any, key: Key) -> Any:
        """Convert what stands at ``key``; raise for the first thing in it that does not fit, innermost first."""
        into = _choose(into, value)
        fields = _fields(into)
        if fields is not None and isinstance(value, dict):
            self._check_table(value, into, fields, key)
        origin, args = get_origin(into), get_args(into)
        if origin is dict and isinstance(value, dict):
            for name, item in value.items():
                self._read(item, args[1], (*key, name))
        elif origin in (list, tuple, set, frozenset) and isinstance(value, list):
            for index, item in enumerate(value):
                self._read(item, _item_type(origin, args, index), (*key, index))
        self._check_choice(value, into, key)
        return self._convert(value, into, key)

    def _check_table(
        self, value: dict[str, Any], into: Any, fields: dict[str, _Field], key: Key
    ) -> None:
        tag = _tag_field(into)
        for name in value:
            if name not in fields and name != tag:
                hint = _did_you_mean(name, fields)
                self._fail((*key, name), f"unknown key{hint}; known keys: {_listed(fields)}")
        for name, field in fields.items():
            if name in value:
                self._read(value[name], field.type, (*key, name))
            elif field.required:
                self._fail((*key, name), "missing; it has no default")

    def _check_choice(self, value: Any, into: Any, key: Key) -> None:
        known = _choices(into)
        if known and value not in known:
            words = [str(word) for word in known]
            hint = _did_you_mean(str(value), words)
            self._fail(key, f"{_shown(value)} is not known{hint}; use one of: {_listed(words)}")

    def _convert(self, value: Any, into: Any, key: Key) -> Any:
        try:
            return msgspec.convert(value, into, dec_hook=self._decode)
        except msgspec.ValidationError as error:
            message, _, below = str(error).partition(" - at `$")
            hidden = bool(below) or into is Secret or Secret in get_args(into)
            self._fail(key, _plain(message, _kind(value) if hidden else _shown(value)))

    def _decode(self, into: type[Any], value: Any) -> Any:
        """Make what TOML has no type for."""
        if isinstance(value, into):
            return value
        if into not in (Path, Secret):
            raise TypeError(f"settings cannot hold a {into.__name__}")
        if not isinstance(value, str):
            raise ValueError(f"expected text, found {_kind(value)}")
        return resolve_path(value, self._folder) if into is Path else self._secret(value)

    def _secret(self, value: str) -> Secret:
        reference = _REFERENCE.fullmatch(value)
        if reference is None:
            return Secret(value)
        name = reference[1] or reference[2]
        text = self._env.get(name, "")
        if not text:
            raise ValueError(f"the environment variable {name} is not set; export it and try again")
        return Secret(text)

    def _fail(self, key: Key, message: str) -> Never:
        raise ConfigError(": ".join(filter(None, (self._place(key), join_key(key), message))))

    def _place(self, key: Key) -> str:
        names = tuple(str(part) for part in key)
        for length in range(len(names), 0, -1):
            if names[:length] in self._overridden:
                return f"--set {self._overridden[names[:length]]}"
        line = find_line(self._text, key)
        return f"{self._source}:{line}" if line else self._source


def _fields(into: Any) -> dict[str, _Field] | None:
    """Return the keys of a Struct or dataclass; None for any other type."""
    if isinstance(into, type) and issubclass(into, msgspec.Struct):
        return {
            field.encode_name: _Field(field.type, field.required)
            for field in msgspec.structs.fields(into)
        }
    if isinstance(into, type) and dataclasses.is_dataclass(into):
        hints = typing.get_type_hints(into, include_extras=True)
        unset = dataclasses.MISSING
        return {
            field.name: _Field(
                hints[field.name], field.default is unset and field.default_factory is unset
            )
            for field in dataclasses.fields(into)
        }
    return None


def _choose(into: Any, value: Any) -> Any:
    """Strip a table's annotation, and pick the member of a union that a value aims at."""
    if get_origin(into) is Annotated and _fields(get_args(into)[0]) is not None:
        return get_args(into)[0]
    if get_origin(into) not in (Union, UnionType):
        return into
    members = [member for member in get_args(into) if member is not NoneType]
    if len(members) == 1:
        return members[0]
    tables = [member for member in members if _fields(member) is not None]
    if isinstance(value, dict):
        for member in tables:
            config = getattr(member, "__struct_config__", None)
            if len(tables) == 1 or (config and value.get(config.tag_field) == config.tag):
                return member
    return into


def _tag_field(into: Any) -> str | None:
    config = getattr(into, "__struct_config__", None)
    return None if config is None else config.tag_field


def _item_type(origin: Any, args: tuple[Any, ...], index: int) -> Any:
    if origin is tuple and Ellipsis not in args:
        return args[min(index, len(args) - 1)]
    return args[0]


def _choices(into: Any) -> list[Any]:
    if isinstance(into, type) and issubclass(into, Enum):
        return [member.value for member in into]
    return list(get_args(into)) if get_origin(into) is Literal else []


def _plain(message: str, found: str) -> str:
    """Rewrite the decoder's message in the words of these errors."""
    message = message.replace("`", "").replace("Expected object", "Expected table")
    if message.startswith("Expected"):
        return f"expected{message.removeprefix('Expected').partition(', got ')[0]}, found {found}"
    return message


def _kind(value: Any) -> str:
    names = {dict: "table", list: "array", bool: "boolean", int: "integer", str: "text"}
    return f"a value of type {names.get(type(value), type(value).__name__)}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _did_you_mean(word: str, known: Iterable[str]) -> str:
    near = nearest(word, known)
    return f" (did you mean {near!r}?)" if near else ""


def _listed(known: Iterable[str]) -> str:
    names = list(known)
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file (looked in {Path.cwd()})") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
