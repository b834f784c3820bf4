"""The options by which orders and fills are picked, the same wherever they are listed."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["From", "Strategy", "Symbol", "To"]

Strategy = Annotated[
    str, typer.Option("--strategy", metavar="NAME", help="Only those of this strategy.")
]
Symbol = Annotated[
    str, typer.Option("--symbol", metavar="VT_SYMBOL", help="Only those of this instrument.")
]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="DATE", help="The first day or time, in UTC by default."),
]
To = Annotated[
    str | None,
    typer.Option("--to", metavar="DATE", help="The last day, or the first time not wanted."),
]
