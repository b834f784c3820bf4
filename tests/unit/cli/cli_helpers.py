"""Runs ``foxtrot`` inside the test's own process, in a folder of its own."""

from __future__ import annotations

from typing import NamedTuple

from typer.testing import CliRunner

from foxtrot.cli.main import app


class Told(NamedTuple):
    """What a run said and how it ended."""

    code: int
    out: str
    err: str


def foxtrot(*arguments: object) -> Told:
    """Run the program; a fault of the program itself (not an exit) is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Told(result.exit_code, result.stdout, result.stderr)
