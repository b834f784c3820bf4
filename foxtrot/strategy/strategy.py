"""``Strategy``: what users write. The same class runs in a backtest, on paper and live.

A strategy overrides hooks and calls the methods below; parameters are annotated class attributes with defaults::

    class SmaCross(Strategy):
        fast: int = 10
        slow: int = 30

        def on_start(self) -> None:
            self.fast_sma = self.indicator(SMA(self.fast))
            self.slow_sma = self.indicator(SMA(self.slow))

        def on_bar(self, bar: BarData) -> None: ...

Hooks run one at a time; what a hook sends is decided on after it has returned, and arrives back as ``on_order`` and
``on_trade``.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from foxtrot.core.constants import Direction, Interval
from foxtrot.core.errors import ConfigError
from foxtrot.core.objects import (
    BarData,
    ContractData,
    OrderData,
    TickData,
    TimerData,
    TradeData,
)
from foxtrot.strategy.order_verbs import OrderVerbs
from foxtrot.strategy.parameters import check_setting
from foxtrot.strategy.view import StrategyPosition

if TYPE_CHECKING:
    from foxtrot.indicators.base import Indicator
    from foxtrot.strategy.host import Generator, StrategyHost

AnyIndicator = TypeVar("AnyIndicator", bound="Indicator")
AnyGenerator = TypeVar("AnyGenerator", bound="Generator")


class Strategy(OrderVerbs):
    """Base of all strategies.

    Args:
        host: the runtime; given by whoever loads the strategy.
        setting: parameter values by name.

    Raises:
        ConfigError: a setting is unknown or of the wrong type, a parameter hides a name of this class, or a method
            looks like a hook whose name is mistyped.
    """

    author: ClassVar[str] = ""

    def __init__(self, host: StrategyHost, setting: Mapping[str, Any]) -> None:
        _check_hooks(type(self))
        self._host = host
        self._context = host.context
        self.name = host.context.name
        self.vt_symbols = tuple(host.context.legs)
        self.parameters = check_setting(type(self), setting)
        hidden = [name for name in self.parameters if hasattr(Strategy, name) or name in vars(self)]
        if hidden:
            raise ConfigError(
                f"{type(self).__name__}: the parameter {hidden[0]!r} would hide what every strategy has under that "
                "name; call it otherwise"
            )
        for name, value in self.parameters.items():
            setattr(self, name, value)

    # --- hooks ----------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Called once before the first event: declare indicators, set timers."""

    def on_stop(self) -> None:
        """Called once after the last event."""

    def on_tick(self, tick: TickData) -> None:
        """A quote has arrived."""

    def on_bar(self, bar: BarData) -> None:
        """A bar has closed."""

    def on_order(self, order: OrderData) -> None:
        """One of our orders has changed."""

    def on_trade(self, trade: TradeData) -> None:
        """One of our orders has filled; ``position()`` knows already."""

    def on_timer(self, timer: TimerData) -> None:
        """A timer of ours fell due."""

    def on_save(self) -> dict[str, Any]:
        """What must survive a restart besides positions and orders; plain values only."""
        return {}

    def on_load(self, state: dict[str, Any]) -> None:
        """Take up what ``on_save`` returned before the restart; called after ``on_start``."""

    # --- what we know ---------------------------------------------------------------------------------------

    @property
    def vt_symbol(self) -> str:
        """The instrument, where the strategy trades only one."""
        return self._context.leg(None).vt_symbol

    @property
    def now(self) -> int:
        """The clock's time, ns UTC."""
        return self._context.clock.now()

    @property
    def is_trading(self) -> bool:
        """Whether orders can be sent: not before the start, while warming up, and after the end.

        Hooks are only called while they can; a bar generator's callback is called during the warm-up, too.
        """
        return self._context.trading

    def position(self, vt_symbol: str | None = None) -> StrategyPosition:
        """Our own position in an instrument: ``volume`` (signed units), ``price``, ``is_long``, ..."""
        leg = self._context.default_leg if vt_symbol is None else None
        return (leg or self._context.leg(vt_symbol)).position

    def orders(self, vt_symbol: str | None = None) -> list[OrderData]:
        """Our working orders as of the events delivered so far, of one instrument or all."""
        working = self._context.orders.values()
        return [order for order in working if vt_symbol is None or order.vt_symbol == vt_symbol]

    def contract(self, vt_symbol: str | None = None) -> ContractData:
        """What an instrument is: size, pricetick, lot, currency."""
        return self._context.leg(vt_symbol).contract

    def last_price(self, vt_symbol: str | None = None) -> float:
        """Newest close, or middle of the newest quote; 0 before the first."""
        return self._context.leg(vt_symbol).price()

    def history(
        self, count: int, vt_symbol: str | None = None, interval: Interval | None = None
    ) -> list[BarData]:
        """The newest ``count`` bars that are known now, oldest first; fewer where there are no more."""
        return self._context.history(self._context.leg(vt_symbol), count, interval)

    def round_price(
        self, price: float, side: Direction | None = None, vt_symbol: str | None = None
    ) -> float:
        """The price on the tick: nearest, or for a side never worse than asked (LONG down, SHORT up)."""
        return self._context.leg(vt_symbol).instrument.tick.round(price, side)

    def round_volume(self, volume: float, vt_symbol: str | None = None) -> float:
        """The volume in whole lots, rounded down."""
        return self._context.leg(vt_symbol).instrument.lot.round(volume)

    # --- indicators, bars, timers, log ----------------------------------------------------------------------

    def indicator(self, indicator: AnyIndicator, vt_symbol: str | None = None) -> AnyIndicator:
        """Have an indicator updated with each bar of an instrument, before ``on_bar``; returns it.

        Declared in ``on_start`` it is computed as whole columns in a backtest, bit-equal to streaming.
        """
        return self._host.add_indicator(self._context.leg(vt_symbol), indicator)

    def resample(self, generator: AnyGenerator, vt_symbol: str | None = None) -> AnyGenerator:
        """Have larger bars made of an instrument's bars and ticks; returns the generator.

        The generator's own callback is called as a bar completes, before ``on_bar`` (or ``on_tick``) of the input that
        completed it::

            self.resample(BarGenerator("1w", self.on_week))
        """
        return self._host.add_generator(self._context.leg(vt_symbol), generator)

    def set_timer(self, name: str, interval: int, *, start: int | None = None) -> None:
        """Have ``on_timer`` called every ``interval`` ns, first at ``start`` (ns UTC; default: one interval on)."""
        self._host.set_timer(name, interval, start)

    def cancel_timer(self, name: str) -> None:
        """Forget a timer."""
        self._host.cancel_timer(name)

    def log(self, msg: str, level: int = logging.INFO) -> None:
        """Write a line to the log, under the strategy's name."""
        self._context.log(msg, level)


def _check_hooks(cls: type[Strategy]) -> None:
    """Refuse a method that nobody will ever call because its name misses a hook's by a letter or two.

    Raises:
        ConfigError: names the method and the hook.
    """
    hooks = [name for name in vars(Strategy) if name.startswith("on_")]
    for name in dir(cls):
        if name.startswith("on_") and name not in hooks:
            near = difflib.get_close_matches(name, hooks, n=1, cutoff=0.8)
            if near:
                raise ConfigError(
                    f"{cls.__name__} has a method {name!r}, which is never called; did you mean {near[0]!r}? "
                    "(A method of your own needs a name that is less like a hook's.)"
                )
