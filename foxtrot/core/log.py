"""Structured logging that can neither block nor break the service that logs.

``configure_logging`` puts one handler on a standard ``logging`` logger. Whoever logs only formats the message and
leaves it in a bounded queue; a thread of its own writes.

Invariants:

* Logging never waits for the sink: when the queue is full the line is dropped and counted, and the log says how many.
* Logging never raises: a record that cannot be formatted is counted and reported.
* A sink that fails (a closed pipe, a full disk) is replaced by a fallback file, beginning with the line that failed.
* No line holds the text of a ``Secret``.
* After ``shutdown`` the thread and the file descriptors are gone.

Lines are JSON, one object a line (``ts``, ``level``, ``logger``, ``msg``, the ``extra`` fields, ``exc``), or for a
terminal readable text, in colour unless ``NO_COLOR`` is set.
"""

from __future__ import annotations

import datetime as dt
import io
import logging
import os
import queue
import select
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TextIO

import msgspec

from foxtrot.core.config import nearest
from foxtrot.core.errors import ConfigError
from foxtrot.core.secret import redact

Formatter = Callable[["LogLine"], str]

_STANDARD_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_OWN_LOGGER = "foxtrot.core.log"
_COLOURS = {10: "\033[2m", 20: "\033[32m", 30: "\033[33m", 40: "\033[31m", 50: "\033[1;31m"}
_RESET = "\033[0m"
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(11, 32), 127)}


class LogLine(NamedTuple):
    """One record as it waits in the queue: plain values, no references into the running program."""

    created: float  # seconds since the epoch
    level: int
    logger: str
    message: str
    fields: dict[str, Any]
    trace: str


class Sink(Protocol):
    """Where lines go. ``write`` may block; it raises OSError or ValueError when it fails for good."""

    def write(self, text: str) -> None:
        """Write the whole text."""

    def close(self) -> None:
        """Release what the sink has opened itself."""


class QueueLogHandler(logging.Handler):
    """Hands records to a thread that writes them to a sink.

    Args:
        sink: Where lines go.
        formatter: Turns a line into text without its newline.
        capacity: Lines that may wait; with several threads logging at once a few more.
        fallback: File that replaces a failing sink.

    Attributes:
        dropped: Lines lost since the start because the queue was full or even the fallback failed.
        failed: Records that could not be formatted since the start.
    """

    def __init__(self, sink: Sink, formatter: Formatter, capacity: int, fallback: Path) -> None:
        super().__init__()
        self.dropped = 0
        self.failed = 0
        self._reported = (0, 0)
        self._sink = sink
        self._format_line = formatter
        self._capacity = capacity
        self._fallback = fallback
        self._fell_back = False
        self._closed = False
        self._start()

    def _start(self) -> None:
        self._pid = os.getpid()
        self._queue: queue.SimpleQueue[LogLine | threading.Event | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="foxtrot-log", daemon=True)
        self._thread.start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Queue the record; unlike the base class without a lock, which a thread in ``write`` could hold."""
        if self.filter(record):
            self.emit(record)
            return True
        return False

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record, or count why not."""
        try:
            if self._pid != os.getpid():
                self._start()  # a fork has no threads; what waited is the parent's to write
            if self._closed or self._queue.qsize() >= self._capacity:
                self.dropped += 1
                return
            self._queue.put(_snapshot(record))
        except Exception:  # noqa: BLE001  # a bad format or __str__ must not reach the service
            self.failed += 1

    def flush(self, timeout: float = 2.0) -> None:
        """Wait until all that is queued now has been written, at most ``timeout`` seconds."""
        if self._thread.is_alive() and self._pid == os.getpid():
            written = threading.Event()
            self._queue.put(written)
            written.wait(timeout)

    def close(self, timeout: float = 2.0) -> None:
        """Write what is queued, end the thread and close the sink, within ``timeout`` seconds.

        A thread that hangs in a blocked sink is left behind; it is a daemon and holds nothing but that sink.
        """
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            if self._pid == os.getpid():
                self._thread.join(timeout)
            if not self._thread.is_alive():
                self._sink.close()
        super().close()

    def _run(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, LogLine):
                self._write(item)
                if self._queue.empty():
                    self._report_losses()
                continue
            self._report_losses()
            if item is None:
                return
            item.set()

    def _write(self, line: LogLine) -> None:
        try:
            text = redact(self._format_line(line)) + "\n"
        except Exception:  # noqa: BLE001  # a field's __str__ may raise anything
            self.failed += 1
            return
        try:
            self._sink.write(text)
        except (OSError, ValueError) as error:
            self._fall_back(text, error)

    def _fall_back(self, text: str, error: Exception) -> None:
        """Go on in the fallback file; when even that fails, count."""
        try:
            if not self._fell_back:
                self._fell_back = True
                self._sink.close()
                self._sink = DescriptorSink(_open_log(self._fallback, os.O_NOFOLLOW))
                message = f"the log goes on here, because its sink failed: {error}"
                self._sink.write(self._format_line(_own(logging.ERROR, message)) + "\n")
            self._sink.write(text)
        except (OSError, ValueError):
            self.dropped += 1
            self._fell_back = False  # perhaps the disk has room by the next line

    def _report_losses(self) -> None:
        now = (self.dropped, self.failed)
        if now == self._reported:
            return
        dropped, failed = now[0] - self._reported[0], now[1] - self._reported[1]
        self._reported = now
        if dropped:
            self._write(_own(logging.WARNING, f"{dropped} lines lost: the log could not keep up"))
        if failed:
            self._write(_own(logging.ERROR, f"{failed} records lost: could not be formatted"))


