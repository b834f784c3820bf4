"""The world of one run: the parts of a live system, wired together in one process around a simulated clock and venue.

Invariant: its persistence keeps nothing and it shares nothing with the engine that made it, so a backtest can
never touch a live OMS or its file.
"""

from __future__ import annotations

from collections.abc import Sequence

from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import StrategyError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    BarData,
    OrderData,
    TickData,
    TimerData,
    TradeData,
    ns_to_datetime,
)
from foxtrot.server.backtest.loop import Source
from foxtrot.server.backtest.marks import Recorder
from foxtrot.server.backtest.record import RunLog
from foxtrot.server.backtest.settings import BacktestSettings, LoadedSeries, StrategySpec
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.persistence import NullPersistence
from foxtrot.strategy.host import StrategyHost


class BacktestWorld:
    """Event engine, OMS, simulated venue and strategies of one run.

    Args:
        settings: account and conventions.
        series: loaded data, one instrument each (bars and quotes of one instrument may come together).
        strategies: what to run.

    Raises:
        ConfigError: a strategy's settings or instruments are wrong.
    """

    def __init__(
        self,
        settings: BacktestSettings,
        series: Sequence[LoadedSeries],
        strategies: Sequence[StrategySpec],
    ) -> None:
        start = min((s.series.first_ts for s in series), default=0)
        self.recorder = Recorder([s.series for s in series])
        self.clock = SimulatedClock(start)
        self.event_engine = EventEngine(self.clock)
        self.event_engine.raise_errors = True
        market = MarketView()
        account = settings.account
        self.main_engine = MainEngine(
            self.event_engine,
            persistence=NullPersistence(),
            market=market,
            digits={account.currency: account.digits},
        )
        self.oms = self.main_engine.oms
        self.log = RunLog(self.event_engine)
        self.adapter = self.main_engine.add_adapter(
            SimulatedAdapter,
            settings.adapter_name,
            market=market,
            account=account,
            model=settings.model,
        )
        self._list_contracts(series)
        self.main_engine.connect({}, settings.adapter_name)
        self.event_engine.drain()
        self.hosts = [self._add(spec, series) for spec in strategies]
        self.sources = [self._source(s, market) for s in series]

    def _list_contracts(self, series: Sequence[LoadedSeries]) -> None:
        on_ticks = {s.series.vt_symbol for s in series if not s.series.is_bars}
        listed: set[str] = set()
        for item in series:
            vt_symbol = item.series.vt_symbol
            if vt_symbol not in listed:
                listed.add(vt_symbol)
                self.adapter.list_contract(item.contract, on_ticks=vt_symbol in on_ticks)

    def _add(self, spec: StrategySpec, series: Sequence[LoadedSeries]) -> StrategyHost:
        engine = self.main_engine.strategies
        engine.history = self.recorder
        engine.on_error = _raise_with_story
        loaded = list(dict.fromkeys(s.series.vt_symbol for s in series))
        symbols = list(spec.vt_symbols) or loaded
        return engine.add_strategy(spec.strategy_class, spec.name, symbols, spec.setting)

    def _source(self, item: LoadedSeries, market: MarketView) -> Source:
        series = item.series
        prefix = events.EVENT_BAR if series.is_bars else events.EVENT_TICK
        return Source(
            self.event_engine.topic(prefix + series.vt_symbol),
            self.adapter.exchange.books[series.vt_symbol],
            market.record(series.vt_symbol),
            series.is_bars,
            (),
        )

    def start(self, *, warming: bool) -> None:
        """Start the strategies; their declared indicators become columns.

        Raises:
            StrategyError: an indicator was declared on an instrument without bars.
        """
        for host in self.hosts:
            host.start(warming=warming)
        self.event_engine.drain()
        taken = [
            (host.handlers[symbol], symbol)
            for host in self.hosts
            for symbol in host.handlers
            if host.handlers[symbol].use_columns()
        ]
        with_bars = {source.book.vt_symbol for source in self.sources if source.is_bars}
        for _, symbol in taken:
            if symbol not in with_bars:
                raise StrategyError(
                    f"an indicator was declared on {symbol}, which has quotes but no bars to feed it; make bars by "
                    "self.resample(BarGenerator(...)) and update the indicator in its callback"
                )
        self.sources = [
            source._replace(
                leg_handlers=tuple(h for h, s in taken if s == source.book.vt_symbol)
                if source.is_bars
                else ()
            )
            for source in self.sources
        ]

    def begin_trading(self) -> None:
        """The warm-up is over."""
        for host in self.hosts:
            host.begin_trading()

    def finish(self) -> None:
        """Close out as the model says, stop the strategies, close everything."""
        self.adapter.exchange.finalize()
        self.event_engine.drain()
        for host in self.hosts:
            host.stop()
        self.event_engine.drain()

    def check_accounts(self) -> None:
        """The OMS and the venue kept their books apart; they must agree to the last lot and minor unit.

        Raises:
            StrategyError: they do not (a fault of the platform, not of the strategy).
        """
        for name, ledger in self.oms.accounts.ledgers.items():
            for code in ledger.codes():
                venue = self.adapter.exchange.account.balance
                if name == self.adapter.adapter_name and ledger.balances[code] != venue:
                    raise StrategyError(
                        f"books differ after the run: OMS {ledger.balances[code]}, venue {venue} minor units "
                        f"of {code}; please report this with your data and strategy"
                    )
        held = dict.fromkeys(self.adapter.exchange.books, 0)
        for leg in self.oms.positions.legs.values():
            held[leg.instrument.vt_symbol] += leg.book.lots
        for vt_symbol, book in self.adapter.exchange.books.items():
            if held[vt_symbol] != book.position.lots:
                raise StrategyError(
                    f"positions differ after the run: OMS {held[vt_symbol]}, venue {book.position.lots} lots of "
                    f"{vt_symbol}; please report this with your data and strategy"
                )


def _told(message: object) -> str:
    """A message as a person names it: its kind, instrument, time and prices."""
    kind = type(message).__name__
    match message:
        case BarData():
            opened = (
                ns_to_datetime(message.ts_open).strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")
            )
            return (
                f"{kind} {message.vt_symbol} of {opened}: open {message.open_price:.8g}, "
                f"high {message.high_price:.8g}, low {message.low_price:.8g}, close {message.close_price:.8g}"
            )
        case TickData():
            return (
                f"{kind} {message.vt_symbol}: bid {message.bid_price_1:.8g}, ask {message.ask_price_1:.8g}, "
                f"last {message.last_price:.8g}"
            )
        case OrderData():
            told = f"{message.direction} {message.type} {message.volume:g} {message.vt_symbol} {message.status}"
            return f"{kind} {message.vt_orderid}: {told}" + (
                f" ({message.reason})" if message.reason else ""
            )
        case TradeData():
            told = (
                f"{message.direction} {message.volume:g} {message.vt_symbol} at {message.price:.8g}"
            )
            return f"{kind} {message.vt_orderid}: {told}"
        case TimerData():
            return f"{kind} {message.name!r}"
        case _:
            return repr(message)


def _raise_with_story(host: StrategyHost, error: Exception, message: object) -> None:
    """End the run with what the strategy was handling, when, and its own traceback chained."""
    ts = getattr(message, "ts_event", host.event_engine.clock.now())
    moment = ns_to_datetime(ts).isoformat()
    what = (
        f"on {_told(message)}"
        if message is not None
        else "outside of an event (on_start or on_stop)"
    )
    raise StrategyError(
        f"strategy {host.name} raised {type(error).__name__}: {error}\n  at {moment} {what}"
    ) from error
