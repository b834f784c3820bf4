"""Tables in the documentation that are made from the code.

A page holds ``<!-- generated: name -->`` and ``<!-- end -->``; what stands between must be what the code says, which
``test_generated.py`` checks. To write them anew: ``python -m tests.docs.generated``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foxtrot.analysis import BacktestResult

ROOT = Path(__file__).resolve().parents[2]
_BLOCK = re.compile(
    r"(<!-- generated: (?P<name>[\w-]+) -->\n)(?P<body>.*?)(<!-- end -->)", re.DOTALL
)

Row = Iterable[str]


def table(head: Row, rows: Iterable[Row]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [list(head)]
    lines.append(["---"] * len(lines[0]))
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def transitions() -> str:
    """The life of an order: which state may follow which."""
    from foxtrot.core.constants import Status
    from foxtrot.server.oms.transitions import TRANSITIONS

    order = list(Status)
    rows = []
    for status in order:
        following = [f"`{other}`" for other in order if other in TRANSITIONS[status]]
        rows.append((f"`{status}`", " ".join(following) or "nothing: the order has ended"))
    return table(("From", "To"), rows)


def execution() -> str:
    """Every convention of the simulated exchange with its values and their words."""
    from foxtrot.simulation import models

    def words(key: str, **option: object) -> str:
        return models.ExecutionModel(**option).describe()[key]  # type: ignore[arg-type]

    default = models.ExecutionModel()
    rows = []
    for field, key in (
        ("market_fill", "Market orders fill"),
        ("intrabar_path", "Path inside a bar"),
        ("limit_fill", "Limit orders fill"),
        ("gap_fill", "Stop orders fill"),
        ("finalize", "Open positions at the end"),
    ):
        chosen = getattr(default, field)
        for member in type(chosen):
            mark = " (default)" if member is chosen else ""
            name = f"`{type(member).__name__}.{member.name}`{mark}"
            rows.append((f"`{field}`", name, f"{key.lower()}: {words(key, **{field: member})}"))
    rows.append(
        ("`volume_share`", "`None` (default)", f"volume per fill: {words('Volume per fill')}")
    )
    limited = words("Volume per fill", volume_share=0.1)
    rows.append(("`volume_share`", "`0.1`", f"volume per fill: {limited}"))
    rows.append(
        ("`leverage`", "`1.0` (default)", "notional per unit of equity; 1 is a cash account")
    )
    rows.append(("`fees`", "`FeeModel()`: none (default)", "see [costs](#costs)"))
    rows.append(("`slippage`", "`SlippageModel()`: none (default)", "see [costs](#costs)"))
    return table(("Option", "Value", "Meaning"), rows)


def fixes() -> str:
    """The fixes of data, in the order in which they run."""
    from foxtrot.data import FIXES

    return table(("Fix", "What it does"), ((f"`{name}`", text) for name, text in FIXES.items()))


def names() -> str:
    """Which column names of files are recognised."""
    from foxtrot.data.names import BAR_NAMES, TICK_NAMES

    both = {**BAR_NAMES, **TICK_NAMES, "time": BAR_NAMES["time"], "volume": BAR_NAMES["volume"]}
    rows = []
    for name, aliases in both.items():
        where = [
            kind for kind, known in (("bars", BAR_NAMES), ("quotes", TICK_NAMES)) if name in known
        ]
        told = ", ".join(f"`{alias}`" for alias in aliases if "unnamed" not in alias)
        rows.append((f"`{name}`", " and ".join(where), told))
    return table(("Foxtrot's name", "Of", "Recognised"), rows)


def indicators() -> str:
    """Every indicator: its call with defaults, what it takes, what it gives."""
    import inspect

    import foxtrot.indicators as package

    rows = []
    for name in package.__all__:
        kind = getattr(package, name)
        if not (isinstance(kind, type) and issubclass(kind, package.Indicator)):
            continue
        if kind is package.Indicator:
            continue
        parameters = [
            str(parameter).partition(":")[0] + _default(parameter)
            for parameter in list(inspect.signature(kind).parameters.values())
        ]
        summary = (inspect.getdoc(kind) or "").partition("\n")[0]
        outputs = ", ".join(f"`{output}`" for output in kind.outputs)
        inputs = ", ".join(f"`{item}`" for item in kind.inputs)
        rows.append((f"`{name}({', '.join(parameters)})`", inputs, outputs, summary))
    return table(("Indicator", "Takes", "Gives", "What it is"), rows)


def _default(parameter: object) -> str:
    value = parameter.default  # type: ignore[attr-defined]
    return "" if value is parameter.empty else f"={value!r}"  # type: ignore[attr-defined]


def statistics() -> str:
    """Every statistic under Foxtrot's own convention."""
    from foxtrot.analysis import definitions

    parts = []
    for group in dict.fromkeys(row.group for row in definitions()):
        rows = [
            (row.label, f"`{row.name}`", row.text) for row in definitions() if row.group == group
        ]
        parts.append(f"### {group}\n\n" + table(("Statistic", "Field", "Definition"), rows))
    return "\n\n".join(parts)


