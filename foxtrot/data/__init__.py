"""Market data: columns, importers, checks, the catalog, samples, made-up data, and bar aggregation.

Names are loaded when they are first used: importing this package loads neither numpy nor pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foxtrot.data.aggregation import BarGenerator
    from foxtrot.data.catalog import Catalog, CatalogEntry
    from foxtrot.data.columns import BarColumns, Columns, TickColumns
    from foxtrot.data.fixes import FIXES, apply_fixes
    from foxtrot.data.importers import LoadedData, load, load_bars, load_ticks
    from foxtrot.data.issues import Origin, QualityIssue, QualityReport, Severity
    from foxtrot.data.quality import check
    from foxtrot.data.samples import SAMPLE_SYMBOLS, sample_bars, sample_names, sample_path
    from foxtrot.data.series import CatalogSeries, Series
    from foxtrot.data.synthetic import make_bars, make_ticks
    from foxtrot.data.windows import Session, WindowSchedule
    from foxtrot.data.writers import write_csv

_EXPORTS = {
    "aggregation": ("BarGenerator",),
    "catalog": ("Catalog", "CatalogEntry"),
    "columns": ("BarColumns", "Columns", "TickColumns"),
    "fixes": ("FIXES", "apply_fixes"),
    "importers": ("LoadedData", "load", "load_bars", "load_ticks"),
    "issues": ("Origin", "QualityIssue", "QualityReport", "Severity"),
    "quality": ("check",),
    "samples": ("SAMPLE_SYMBOLS", "sample_bars", "sample_names", "sample_path"),
    "series": ("CatalogSeries", "Series"),
    "synthetic": ("make_bars", "make_ticks"),
    "windows": ("Session", "WindowSchedule"),
    "writers": ("write_csv",),
}
_HOME = {name: f"{__name__}.{module}" for module, names in _EXPORTS.items() for name in names}

__all__ = [
    "FIXES",
    "SAMPLE_SYMBOLS",
    "BarColumns",
    "BarGenerator",
    "Catalog",
    "CatalogEntry",
    "CatalogSeries",
    "Columns",
    "LoadedData",
    "Origin",
    "QualityIssue",
    "QualityReport",
    "Series",
    "Session",
    "Severity",
    "TickColumns",
    "WindowSchedule",
    "apply_fixes",
    "check",
    "load",
    "load_bars",
    "load_ticks",
    "make_bars",
    "make_ticks",
    "sample_bars",
    "sample_names",
    "sample_path",
    "write_csv",
]


def __getattr__(name: str) -> Any:
    """Load a public name from the module that defines it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    """Public names, loaded or not."""
    return sorted(__all__)
