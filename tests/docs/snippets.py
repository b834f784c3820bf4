"""Reads the Python blocks out of a Markdown page and runs them as a reader would type them in.

The blocks of a page run in order in one namespace, in an empty folder. A block is left out only where the line
before its fence says why: ``<!-- snippet: skip: needs a live venue -->``. Blocks inside lists and tabs are indented;
the indent is taken off.
"""

from __future__ import annotations

import contextlib
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_FENCE = re.compile(r"(?P<indent>\s*)(?P<marks>`{3,}|~{3,})\s*(?P<language>[\w+-]*)(?P<rest>.*)")
_MARKER = re.compile(r"<!--\s*snippet:\s*(?P<verb>\w+)\s*(?::\s*(?P<reason>.*?))?\s*-->")
_MODULE = "docs_snippets"


@dataclass(frozen=True)
class Snippet:
    """One Python block: the line of its first line of code (from 1), the code, and why it is not run, if so."""

    line: int
    code: str
    skipped: str = ""


class SnippetError(Exception):
    """A page is malformed: a fence without an end, or a marker that says no reason."""


def python_snippets(text: str, name: str = "page") -> list[Snippet]:
    """Return the Python blocks of a page in order.

    Raises:
        SnippetError: A fence is not closed, or a marker is not ``skip: reason`` before a Python block.
    """
    found, marker = [], ""
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        fence = _FENCE.fullmatch(line)
        if fence is None:
            if marker and line.strip():
                raise SnippetError(f"{name}:{number}: a snippet marker must stand before a fence")
            marker = _reason(line, f"{name}:{number}") or (marker if not line.strip() else "")
            continue
        code = _body(lines, fence, f"{name}:{number}")
        if fence["language"] in ("python", "py"):
            found.append(Snippet(number + 1, code, marker))
        elif marker:
            raise SnippetError(f"{name}:{number}: a snippet marker stands before a Python block")
        marker = ""
    return found


def run_snippets(path: Path) -> int:
    """Run the blocks of a page in the current folder; return how many ran.

    Tracebacks point into the page itself.
    """
    module = types.ModuleType(_MODULE)
    ran = 0
    with _registered(module):
        for snippet in python_snippets(path.read_text(encoding="utf-8"), path.name):
            if not snippet.skipped:
                source = "\n" * (snippet.line - 1) + snippet.code
                exec(compile(source, str(path), "exec"), vars(module))  # noqa: S102  # our own pages
                ran += 1
    return ran


@contextlib.contextmanager
def _registered(module: types.ModuleType) -> Iterator[None]:
    """Make the module findable, as resolving the type hints of classes made in it needs."""
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


def _reason(line: str, place: str) -> str:
    marker = _MARKER.fullmatch(line.strip())
    if marker is None:
        return ""
    if marker["verb"] != "skip" or not marker["reason"]:
        raise SnippetError(
            f"{place}: expected <!-- snippet: skip: reason -->, found {line.strip()}"
        )
    return marker["reason"]


def _body(lines: Iterator[tuple[int, str]], fence: re.Match[str], place: str) -> str:
    indent, marks = fence["indent"], fence["marks"]
    body = []
    for _, line in lines:
        if line.strip().startswith(marks) and not line.strip().strip(marks[0]):
            return "\n".join(body) + "\n"
        body.append(line.removeprefix(indent))
    raise SnippetError(f"{place}: the fence is never closed")
