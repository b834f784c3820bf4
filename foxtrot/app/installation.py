"""The typed settings of an installation: which processes there are, and what each is told.

Invariants:

* What a file says is checked wholly before anything runs; an error names file, line, key and the nearest known name.
* Paths are relative to the file: of the run folder, of data, and of strategies in ``.py`` files.
* Names of services are unique; each service's sockets are ``<run>/sockets/<service>.pub.sock`` and ``.rpc.sock``.
* Loading a file imports neither numpy nor pandas, and no strategy.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from msgspec.structs import replace

from foxtrot.app.settings import (
    Account,
    DataSource,
    Execution,
    check_name,
    resolve_strategy,
)
from foxtrot.bus.address import ipc_endpoint, run_folder
from foxtrot.core.config import load_config
from foxtrot.core.errors import ConfigError
from foxtrot.server.oms.risk_limits import RiskSettings

__all__ = [
    "AdapterSettings",
    "Installation",
    "OmsSettings",
    "RecorderSettings",
    "ReplayOptions",
    "Runner",
    "RunnerStrategy",
    "WatchSettings",
    "load_installation",
]

Text = Annotated[str, Meta(min_length=1)]
Seconds = Annotated[float, Meta(ge=0)]

OMS = "oms"
RECORDER = "recorder"
WATCH = "watch"
BACKTEST = "backtest"
RESERVED = frozenset({OMS, RECORDER, WATCH, BACKTEST})


class OmsSettings(Struct, frozen=True, kw_only=True):
    """The OMS.

    Attributes:
        database: its file, in the state folder unless it is absolute.
        digits: decimal places by currency code; 8 where none is given.
        reconcile_interval: seconds between two comparisons with each venue.
        grace: seconds after which a venue that does not list an order never got it.
        backup_every: seconds between two copies of the database; 0 for none.
        backups: copies that are kept.
        lock_timeout: seconds to wait for a predecessor to let the database go.
    """

    database: str = "oms.db"
    digits: dict[str, Annotated[int, Meta(ge=0, le=12)]] = {}
    reconcile_interval: Seconds = 30.0
    grace: Seconds = 10.0
    backup_every: Seconds = 3600.0
    backups: Annotated[int, Meta(ge=1)] = 7
    lock_timeout: Seconds = 30.0


class ReplayOptions(Struct, frozen=True, kw_only=True):
    """How recorded data are played.

    Attributes:
        speed: times as fast as the data's own time; 0 for as fast as it goes.
        loop: begin again at the end, with stamps that go on.
        shift: ``now`` moves the stamps so that the first is now, ``none`` leaves them.
        begin: play from this day on (ISO 8601); what lies before is history for warm-ups. Empty for all.
        max_wait: longest pause between two messages in seconds, so that nights need not be sat through; 0 for any.
        paced: release each event only when every runner and the OMS have done with the one before, on the data's clock.
    """

    speed: Annotated[float, Meta(ge=0)] = 1.0
    loop: bool = False
    shift: Literal["now", "none"] = "now"
    begin: str = ""
    max_wait: Seconds = 1.0
    paced: bool = False

    def __post_init__(self) -> None:
        if self.begin:
            try:
                dt.datetime.fromisoformat(self.begin)
            except ValueError:
                raise ValueError(
                    f"begin {self.begin!r} is no time; write a date as 2013-03-01"
                ) from None


class AdapterSettings(Struct, frozen=True, kw_only=True):
    """One venue connection, a process of its own.

    Attributes:
        name: of the adapter, first part of every id that it makes; no dots.
        kind: ``paper`` (the simulated exchange on replayed data), or ``package.module:Class`` of a ``BaseAdapter``.
        setting: what ``connect`` is told; a ``Secret`` is read from the environment.
        data: what a paper venue replays.
        replay: how it does so.
        account: the paper account.
        execution: conventions of the paper exchange.
    """

    name: Text
    kind: Text = "paper"
    setting: dict[str, Any] = {}
    data: tuple[DataSource, ...] = ()
    replay: ReplayOptions = ReplayOptions()
    account: Account = Account()
    execution: Execution = Execution()

    def __post_init__(self) -> None:
        check_name(self.name)
        if self.kind == "paper" and not self.data:
            raise ValueError("a paper venue needs data to replay: add [[adapters.data]]")
        if self.kind != "paper" and self.replay.paced:
            raise ValueError("only a paper venue can be paced: it is the replay that waits")

    @property
    def service(self) -> str:
        """Name of its process."""
        return f"adapter-{self.name.lower()}"


class RunnerStrategy(Struct, frozen=True, kw_only=True):
    """One strategy of a runner.

    Attributes:
        name: unique in the installation; owner of its orders.
        path: ``package.module:Class`` or ``file.py:Class``.
        vt_symbols: what it trades.
        adapter: where it trades; the only adapter of the installation by default.
        setting: parameter values.
        warmup_bars: bars of history that its indicators are fed with before it trades.
        on_error: what becomes of its orders and positions when a hook raises.
        stale: seconds after which a price is called stale in the log.
    """

    name: Text
    path: Text
    vt_symbols: tuple[Text, ...]
    adapter: str = ""
    setting: dict[str, Any] = {}
    warmup_bars: Annotated[int, Meta(ge=0)] = 0
    on_error: Literal["keep", "cancel", "flatten"] = "keep"
    stale: Seconds = 60.0

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.vt_symbols:
            raise ValueError(f"vt_symbols of strategy {self.name!r} is empty; name what it trades")


class Runner(Struct, frozen=True, kw_only=True):
    """One process of strategies."""

    name: Text
    strategies: tuple[RunnerStrategy, ...]

    def __post_init__(self) -> None:
        check_name(self.name)
        if not self.strategies:
            raise ValueError(f"runner {self.name!r} has no strategy: add [[runners.strategies]]")


class RecorderSettings(Struct, frozen=True, kw_only=True):
    """The recorder.

    Attributes:
        enabled: whether there is one.
        segment_mb: megabytes of a segment.
        segment_minutes: minutes of a segment.
        keep_days: days that finished segments are kept; 0 for ever.
        seal: whether market data of finished segments are written to Parquet (where that extra is installed).
    """

    enabled: bool = True
    segment_mb: Annotated[float, Meta(gt=0)] = 64.0
    segment_minutes: Annotated[float, Meta(gt=0)] = 60.0
    keep_days: Annotated[float, Meta(ge=0)] = 0.0
    seal: bool = True


class WatchSettings(Struct, frozen=True, kw_only=True):
    """When the watch steps in.

    Attributes:
        crash_starts: starts after a crash, of one service, that halt all trading; 0 for never.
        crash_minutes: minutes within which they count.
        dead_after: seconds without a heartbeat after which a process is ended, to be started anew.
        grace: the same for one that starts or stops.
    """

    crash_starts: Annotated[int, Meta(ge=0)] = 5
    crash_minutes: Annotated[float, Meta(gt=0)] = 10.0
    dead_after: Annotated[float, Meta(gt=3)] = 5.0
    grace: Annotated[float, Meta(gt=3)] = 60.0


class Installation(Struct, frozen=True, kw_only=True):
    """Everything that ``make up`` starts.

    Attributes:
        name: of the installation.
        run: folder of sockets, state, logs and recordings.
        path: the file that says so; empty where there is none.
    """

    name: str = "foxtrot"
    run: Path = Path("run")
    oms: OmsSettings = OmsSettings()
    risk: RiskSettings = RiskSettings()
    adapters: Annotated[tuple[AdapterSettings, ...], Meta(min_length=1)]
    runners: tuple[Runner, ...] = ()
    recorder: RecorderSettings = RecorderSettings()
    watch: WatchSettings = WatchSettings()
    path: Path = Path()

    def __post_init__(self) -> None:
        check_name(self.name)
        _unique("adapters", (adapter.name for adapter in self.adapters))
        _unique("services", self.service_names())
        _unique("strategies", (s.name for runner in self.runners for s in runner.strategies))
        paced = [adapter.name for adapter in self.adapters if adapter.replay.paced]
        if len(paced) > 1:
            raise ValueError(f"one replay alone can be paced, not {' and '.join(paced)}")
        known = {adapter.name for adapter in self.adapters}
        for runner in self.runners:
            if runner.name in RESERVED:
                raise ValueError(f"a runner cannot be named {runner.name!r}: that is a service")
            for strategy in runner.strategies:
                name = strategy.adapter
                if name not in known and (name or len(known) > 1):
                    raise ValueError(
                        f"strategy {strategy.name!r} trades at adapter {name!r}; name one of {', '.join(sorted(known))}"
                    )

    @property
    def paced(self) -> bool:
        """Whether a replay releases its events one by one, on the data's own clock."""
        return any(adapter.replay.paced for adapter in self.adapters)

    def service_names(self) -> list[str]:
        """Names of the processes that publish, in order of starting."""
        recorder = [RECORDER] if self.recorder.enabled else []
        adapters = [adapter.service for adapter in self.adapters]
        return [*recorder, OMS, *adapters, *(runner.name for runner in self.runners)]

    def adapter(self, name: str = "") -> AdapterSettings:
        """An adapter by its name or its service's; without a name the only one.

        Raises:
            ConfigError: there is none of that name.
        """
        for adapter in self.adapters:
            if name in (adapter.name, adapter.service) or (not name and len(self.adapters) == 1):
                return adapter
        known = ", ".join(adapter.service for adapter in self.adapters)
        raise ConfigError(f"{self.path}: there is no adapter {name!r}; there are: {known}")

    def runner(self, name: str) -> Runner:
        """A runner by name.

        Raises:
            ConfigError: there is none of that name.
        """
        for runner in self.runners:
            if runner.name == name:
                return runner
        known = ", ".join(runner.name for runner in self.runners) or "none"
        raise ConfigError(f"{self.path}: there is no runner {name!r}; there are: {known}")

    def endpoint(self, service: str, kind: Literal["pub", "rpc"]) -> str:
        """Where a service publishes, or answers.

        Raises:
            BusError: the run folder cannot be used, or its path is too long for a socket.
        """
        return ipc_endpoint(self.run / "sockets", f"{service}.{kind}")

    def folder(self, name: Literal["state", "logs", "recordings"]) -> Path:
        """A folder of the run folder, made and private.

        Raises:
            BusError: it cannot be made.
        """
        run_folder(self.run)
        return run_folder(self.run / name)

    @property
    def database(self) -> Path:
        """The OMS's file."""
        return self.folder("state") / self.oms.database


def load_installation(path: str | Path, overrides: Iterable[str] = ()) -> Installation:
    """Read the settings of an installation.

    Args:
        path: the TOML file.
        overrides: ``key=value`` texts with dotted keys.

    Raises:
        ConfigError: the file cannot be read, or does not fit.
    """
    path = Path(path).absolute()
    loaded = load_config(path, Installation, overrides)
    runners = tuple(
        replace(
            runner,
            strategies=tuple(
                replace(
                    strategy,
                    path=resolve_strategy(strategy.path, path.parent),
                    adapter=loaded.adapter(strategy.adapter).name,
                )
                for strategy in runner.strategies
            ),
        )
        for runner in loaded.runners
    )
    run = (path.parent / loaded.run.expanduser()).resolve()
    return replace(loaded, path=path, run=run, runners=runners)


def _unique(what: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"there are two {what} named {name!r}; names are unique")
        seen.add(name)
