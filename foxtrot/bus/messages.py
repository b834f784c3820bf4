"""What services ask of each other: the bodies of requests, replies and reports, and the names of the methods.

Invariants: frozen, array-like Structs with their ``_kind`` first, like all messages; fields are only appended, with
defaults. Every question that can have a long answer is asked in pages.
"""

from __future__ import annotations

import msgspec

from foxtrot.bus.codec import Codec
from foxtrot.bus.rpc_messages import RPC_TYPES
from foxtrot.core.objects import (
    AccountData,
    BarData,
    ContractData,
    OrderData,
    PositionData,
    TradeData,
)
from foxtrot.core.venue import CashFlow, VenueSnapshot

# Methods of the OMS (strategies, commands).
ORDER_SEND = "order.send"
ORDER_MODIFY = "order.modify"
ORDER_CANCEL = "order.cancel"
STREAM_SNAPSHOT = "stream.snapshot"
STREAM_REPLAY = "stream.replay"
QUERY_ORDERS = "q.orders"
QUERY_TRADES = "q.trades"
QUERY_POSITIONS = "q.positions"
QUERY_ACCOUNTS = "q.accounts"
QUERY_CONTRACTS = "q.contracts"
CONTROL_HALT = "ctl.halt"
CONTROL_RESUME = "ctl.resume"

# Methods of an adapter's service, besides the three of orders.
MARKET_SUBSCRIBE = "md.subscribe"
QUERY_HISTORY = "q.history"
QUERY_SNAPSHOT = "q.snapshot"

# Methods of a strategy runner.
STRATEGY_CONTROL = "strategy.control"
STRATEGY_LIST = "strategy.list"

# Methods of the backtest service.
BACKTEST_SUBMIT = "bt.submit"
BACKTEST_LIST = "bt.list"
BACKTEST_INFO = "bt.info"
BACKTEST_CANCEL = "bt.cancel"
BACKTEST_RESULT = "bt.result"

# Methods of every service.
SERVICE_STATUS = "svc.status"
PACE = "pace"

REPORTS = "reports"
"""Topic of the numbered reports that adapters send to the OMS."""

EVENT_HALT = "eHalt."
"""Followed by a strategy's name, or ``all``: ``HaltRequest``, the moment that the OMS has halted it."""

EVENT_BACKTEST = "eBacktest."
"""Followed by a job's id: ``BacktestInfo`` at every change, and ``LogData`` of what its strategies log."""


class HistoryQuery(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="HistoryQuery"
):
    """A page of orders or fills; empty fields mean all. ``active`` asks for working orders alone, ``id`` for one."""

    strategy: str = ""
    vt_symbol: str = ""
    start: int = 0
    end: int = 0
    limit: int = 100
    cursor: str = ""
    newest_first: bool = False
    active: bool = False
    id: str = ""


class OrderPage(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="OrderPage"):
    """Orders; ``cursor`` asks for what follows, empty where nothing does."""

    orders: tuple[OrderData, ...] = ()
    cursor: str = ""


class TradePage(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="TradePage"):
    """Fills; ``cursor`` asks for what follows, empty where nothing does."""

    trades: tuple[TradeData, ...] = ()
    cursor: str = ""


class PositionList(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="PositionList"
):
    """Every position, flat ones included, valued at the newest prices."""

    positions: tuple[PositionData, ...] = ()


class AccountList(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="AccountList"
):
    """Every account, one a currency."""

    accounts: tuple[AccountData, ...] = ()


class ContractList(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="ContractList"
):
    """Contracts; in a request their names alone matter (none: all)."""

    contracts: tuple[ContractData, ...] = ()
    names: tuple[str, ...] = ()


class BarPage(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="BarPage"):
    """Bars of the past, oldest first."""

    bars: tuple[BarData, ...] = ()


class StreamRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="StreamRequest"
):
    """Which strategy's stream, and from where: facts after number ``after``, at most ``limit``."""

    strategy: str
    after: int = 0
    limit: int = 500


class StreamSnapshot(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="StreamSnapshot"
):
    """How a strategy's stream stands at number ``seq``: its working orders, and what of them has filled.

    ``last_id`` is the largest ``n`` of its order ids ``ADAPTER.<strategy>-n``.
    """

    strategy: str
    seq: int
    orders: tuple[OrderData, ...] = ()
    trades: tuple[TradeData, ...] = ()
    last_id: int = 0


class StreamPage(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="StreamPage"):
    """Facts of a strategy's stream in order, numbered ``first``, ``first + 1`` ...; ``last`` is the stream's last."""

    strategy: str
    first: int
    facts: tuple[OrderData | TradeData, ...] = ()
    last: int = 0


class HaltRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="HaltRequest"
):
    """Stop new orders of a strategy (empty: of all); ``cancel`` working orders, ``flatten`` what is held, too."""

    reason: str
    strategy: str = ""
    cancel: bool = False
    flatten: bool = False


class ResumeRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="ResumeRequest"
):
    """End a halt."""

    reason: str = ""
    strategy: str = ""


class ControlReply(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="ControlReply"
):
    """What a command did, in words; ``changed`` counts orders cancelled or sent by it."""

    text: str
    changed: int = 0


class StrategyControl(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="StrategyControl"
):
    """``verb`` is start, stop, pause, resume or reload; ``strategy`` whose (empty: all of the runner)."""

    verb: str
    strategy: str = ""


