"""The progress bar on standard error: how far, at what rate, how long still. Nothing where that is no terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Protocol

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from foxtrot.core.objects import ns_to_datetime

__all__ = ["Watcher", "watching"]


class Watcher(Protocol):
    """What a job tells while it runs."""

    def stage(self, text: str) -> None:
        """What is being done now."""

    def progress(self, done: int, total: int, ts: int) -> None:
        """Rows handled, rows in all, the clock's time (ns UTC)."""


class _RateColumn(ProgressColumn):
    """Events a second, of the run so far."""

    def render(self, task: Task) -> Text:
        rate = task.fields["rate"]
        return Text(f"{rate:,.0f} events/s" if rate else "", style="dim")


class _Bar:
    """A watcher that draws a bar."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None, rate=0.0)
        self._began = perf_counter()

    def stage(self, text: str) -> None:
        self._began = perf_counter()
        self._bar.update(self._task, description=text)

    def progress(self, done: int, total: int, ts: int) -> None:
        day = ns_to_datetime(ts).date().isoformat()
        rate = done / max(perf_counter() - self._began, 1e-9)
        self._bar.update(self._task, completed=done, total=total, description=day, rate=rate)


class _Nobody:
    """A watcher that looks away."""

    def stage(self, text: str) -> None:
        del text

    def progress(self, done: int, total: int, ts: int) -> None:
        del done, total, ts


class _LogHandler(logging.Handler):
    """Prints what strategies log, above the bar where there is one."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        name = record.name.removeprefix("foxtrot.").removeprefix("strategy.")
        ts = getattr(record, "ts_event", 0)
        moment = f"{ns_to_datetime(ts):%Y-%m-%d %H:%M:%S} " if ts else ""
        style = "red" if record.levelno >= logging.ERROR else "dim"
        line = f"[{style}]{moment}{name}:[/] {escape(record.getMessage())}"
        self._console.print(line, highlight=False, soft_wrap=True)


@contextmanager
def watching(*, quiet: bool) -> Iterator[Watcher]:
    """Draw a bar, and print what strategies log, while the block runs.

    Args:
        quiet: do neither.
    """
    if quiet:
        yield _Nobody()
        return
    console = Console(stderr=True)
    logger = logging.getLogger("foxtrot")
    handler, level = _LogHandler(console), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        if not console.is_terminal:
            yield _Nobody()
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            _RateColumn(),
            TimeRemainingColumn(compact=True),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            yield _Bar(bar)
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
