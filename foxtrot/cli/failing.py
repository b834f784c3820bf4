"""Errors of a command: one line for the user, the whole story behind ``--debug``, an exit code for the caller."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from foxtrot.app.failures import FAULT, INTERRUPTED, exit_code, user_traceback
from foxtrot.core.errors import FoxtrotError

__all__ = ["reported"]


@contextmanager
def reported(debug: bool) -> Iterator[None]:
    """Turn what a command raises into text on standard error and an exit code.

    Args:
        debug: show the full traceback.

    Raises:
        typer.Exit: with the code; always, where anything but an exit was raised.
    """
    try:
        yield
    except FoxtrotError as error:
        _tell(error, debug)
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        _print("interrupted")
        raise typer.Exit(INTERRUPTED) from None
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except Exception:  # noqa: BLE001 - what nobody foresaw is told as such
        _print(traceback.format_exc())
        _print("error: this is a fault of Foxtrot; please report it with the lines above")
        raise typer.Exit(FAULT) from None


def _tell(error: FoxtrotError, debug: bool) -> None:
    if debug:
        _print("".join(traceback.format_exception(error)))
    else:
        trace = user_traceback(error)
        if trace:
            _print(trace + "\n")
    _print(f"error: {error}", typer.colors.RED)


def _print(text: str, colour: str | None = None) -> None:
    """Write to standard error, the word before the first colon in colour where that is a terminal."""
    import os

    word, colon, rest = text.partition(":")
    if colour and colon and sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        text = typer.style(word + colon, fg=colour, bold=True) + rest
    typer.echo(text, err=True)