class DescriptorSink:
    """Writes to a file descriptor of its own, past Python's buffers, which would fail once more at exit."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def write(self, text: str) -> None:
        """Write the whole text, waiting where the descriptor is non-blocking and full."""
        rest = memoryview(text.encode("utf-8", "backslashreplace"))
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                select.select([], [self._descriptor], [], 0.5)

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


class StreamSink:
    """Writes to a stream that has no file descriptor, such as ``io.StringIO``; leaves it open."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Write and flush."""
        self._stream.write(text)
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream to its owner."""


def configure_logging(
    level: int | str = "INFO",
    *,
    target: TextIO | Path | None = None,
    style: str = "auto",
    logger: str = "",
    capacity: int = 10_000,
    fallback: Path | None = None,
) -> QueueLogHandler:
    """Send a logger and all below it to ``target``; replaces what an earlier call has set up.

    Args:
        level: Lowest level that is logged, by name or number.
        target: A stream, or a file to append to; standard error by default.
        style: ``json``, ``text``, or ``auto``: text for a terminal, JSON for all else.
        logger: Name of the logger; the root logger by default.
        capacity: Lines that may wait for the writer before more are dropped.
        fallback: File for when the target fails; ``foxtrot-<pid>.log`` in the system's temporary folder by default.

    Returns:
        The handler, whose ``dropped`` and ``failed`` count what was lost.

    Raises:
        ConfigError: The level or style is unknown, or the file cannot be opened.
    """
    number = _level(level)
    fallback = fallback or Path(tempfile.gettempdir()) / f"foxtrot-{os.getpid()}.log"
    target = target or sys.stderr or fallback  # a daemon may have no standard error
    formatter = _formatter(style, target)
    shutdown()
    handler = QueueLogHandler(_sink(target, fallback), formatter, capacity, fallback)
    owner = logging.getLogger(logger)
    _installed.append((owner, handler, owner.level))
    owner.addHandler(handler)
    owner.setLevel(number)
    return handler


def shutdown(timeout: float = 2.0) -> None:
    """Undo ``configure_logging``: write what is queued, within ``timeout`` seconds, and end the thread.

    It is also done when the interpreter exits.
    """
    while _installed:
        owner, handler, level = _installed.pop()
        owner.removeHandler(handler)
        owner.setLevel(level)
        handler.close(timeout)


def format_json(line: LogLine) -> str:
    """Format a line as one JSON object; what JSON has no form for is written as its ``str``."""
    entry: dict[str, Any] = {
        "ts": _moment(line.created).isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "level": logging.getLevelName(line.level),
        "logger": line.logger,
        "msg": line.message,
    }
    if line.trace:
        entry["exc"] = line.trace
    for name, value in line.fields.items():
        entry[f"extra.{name}" if name in entry else name] = value
    return msgspec.json.encode(entry, enc_hook=str).decode()


def format_text(line: LogLine, colour: bool = False) -> str:
    """Format a line for people: local time, level, logger, message, fields, then the traceback.

    Control characters are escaped, so that a message from outside cannot steer the terminal.
    """
    level = f"{logging.getLevelName(line.level):<8}"
    if colour:
        level = f"{_COLOURS.get(line.level // 10 * 10, '')}{level}{_RESET}"
    clock = _moment(line.created).astimezone().isoformat(sep=" ", timespec="milliseconds")[11:23]
    fields = "".join(f" {name}={_plain(value)}" for name, value in line.fields.items())
    text = f"{line.message}{fields}" + (f"\n{line.trace}" if line.trace else "")
    return f"{clock} {level} {line.logger}: {text.translate(_CONTROLS)}".replace("\n", "\n    ")


_installed: list[tuple[logging.Logger, QueueLogHandler, int]] = []


def _snapshot(record: logging.LogRecord) -> LogLine:
    """Take from a record what will be written, formatted now, for its arguments may change later."""
    trace = record.exc_text or ""
    if not trace and record.exc_info and record.exc_info[0] is not None:
        trace = logging.Formatter().formatException(record.exc_info)
    if record.stack_info:
        trace += ("\n" if trace else "") + record.stack_info
    fields = {
        name: _settled(value)
        for name, value in vars(record).items()
        if name not in _STANDARD_FIELDS
    }
    message = _clean(record.getMessage())
    return LogLine(record.created, record.levelno, record.name, message, fields, _clean(trace))


def _settled(value: object) -> Any:
    """Return a field as it is now: simple values themselves, the rest as JSON, what has none as its ``str``."""
    if value is None or isinstance(value, bool | float):
        return value
    try:
        return msgspec.Raw(msgspec.json.encode(value, enc_hook=str))
    except (TypeError, ValueError, OverflowError):
        return _clean(str(value))


def _clean(text: str) -> str:
    """Escape halves of surrogate pairs, which no encoding takes."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _plain(value: object) -> str:
    if isinstance(value, msgspec.Raw):
        value = msgspec.json.decode(value)
    return str(value)


