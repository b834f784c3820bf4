"""Dotted keys of TOML: setting them from the command line, and finding their line in a file.

A key is a tuple of table names and list positions; in text ``symbols."AAPL.NASDAQ".size``, ``legs[0].price``.
"""

from __future__ import annotations

import copy
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from foxtrot.core.errors import ConfigError

Key = tuple[str | int, ...]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\s*(\[\[?)([^\[\]]+)\]\]?\s*(?:#.*)?")


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of ``values`` with each ``key=value`` set; later ones win.

    The key is dotted as in TOML (``strategy.fast``, ``symbols."AAPL.NASDAQ".size``); a number steps into a list.
    Tables on the way that do not exist are made. The value is read as TOML (``20``, ``true``, ``[1, 2]``,
    ``"text"``); what is not TOML is taken as text, so ``name=sma`` needs no quotes.

    Raises:
        ConfigError: There is no ``=``, the key is malformed, or it leads through something that is not a table.
    """
    result = copy.deepcopy(dict(values))
    for override in overrides:
        key, value = parse_override(override)
        _assign(result, key, value, f"--set {override}")
    return result


def parse_override(override: str) -> tuple[list[str], Any]:
    """Split ``key=value`` into the parts of the key and the value.

    Raises:
        ConfigError: There is no ``=`` or the key is malformed.
    """
    left, equals, right = override.partition("=")
    key = split_key(left)
    if not equals or not key:
        raise ConfigError(
            f"--set {override}: expected key=value with a dotted key, as in strategy.fast=20"
        )
    try:
        parsed = tomllib.loads(f"value = {right}")
    except tomllib.TOMLDecodeError:
        return key, right.strip()
    return key, parsed["value"] if len(parsed) == 1 else right.strip()


def split_key(text: str) -> list[str]:
    """Split a dotted TOML key, quotes and all; an empty list where it is malformed."""
    if "\n" in text:
        return []
    try:
        node: Any = tomllib.loads(f"{text} = 0")
    except tomllib.TOMLDecodeError:
        return []
    key = []
    while isinstance(node, dict) and len(node) == 1:
        [(name, node)] = node.items()
        key.append(name)
    return key if node == 0 else []


def join_key(key: Key) -> str:
    """Write a key as text, quoting what TOML would quote."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else f'"{part}"')
    return text


def find_line(text: str, key: Key) -> int | None:
    """Return the line that sets ``key``, else the nearest table around it; None where there is neither."""
    best, best_length = None, 0
    for number, found in _keys(text):
        if len(found) > best_length and found == key[: len(found)]:
            best, best_length = number, len(found)
    return best


def _assign(table: dict[str, Any], key: list[str], value: Any, place: str) -> None:
    """Set ``key`` to ``value`` in place, making the tables that it leads through."""
    node: Any = table
    for depth, part in enumerate(key):
        slot = _slot(node, part, f"{place}: {join_key(tuple(key[:depth]))}")
        if depth == len(key) - 1:
            node[slot] = value
        else:
            node = node[slot] if isinstance(node, list) else node.setdefault(slot, {})


def _slot(node: Any, part: str, place: str) -> Any:
    """Return what indexes ``node`` for one part of a key.

    Raises:
        ConfigError: ``node`` is neither a table nor a list with that position.
    """
    if isinstance(node, dict):
        return part
    if not isinstance(node, list):
        raise ConfigError(f"{place} is the value {node!r}, not a table that could hold {part!r}")
    if not part.isdigit() or int(part) >= len(node):
        raise ConfigError(f"{place} is a list of {len(node)}; {part!r} is no position in it")
    return int(part)


def _keys(text: str) -> Iterator[tuple[int, Key]]:
    """Yield the lines of a TOML text that open a table or set a key, with the full key."""
    table: Key = ()
    counts: dict[Key, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.fullmatch(line)
        if header:
            table = _indexed(split_key(header[2].strip()), counts)
            if header[1] == "[[":
                counts[table] = counts.get(table, -1) + 1
                table = (*table, counts[table])
            yield number, table
        elif "=" in line:
            yield number, (*table, *split_key(line.partition("=")[0]))


def _indexed(key: list[str], counts: Mapping[Key, int]) -> Key:
    """Insert into a table's key the positions of the arrays of tables that it lies in."""
    result: Key = ()
    for part in key:
        if result in counts:
            result = (*result, counts[result])
        result = (*result, part)
    return result
