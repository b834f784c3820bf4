"""How a program ends: exit codes, and what a person is shown of an error."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from foxtrot.core.errors import FoxtrotError, StrategyError

__all__ = ["BAD_INPUT", "FAILED", "FAULT", "INTERRUPTED", "IN_USE", "exit_code", "user_traceback"]

FAILED = 1
"""The work was done and came to a bad end: a strategy raised, or what was checked has errors."""

BAD_INPUT = 2
"""Something that was given is wrong: an option, a settings file, a data file."""

FAULT = 70
"""An error that nobody foresaw: a fault of Foxtrot itself (EX_SOFTWARE of sysexits)."""

IN_USE = 75
"""Another process has the database open; try again later (EX_TEMPFAIL of sysexits)."""

INTERRUPTED = 130
"""Stopped by the user (128 + SIGINT)."""

_OWN = Path(__file__).resolve().parents[1]


def exit_code(error: BaseException) -> int:
    """The exit code that an error leads to; an error of ours may carry its own as ``exit_code``."""
    match error:
        case StrategyError():
            return FAILED
        case FoxtrotError():
            return int(getattr(error, "exit_code", BAD_INPUT))
        case KeyboardInterrupt():
            return INTERRUPTED
        case _:
            return FAULT


def user_traceback(error: BaseException) -> str:
    """The traceback of what the user's own code raised, without the frames of Foxtrot that called it.

    Empty where no code of the user's was involved.
    """
    cause = error.__cause__
    if cause is None or not isinstance(error, StrategyError):
        return ""
    first = next(
        (depth for depth, frame in enumerate(_frames(cause.__traceback__)) if _is_theirs(frame)),
        None,
    )
    if first is None:
        return ""
    whole = traceback.TracebackException.from_exception(cause)
    last = len(whole.stack)
    if isinstance(cause, FoxtrotError):  # it explains itself: end where their code called ours
        theirs = [_is_theirs(frame) for frame in _frames(cause.__traceback__)]
        last -= theirs[::-1].index(True)
    whole.stack = traceback.StackSummary.from_list(list(whole.stack)[first:last])
    return "".join(whole.format()).rstrip("\n")


def _frames(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def _is_theirs(frame: TracebackType) -> bool:
    file = Path(frame.tb_frame.f_code.co_filename)
    return not file.is_relative_to(_OWN)
