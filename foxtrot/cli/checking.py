"""What ``foxtrot data check`` finds in a file, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import typer

from foxtrot.core.objects import ns_to_datetime
from foxtrot.data.columns import BarColumns, row_times
from foxtrot.data.importers import load
from foxtrot.data.issues import QualityError, QualityIssue, Severity

if TYPE_CHECKING:
    from foxtrot.data.columns import Columns

_ANY = "CHECKED.LOCAL"

__all__ = ["Checked", "check_file", "show_json", "show_table"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found.

    Attributes:
        source: the file.
        columns: the data, as fixed; None where errors are left.
        issues: findings, errors first.
        counts: findings per code, those not listed counted in.
        assumptions: what was assumed while reading, as sentences.
    """

    source: str
    columns: Columns | None
    issues: tuple[QualityIssue, ...]
    counts: Mapping[str, int]
    assumptions: tuple[str, ...] = ()

    @property
    def errors(self) -> int:
        """Number of errors."""
        codes = {issue.code for issue in self.issues if issue.severity is Severity.ERROR}
        return sum(self.counts[code] for code in codes)


def check_file(file: Path, vt_symbol: str, **options: Any) -> Checked:
    """Read a file and check it.

    Args:
        file: CSV or Parquet.
        vt_symbol: the instrument; empty for a file of one.
        **options: of ``foxtrot.data.load``.

    Raises:
        DataError: the file cannot be read as market data at all.
    """
    try:
        loaded = load(str(file), vt_symbol or _ANY, **options)
    except QualityError as error:
        report = error.report
        return Checked(str(file), None, report.issues, report.counts)
    counts: dict[str, int] = {}
    for issue in loaded.issues:
        counts[issue.code] = counts.get(issue.code, 0) + 1
    assumptions = tuple(note for note in loaded.assumptions if _ANY not in note)
    return Checked(str(file), loaded.columns, loaded.issues, counts, assumptions)


def show_json(checked: Checked) -> None:
    """Print everything as JSON."""
    document = {
        "file": checked.source,
        "ok": checked.columns is not None,
        "rows": None if checked.columns is None else len(checked.columns),
        "counts": checked.counts,
        "issues": [
            {
                "severity": issue.severity.value,
                "code": issue.code,
                "row": issue.row,
                "column": issue.column,
                "message": issue.message,
                "fixes": issue.fixes,
            }
            for issue in checked.issues
        ],
        "assumptions": checked.assumptions,
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(document), indent=2))


def show_table(checked: Checked) -> None:
    """Print a table of the findings, and what to do about them."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if checked.columns is not None:
        console.print(Text(_described(checked.source, checked.columns)), soft_wrap=True)
    for assumption in checked.assumptions:
        console.print(Text(f"  {assumption}", style="dim"))
    if checked.issues:
        table = Table("", "Line", "Column", "Finding", box=None, padding=(0, 2, 0, 0))
        for issue in checked.issues:
            style = "red" if issue.severity is Severity.ERROR else "dim"
            row = "" if issue.row is None else str(issue.row)
            table.add_row(
                Text(issue.severity.value, style=style),
                row,
                Text(issue.column or ""),
                Text(_without_place(issue, checked.source)),
            )
        console.print(table)
    if checked.columns is None:
        _show_verdict(console, checked)
    else:
        console.print(Text("No errors.", style="green"))


def _show_verdict(console: Any, checked: Checked) -> None:
    from rich.text import Text

    errors = [issue for issue in checked.issues if issue.severity is Severity.ERROR]
    listed = "" if len(errors) == checked.errors else f", of which {len(errors)} are listed"
    word = "error" if checked.errors == 1 else "errors"
    console.print(Text(f"{checked.errors:,} {word}{listed}.", style="bold red"))
    fixes = dict.fromkeys(issue.fixes[0] for issue in errors if issue.fixes)
    if fixes:
        asked = " ".join(f"--fix {name}" for name in fixes)
        console.print(Text(f"Nothing was changed. To mend: {asked}"), soft_wrap=True)


def _described(source: str, columns: Columns) -> str:
    times = row_times(columns)
    first, last = (f"{ns_to_datetime(int(times[row])):%Y-%m-%d %H:%M}" for row in (0, -1))
    what = f"bars of {columns.interval.value}" if isinstance(columns, BarColumns) else "quotes"
    return f"{source}: {len(columns):,} {what}, {first} to {last} UTC"


def _without_place(issue: QualityIssue, source: str) -> str:
    """The message without the file, line and column that the table has columns for."""
    text = issue.message.removeprefix(source)
    if issue.column is not None:
        text = text.partition(f", column {issue.column!r}")[2] or text
    return text.lstrip(": ")
