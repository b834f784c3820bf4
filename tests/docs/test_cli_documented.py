"""The page of the command line tells of every command and every option, and of none that there is not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import typer

from foxtrot.app import settings
from foxtrot.cli.main import app

PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "cli.md"


def commands(command: Any, path: str = "foxtrot") -> Iterator[tuple[str, Any]]:
    """Yield the path and the command of every leaf of the program."""
    children = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from commands(child, f"{path} {name}")


def options(command: Any) -> set[str]:
    """Return all spellings of a command's options."""
    found = {"--help", "-h"}
    for parameter in command.params:
        if parameter.param_type_name == "option":
            found.update(parameter.opts, parameter.secondary_opts)
    return found


def section(title: str) -> str:
    """Return the text of a second-level section of the page, with all below it."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n## {title}\n")
    return rest.partition("\n## ")[0]


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_is_documented_with_just_the_options_it_has(path: str) -> None:
    rows = [line for line in section(path).splitlines() if line.startswith("| `-")]
    told = {
        match
        for row in rows
        for match in re.findall(r"`(--?[a-z][a-z-]*)", row.removeprefix("| ").partition(" | ")[0])
    }

    assert told == options(COMMANDS[path])


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_has_examples(path: str) -> None:
    assert section(path).count(f"\n{path}") >= 2


def test_the_options_of_the_program_itself_are_documented() -> None:
    text = PAGE.read_text(encoding="utf-8")

    assert all(f"`foxtrot {option}`" in text for option in ("--version", "--help"))


@pytest.mark.parametrize(
    "struct",
    [
        settings.BacktestJob,
        settings.DataSource,
        settings.Contract,
        settings.StrategySettings,
        settings.Account,
        settings.Execution,
        settings.Fees,
        settings.Slippage,
        settings.StatisticsOptions,
        settings.Output,
    ],
)
def test_every_key_of_the_settings_is_documented(struct: type[msgspec.Struct]) -> None:
    text = section("Settings file")

    missing = [name for name in struct.__struct_fields__ if not re.search(rf"\b{name}\b", text)]

    assert missing == []


def test_every_exit_code_is_documented() -> None:
    from foxtrot.app import failures

    codes = {getattr(failures, name) for name in failures.__all__ if name.isupper()} | {0}
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", section("Exit codes"), re.M)}

    assert told == codes