class StrategyInfo(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="StrategyInfo"
):
    """Where a strategy is in its life; published on ``eStrategy.<name>``. ``error`` is a traceback, or empty."""

    name: str
    state: str
    class_path: str = ""
    vt_symbols: tuple[str, ...] = ()
    error: str = ""
    ts_event: int = 0
    cursor: int = 0
    waiting: int = 0
    variables: dict[str, str] = {}


class StrategyList(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="StrategyList"
):
    """The strategies of a runner."""

    strategies: tuple[StrategyInfo, ...] = ()


class ServiceStatus(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="ServiceStatus"
):
    """What a service says of itself when asked.

    ``state`` is STARTING, READY, DEGRADED, HALTED or STOPPING; ``details`` are words by name, ``counters`` numbers.
    """

    service: str
    role: str
    state: str
    epoch: int
    pid: int
    started: int
    detail: str = ""
    details: dict[str, str] = {}
    counters: dict[str, int] = {}


class PaceRequest(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="PaceRequest"
):
    """Of a paced replay: the time is now ``ts`` (ns UTC), event ``number`` was released; how do you stand?

    ``horizon`` is the time of the event that comes next: up to there timers will run, one after the other. A process
    of that ``epoch`` may go one step on, once for each ``round``: let the commands go that it holds, or run a timer.
    """

    number: int
    ts: int
    horizon: int = 0
    epoch: int = 0
    round: int = 0


class PaceReply(msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="PaceReply"):
    """How a participant stands: the event handled last, whether nothing is under way, and its streams' numbers.

    ``held`` is the number of commands that wait for their round; ``due`` is when the next timer runs on the way to the
    horizon (ns UTC; behind the horizon, at the earliest; 0 for never). ``ts`` is what its clock shows (ns UTC).
    """

    number: int
    idle: bool
    streams: dict[str, int] = {}
    handled: int = 0
    held: int = 0
    due: int = 0
    ts: int = 0


class BacktestSubmit(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="BacktestSubmit"
):
    """A backtest to run: its settings as TOML text, and the absolute folder that paths in it are relative to.

    All files are read and written on the service's machine. ``id`` is the sender's own (letters, digits, ``_`` and
    ``-``, at most 64); the same id twice is one job. ``wiring`` says how the parts of the run are put together.
    """

    config: str
    folder: str
    id: str = ""
    name: str = ""
    wiring: str = ""


class BacktestInfo(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="BacktestInfo"
):
    """Where a backtest stands.

    ``state`` is QUEUED, RUNNING, DONE, FAILED or CANCELLED; ``progress`` goes from 0 to 1: ``done`` rows of ``total``,
    at ``sim_ts`` of the data's own time; ``stage`` says in words what is being done. ``folder`` is where the files go.
    ``error``, ``trace`` and ``exit_code`` (as of ``foxtrot backtest``) tell why it failed; ``figures`` are the
    statistics by name, as in ``statistics.json``. Times are ns UTC, 0 for not yet; ``attempts`` counts starts.
    """

    id: str
    name: str
    state: str
    progress: float = 0.0
    stage: str = ""
    error: str = ""
    folder: str = ""
    figures: dict[str, str | int | float | bool | None] = {}
    log_sha256: str = ""
    ts_created: int = 0
    ts_started: int = 0
    ts_ended: int = 0
    done: int = 0
    total: int = 0
    sim_ts: int = 0
    trace: str = ""
    exit_code: int = 0
    attempts: int = 0


class BacktestQuery(
    msgspec.Struct, frozen=True, array_like=True, gc=False, tag_field="_kind", tag="BacktestQuery"
):
    """Which backtest is meant."""

    id: str


class BacktestListQuery(
    msgspec.Struct,
    frozen=True,
    array_like=True,
    gc=False,
    tag_field="_kind",
    tag="BacktestListQuery",
):
    """A page of backtests, newest first; ``cursor`` as the page before gave it, ``active`` for unfinished ones."""

    limit: int = 50
    cursor: str = ""
    active: bool = False


class BacktestList(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="BacktestList"
):
    """Backtests without figures and traces; ``cursor`` asks for what follows, empty where nothing does."""

    backtests: tuple[BacktestInfo, ...] = ()
    cursor: str = ""


class BacktestOutput(
    msgspec.Struct, frozen=True, array_like=True, tag_field="_kind", tag="BacktestOutput"
):
    """What a finished backtest left behind: ``files`` in ``folder``, on the service's machine.

    ``document`` is the text of ``statistics.json``; ``ts`` (ns UTC) and ``equity`` are the curve, thinned out by means
    where it has more than 4,000 points.
    """

    id: str
    folder: str
    files: tuple[str, ...] = ()
    document: str = ""
    ts: tuple[int, ...] = ()
    equity: tuple[float, ...] = ()


SERVICE_TYPES: tuple[type[msgspec.Struct], ...] = (
    HistoryQuery,
    OrderPage,
    TradePage,
    PositionList,
    AccountList,
    ContractList,
    BarPage,
    StreamRequest,
    StreamSnapshot,
    StreamPage,
    HaltRequest,
    ResumeRequest,
    ControlReply,
    StrategyControl,
    StrategyInfo,
    StrategyList,
    ServiceStatus,
    PaceRequest,
    PaceReply,
    VenueSnapshot,
    CashFlow,
    BacktestSubmit,
    BacktestInfo,
    BacktestQuery,
    BacktestListQuery,
    BacktestList,
    BacktestOutput,
)
"""Bodies that services know besides ``CORE_TYPES``."""


def service_codec() -> Codec:
    """The codec that every service and every command uses."""
    return Codec(types=(*RPC_TYPES, *SERVICE_TYPES))
