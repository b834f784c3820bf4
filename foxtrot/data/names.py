"""How files call their columns, and what Foxtrot calls them.

Invariants: recognition ignores case, blanks, dots and hyphens; a name given by the caller beats every
guess; two columns that could both be meant are an error, never a silent choice.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from foxtrot.core.errors import DataError

_OPENS = ("ts_open", "open_time", "timestamp_open", "time_open")
_CLOSES = ("ts_event", "close_time", "timestamp_close", "time_close", "ts_close")
_STAMPS = ("timestamp", "datetime", "date_time", "time", "date", "ts", "dt", "t", "unnamed:_0")
_SYMBOL = ("ticker", "symbol", "vt_symbol", "sym", "instrument")

BAR_NAMES: Mapping[str, tuple[str, ...]] = {
    "time": (*_OPENS, *_STAMPS),
    "time_close": _CLOSES,
    "symbol": _SYMBOL,
    "open_price": ("open_price", "open", "o"),
    "high_price": ("high_price", "high", "h"),
    "low_price": ("low_price", "low", "l"),
    "close_price": ("close_price", "close", "c"),
    "adj_close": ("adj_close", "adjclose", "adjusted_close", "close_adj"),
    "volume": ("volume", "vol", "v"),
    "turnover": ("turnover", "amount", "quote_volume"),
    "open_interest": ("open_interest", "openinterest", "oi"),
}
"""Canonical name of a bar's column to the names that files use, the likeliest first."""

QUOTE_BAR_NAMES: Mapping[str, tuple[str, ...]] = {
    f"{side}_{part}": (f"{side}_{part}", f"{side}_{part}_price", f"{side}{part}")
    for side in ("bid", "ask")
    for part in ("open", "high", "low", "close")
}
"""Columns of bars of quotes, which hold open, high, low and close of bid and of ask."""

TICK_NAMES: Mapping[str, tuple[str, ...]] = {
    "time": (*_CLOSES[:1], *_STAMPS),
    "symbol": _SYMBOL,
    "bid_price_1": ("bid_price_1", "bid_price", "bid", "bidprice", "best_bid", "bid_px"),
    "ask_price_1": ("ask_price_1", "ask_price", "ask", "askprice", "best_ask", "ask_px", "offer"),
    "bid_volume_1": ("bid_volume_1", "bid_size", "bid_volume", "bid_qty", "bidsize", "bidvolume"),
    "ask_volume_1": ("ask_volume_1", "ask_size", "ask_volume", "ask_qty", "asksize", "askvolume"),
    "last_price": ("last_price", "last", "price"),
    "last_volume": ("last_volume", "last_size", "last_qty", "size", "quantity"),
    "volume": ("volume", "cum_volume", "day_volume"),
}
"""Canonical name of a tick's column to the names that files use, the likeliest first."""


def resolve_names(
    found: Sequence[str],
    known: Mapping[str, tuple[str, ...]],
    given: Mapping[str, str] | None,
    source: str,
) -> dict[str, str]:
    """Map canonical names to the columns of a file.

    Args:
        found: the file's column names.
        known: canonical names and their aliases, such as ``BAR_NAMES``.
        given: the caller's own mapping, canonical name or alias to the file's name; it goes first.
        source: name of the file, for errors.

    Returns:
        Canonical name to the file's name, for what was found.

    Raises:
        DataError: ``given`` names what does not exist, or two columns have the same name.
    """
    chosen = _given_names(found, known, given or {}, source)
    taken = set(chosen.values())
    by_normal: dict[str, list[str]] = {}
    for name in found:
        if name not in taken:
            by_normal.setdefault(_normal(name), []).append(name)
    for canonical, aliases in known.items():
        alias = next((a for a in aliases if a in by_normal), None)
        if canonical in chosen or alias is None:
            continue
        if len(by_normal[alias]) > 1:
            raise DataError(
                f"{source}: columns {_listed(by_normal[alias])} could both be {canonical!r}; "
                f"say which with columns={{{canonical!r}: {by_normal[alias][0]!r}}}"
            )
        chosen[canonical] = by_normal[alias][0]
    return chosen


def require_names(
    chosen: Mapping[str, str], wanted: Sequence[str], found: Sequence[str], source: str
) -> None:
    """Refuse a file that lacks a column.

    Raises:
        DataError: names the missing columns, those that exist, and how to say which is which.
    """
    missing = [name for name in wanted if name not in chosen]
    if missing:
        raise DataError(
            f"{source}: no column for {_listed(missing)}; the header (first line) has "
            f"{_listed(found)}. Say which column is meant with "
            f"columns={{{missing[0]!r}: 'its name in the file'}}"
        )


def _given_names(
    found: Sequence[str],
    known: Mapping[str, tuple[str, ...]],
    given: Mapping[str, str],
    source: str,
) -> dict[str, str]:
    home = {alias: canonical for canonical, aliases in known.items() for alias in aliases}
    home.update({canonical: canonical for canonical in known})
    chosen: dict[str, str] = {}
    for key, name in given.items():
        if _normal(key) not in home:
            raise DataError(
                f"{source}: columns has the key {key!r}, which is no column of Foxtrot"
                f"{nearest(_normal(key), home)}; known are {_listed(list(known))}"
            )
        if name not in found:
            raise DataError(
                f"{source}: columns says {key!r} is {name!r}, but the file has no such column"
                f"{nearest(name, found)}; it has {_listed(found)}"
            )
        chosen[home[_normal(key)]] = name
    return chosen


def nearest(word: str, words: Mapping[str, str] | Sequence[str]) -> str:
    """The phrase `` (did you mean 'x'?)``, or nothing where no word is near."""
    near = difflib.get_close_matches(word, list(words), n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""


def _normal(name: str) -> str:
    words = name.strip().lower().replace(".", " ").replace("-", " ").split()
    return "_".join(words)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(name) for name in names)
