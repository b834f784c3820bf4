"""Market data of one instrument on its way into one strategy; on the hot path of a backtest.

Indicators come first, in order of declaration, then the generators, whichever was declared before: so a generator's
callback sees the same values with columns and without.

Indicators declared before the first event are computed for a whole chunk of bars at once (``prepare``) and then shown
row by row; others stream. Both give the same values, bit for bit; a row of a column costs a fraction of an update.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from foxtrot.core.errors import StrategyError
from foxtrot.core.objects import BarData, TickData
from foxtrot.core.values import ROWS_ALONE, values_of
from foxtrot.indicators.base import Indicator
from foxtrot.strategy.view import Leg

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BarHook = Callable[[BarData], object]
TickHook = Callable[[TickData], object]


def _nothing(_message: Any) -> None:
    """The hook of a strategy that is not running."""


class LegHandler:
    """Calls, for each bar or tick: indicators, then generators, each in order of declaration, then the hook.

    Args:
        leg: the leg whose newest data is kept.
        on_bar: the strategy's hook.
        on_tick: the strategy's hook.
        fail: told with the exception and the message when anything raises.
    """

    __slots__ = (
        "_bar_hook",
        "_declared",
        "_fail",
        "_indicators",
        "_multiple",
        "_on_bar",
        "_on_tick",
        "_single",
        "_streaming",
        "_tick_hook",
        "feeds",
        "leg",
        "ready_ts",
        "tick_feeds",
    )

    def __init__(
        self,
        leg: Leg,
        on_bar: BarHook,
        on_tick: TickHook,
        fail: Callable[[Exception, Any], None],
    ) -> None:
        self.leg = leg
        self.feeds: list[BarHook] = []
        self.tick_feeds: list[TickHook] = []
        self._streaming = 0
        self.ready_ts = 0
        self._on_bar = on_bar
        self._on_tick = on_tick
        self._fail = fail
        self._bar_hook: BarHook = _nothing
        self._tick_hook: TickHook = _nothing
        self._indicators: list[Indicator] = []
        self._declared: list[tuple[Indicator, BarHook]] = []
        self._single: list[tuple[Indicator, Callable[[], float]]] = []
        self._multiple: list[tuple[Indicator, Callable[[], Iterable[float]]]] = []

    def set_hooks(self, *, live: bool) -> None:
        """Call the strategy's hooks from here on, or nothing."""
        self._bar_hook = self._on_bar if live else _nothing
        self._tick_hook = self._on_tick if live else _nothing

    def end(self) -> None:
        """Call nothing of the strategy's any more: no hook, no indicator, no generator."""
        self.set_hooks(live=False)
        self.feeds, self.tick_feeds = [], []
        self._single, self._multiple = [], []
        self._declared = []

    def add_indicator(self, indicator: Indicator, *, declared: bool) -> None:
        """Stream an indicator from the bars; a declared one may be turned into columns.

        Raises:
            StrategyError: it was added before; one update a bar is all that it can take.
        """
        if any(known is indicator for known in self._indicators):
            raise StrategyError(
                f"{indicator!r} was added to {self.leg.vt_symbol} before; add it once"
            )
        self._indicators.append(indicator)
        names = indicator.inputs
        update = indicator.update

        def feed(bar: BarData) -> None:
            update(*[getattr(bar, name) for name in names])

        self.feeds.insert(self._streaming, feed)
        self._streaming += 1
        if declared:
            self._declared.append((indicator, feed))

    # --- columns --------------------------------------------------------------------------------------------

    def use_columns(self) -> bool:
        """Take the declared indicators off the stream; returns whether there are any to ``prepare``."""
        for _, feed in self._declared:
            if feed in self.feeds:
                self.feeds.remove(feed)
                self._streaming -= 1
        return bool(self._declared)

    def inputs(self) -> set[str]:
        """The ``BarData`` fields that the declared indicators take."""
        return {name for indicator, _ in self._declared for name in indicator.inputs}

    def prepare(
        self,
        columns: Mapping[str, NDArray[np.float64]],
        ts_event: NDArray[np.int64],
        rows: int = ROWS_ALONE,
    ) -> None:
        """Compute the declared indicators for the next rows.

        Args:
            columns: the inputs of these rows by ``BarData`` field, each of shape (n,).
            ts_event: the rows' closes, ns UTC, shape (n,).
            rows: how many rows become Python numbers at a time.
        """
        self._single = []
        self._multiple = []
        for indicator, _ in self._declared:
            shown = [getattr(indicator, name) for name in indicator.outputs]
            previous = indicator.previous
            results = indicator.batch(*[columns[name] for name in indicator.inputs])
            for name, value in zip(indicator.outputs, shown, strict=True):
                setattr(indicator, name, value)
            indicator.previous = previous
            self._note_ready(results[0], previous, shown[0], ts_event)
            values = [values_of(result, rows) for result in results]
            if len(values) == 1:
                self._single.append((indicator, values[0].__next__))
            else:
                self._multiple.append((indicator, zip(*values, strict=True).__next__))

    def _note_ready(
        self,
        main: NDArray[np.float64],
        previous: float,
        shown: float,
        ts_event: NDArray[np.int64],
    ) -> None:
        """Remember when the last declared indicator had its first value."""
        if shown != shown and previous != previous:
            good = (main == main).nonzero()[0]
            if len(good):
                self.ready_ts = max(self.ready_ts, int(ts_event[good[0]]))

    # --- market data ----------------------------------------------------------------------------------------

    def on_bar(self, bar: BarData) -> None:
        """Indicators and generators first, then the hook."""
        self.leg.bar = bar
        try:
            for indicator, following in self._single:
                indicator.previous = indicator.value
                indicator.value = following()
            if self._multiple:
                self._show_rows()
            if self.feeds:  # asking is cheaper than a loop over nothing
                for feed in self.feeds:
                    feed(bar)
            self._bar_hook(bar)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            self._fail(error, bar)

    def _show_rows(self) -> None:
        """Set the outputs of indicators that have several."""
        for indicator, row in self._multiple:
            indicator.previous = indicator.value
            for name, value in zip(indicator.outputs, row(), strict=True):
                setattr(indicator, name, value)

    def on_tick(self, tick: TickData) -> None:
        """Generators first, then the hook."""
        self.leg.tick = tick
        try:
            if self.tick_feeds:
                for feed in self.tick_feeds:
                    feed(tick)
            self._tick_hook(tick)
        except Exception as error:  # noqa: BLE001 - whatever a user's code raises
            self._fail(error, tick)
