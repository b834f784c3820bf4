"""Results in, figures and pictures out: round trips, statistics under named conventions, reports. Pure, no I/O."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foxtrot.analysis.conventions import CONVENTIONS as CONVENTIONS
    from foxtrot.analysis.glossary import Definition as Definition
    from foxtrot.analysis.glossary import definitions as definitions
    from foxtrot.analysis.glossary import definitions_frame as definitions_frame
    from foxtrot.analysis.record import Statistics as Statistics
    from foxtrot.analysis.report import render_report as render_report
    from foxtrot.analysis.result import BacktestResult as BacktestResult
    from foxtrot.analysis.result import PriceSeries as PriceSeries
    from foxtrot.analysis.round_trips import OpenLot as OpenLot
    from foxtrot.analysis.round_trips import RoundTrip as RoundTrip
    from foxtrot.analysis.round_trips import RoundTrips as RoundTrips
    from foxtrot.analysis.round_trips import match_round_trips as match_round_trips
    from foxtrot.analysis.statistics import calculate_statistics as calculate_statistics
    from foxtrot.analysis.terminal import summary_renderable as summary_renderable

_HOMES = {
    "BacktestResult": "result",
    "CONVENTIONS": "conventions",
    "Definition": "glossary",
    "OpenLot": "round_trips",
    "PriceSeries": "result",
    "RoundTrip": "round_trips",
    "RoundTrips": "round_trips",
    "Statistics": "record",
    "calculate_statistics": "statistics",
    "definitions": "glossary",
    "definitions_frame": "glossary",
    "match_round_trips": "round_trips",
    "render_report": "report",
    "summary_renderable": "terminal",
}

__all__ = [
    "CONVENTIONS",
    "BacktestResult",
    "Definition",
    "OpenLot",
    "PriceSeries",
    "RoundTrip",
    "RoundTrips",
    "Statistics",
    "calculate_statistics",
    "definitions",
    "definitions_frame",
    "match_round_trips",
    "render_report",
    "summary_renderable",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
