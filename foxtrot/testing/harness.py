"""A strategy, the OMS and the simulated exchange in one process, moved on by one bar or quote at a time.

Invariant: a step is the step of a backtest (clock and timers, matching, reports, the strategy's hook, what it sent),
and everything is quiet when ``feed`` returns. What a strategy raises, ``feed`` raises.

::

    harness = StrategyHarness(SmaCross, {"fast": 2, "slow": 3})
    for bar in make_bars([10.0, 11.0, 12.0, 11.0]):
        harness.feed(bar)
    assert harness.position().volume == 1.0
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from foxtrot.adapter.simulated import SimulatedAdapter
from foxtrot.core import events
from foxtrot.core.clock import SimulatedClock
from foxtrot.core.errors import DataError
from foxtrot.core.event_engine import EventEngine
from foxtrot.core.market import MarketView
from foxtrot.core.objects import (
    AccountData,
    BarData,
    ContractData,
    OrderData,
    TickData,
    TradeData,
    ns_to_datetime,
)
from foxtrot.server.main_engine import MainEngine
from foxtrot.server.persistence import Persistence
from foxtrot.simulation.exchange import AccountSettings
from foxtrot.simulation.models import ExecutionModel
from foxtrot.strategy.host import StrategyHost
from foxtrot.strategy.strategy import Strategy
from foxtrot.strategy.view import StrategyPosition
from foxtrot.testing.builders import START, make_contract

NAME = "strategy"


class StrategyHarness:
    """Runs one strategy step by step; it has started when the harness is made.

    Args:
        strategy_class: the strategy.
        setting: parameter values by name.
        contracts: what it trades; ``make_contract()`` by default.
        account: opening balance and currency.
        model: conventions of execution.
        on_ticks: whether quotes move the books (bars otherwise).
        start: the clock's first time, ns UTC.
        persistence: where the OMS keeps its state; in memory by default.

    Attributes:
        strategy: the strategy itself.
        main_engine: with the OMS and all questions that it answers.
        exchange: the simulated exchange.
    """

    def __init__(
        self,
        strategy_class: type[Strategy],
        setting: Mapping[str, Any] | None = None,
        *,
        contracts: Sequence[ContractData] = (),
        account: AccountSettings | None = None,
        model: ExecutionModel | None = None,
        on_ticks: bool = False,
        start: int = START,
        persistence: Persistence | None = None,
    ) -> None:
        contracts = list(contracts) or [make_contract()]
        account = account or AccountSettings()
        self.clock = SimulatedClock(start)
        self.event_engine = EventEngine(self.clock)
        self.event_engine.raise_errors = True
        self.market = MarketView()
        self.main_engine = MainEngine(
            self.event_engine,
            persistence=persistence,
            market=self.market,
            digits={account.currency: account.digits},
        )
        adapter = self.main_engine.add_adapter(
            SimulatedAdapter, "SIM", market=self.market, account=account, model=model
        )
        self.exchange = adapter.exchange
        for contract in contracts:
            adapter.list_contract(contract, on_ticks=on_ticks)
        self.main_engine.connect({}, "SIM")
        self.event_engine.drain()
        self.main_engine.strategies.on_error = _raise
        symbols = [contract.vt_symbol for contract in contracts]
        self.host = self.main_engine.add_strategy(strategy_class, NAME, symbols, setting)
        self.strategy = self.host.strategy
        self.main_engine.strategies.start_strategy(NAME)
        self.event_engine.drain()

    # --- moving on ------------------------------------------------------------------------------------------

    def feed(self, *messages: BarData | TickData) -> None:
        """Handle bars or quotes, one after the other, each to quiescence.

        Raises:
            DataError: the instrument is not listed, or the message is older than the clock.
        """
        for message in messages:
            self._feed(message)

    def advance(self, to: int) -> None:
        """Put the clock forward to ``to`` (ns UTC) without data; timers fire on the way.

        Raises:
            DataError: ``to`` lies in the past.
        """
        if to < self.clock.ns:
            raise DataError(f"the clock stands at {_iso(self.clock.ns)}, after {_iso(to)}")
        self.event_engine.advance(to)
        self.event_engine.drain()

    def _feed(self, message: BarData | TickData) -> None:
        book = self.exchange.books.get(message.vt_symbol)
        if book is None:
            known = ", ".join(self.exchange.books)
            raise DataError(f"{message.vt_symbol} is not listed; contracts: {known}")
        self.advance(message.ts_event)
        is_bar = isinstance(message, BarData)
        if is_bar is not book.on_ticks:
            if isinstance(message, BarData):
                self.exchange.on_bar(book, message)
            else:
                self.exchange.on_tick(book, message)
            self.event_engine.drain()
        self.market.update(message)
        topic = events.EVENT_BAR if is_bar else events.EVENT_TICK
        self.event_engine.dispatch(self.event_engine.topic(topic + message.vt_symbol), message)

    def stop(self) -> None:
        """Stop the strategy (``on_stop``) and close everything."""
        self.main_engine.strategies.stop_strategy(NAME)
        self.event_engine.drain()
        self.main_engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.stop()
        else:
            self.main_engine.close()

    # --- looking --------------------------------------------------------------------------------------------

    @property
    def orders(self) -> list[OrderData]:
        """Every order, in order of submission."""
        return self.main_engine.get_all_orders()

    @property
    def active_orders(self) -> list[OrderData]:
        """Orders that can still trade."""
        return self.main_engine.get_all_active_orders()

    @property
    def trades(self) -> list[TradeData]:
        """Every fill, in order of arrival."""
        return self.main_engine.get_all_trades()

    def position(self, vt_symbol: str | None = None) -> StrategyPosition:
        """The strategy's own position; of its only instrument where none is named."""
        return self.strategy.position(vt_symbol)

    def account(self, currency: str = "USD") -> AccountData:
        """The account as the OMS has booked it.

        Raises:
            DataError: there is no account in that currency.
        """
        account = self.main_engine.get_account(f"SIM.{currency}")
        if account is None:
            raise DataError(f"there is no account in {currency}")
        return account


def _raise(_host: StrategyHost, error: Exception, _message: object) -> None:
    raise error


def _iso(ts: int) -> str:
    return ns_to_datetime(ts).isoformat()
