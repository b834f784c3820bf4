"""What is measured: five workloads, each with its data, its bare form and its strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import strategies
import synthetic
from bare import AT_LIMIT, NEXT_OPEN, NO_FILLS, SAME_CLOSE, BareStrategy, Cross, Crosses, Idle
from bare import Replacer as BareReplacer

from foxtrot.data.feed import Columns
from foxtrot.strategy import Strategy


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload.

    Attributes:
        name: short name, as in the results.
        title: what it does.
        rows: rows per instrument at full scale.
        goal: least ratio to the bare loop; 0 for none.
        data: makes the columns of so many rows.
        bare: makes the bare strategy for those instruments.
        strategy: Foxtrot's strategy.
        muted: the same without orders; None where it sends none anyway.
        conventions: how its orders fill; the first is timed, the others are only compared.
    """

    name: str
    title: str
    rows: int
    goal: float
    data: Callable[[int], Sequence[Columns]]
    bare: Callable[[Sequence[str]], BareStrategy]
    strategy: type[Strategy]
    muted: type[Strategy] | None
    conventions: tuple[str, ...]

    def columns(self, scale: float) -> list[Columns]:
        """The data at a scale."""
        return list(self.data(max(200, int(self.rows * scale))))


WORKLOADS = (
    Workload(
        "W1",
        "500,000 bars, SMA 10/30 cross, market orders",
        500_000,
        0.25,
        synthetic.one_instrument,
        lambda _symbols: Cross(),
        strategies.SmaCross,
        strategies.MutedSmaCross,
        (NEXT_OPEN, SAME_CLOSE),
    ),
    Workload(
        "W2",
        "500,000 bars, empty on_bar",
        500_000,
        0.06,
        synthetic.one_instrument,
        lambda _symbols: Idle(),
        strategies.Empty,
        None,
        (NO_FILLS,),
    ),
    Workload(
        "W3",
        "1,000,000 quotes, a limit order replaced every 100",
        1_000_000,
        0.12,
        synthetic.quotes,
        lambda _symbols: BareReplacer(),
        strategies.Replacer,
        strategies.MutedReplacer,
        (AT_LIMIT,),
    ),
    Workload(
        "W3e",
        "1,000,000 quotes, empty on_tick",
        1_000_000,
        0.0,
        synthetic.quotes,
        lambda _symbols: Idle(),
        strategies.Empty,
        None,
        (NO_FILLS,),
    ),
    Workload(
        "W4",
        "50 × 20,000 bars, SMA 10/30 cross on each",
        20_000,
        0.25,
        partial(synthetic.many_instruments, 50),
        Crosses,
        strategies.SmaCrosses,
        strategies.MutedSmaCrosses,
        (NEXT_OPEN, SAME_CLOSE),
    ),
)

BY_NAME = {workload.name: workload for workload in WORKLOADS}
