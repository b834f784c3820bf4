"""Real daily prices that ship with Foxtrot; ``ATTRIBUTION.md`` beside this file tells where from.

Invariants: the data are in the public domain, complete (no fix is applied) and the same in every install.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from foxtrot.core.errors import DataError

if TYPE_CHECKING:
    from foxtrot.data.columns import BarColumns
    from foxtrot.data.spans import Moment

SAMPLE_SYMBOLS: Mapping[str, str] = {
    "AAPL": "AAPL.NASDAQ",
    "FB": "FB.NASDAQ",
    "GOOG": "GOOG.NASDAQ",
    "IBM": "IBM.NYSE",
    "MSFT": "MSFT.NASDAQ",
}
"""Ticker of each sample to its ``vt_symbol``."""

__all__ = ["SAMPLE_SYMBOLS", "sample_bars", "sample_names", "sample_path"]


def sample_names() -> tuple[str, ...]:
    """Tickers of the samples."""
    return tuple(SAMPLE_SYMBOLS)


def sample_path() -> Path:
    """The file that holds all samples: ticker, date, open, high, low, close, volume, adj_close."""
    return Path(__file__).with_name("us_daily.csv.gz")


def sample_bars(
    name: str, *, adjusted: bool = True, start: Moment = None, end: Moment = None
) -> BarColumns:
    """Daily bars of a sample.

    Args:
        name: ticker (``GOOG``) or ``vt_symbol`` (``GOOG.NASDAQ``).
        adjusted: scale open, high, low and close by adjusted close / close, which takes splits and
            dividends out; False gives prices as traded. Volume is as traded either way.
        start: first date that belongs, as for ``foxtrot.data.load_bars``.
        end: last date that belongs.

    Returns:
        Bars from midnight to midnight UTC of each session date; prices in US dollars.

    Raises:
        DataError: there is no such sample.
    """
    # Local: whoever only wants the names or the path needs neither numpy nor pandas.
    from foxtrot.data.importers import load_bars

    symbols = {**SAMPLE_SYMBOLS, **{symbol: symbol for symbol in SAMPLE_SYMBOLS.values()}}
    if name.upper() not in symbols:
        raise DataError(f"there is no sample {name!r}; there are {', '.join(SAMPLE_SYMBOLS)}")
    vt_symbol = symbols[name.upper()]
    return load_bars(sample_path(), vt_symbol, adjust=adjusted, start=start, end=end).columns
