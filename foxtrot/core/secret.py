"""Texts that must never be shown: keys and passwords of venues.

Invariants:

* A ``Secret`` shows itself as ``***`` wherever it is printed, formatted, logged or encoded.
* ``redact`` removes the text of every ``Secret`` made so far from other texts, also where it was revealed and then
  became part of a message; the log passes each line through it.
"""

from __future__ import annotations

import json
from typing import Never

_SHORTEST_REDACTED = 6  # characters; a shorter secret would blot out ordinary words
_hidden_texts: set[str] = set()


class Secret:
    """A text that shows itself as ``***``; only ``reveal`` gives it away.

    It compares by content and refuses to be pickled.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text
        if len(text) >= _SHORTEST_REDACTED:
            _hidden_texts.update(_spellings(text))

    def reveal(self) -> str:
        """Return the text itself; pass it on at once and keep it nowhere."""
        return self._text

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> Never:
        raise TypeError("a Secret is never pickled; hand on the name of its environment variable")


def redact(text: str) -> str:
    """Replace the text of every known ``Secret`` of six characters or more by ``***``."""
    for hidden in sorted(_hidden_texts, key=len, reverse=True):
        text = text.replace(hidden, "***")
    return text


def _spellings(text: str) -> set[str]:
    """Return a secret as it would stand in plain text, in JSON and in a URL."""
    from urllib.parse import quote, quote_plus  # costs 3 ms that only secrets need

    return {text, json.dumps(text)[1:-1], quote(text, safe=""), quote_plus(text)}
