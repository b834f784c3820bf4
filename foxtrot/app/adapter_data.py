"""The data that a paper venue replays: read once, then taken from a copy, so that a restart is a matter of a moment.

Invariants: the copy holds the very columns that were read, under a name made of the file's path, size and time of
change, of what the settings say and of the version; whatever of that changes, or a copy that cannot be read, means
that the file is read again. Copies that are no longer used are removed. A copy needs no pandas.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import logging
import re
import zipfile
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import msgspec

from foxtrot import __version__
from foxtrot.app.files import write_atomically
from foxtrot.app.installation import AdapterSettings
from foxtrot.app.settings import DataSource
from foxtrot.core.constants import NS_PER_SECOND, Interval
from foxtrot.core.errors import ConfigError, DataError

if TYPE_CHECKING:
    from foxtrot.data.columns import Columns

__all__ = ["begin_of", "load_sources"]

_UNREADABLE = (OSError, EOFError, ValueError, KeyError, TypeError, zipfile.BadZipFile, DataError)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

logger = logging.getLogger("foxtrot.service.adapter")


def load_sources(settings: AdapterSettings, state: Path) -> list[Columns]:
    """Rows of all of an adapter's data sources.

    Args:
        settings: of the adapter.
        state: folder for the copies.

    Raises:
        DataError: a file cannot be used as it is.
        ConfigError: a file is not there.
    """
    loaded, used = [], set()
    for source in settings.data:
        path = _path_of(source)
        copy = state / f"{settings.service}.data-{_digest(path, source)}.npz"
        columns = _from_copy(copy)
        if columns is None:
            columns = _read(path, source)
            _to_copy(copy, columns)
        loaded.append(columns)
        used.add(copy)
    for other in state.glob(f"{settings.service}.data-*.npz"):
        if other not in used:
            other.unlink(missing_ok=True)
    return loaded


def begin_of(settings: AdapterSettings) -> int:
    """Where the replay begins, ns UTC, 0 for at once; a bare date is meant in the zone of the first data with a ``tz``.

    Raises:
        ConfigError: there is no such zone.
    """
    if not settings.replay.begin:
        return 0
    moment = dt.datetime.fromisoformat(settings.replay.begin)
    if moment.tzinfo is None:
        name = next((source.tz for source in settings.data if source.tz), "UTC")
        try:
            moment = moment.replace(tzinfo=ZoneInfo(name))
        except (KeyError, ValueError, OSError) as error:
            raise ConfigError(f"time zone {name!r} is unknown; use an IANA name") from error
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * NS_PER_SECOND + since.microseconds * 1_000


def _path_of(source: DataSource) -> Path:
    if source.path is not None:
        return source.path
    from foxtrot.data.samples import sample_path

    return sample_path()


def _read(path: Path, source: DataSource) -> Columns:
    """Read the file; what was assumed is told to the log."""
    from foxtrot.data.importers import load

    vt_symbol = source.instrument or _symbol_of(path)
    loaded = load(
        path,
        vt_symbol,
        interval=source.interval,
        stamp=source.stamp,
        tz=source.tz,
        columns=source.columns or None,
        fix=source.fix,
        adjust=source.sample is not None if source.adjusted is None else source.adjusted,
        price=source.price,
        time_format=source.time_format,
        allow_negative=source.allow_negative,
    )
    for note in loaded.assumptions:
        logger.info("%s: %s", vt_symbol, note)
    return loaded.columns


def _symbol_of(path: Path) -> str:
    """A file's name as an instrument at LOCAL, as in a backtest."""
    stem = path.name.partition(".")[0]
    return f"{re.sub(r'[^A-Za-z0-9_-]', '_', stem).upper()}.LOCAL"


# --- copies -------------------------------------------------------------------------------------------------


def _digest(path: Path, source: DataSource) -> str:
    try:
        status = path.stat()
    except OSError as error:
        raise ConfigError(f"data file {path}: cannot be read: {error.strerror}") from error
    told = msgspec.json.encode(source, enc_hook=str)
    what = f"{__version__} {path.absolute()} {status.st_size} {status.st_mtime_ns} "
    return hashlib.sha256(what.encode() + told).hexdigest()[:24]


def _to_copy(copy: Path, columns: Columns) -> None:
    import numpy as np

    arrays: dict[str, Any] = {
        field.name: value
        for field in fields(columns)
        if isinstance(value := getattr(columns, field.name), np.ndarray)
    }
    interval = getattr(columns, "interval", Interval.TICK)  # quotes have none
    arrays["_what"] = np.array([columns.vt_symbol, interval])
    try:
        write_atomically(copy, lambda draft: np.savez(draft, **arrays))
    except ConfigError as error:
        logger.warning("the data will be read anew after a restart: %s", error)


def _from_copy(copy: Path) -> Columns | None:
    """The columns of a copy, None where there is none that can be read."""
    import numpy as np

    from foxtrot.data.columns import BarColumns, TickColumns

    try:
        with copy.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays: dict[str, Any] = {name: stored[name] for name in stored.files}
        vt_symbol, interval = (str(value) for value in arrays.pop("_what"))
        if interval == Interval.TICK:
            return TickColumns(vt_symbol, **arrays)
        return BarColumns(vt_symbol, Interval(interval), **arrays)
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        logger.warning("%s cannot be read, so the data are read anew: %s", copy, error)
        return None
