"""Faults on purpose: how often, from which seed, and what came of it.

A test runs its fault some number of times and counts what was lost, duplicated and detected::

    def test_f21_two_owners(chaos: Chaos) -> None:
        with chaos.fault("F21", "two owners started at once", runs=(3, 100)) as fault:
            for run in fault.runs():
                ...  # run.number, run.rng (of this run alone)
                fault.lost += ...

When the block ends, what must hold is checked: nothing lost, nothing duplicated, unless ``must_hold`` says otherwise.
The counts are ``runs=(few, full)``. What decides, by environment variable:

* ``FOXTROT_CHAOS``: ``1`` (default) for the few, ``full`` for all of them.
* ``FOXTROT_CHAOS_RUNS``: a number for every fault, whatever it says.
* ``FOXTROT_CHAOS_SEED``: the seed, printed with each fault; the same seed makes the same choices.
* ``FOXTROT_CHAOS_RESULTS``: a JSON file into which each fault's result is merged as soon as it ends.
* ``FOXTROT_CHAOS_RESUME``: ``1`` passes over what has a good result of this count and seed already.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

SEED = 20_240_301

MustHold = Mapping[str, Callable[["Fault"], bool]]
"""What must hold at the end, in words, with the test of it."""

NOTHING_LOST_OR_DOUBLED: MustHold = {
    "0 lost": lambda fault: fault.lost == 0,
    "0 duplicated": lambda fault: fault.duplicated == 0,
}


class Run(NamedTuple):
    """One time that a fault is made: its number, from 0 on, and chance of its own."""

    number: int
    rng: random.Random


@dataclass
class Settings:
    """What the environment says."""

    full: bool = False
    runs: int | None = None
    seed: int = SEED
    results: Path | None = None
    resume: bool = False

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        level = environ.get("FOXTROT_CHAOS", "1")
        if level not in ("1", "full"):
            raise ValueError(f"FOXTROT_CHAOS is {level!r}; it must be 1 (few runs) or full")
        runs, results = environ.get("FOXTROT_CHAOS_RUNS"), environ.get("FOXTROT_CHAOS_RESULTS")
        return cls(
            level == "full",
            int(runs) if runs else None,
            int(environ.get("FOXTROT_CHAOS_SEED", SEED)),
            Path(results) if results else None,
            environ.get("FOXTROT_CHAOS_RESUME") == "1",
        )


@dataclass
class Fault:
    """What came of one fault.

    Attributes:
        lost: what had been acknowledged and was gone.
        duplicated: what was there twice.
        detected: how often the fault was noticed and refused (or mended) rather than passed over.
        notes: further figures by name, for the results.
    """

    name: str
    title: str
    count: int
    seed: int
    must_hold: MustHold = field(default_factory=lambda: NOTHING_LOST_OR_DOUBLED)
    done: int = 0
    lost: int = 0
    duplicated: int = 0
    detected: int = 0
    seconds: float = 0.0
    notes: dict[str, Any] = field(default_factory=dict)

    def runs(self) -> Iterator[Run]:
        """The runs to be made."""
        for number in range(self.count):
            yield Run(number, random.Random(f"{self.seed}/{self.name}/{number}"))
            self.done += 1

    def rng(self, purpose: str) -> random.Random:
        """Chance for what is made once for all runs."""
        return random.Random(f"{self.seed}/{self.name}/{purpose}")

    def broken(self) -> list[str]:
        """What should hold and does not."""
        found = [words for words, holds in self.must_hold.items() if not holds(self)]
        return found if self.done else [*found, "it ran at all"]

    def result(self, error: str = "") -> dict[str, Any]:
        """The result as it is written."""
        return {
            "fault": self.name,
            "title": self.title,
            "runs": self.done,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "detected": self.detected,
            "seconds": round(self.seconds, 2),
            "seed": self.seed,
            "must_hold": list(self.must_hold),
            "ok": not error and not self.broken(),
            "notes": self.notes,
        } | ({"error": error} if error else {})


class Chaos:
    """Makes faults as the settings say, and keeps their results."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @contextmanager
    def fault(
        self,
        name: str,
        title: str,
        *,
        runs: tuple[int, int],
        must_hold: MustHold = NOTHING_LOST_OR_DOUBLED,
    ) -> Iterator[Fault]:
        """Make a fault, in the ``with`` block, and check what must hold.

        Args:
            name: as the table of faults has it, ``F8``; variants as ``F8 synchronous=NORMAL``.
            title: what is done.
            runs: how often, in an ordinary test run and in a full one.
            must_hold: what must hold at the end.
        """
        settings = self.settings
        count = settings.runs or runs[settings.full]
        fault = Fault(name, title, count, settings.seed, must_hold)
        self._skip_done(fault)
        print(f"{name}: {title}: {count} runs, FOXTROT_CHAOS_SEED={settings.seed}")  # noqa: T201
        start = time.perf_counter()
        error = "it did not end"
        try:
            yield fault
            error = ""
        except BaseException as failure:
            error = f"{type(failure).__name__}: {failure}"
            raise
        finally:
            fault.seconds = time.perf_counter() - start
            result = fault.result(error)
            print(json.dumps(result))  # noqa: T201
            if settings.results is not None:
                merge(settings.results, result)
        assert not fault.broken(), f"{fault.broken()} does not hold: {asdict_of(fault)}"

    def _skip_done(self, fault: Fault) -> None:
        settings = self.settings
        if settings.resume and settings.results is not None:
            old = load(settings.results).get(fault.name, {})
            same = (old.get("runs"), old.get("seed")) == (fault.count, fault.seed)
            if same and old.get("ok"):
                pytest.skip(f"{fault.name} has a result of {fault.count} runs already")


def asdict_of(fault: Fault) -> dict[str, Any]:
    return {key: value for key, value in asdict(fault).items() if key != "must_hold"}


def load(path: Path) -> dict[str, dict[str, Any]]:
    """Results by fault; none where there is no file yet."""
    if not path.exists():
        return {}
    found: list[dict[str, Any]] = json.loads(path.read_text())["faults"]
    return {result["fault"]: result for result in found}


def merge(path: Path, result: dict[str, Any]) -> None:
    """Put one result among the others; the file changes whole or not at all, for one process at a time."""
    partial = path.with_name(f"{path.name}.partial")
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        results = load(path) | {result["fault"]: result}
        ordered = [results[name] for name in sorted(results, key=_order)]
        with partial.open("w") as file:
            file.write(json.dumps({"faults": ordered}, indent=1) + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        os.close(folder)


def _order(name: str) -> tuple[int, str]:
    number = name.split(maxsplit=1)[0].lstrip("F")
    return (int(number) if number.isdigit() else 0, name)


def table(path: Path) -> str:
    """The results as a table for people."""
    rows = [("fault", "what", "runs", "lost", "duplicated", "detected", "seconds", "")]
    for result in load(path).values():
        figures = (result[key] for key in ("runs", "lost", "duplicated", "detected", "seconds"))
        verdict = "ok" if result["ok"] else "FAILED"
        rows.append((result["fault"], result["title"], *map(str, figures), verdict))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
