"""Foxtrot: a Python-native, multi-process trading platform.

The names below are the public interface. Each is loaded from its module when it is first used, so that ``import
foxtrot`` itself costs next to nothing and never loads numpy or pandas.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foxtrot.adapter.base_adapter import BaseAdapter
    from foxtrot.core.clock import Clock, LiveClock, SimulatedClock
    from foxtrot.core.config import Secret, apply_overrides, load_config
    from foxtrot.core.constants import (
        Direction,
        Exchange,
        Interval,
        Liquidity,
        Offset,
        OptionType,
        OrderType,
        Product,
        Status,
        TimeInForce,
        VolumeMode,
    )
    from foxtrot.core.errors import (
        AccountingError,
        ConfigError,
        DataError,
        FoxtrotError,
        InvalidTransitionError,
        MissingExtraError,
        OmsError,
        OrderError,
        PersistenceError,
        StrategyError,
    )
    from foxtrot.core.event_engine import Event, EventEngine
    from foxtrot.core.events import (
        EVENT_ACCOUNT,
        EVENT_BAR,
        EVENT_BOOK,
        EVENT_CONTRACT,
        EVENT_ERROR,
        EVENT_LOG,
        EVENT_ORDER,
        EVENT_POSITION,
        EVENT_STRATEGY,
        EVENT_TICK,
        EVENT_TIMER,
        EVENT_TRADE,
        EVENT_TRADE_TICK,
    )
    from foxtrot.core.log import configure_logging
    from foxtrot.core.objects import (
        AccountData,
        BarData,
        BookDelta,
        BookSnapshot,
        CancelRequest,
        ContractData,
        Depth,
        HistoryRequest,
        LogData,
        ModifyRequest,
        OrderData,
        OrderRequest,
        PositionData,
        SessionData,
        SubscribeRequest,
        TickData,
        TimerData,
        TradeData,
        TradeTick,
    )
    from foxtrot.server.backtester import BacktestEngine
    from foxtrot.server.engines.oms_engine import OmsEngine
    from foxtrot.server.main_engine import BaseEngine, MainEngine
    from foxtrot.server.persistence import Persistence, SqlitePersistence
    from foxtrot.simulation.exchange import AccountSettings
    from foxtrot.simulation.models import (
        ExecutionModel,
        FeeModel,
        Finalize,
        GapFill,
        IntrabarPath,
        LimitFill,
        MarketFill,
        SlippageModel,
    )
    from foxtrot.strategy.strategy import Strategy

_HOMES = {
    "foxtrot.adapter.base_adapter": "BaseAdapter",
    "foxtrot.core.clock": "Clock LiveClock SimulatedClock",
    "foxtrot.core.config": "Secret apply_overrides load_config",
    "foxtrot.core.constants": """
        Direction Exchange Interval Liquidity Offset OptionType OrderType Product Status
        TimeInForce VolumeMode
    """,
    "foxtrot.core.errors": """
        AccountingError ConfigError DataError FoxtrotError InvalidTransitionError MissingExtraError
        OmsError OrderError PersistenceError StrategyError
    """,
    "foxtrot.core.event_engine": "Event EventEngine",
    "foxtrot.core.events": """
        EVENT_ACCOUNT EVENT_BAR EVENT_BOOK EVENT_CONTRACT EVENT_ERROR EVENT_LOG EVENT_ORDER
        EVENT_POSITION EVENT_STRATEGY EVENT_TICK EVENT_TIMER EVENT_TRADE EVENT_TRADE_TICK
    """,
    "foxtrot.core.log": "configure_logging",
    "foxtrot.core.objects": """
        AccountData BarData BookDelta BookSnapshot CancelRequest ContractData Depth
        HistoryRequest LogData ModifyRequest OrderData OrderRequest PositionData SessionData
        SubscribeRequest TickData TimerData TradeData TradeTick
    """,
    "foxtrot.server.backtester": "BacktestEngine",
    "foxtrot.server.engines.oms_engine": "OmsEngine",
    "foxtrot.server.main_engine": "BaseEngine MainEngine",
    "foxtrot.server.persistence": "Persistence SqlitePersistence",
    "foxtrot.simulation.exchange": "AccountSettings",
    "foxtrot.simulation.models": """
        ExecutionModel FeeModel Finalize GapFill IntrabarPath LimitFill MarketFill SlippageModel
    """,
    "foxtrot.strategy.strategy": "Strategy",
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [  # kept in step with _HOMES by a test
    "EVENT_ACCOUNT",
    "EVENT_BAR",
    "EVENT_BOOK",
    "EVENT_CONTRACT",
    "EVENT_ERROR",
    "EVENT_LOG",
    "EVENT_ORDER",
    "EVENT_POSITION",
    "EVENT_STRATEGY",
    "EVENT_TICK",
    "EVENT_TIMER",
    "EVENT_TRADE",
    "EVENT_TRADE_TICK",
    "AccountData",
    "AccountSettings",
    "AccountingError",
    "BacktestEngine",
    "BarData",
    "BaseAdapter",
    "BaseEngine",
    "BookDelta",
    "BookSnapshot",
    "CancelRequest",
    "Clock",
    "ConfigError",
    "ContractData",
    "DataError",
    "Depth",
    "Direction",
    "Event",
    "EventEngine",
    "Exchange",
    "ExecutionModel",
    "FeeModel",
    "Finalize",
    "FoxtrotError",
    "GapFill",
    "HistoryRequest",
    "Interval",
    "IntrabarPath",
    "InvalidTransitionError",
    "LimitFill",
    "Liquidity",
    "LiveClock",
    "LogData",
    "MainEngine",
    "MarketFill",
    "MissingExtraError",
    "ModifyRequest",
    "Offset",
    "OmsEngine",
    "OmsError",
    "OptionType",
    "OrderData",
    "OrderError",
    "OrderRequest",
    "OrderType",
    "Persistence",
    "PersistenceError",
    "PositionData",
    "Product",
    "Secret",
    "SessionData",
    "SimulatedClock",
    "SlippageModel",
    "SqlitePersistence",
    "Status",
    "Strategy",
    "StrategyError",
    "SubscribeRequest",
    "TickData",
    "TimeInForce",
    "TimerData",
    "TradeData",
    "TradeTick",
    "VolumeMode",
    "__version__",
    "apply_overrides",
    "configure_logging",
    "load_config",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its home and keep it (PEP 562)."""
    if name == "__version__":
        value: Any = import_module("importlib.metadata").version("foxtrot-trading")
    elif name in _HOME_OF:
        value = getattr(import_module(_HOME_OF[name]), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
