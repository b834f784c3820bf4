"""What a command of ``foxtrot oms`` says while it works, and what it asks before it changes something.

Invariant: all of it goes to standard error; off a terminal there is no bar, and a question without an answer is a no.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from foxtrot.app.failures import INTERRUPTED
from foxtrot.core.errors import ConfigError

__all__ = ["Working", "ask", "working"]


class Working:
    """Tells what is being done: a bar where the end is known, a pulse where it is not."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, what: str, done: int, total: int) -> None:
        """Tell what is being done, and rows so far and in all (0: unknown)."""
        if self._bar is None:
            self._start()
        if self._bar is not None:
            self._bar.update(self._task, description=what, completed=done, total=total or None)

    def pause(self) -> None:
        """Take the bar away, for a question or the result."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        console = Console(stderr=True)
        if not console.is_terminal:
            return
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TimeElapsedColumn())
        self._bar = Progress(*columns, console=console, transient=True)
        self._task = self._bar.add_task("")
        self._bar.start()


@contextmanager
def working() -> Iterator[Working]:
    """Tell what is being done while the block runs."""
    told = Working()
    try:
        yield told
    finally:
        told.pause()


def ask(question: str, yes: bool) -> bool:
    """Put a question; True without asking where ``yes`` was given on the command line.

    Raises:
        ConfigError: nobody is there to answer.
        typer.Exit: the user interrupted.
    """
    if yes:
        return True
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            typer.echo("\ninterrupted; nothing was changed", err=True)
            raise typer.Exit(INTERRUPTED) from None
        typer.echo("", err=True)
        raise ConfigError(
            "nobody answered, and nothing was changed; add --yes to go ahead without being asked"
        ) from None