def _own(level: int, message: str) -> LogLine:
    return LogLine(time.time(), level, _OWN_LOGGER, message, {}, "")


def _moment(created: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(created, dt.UTC)


def _level(level: int | str) -> int:
    if isinstance(level, int):
        return level
    known = logging.getLevelNamesMapping()
    if level.upper() not in known:
        near = nearest(level, known)
        hint = f" (did you mean {near!r}?)" if near else ""
        raise ConfigError(f"log level {level!r} is not known{hint}; use one of: {', '.join(known)}")
    return known[level.upper()]


def _formatter(style: str, target: TextIO | Path) -> Formatter:
    terminal = not isinstance(target, Path) and not target.closed and target.isatty()
    if style == "json" or (style == "auto" and not terminal):
        return format_json
    if style not in ("auto", "text"):
        raise ConfigError(f"log style {style!r} is not known; use one of: auto, json, text")
    colour = terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return lambda line: format_text(line, colour)


def _sink(target: TextIO | Path, fallback: Path) -> Sink:
    if isinstance(target, Path):
        try:
            return DescriptorSink(_open_log(target))
        except OSError as error:
            raise ConfigError(f"log file {target}: cannot be opened: {error}") from None
    try:
        target.flush()
        # A duplicate: were the stream closed, its number could be given to another file, even to a database.
        return DescriptorSink(os.dup(target.fileno()))
    except io.UnsupportedOperation:
        return StreamSink(target)
    except (OSError, ValueError):  # closed, or its pipe is broken
        return DescriptorSink(_open_log(fallback, os.O_NOFOLLOW))


def _open_log(path: Path, flags: int = 0) -> int:
    """Open a file for appending, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | flags, 0o600)