def conventions() -> str:
    """What each convention says, and its figures on the golden series."""
    from foxtrot.analysis import CONVENTIONS, calculate_statistics

    result = golden_result()
    rows = []
    for name, convention in CONVENTIONS.items():
        figures = calculate_statistics(result, name)
        numbers = (figures.sharpe, figures.sortino, figures.annual_return, figures.cagr)
        rows.append((f"`{name}`", convention.summary, *(f"{number:.6f}" for number in numbers)))
    return table(("Convention", "In short", "Sharpe", "Sortino", "Annual return", "CAGR"), rows)


def golden_result() -> BacktestResult:
    """The golden series as a result: 252 business days, and one trade a day that earns the day's return."""
    import numpy as np

    from tests.unit.analysis.helpers import business_days, curve_result, fill

    k = np.arange(252)
    returns = 0.0006 + 0.011 * np.sin(1.7 * k) + 0.006 * np.cos(0.31 * k**2)
    trades = []
    for day, (rate, ts) in enumerate(
        zip(returns.tolist(), business_days(252).tolist(), strict=True)
    ):
        trades.append(fill(2 * day, "LONG", 1000.0, 100.0, ts))
        later = ts + 3_600_000_000_000
        trades.append(fill(2 * day + 1, "SHORT", 1000.0, 100.0 * (1.0 + rate), later))
    return curve_result(returns, trades=trades)


def messages() -> str:
    """The fields of every message."""
    import msgspec

    from foxtrot.core import market_data, objects

    rows = []
    for name, kind in {**vars(market_data), **vars(objects)}.items():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            fields = msgspec.structs.fields(kind)
            told = (f"`{f.name}`" if f.required else f"[`{f.name}`]" for f in fields)
            rows.append((f"[`{name}`][{kind.__module__}.{name}]", ", ".join(told)))
    return table(("Message", "Fields"), rows)


def enumerations() -> str:
    """The members of every enumeration."""
    from enum import StrEnum

    from foxtrot.core import constants

    rows = []
    for name, kind in vars(constants).items():
        if isinstance(kind, type) and issubclass(kind, StrEnum) and kind is not StrEnum:
            told = (f"`{m.name}`" + ("" if m.name == m else f" (`{m}`)") for m in kind)
            rows.append((f"[`{name}`][foxtrot.core.constants.{name}]", ", ".join(told)))
    return table(("Enumeration", "Members"), rows)


def summary() -> str:
    """What ``make backtest`` prints, without what differs from run to run."""
    import io
    import tempfile
    from dataclasses import replace

    from rich.console import Console

    from foxtrot.analysis import summary_renderable
    from foxtrot.app import load_job, run_backtest_job

    with tempfile.TemporaryDirectory() as folder:
        asked = [f"output.folder={folder}", "output.report=false"]
        outcome = run_backtest_job(load_job(ROOT / "configs" / "backtest.toml", asked))
    result = replace(outcome.result, run_seconds=0.05, digest=str)
    text = io.StringIO()
    Console(file=text, width=80).print(summary_renderable(result, outcome.statistics))
    lines = [line.rstrip() for line in text.getvalue().splitlines()]
    return "\n".join(("```text", *lines, "```"))


TABLES: dict[str, Callable[[], str]] = {
    made.__name__: made
    for made in (
        transitions,
        execution,
        fixes,
        names,
        indicators,
        statistics,
        conventions,
        summary,
        messages,
        enumerations,
    )
}


def pages() -> list[Path]:
    """Pages that may hold generated tables."""
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def blocks(text: str) -> list[tuple[str, str]]:
    """Name and present text of each generated block of a page."""
    return [(found["name"], found["body"]) for found in _BLOCK.finditer(text)]


def refreshed(text: str) -> str:
    """The page with each block made anew."""

    def fill(found: re.Match[str]) -> str:
        return f"{found[1]}{body(found['name'])}{found[4]}"

    return _BLOCK.sub(fill, text)


def body(name: str) -> str:
    """What a block must hold."""
    return f"\n{TABLES[name]()}\n\n"


def main() -> None:
    """Write every block of every page anew."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        made = refreshed(text)
        if made != text:
            page.write_text(made, encoding="utf-8")


if __name__ == "__main__":
    main()
