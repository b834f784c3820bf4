"""Rows as JSON text: exact numbers, no NaN, errors that name the key.

msgspec writes NaN and infinities as ``null``, which would lose them silently; they are looked for
only where the text has a ``null``, so that the usual row costs one substring search.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from foxtrot.core.errors import PersistenceError

T = TypeVar("T")

_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder()


@lru_cache(maxsize=256)
def _decoder(type_: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(type_)


def encode(key: str, data: Any) -> bytes:
    """Encode ``data`` as JSON (UTF-8).

    Raises:
        PersistenceError: NaN, an infinity, or a type that JSON cannot carry; names the key and the
            place.
    """
    try:
        text = _ENCODER.encode(data)
        if b"null" in text:
            _refuse_non_finite(key, data)
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise PersistenceError(
            f"row {key!r} cannot be saved as JSON: {error}; use builtins, Structs or enum members"
        ) from error
    return text


def decode(where: str, key: str, text: bytes | str) -> Any:
    """Decode a row into builtins.

    Raises:
        PersistenceError: the text is no JSON; names ``where`` (the store) and the key.
    """
    try:
        return _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _damaged(where, key, "JSON", error) from error


def decode_as(where: str, key: str, text: bytes | str, type_: type[T]) -> T:
    """Decode a row into ``type_``.

    Raises:
        PersistenceError: the text is no JSON, or a row of another kind; names ``where`` and the
            key.
    """
    try:
        row: T = _decoder(cast("Any", type_)).decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise _damaged(where, key, getattr(type_, "__name__", str(type_)), error) from error
    return row


def checked_key(key: str) -> str:
    """The key.

    Raises:
        PersistenceError: it is empty, or no text that can be stored.
    """
    if not key or "\0" in key:
        raise PersistenceError(f"key {key!r} must be text, not empty and without NUL")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise PersistenceError(f"key {key!r} is not Unicode text: {error}") from error
    return key


def after_prefix(prefix: str) -> str | bytes:
    """The least text after all that begin with ``prefix``; where there is none, bytes, which SQLite sorts behind it."""
    head = prefix.rstrip("\U0010ffff")
    if not head:
        return b""
    following = ord(head[-1]) + 1
    if following == 0xD800:  # surrogates are no characters
        following = 0xE000
    return head[:-1] + chr(following)


def _damaged(where: str, key: str, kind: str, error: Exception) -> PersistenceError:
    return PersistenceError(
        f"{where}: row {key!r} is not a valid {kind}: {error}; it was changed by hand or written by "
        f"another version: restore the file from a backup"
    )


def _refuse_non_finite(key: str, data: Any) -> None:
    for place, value in _floats(msgspec.to_builtins(data), ""):
        if not math.isfinite(value):
            raise PersistenceError(
                f"row {key!r} has {value!r} at {place or 'its root'}; only finite numbers can be saved: "
                f"leave the field out or give it a number"
            )


def _floats(data: Any, place: str) -> Iterator[tuple[str, float]]:
    """Yield every float in nested builtins, with the path to it."""
    if isinstance(data, float):
        yield place, data
    elif isinstance(data, dict):
        for name, value in data.items():
            yield from _floats(value, f"{place}.{name}")
    elif isinstance(data, list | tuple | set | frozenset):
        for index, value in enumerate(data):
            yield from _floats(value, f"{place}[{index}]")
