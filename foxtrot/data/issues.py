"""Findings about market data: where a row came from, one finding, a report of all.

Invariants: every message names source, line or row, column and value; a report keeps the first few
findings of each kind and the number of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foxtrot.core.errors import DataError
from foxtrot.data.columns import IntArray

Mask: TypeAlias = NDArray[np.bool_]

_SHOWN = 8
_SHOWN_PER_CODE = 2


class Severity(StrEnum):
    """How bad an issue is; only an ``ERROR`` keeps the data from a run."""

    ERROR = "error"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class QualityIssue:
    """One finding.

    Attributes:
        severity: ERROR or INFO.
        code: kind of finding, for programs: ``unsorted``, ``duplicate``, ``not_a_number``, ...
        row: line of the file (the header is line 1) for CSV, else row counted from 0; None for all.
        column: the column's name in the file, or None.
        message: one sentence with place, value and fix.
        fixes: names of the fixes that would mend it.
    """

    severity: Severity
    code: str
    row: int | None
    column: str | None
    message: str
    fixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where rows came from, so that messages can name file, line and column.

    Attributes:
        source: file name, or what stands for it.
        rows: per row the line in the file or the row number, shape (n,); None for 0, 1, 2, ...
        unit: ``line`` for text files, else ``row``.
        names: canonical column name to the file's name.
        texts: canonical column name to {row: text} of cells that hold no number.
    """

    source: str
    rows: IntArray | None = None
    unit: str = "row"
    names: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    def row(self, index: int) -> int:
        """Line or row number of the row at ``index``."""
        return int(index) if self.rows is None else int(self.rows[index])

    def column(self, name: str) -> str:
        """The file's name for a column."""
        return self.names.get(name, name)

    def place(self, index: int, name: str) -> str:
        """Words such as ``prices.csv, line 7, column 'High'``."""
        return f"{self.source}, {self.unit} {self.row(index)}, column {self.column(name)!r}"

    def take(self, chosen: NDArray[Any], length: int) -> Origin:
        """The origin of the chosen rows (mask or row numbers) out of ``length``."""
        rows = np.arange(length, dtype=np.int64) if self.rows is None else self.rows
        return replace(self, rows=rows[chosen])


@dataclass(frozen=True, slots=True)
class QualityReport:
    """All findings about one table of data.

    Attributes:
        source: file name, or what stands for it.
        rows: number of rows checked.
        issues: findings, errors first; at most ``limit`` of a kind and column.
        counts: full number of findings per code.
    """

    source: str
    rows: int
    issues: tuple[QualityIssue, ...]
    counts: Mapping[str, int]

    @property
    def errors(self) -> tuple[QualityIssue, ...]:
        """Findings that keep the data from a run."""
        return tuple(issue for issue in self.issues if issue.severity is Severity.ERROR)

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return not self.errors

    def raise_for_errors(self) -> None:
        """Raise what was found.

        Raises:
            QualityError: there are errors; the message lists the first of each kind, the number of all,
                and the fixes to ask for.
        """
        errors = self.errors
        if not errors:
            return
        lines = _shown(errors)
        codes = dict.fromkeys(issue.code for issue in errors)
        found = ", ".join(f"{self.counts[code]} {code}" for code in codes)
        lines.append(f"  In all {found} in {self.rows} rows of {self.source}.")
        fixes = dict.fromkeys(name for issue in errors for name in issue.fixes[:1])
        if fixes:
            options = " ".join(f"--fix {name}" for name in fixes)
            lines.append(f"  Nothing was changed; to mend: fix={tuple(fixes)!r}, or {options}.")
        raise QualityError("\n".join(lines), self)

    def __str__(self) -> str:
        if not self.issues:
            return f"{self.source}: {self.rows} rows, nothing found"
        lines = [f"{self.source}: {self.rows} rows"]
        lines += [f"  {issue.severity.value:5} {issue.message}" for issue in self.issues]
        return "\n".join(lines)


class QualityError(DataError):
    """Data that failed its checks; ``report`` holds everything that was found."""

    def __init__(self, message: str, report: QualityReport) -> None:
        super().__init__(message)
        self.report = report


def _shown(errors: Sequence[QualityIssue]) -> list[str]:
    """The first two messages of each code, at most eight, the first of them unindented."""
    seen: dict[str, int] = {}
    chosen: list[str] = []
    for issue in errors:
        seen[issue.code] = seen.get(issue.code, 0) + 1
        if seen[issue.code] <= _SHOWN_PER_CODE:
            chosen.append(issue.message)
    return [chosen[0], *(f"  {message}" for message in chosen[1:_SHOWN])]


class Finder:
    """Collects issues: a mask of bad rows becomes the first few issues and a count."""

    def __init__(self, origin: Origin, rows: int, limit: int = 5) -> None:
        self.origin = origin
        self._rows = rows
        self._limit = limit
        self._issues: list[QualityIssue] = []
        self._counts: dict[str, int] = {}

    def flag(
        self,
        code: str,
        bad: Mask | IntArray,
        column: str,
        say: Callable[[int], str],
        *fixes: str,
    ) -> None:
        """Note an error at each bad row (mask, or row numbers); ``say(index)`` tells what is wrong."""
        where = np.flatnonzero(bad) if bad.dtype == np.bool_ else bad
        if not len(where):
            return
        self._counts[code] = self._counts.get(code, 0) + len(where)
        mend = f" (fix: {' or '.join(fixes)})" if fixes else ""
        for index in where[: self._limit].tolist():
            message = f"{self.origin.place(index, column)}: {say(index)}{mend}"
            name = self.origin.column(column)
            row = self.origin.row(index)
            self._issues.append(QualityIssue(Severity.ERROR, code, row, name, message, fixes))

    def inform(self, code: str, count: int, message: str, index: int | None = None) -> None:
        """Note something worth knowing."""
        self._counts[code] = self._counts.get(code, 0) + count
        row = None if index is None else self.origin.row(index)
        text = f"{self.origin.source}: {message}"
        self._issues.append(QualityIssue(Severity.INFO, code, row, None, text))

    def report(self) -> QualityReport:
        """Everything found so far, errors first."""
        ordered = sorted(self._issues, key=lambda issue: issue.severity is not Severity.ERROR)
        return QualityReport(self.origin.source, self._rows, tuple(ordered), dict(self._counts))


def moment(ns: int) -> str:
    """Nanoseconds UTC as ISO text for messages, as short as it can be."""
    text = str(np.datetime64(int(ns), "ns"))
    return (text.rstrip("0").rstrip(".") if "." in text else text) + "Z"
