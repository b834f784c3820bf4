"""Makes an adapter out of an installation's settings: the paper venue on replayed data, or a class of the user's.

Invariants: what is wrong is told with the adapter's name and the way to mend it; nothing is connected here.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from foxtrot.adapter.base_adapter import BaseAdapter
from foxtrot.app.adapter_data import begin_of, load_sources
from foxtrot.app.installation import AdapterSettings
from foxtrot.app.settings import resolve_strategy
from foxtrot.core.clock import Clock
from foxtrot.core.errors import ConfigError
from foxtrot.core.event_engine import EventEngine

if TYPE_CHECKING:
    from foxtrot.adapter.replay import ReplayAdapter

__all__ = ["BuiltAdapter", "Source", "build_adapter", "load_adapter_class"]

PAPER = "paper"


@dataclass(frozen=True, slots=True)
class Source:
    """The replay that feeds a paper venue, connected after it.

    Attributes:
        replay: plays the data.
        setting: for its ``connect``.
        begin: where it begins, ns UTC of the data's own stamps.
    """

    replay: ReplayAdapter
    setting: Mapping[str, Any]
    begin: int

    def connect(self) -> None:
        """Begin to play."""
        self.replay.connect(self.setting)


@dataclass(frozen=True, slots=True)
class BuiltAdapter:
    """An adapter that waits to be connected.

    Attributes:
        adapter: takes orders.
        setting: for its ``connect``.
        source: of a paper venue's data; None for other venues.
    """

    adapter: BaseAdapter
    setting: Mapping[str, Any]
    source: Source | None = None


def build_adapter(
    settings: AdapterSettings,
    event_engine: EventEngine,
    *,
    state: Path,
    folder: Path,
    watch: Clock,
) -> BuiltAdapter:
    """Make the adapter.

    Args:
        settings: what the installation says of it.
        event_engine: of the process.
        state: folder for the venue's own file.
        folder: what a class in a ``.py`` file is relative to.
        watch: the machine's clock.

    Raises:
        ConfigError: there is no such class, or it cannot be made.
        DataError: the data cannot be used.
    """
    if settings.kind == PAPER:
        return _build_paper(settings, event_engine, state, watch)
    adapter_class = load_adapter_class(resolve_strategy(settings.kind, folder))
    try:
        adapter = adapter_class(event_engine, settings.name)
    except Exception as error:
        raise ConfigError(
            f"adapter {settings.name!r}: {settings.kind} cannot be made: {type(error).__name__}: {error}"
        ) from error
    return BuiltAdapter(adapter, settings.setting)


# --- the paper venue ----------------------------------------------------------------------------------------


def _build_paper(
    settings: AdapterSettings, event_engine: EventEngine, state: Path, watch: Clock
) -> BuiltAdapter:
    from foxtrot.adapter.paper import PaperAdapter
    from foxtrot.adapter.replay import ReplayAdapter

    series = load_sources(settings, state)
    currency = settings.account.currency
    contracts = {
        rows.vt_symbol: source.contract.build(rows.vt_symbol, currency)
        for rows, source in zip(series, settings.data, strict=True)
    }
    replay = ReplayAdapter(
        event_engine,
        settings.name,
        series=series,
        contracts=tuple(contracts.values()),
        watch=watch,
    )
    adapter = PaperAdapter(
        event_engine,
        settings.name,
        account=settings.account.build(),
        model=settings.execution.build(),
        source=replay,
        path=state / f"{settings.service}.db",
    )
    options = settings.replay
    begin = begin_of(settings)
    replay_setting = {
        "speed": options.speed,
        "loop": options.loop,
        "shift": "none" if options.paced else options.shift,
        "begin": begin,
        "max_wait": options.max_wait,
    }
    first = max(begin, replay.stream.first_ts)
    return BuiltAdapter(adapter, settings.setting, Source(replay, replay_setting, first))


# --- a class of the user's ----------------------------------------------------------------------------------


def load_adapter_class(path: str) -> type[BaseAdapter]:
    """Find an adapter's class by ``package.module:Class`` or ``file.py:Class``.

    Raises:
        ConfigError: there is no such module, file or class, it is no adapter, or it cannot be imported.
    """
    location, colon, name = path.rpartition(":")
    if not colon:
        raise ConfigError(f"adapter {path!r}: write 'paper', package.module:Class or file.py:Class")
    try:
        module = _load_file(Path(location)) if location.endswith(".py") else _import(location)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"adapter {path!r} cannot be imported: {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, name, None)
    if found is None:
        known = ", ".join(_adapters(module)) or "none"
        raise ConfigError(f"adapter {path!r}: no class {name!r} there; adapters there: {known}")
    if not (isinstance(found, type) and issubclass(found, BaseAdapter)):
        raise ConfigError(f"adapter {path!r}: {name} is not a subclass of BaseAdapter")
    missing = ", ".join(sorted(found.__abstractmethods__))
    if missing:
        raise ConfigError(f"adapter {path!r}: {name} does not define {missing}")
    return found


def _import(location: str) -> ModuleType:
    try:
        return importlib.import_module(location)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if location == missing or location.startswith(f"{missing}."):
            raise ConfigError(f"adapter {location!r}: there is no module {missing!r}") from error
        raise


def _load_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise ConfigError(f"adapter: there is no file {file}")
    name = f"foxtrot_adapter_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise ConfigError(f"adapter: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.append(str(file.parent))  # what stands beside it can be imported by it
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _adapters(module: ModuleType) -> list[str]:
    """Names of adapter classes that a module defines."""
    return [
        name
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, BaseAdapter) and value is not BaseAdapter
    ]
